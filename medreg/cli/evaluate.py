"""`medreg evaluate`: how well points, labels or transforms agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medreg.cli.failing import reported
from medreg.cli.options import FromForm, Json, Overwrite, Quiet, Verbose


@reported
def evaluate(
    *,
    landmarks: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--landmarks",
            metavar="FIXED MOVING",
            help="Two files of points (CSV, FCSV, .mrk.json, VTK, JSON, text): how far apart are those of one name?",
        ),
    ] = None,
    labels: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--labels", metavar="FIXED MOVING", help="Two label maps: Dice, Jaccard, volumes, distances of outlines."
        ),
    ] = None,
    transforms: Annotated[
        tuple[str, str] | None,
        typer.Option("--transforms", metavar="T1 T2", help="Two transforms: how far apart over the --like image?"),
    ] = None,
    inverse: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--inverse", metavar="T_AB T_BA", help="There and back: how far from the start, over the --like image A?"
        ),
    ] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            "--transform",
            "-t",
            metavar="[inverse:]FILE",
            help="Fixed to moving: carries the fixed points to the moving image's space, where they are compared, and "
            "the moving labels onto the fixed grid.",
        ),
    ] = None,
    interpolation: Annotated[
        Literal["label", "nearest"] | None,
        typer.Option(
            "--interpolation",
            help="How moving labels come onto the fixed grid (with --transform: label, else refused).",
        ),
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="The fixed image, over which transforms are compared.")
    ] = None,
    moving: Annotated[
        Path | None,
        typer.Option(
            "--moving", help="The moving image of the transforms (B of --inverse), where their format asks for it."
        ),
    ] = None,
    form: FromForm = None,
    coordinates: Annotated[
        Literal["LPS", "RAS"] | None,
        typer.Option("--coordinates", help="What the numbers of points are, where their file does not say it."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="TABLE.csv", help="Write the figures, too, as CSV.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well landmarks, labels or transforms agree; several may be asked for at once.

    A transform maps points of the fixed image to points of the moving image. Distances are in mm (pixels for pictures
    that do not say how large a pixel is).
    """
    from medreg.cli.tasks.chain import chain_of
    from medreg.cli.tasks.evaluating import Evaluating, evaluated
    from medreg.errors import UsageError
    from medreg.io.points import Space

    if quiet and (json or out is None):
        raise UsageError("-q prints nothing; " + ("--json prints: choose one" if json else "name a file with --out"))
    chain = tuple(chain_of([*(transform or ()), *(transforms or ()), *(inverse or ())], form))
    carrying = len(transform or ())
    task = Evaluating(
        landmarks=landmarks,
        labels=labels,
        transforms=chain[carrying : carrying + 2] if transforms else (),
        inverse=chain[-2:] if inverse else (),
        transform=chain[:carrying],
        interpolation=interpolation,
        like=like,
        moving=moving,
        space=None if coordinates is None else Space.named(coordinates),
        out=out,
    )
    record = evaluated(task, overwrite=overwrite)
    if quiet:
        return
    if json:
        from medreg.report.record import to_json

        typer.echo(to_json(record), nl=False)
        return
    from medreg.report.evaluation import sheets, show

    show(sheets(record))
    for text in record["warnings"]:
        typer.echo(f"warning: {text}")
    if out is not None:
        typer.echo(f"wrote {out}")
