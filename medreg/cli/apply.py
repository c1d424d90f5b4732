"""`medreg apply`: bring an image, a label map or points through transforms that were found before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from medreg.cli.failing import reported
from medreg.cli.options import (
    Device,
    FromForm,
    Interpolation,
    Outside,
    Overwrite,
    Quiet,
    Series,
    SpacingText,
    Threads,
    Uneven,
    Verbose,
)
from medreg.errors import UsageError


@reported
def apply(
    image: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE",
            help="An image, all volumes of a 4D series; or points: .csv, .fcsv, .mrk.json, .json, .vtk or .txt.",
            show_default=False,
        ),
    ],
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
        list[str] | None,
        typer.Option(
            "--transform",
            "-t",
            metavar="[inverse:]FILE",
            help="A transform of any tool. Several are passed in the order given, in one interpolation.",
        ),
    ] = None,
    form: FromForm = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="The other way: from the fixed to the moving image's space.")
    ] = False,
    space: Annotated[
        Literal["moving", "fixed"] | None,
        typer.Option(
            "--space", help="The space that IMAGE or the points are in (default: moving); fixed is --inverse."
        ),
    ] = None,
    coordinates: Annotated[
        Literal["LPS", "RAS"] | None,
        typer.Option(
            "--coordinates", help="What the numbers of points are; the last word, where their file says otherwise."
        ),
    ] = None,
    of: Annotated[
        Path | None,
        typer.Option("--of", help="The image that points belong to, where the format of the transform asks for it."),
    ] = None,
    interpolation: Interpolation = None,
    outside: Outside = None,
    spacing_out: Annotated[
        str | None,
        typer.Option(
            "--spacing-out", metavar="MM|X,Y[,Z]", help="Voxels of this size, over --like or all of the moved image."
        ),
    ] = None,
    bvecs: Annotated[
        Path | None,
        typer.Option("--bvecs", help="FSL's b-vectors of a diffusion series: turned, and written beside the output."),
    ] = None,
    bvals: Annotated[Path | None, typer.Option("--bvals", help="Its b-values: checked, and copied there.")] = None,
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
    """Bring IMAGE onto the grid of another image through transforms, in one interpolation; or points to its space."""
    from medreg.cli.tasks.chain import chain_of
    from medreg.cli.tasks.moving_points import MovingPoints, is_points, move_points
    from medreg.io.content import stem_of
    from medreg.io.points import Space, form_of_suffix

    if inverse and space is not None:
        raise UsageError(f"--inverse and --space {space} both say which way; leave one of them out")
    backwards = inverse or space == "fixed"
    chain = chain_of(transform, form, inverse=backwards)
    if is_points(image):
        given = {
            "--interpolation": interpolation,
            "--outside": outside,
            "--spacing-out": spacing_out,
            "--bvecs": bvecs,
            "--bvals": bvals,
        }
        _refuse(image, "points have no", given)
        suffix = ".mrk.json" if image.name.lower().endswith(".mrk.json") else image.suffix
        moving = MovingPoints(
            points=image,
            out=out or Path(f"{image.name[: len(image.name) - len(suffix)]}_moved{suffix}"),
            chain=chain,
            comes_to="moving" if backwards else "fixed",
            coordinates=None if coordinates is None else Space.named(coordinates),
            begin=of,
            end=like,
        )
        told = move_points(moving, overwrite=overwrite)
    else:
        from medreg.cli.tasks.applying import Applying, apply_to_file
        from medreg.cli.tasks.outside import outside_value
        from medreg.io.dicom.choice import dicom_choice
        from medreg.io.spacing import spacing_choice

        _refuse(image, "an image has no", {"--coordinates": coordinates, "--of": of})
        if out is not None and form_of_suffix(out) is not None:
            raise UsageError(f"{image}: is no file of points by its name, and {out} would be one; rename one of them")
        task = Applying(
            image=image,
            like=like,
            out=out or Path(f"{stem_of(image)}_moved.nii.gz"),
            chain=chain,
            interpolation=interpolation,
            outside=outside_value(outside or "0"),
            device=device or "auto",
            threads=threads,
            image_spacing=spacing_choice(image_spacing or spacing, "--image-spacing" if image_spacing else "--spacing"),
            like_spacing=spacing_choice(like_spacing or spacing, "--like-spacing" if like_spacing else "--spacing"),
            spacing_out=spacing_choice(spacing_out, "--spacing-out"),
            choice=dicom_choice(series, uneven),
            like_choice=dicom_choice(like_series, uneven),
            bvecs=bvecs,
            bvals=bvals,
        )
        told = apply_to_file(task, overwrite=overwrite)
    if not quiet:
        typer.echo(told)


def _refuse(image: Path, why: str, given: Mapping[str, object]) -> None:
    """Refuse options that mean nothing for this kind of file.

    Raises:
        UsageError: one of them was given.
    """
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{image}: {why} {option}; leave it out")
