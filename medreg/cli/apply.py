"""`medreg apply`: resample an image through a transform that was found before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import (
    Device,
    InterpolationName,
    Outside,
    Overwrite,
    Quiet,
    Series,
    SpacingText,
    Threads,
    Uneven,
    Verbose,
)


@reported
def apply(
    image: Annotated[Path, typer.Argument(help="The image to move; all volumes of a 4D series.", show_default=False)],
    *,
    like: Annotated[
        Path | None,
        typer.Option(
            "--like", help="The image onto whose grid to bring it; without one its voxels stay, and its header moves."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: IMAGE_moved.nii.gz).")
    ] = None,
    transform: Annotated[
        Path | None,
        typer.Option(
            "--transform",
            "-t",
            help="transform.tfm or .json, run.json, ITK's .mat .h5 .txt, a DICOM registration, or a text matrix.",
        ),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="The other way: from the fixed to the moving image's space.")
    ] = False,
    interpolation: InterpolationName = None,
    outside: Outside = None,
    spacing: SpacingText = None,
    image_spacing: Annotated[
        str | None, typer.Option("--image-spacing", metavar="MM|X,Y[,Z]", help="The same of IMAGE alone.")
    ] = None,
    like_spacing: Annotated[
        str | None, typer.Option("--like-spacing", metavar="MM|X,Y[,Z]", help="The same of the --like image alone.")
    ] = None,
    series: Series = None,
    like_series: Annotated[
        str | None, typer.Option("--like-series", metavar="N|UID|TEXT", help="The same of the --like image.")
    ] = None,
    uneven: Uneven = "refuse",
    device: Device = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring IMAGE onto the grid of another image through a transform, in one interpolation."""
    from medreg.cli.applying import Applying, apply_to_file
    from medreg.cli.jobs import stem_of
    from medreg.cli.outside import outside_value
    from medreg.io.dicom.choice import dicom_choice
    from medreg.io.spacing import spacing_choice

    beyond = outside_value(outside or "0")
    spacings = spacing_choice(image_spacing or spacing), spacing_choice(like_spacing or spacing)
    task = Applying(
        image,
        like,
        out or Path(f"{stem_of(image)}_moved.nii.gz"),
        transform,
        interpolation or "linear",
        beyond,
        device or "auto",
        threads,
        *spacings,
        dicom_choice(series, uneven),
        dicom_choice(like_series, uneven),
        inverse,
    )
    written = apply_to_file(task, overwrite=overwrite)
    if not quiet:
        typer.echo(written)
