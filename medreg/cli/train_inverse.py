"""`medreg train-inverse`: a network learns, through the differentiable resampler, to undo motions of an image."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import typer

from medreg.cli.failing import INTERRUPTED, reported
from medreg.cli.options import Device, Json, Overwrite, Quiet, Verbose

if TYPE_CHECKING:
    from medreg.cli.tasks.training_folder import TrainingFolder
    from medreg.learn.settings import Settings
    from medreg.learn.training import Training


NEARLY = 0.98
"""Share of the empty image's error from which on a model is no better than that."""


@reported
def train_inverse(
    *,
    phantom: Annotated[
        Literal["line", "head"] | None,
        typer.Option(
            "--phantom", help="What is moved: a line, as published, or a head without symmetry. [default: line]"
        ),
    ] = None,
    model: Annotated[
        Literal["rotation", "affine"] | None,
        typer.Option("--model", help="What is undone: rotations, or affine maps of 12 parameters. [default: rotation]"),
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Voxels along each edge. [default: line 16, head 20]")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", help="Images to train on. [default: line 100, head 500]")
    ] = None,
    test_images: Annotated[
        int | None, typer.Option("--test-images", help="Images to test on. [default: line 20, head 100]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Passes through all images. [default: line 50, head 40]")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Images a step. [default: line 1, head 8]")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Adam's, at the start. [default: line 0.001, head 0.002]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of motions, first weights and order. [default: 0]")
    ] = None,
    device: Device = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads; one is fastest for small images.")] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("train-inverse"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished training in the folder, with its settings.")
    ] = False,
    until: Annotated[
        int | None,
        typer.Option("--until", min=1, help="Stop after this epoch, to go on later with --resume.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Show that gradients pass through resampling: train a network that turns moved images back.

    Writes metrics.json, model.safetensors, losses.png and slices.png. Ctrl-C keeps a checkpoint to --resume from.
    """
    from medreg.cli.tasks.screen import check_shown
    from medreg.cli.tasks.training_folder import TrainingFolder

    check_shown(quiet=quiet, json=json, verbose=verbose)
    given = {
        "phantom": phantom, "model": model, "size": size, "images": images, "test_images": test_images,
        "epochs": epochs, "batch": batch, "learning_rate": learning_rate, "seed": seed,
    }  # fmt: skip
    folder = TrainingFolder(out, overwrite=overwrite, resume=resume)
    settings = _settings(given, folder, resume=resume)
    progress = _progress(quiet=quiet, verbose=verbose, json=json)
    record = _trained(settings, folder, device or "cpu", threads, until, progress)
    if record is None:
        if not quiet:
            typer.echo(f"stopped after epoch {until}; go on with: medreg train-inverse --resume --out {out}", err=json)
    elif json:
        from medreg.report.record import to_json

        typer.echo(to_json(record), nl=False)
    elif not quiet:
        from medreg.report.training import show

        show(record)
    if record is not None and not quiet:
        for text in record["warnings"]:
            typer.secho(f"warning: {text}", fg=typer.colors.YELLOW, err=True)


class _Watch(Protocol):
    def __call__(self, record: dict[str, Any]) -> None: ...


def _settings(given: dict[str, Any], folder: TrainingFolder, *, resume: bool) -> Settings | None:
    """The validated settings; None to go on with those of the checkpoint, which the flags do not contradict."""
    from medreg.cli.tasks.starting import importing_torch
    from medreg.errors import UsageError
    from medreg.learn.settings import Settings

    if not resume:
        others = {k: v for k, v in given.items() if k not in ("phantom", "model")}
        return Settings.of(given["phantom"] or "line", given["model"] or "rotation", **others)
    folder.check()
    with importing_torch():
        from medreg.learn.checkpoint import settings_in
    begun = settings_in(folder.checkpoint).to_dict()
    for name, value in given.items():
        if value is not None and value != begun[name]:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} {value}: the training in {folder.path} has {begun[name]}; leave it out")
    return None


def _progress(*, quiet: bool, verbose: bool, json: bool) -> AbstractContextManager[_Watch]:
    """What is called with the record after each epoch."""
    if verbose:
        return nullcontext(_tell)
    if quiet or json or not sys.stderr.isatty():
        return nullcontext(lambda record: None)
    from medreg.report.training import LiveTraining

    return LiveTraining()


def _tell(record: dict[str, Any]) -> None:
    if not record["epochs"]:
        return
    epoch, all_epochs = record["epochs"][-1], record["settings"]["epochs"]
    test = epoch["test"]
    angle = "" if test["angle_deg"] is None else f"  angle off {test['angle_deg']:6.2f}°"
    typer.echo(
        f"epoch {epoch['number']:3d}/{all_epochs}  train {epoch['train']:.6f}  test {test['mse']:.6f}  "
        f"better by {epoch['better_by']:5.1f} %{angle}  points off {test['miss_mm']:.2f} mm  {epoch['seconds']:.2f} s",
        err=True,
    )


def _trained(
    settings: Settings | None,
    folder: TrainingFolder,
    device: str,
    threads: int,
    until: int | None,
    progress: AbstractContextManager[_Watch],
) -> dict[str, Any] | None:
    """Train, keep a checkpoint after each epoch, write; the record, or None where it was stopped before its end."""
    from medreg.cli.tasks.starting import importing_torch
    from medreg.io.atomic import written_beside

    with folder:
        with progress as watch:
            with importing_torch():
                from medreg.cli.tasks import engine
                from medreg.learn.checkpoint import read_checkpoint, write_checkpoint
                from medreg.learn.training import begin
            device, threads = engine.compute_on(device, threads)
            training = read_checkpoint(folder.checkpoint, device) if settings is None else begin(settings, device)
            record = _begun(training, device, threads)
            watch(record)
            try:
                for epoch in training.epochs():
                    record["epochs"] = _epochs(training, record)
                    watch(record)
                    with written_beside(folder.checkpoint) as temporary:
                        write_checkpoint(training, temporary)
                    if epoch.number == until and until < training.settings.epochs:
                        return None
            except KeyboardInterrupt:
                if not training.history:
                    raise
                _say_interrupted(training, folder.path)
                raise typer.Exit(INTERRUPTED) from None
        _write(training, record, folder)
        folder.publish()
    return record


def _say_interrupted(training: Training, out: Path) -> None:
    done, all_epochs = len(training.history), training.settings.epochs
    said = (
        f"medreg: interrupted after epoch {done} of {all_epochs}; go on with: medreg train-inverse --resume --out {out}"
    )
    typer.secho(said, fg=typer.colors.YELLOW, err=True)


def _begun(training: Training, device: str, threads: int) -> dict[str, Any]:
    """The record before the first epoch: what later ones are held against."""
    from dataclasses import asdict
    from importlib.metadata import version

    from medreg.report.versions import versions

    record: dict[str, Any] = {
        "command": "train-inverse",
        "settings": training.settings.to_dict(),
        "parameters": training.parameters,
        "device": device,
        "threads": threads,
        "train": asdict(training.frame(training.train)),
        "test": asdict(training.frame(training.test)),
        "versions": {**versions(), "safetensors": version("safetensors")},
    }
    return {**record, "epochs": _epochs(training, record)}


def _epochs(training: Training, record: dict[str, Any]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    baseline = record["test"]["baseline"]["mse"]
    return [{**asdict(e), "better_by": 100 * (1 - e.test.mse / baseline)} for e in training.history]


def _warnings(record: dict[str, Any]) -> list[str]:
    """What is to be doubted in the result of a finished training."""
    mse, empty, baseline = record["result"]["test"], record["test"]["empty"]["mse"], record["test"]["baseline"]["mse"]
    if mse < NEARLY * empty:
        return []
    kept = "worse than" if mse > empty / NEARLY else "no better than"
    return [
        f"the model's test error, {mse:.6f}, is {kept} that of an empty image, {empty:.6f}, and without correction it "
        f"is {baseline:.6f}: it has moved what is shown out of place or out of sight, where no slope leads back, "
        "instead of learning the motion; try a smaller --learning-rate, more --epochs or --images, or another --seed"
    ]


def _write(training: Training, record: dict[str, Any], folder: TrainingFolder) -> None:
    """All outputs into the hidden folder; completes the record."""
    from medreg.cli.tasks.training_folder import OUTPUTS
    from medreg.learn.checkpoint import write_model
    from medreg.learn.pictures import draw_losses, draw_slices
    from medreg.report.record import to_json

    last, test = record["epochs"][-1], record["test"]
    record["result"] = {
        **{k: v for k, v in last["test"].items() if k != "mse"},
        "train": last["train"],
        "test": last["test"]["mse"],
        "better_by": last["better_by"],
        "over_oracle": last["test"]["mse"] / test["oracle"]["mse"],
        "over_empty": last["test"]["mse"] / test["empty"]["mse"],
    }
    record["seconds"] = {"training": sum(e["seconds"] for e in record["epochs"])}
    record["outputs"] = {"folder": str(folder.path), "files": list(OUTPUTS)}
    record["warnings"] = _warnings(record)
    draw_losses(training, training.frame(training.test), folder.inside / "losses.png")
    draw_slices(training, folder.inside / "slices.png")
    write_model(training, folder.inside / "model.safetensors")
    (folder.inside / "metrics.json").write_text(to_json(record), encoding="utf-8")
