"""`medreg register`: find the transform between two images, and write the moved image, the transform and a record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Device, InterpolationName, Json, Overwrite, Quiet, Threads, Verbose


@reported
def register(
    fixed: Annotated[Path | None, typer.Argument(help="The image that stays.", show_default=False)] = None,
    moving: Annotated[Path | None, typer.Argument(help="The image to bring onto it.", show_default=False)] = None,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the outputs. [default: MOVING_to_FIXED]")
    ] = None,
    transform: Annotated[
        Literal["translation", "rigid", "similarity", "affine"] | None,
        typer.Option("--transform", "-t", help="How the moving image may move. [default: affine]"),
    ] = None,
    metric: Annotated[
        Literal["auto", "mean_squares", "correlation", "mutual_information", "normalised_mutual_information"] | None,
        typer.Option("--metric", "-m", help="What is compared; auto tells one contrast from two. [default: auto]"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A YAML recipe, or a run.json to repeat.")
    ] = None,
    start: Annotated[
        Literal["auto", "header", "centre"] | None,
        typer.Option(
            "--start", help="Where to start: as the headers say, or centre on centre. [default: auto, the better]"
        ),
    ] = None,
    device: Device = None,
    threads: Threads = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the random samples. [default: 0]")] = None,
    fixed_mask: Annotated[
        Path | None, typer.Option("--fixed-mask", help="Where the fixed image counts: nonzero.")
    ] = None,
    moving_mask: Annotated[
        Path | None, typer.Option("--moving-mask", help="Where the moving image counts: nonzero.")
    ] = None,
    interpolation: InterpolationName = None,
    volume: Annotated[
        str | None, typer.Option("--volume", metavar="N|mean", help="Which volume of a 4D series, counted from 0.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Bring MOVING onto FIXED; writes moved.nii.gz, transform.tfm and run.json into a folder.

    Images: NIfTI, MGZ, NRRD, MetaImage, PNG, JPEG, TIFF. Both may also be named in --config.
    """
    from medreg.cli.jobs import job_for
    from medreg.cli.run import run
    from medreg.cli.screen import screen_for
    from medreg.io.volumes import volume_choice

    screen = screen_for(quiet=quiet, verbose=verbose, json=json)
    number = None if volume is None else volume_choice(volume)
    asked = job_for(
        config,
        fixed=fixed,
        moving=moving,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        out=out,
        transform=transform,
        metric=metric,
        start=start,
        device=device,
        threads=threads,
        seed=seed,
        interpolation=interpolation,
        volume=number if number is None or isinstance(number, int) else "mean",
    )
    screen.show(run(asked, screen, overwrite=overwrite))
