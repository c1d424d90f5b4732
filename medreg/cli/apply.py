"""`medreg apply`: resample an image through a transform that was found before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Device, InterpolationName, Overwrite, Quiet, Threads, Verbose


@reported
def apply(
    image: Annotated[Path, typer.Argument(help="The image to move; all volumes of a 4D series.", show_default=False)],
    *,
    like: Annotated[Path, typer.Option("--like", help="The image onto whose grid to bring it.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", show_default=False)],
    transform: Annotated[
        Path | None,
        typer.Option(
            "--transform",
            "-t",
            help="transform.tfm, run.json, ITK's .mat .h5 .txt, or a text matrix; none if not given.",
        ),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="The other way: from the fixed to the moving image's space.")
    ] = False,
    interpolation: InterpolationName = None,
    outside: Annotated[
        str, typer.Option("--outside", metavar="VALUE|edge", help="For voxels that the image does not reach.")
    ] = "0",
    device: Device = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring IMAGE onto the grid of another image through a transform, in one interpolation."""
    from medreg.cli.applying import Applying, apply_to_file, outside_value

    task = Applying(
        image, like, out, transform, interpolation or "linear", outside_value(outside), device or "auto", threads
    )
    written = apply_to_file(task, inverse=inverse, overwrite=overwrite)
    if not quiet:
        typer.echo(written)
