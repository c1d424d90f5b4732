"""`medreg rotate`: an image turned about a point, once or by a range of angles."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    Surroundings,
    Threads,
    Uneven,
    Verbose,
)
from medreg.errors import UsageError

if TYPE_CHECKING:
    from medreg.cli.tasks.operating import Change
    from medreg.image import MedImage
    from medreg.ops import Between

_MOST = 1000


@reported
def rotate(
    image: Image,
    *,
    angles: Annotated[
        str,
        typer.Option(
            "--angles",
            metavar="X,Y,Z",
            help="Degrees about x, y and z (one in 2D); a range FROM:TO:STEP in a place writes a series.",
            show_default=False,
        ),
    ],
    centre: Annotated[
        str | None, typer.Option("--centre", metavar="X,Y,Z", help="World point, LPS mm. [default: the image's middle]")
    ] = None,
    about: Annotated[
        Literal["world", "image"], typer.Option("--about", help="Whose axes the angles are about.")
    ] = "world",
    order: Annotated[
        Literal["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"],
        typer.Option("--order", help="Which turn is made first, second and third."),
    ] = "xyz",
    expand: Annotated[
        bool, typer.Option("--expand", help="Enlarge the grid so that no voxel is lost; else it stays.")
    ] = False,
    interpolation: Interpolation = None,
    outside: Surroundings = "0",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: IMAGE_rotated.nii.gz).")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="A PNG of the middle slices of all results, side by side.")
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
    """Turn IMAGE: what was at p comes to c + R (p - c), by the right-hand rule, R = Rz Ry Rx for the order xyz."""
    from medreg.cli.tasks.operating import Operating, operate, values
    from medreg.io.content import stem_of, suffix_of
    from medreg.io.dicom.choice import dicom_choice
    from medreg.io.spacing import spacing_choice

    turns = angles_of(angles)
    point = None if centre is None else values(centre, "--centre")
    target = out or Path(f"{stem_of(image)}_rotated.nii.gz")
    stem = stem_of(target)
    task = Operating(
        image,
        dicom_choice(series, uneven),
        spacing=spacing_choice(image_spacing),
        device=device or "auto",
        threads=threads,
        picture=picture,
        interpolation=interpolation,
    )

    def turned(turn: tuple[float, ...]) -> Change:
        def change(medical: MedImage, kernel: Between) -> MedImage:
            from medreg import ops
            from medreg.cli.tasks.operating import beyond

            if (medical.dimension == 3) != (len(turn) == 3):
                raise UsageError(
                    f"--angles {angles}: {medical.name} has {medical.dimension} axes and turns by "
                    f"{'three angles X,Y,Z' if medical.dimension == 3 else 'one angle'}"
                )
            if point is not None and len(point) != medical.dimension:
                raise UsageError(
                    f"--centre {centre}: {medical.name} has {medical.dimension} axes, got {len(point)} numbers"
                )
            return ops.rotate(
                medical,
                turn if len(turn) > 1 else turn[0],
                point,
                ops.Axes(about),
                ops.Order[order.upper()],
                ops.Expand() if expand else ops.Keep(),
                kernel,
                beyond(outside),
            )

        return change

    names = {target: turned(turns[0])} if len(turns) == 1 else {}
    if len(turns) > 1:
        names = {target.with_name(f"{stem}_{_label(turn)}{suffix_of(target)}"): turned(turn) for turn in turns}
    if len(names) < len(turns):
        raise UsageError(f"--angles {angles}: its steps are too small for names of their own; take a larger one")
    told = operate(task, names, overwrite=overwrite)
    if not quiet:
        typer.echo(told)


def angles_of(text: str) -> list[tuple[float, ...]]:
    """The turns that `--angles` asks for, degrees: one, or all combinations of the ranges in it.

    Raises:
        UsageError: neither one nor three angles, or a range that has no end.

    Example:
        >>> angles_of("0,0,-10:10:10")
        [(0.0, 0.0, -10.0), (0.0, 0.0, 0.0), (0.0, 0.0, 10.0)]
    """
    parts = [_places(part, text) for part in text.split(",")]
    if len(parts) not in (1, 3):
        raise UsageError(f"--angles takes three angles X,Y,Z, or one in 2D, got {text!r}")
    count = math.prod(map(len, parts))
    if count > _MOST:
        raise UsageError(f"--angles {text}: asks for {count} images, at most {_MOST} are written; take a larger step")
    return list(product(*parts))


def _places(part: str, text: str) -> list[float]:
    try:
        ends = [float(value) for value in part.split(":")]
    except ValueError:
        ends = []
    if len(ends) not in (1, 3) or not all(map(math.isfinite, ends)) or (len(ends) == 3 and ends[2] == 0):
        raise UsageError(f"--angles takes degrees, or ranges FROM:TO:STEP such as -30:30:5, got {part!r} in {text!r}")
    if len(ends) == 1:
        return ends
    first, last, step = ends
    steps = math.floor((last - first) / step + 1e-9)
    if not 0 <= steps < _MOST:
        raise UsageError(f"--angles: the range {part} has {max(0, steps + 1)} steps; its STEP leads from FROM to TO")
    return [round(first + k * step, 9) for k in range(steps + 1)]


def _label(turn: tuple[float, ...]) -> str:
    return "_".join(f"{axis}{angle:.12g}" for axis, angle in zip("xyz" if len(turn) > 1 else "z", turn, strict=True))
