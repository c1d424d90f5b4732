"""`medreg reorient`: the same image stored with its axes in another order and direction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Image, Overwrite, Quiet, Series, Uneven, Verbose

if TYPE_CHECKING:
    from medreg.image import MedImage


@reported
def reorient(
    image: Image,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="CODE", help="Where x, y and z are to lead: RAS, LPS, ... 48 in all.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: IMAGE_CODE.nii.gz).")
    ] = None,
    series: Series = None,
    uneven: Uneven = "refuse",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Store IMAGE with other axes: voxels are exchanged, never interpolated, and stay where they are in the world."""
    from medreg.cli.jobs import stem_of
    from medreg.cli.operating import Operating, operate
    from medreg.io.dicom.choice import dicom_choice

    def change(medical: MedImage) -> MedImage:
        from medreg import ops

        return ops.reorient(medical, to)

    target = out or Path(f"{stem_of(image)}_{to.upper()}.nii.gz")
    told = operate(Operating(image, dicom_choice(series, uneven), device="cpu"), {target: change}, overwrite=overwrite)
    if not quiet:
        typer.echo(told)
