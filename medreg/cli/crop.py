"""`medreg crop`: a box of an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Image, Overwrite, Quiet, Series, Uneven, Verbose

if TYPE_CHECKING:
    from medreg.image import MedImage
    from medreg.ops import Between


@reported
def crop(
    image: Image,
    *,
    start: Annotated[
        str, typer.Option("--start", metavar="X,Y[,Z]", help="The first voxel of the box, from 0.", show_default=False)
    ],
    size: Annotated[
        str,
        typer.Option(
            "--size", metavar="X,Y[,Z]", help="Voxels of the box; one number for all axes.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: IMAGE_cropped.nii.gz).")
    ] = None,
    series: Series = None,
    uneven: Uneven = "refuse",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Keep a box of IMAGE; its voxels stay where they are in the world."""
    from medreg.cli.tasks.operating import Operating, for_axes, operate, values
    from medreg.io.content import stem_of
    from medreg.io.dicom.choice import dicom_choice

    first, count = values(start, "--start", whole=True), values(size, "--size", whole=True)

    def change(medical: MedImage, _: Between) -> MedImage:
        from medreg import ops

        return ops.crop(medical, for_axes(first, medical, "--start"), for_axes(count, medical, "--size"))

    target = out or Path(f"{stem_of(image)}_cropped.nii.gz")
    told = operate(Operating(image, dicom_choice(series, uneven), device="cpu"), {target: change}, overwrite=overwrite)
    if not quiet:
        typer.echo(told)
