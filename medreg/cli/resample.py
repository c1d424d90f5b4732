"""`medreg resample`: an image with voxels of another size, over the same extent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import (
    Device,
    Image,
    ImageSpacing,
    Interpolation,
    Overwrite,
    Quiet,
    Series,
    Threads,
    Uneven,
    Verbose,
)
from medreg.errors import UsageError

if TYPE_CHECKING:
    from medreg.image import MedImage
    from medreg.ops import Between


@reported
def resample(
    image: Image,
    *,
    spacing: Annotated[
        str | None, typer.Option("--spacing", metavar="MM|X,Y[,Z]", help="Millimetres between the new voxels.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="X,Y[,Z]", help="How many voxels, over the same extent.")
    ] = None,
    antialias: Annotated[
        bool,
        typer.Option("--antialias/--no-antialias", help="Smooth first, where voxels become larger; not label maps."),
    ] = True,
    interpolation: Interpolation = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: IMAGE_resampled.nii.gz).")
    ] = None,
    series: Series = None,
    uneven: Uneven = "refuse",
    image_spacing: ImageSpacing = None,
    device: Device = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Give IMAGE voxels of another size, over the same extent. Onto another image's grid: `medreg apply --like`."""
    from medreg.cli.tasks.operating import Operating, for_axes, operate, values
    from medreg.io.content import stem_of
    from medreg.io.dicom.choice import dicom_choice
    from medreg.io.spacing import spacing_choice

    if (spacing is None) == (size is None):
        raise UsageError("say what the voxels are to be: --spacing MM, or --size X,Y,Z")
    count = None if size is None else values(size, "--size", whole=True)
    millimetres = spacing_choice(spacing)

    def change(medical: MedImage, kernel: Between) -> MedImage:
        from medreg import ops
        from medreg.sample import Label, Nearest

        filtered = ops.Antialias() if antialias and not isinstance(kernel, Label | Nearest) else None
        if count is not None:
            return ops.resize(medical, for_axes(count, medical, "--size"), filtered, kernel)
        assert millimetres is not None
        if len(millimetres) not in (1, medical.dimension):
            raise UsageError(f"--spacing: {medical.name} has {medical.dimension} axes, got {len(millimetres)} numbers")
        wanted = millimetres[0] if len(millimetres) == 1 else millimetres
        return ops.resample_to_spacing(medical, wanted, filtered, kernel)

    target = out or Path(f"{stem_of(image)}_resampled.nii.gz")
    task = Operating(
        image,
        dicom_choice(series, uneven),
        spacing=spacing_choice(image_spacing),
        device=device or "auto",
        threads=threads,
        interpolation=interpolation,
    )
    told = operate(task, {target: change}, overwrite=overwrite)
    if not quiet:
        typer.echo(told)
