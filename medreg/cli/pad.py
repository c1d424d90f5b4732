"""`medreg pad`: an image with more voxels around it, or brought to a size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Image, Overwrite, Quiet, Series, Surroundings, Uneven, Verbose
from medreg.errors import UsageError

if TYPE_CHECKING:
    from medreg.image import MedImage
    from medreg.ops import Between


@reported
def pad(
    image: Image,
    *,
    by: Annotated[
        str | None, typer.Option("--by", metavar="N|X,Y[,Z]", help="Voxels to add at both ends of each axis.")
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="N|X,Y[,Z]", help="Voxels to add at the low ends.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="N|X,Y[,Z]", help="Voxels to add at the high ends.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="N|X,Y[,Z]", help="Pad or crop about the middle to this many voxels."),
    ] = None,
    outside: Surroundings = "0",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: IMAGE_padded.nii.gz).")
    ] = None,
    series: Series = None,
    uneven: Uneven = "refuse",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Add voxels around IMAGE; those that it has stay where they are in the world."""
    from medreg.cli.tasks.operating import Operating, beyond, for_axes, operate, values
    from medreg.io.content import stem_of
    from medreg.io.dicom.choice import dicom_choice

    one_sided = before is not None or after is not None
    if [size is not None, by is not None, one_sided].count(True) != 1:
        raise UsageError("say how many voxels to add: --by N, or --before and --after, or --size for the whole")
    ends = [(by, "--by")] * 2 if by is not None else [(before, "--before"), (after, "--after")]
    added = [(values("0" if text is None else text, option, whole=True), option) for text, option in ends]
    count = None if size is None else values(size, "--size", whole=True)

    def change(medical: MedImage, _: Between) -> MedImage:
        from medreg import ops

        if count is not None:
            return ops.crop_or_pad(medical, for_axes(count, medical, "--size"), beyond(outside))
        low, high = (for_axes(numbers, medical, option) for numbers, option in added)
        return ops.pad(medical, low, high, beyond(outside))

    target = out or Path(f"{stem_of(image)}_padded.nii.gz")
    told = operate(Operating(image, dicom_choice(series, uneven), device="cpu"), {target: change}, overwrite=overwrite)
    if not quiet:
        typer.echo(told)
