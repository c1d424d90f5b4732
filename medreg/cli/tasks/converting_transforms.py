"""One transform file made from another: read, turned round where asked, written, and checked. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medreg.cli.tasks.chain import check_dimensions
from medreg.cli.tasks.outputs import check_free
from medreg.cli.tasks.warned import collected
from medreg.errors import TransformError
from medreg.geometry.affine import invert
from medreg.geometry.grid import Grid
from medreg.io.failing import missing_file
from medreg.io.transforms import End, Form, form_of_name, read_transform, read_with_form, write_transform, written_files
from medreg.io.transforms.differences import POINTS, largest_difference, spread_points
from medreg.io.transforms.headers import header_of
from medreg.types import FloatArray

CLOSE_MM = 1e-4
"""Above this, `--verify` warns: every form that medreg writes keeps more digits than that."""


@dataclass(frozen=True, kw_only=True)
class Converting:
    """What to read and what to write.

    Attributes:
        source: the file to read.
        out: the file to write.
        fixed: the image whose points `source` maps, where it is known.
        moving: the image to whose points it maps them.
        from_form: what `source` is; None to tell it from its content.
        to_form: what `out` is to be; None to tell it from its name.
        inverse: whether to write the inverse.
        verify: whether to read `out` back and compare.
    """

    source: Path
    out: Path
    fixed: Path | None = None
    moving: Path | None = None
    from_form: Form | None = None
    to_form: Form | None = None
    inverse: bool = False
    verify: bool = False

    @property
    def ends(self) -> tuple[End, End]:
        """The fixed and the moving end of `source`."""
        return End(path=self.fixed), End(path=self.moving)


def convert_to_file(task: Converting, *, overwrite: bool) -> tuple[dict[str, Any], list[str]]:
    """Do it; returns the record, and the lines to tell.

    Raises:
        MedregError: whatever is wrong with the file, the images, the form or the disk; nothing is written then.
    """
    to_form = task.to_form or form_of_name(task.out)
    for path in written_files(task.out, to_form):
        check_free(path, overwrite=overwrite)
    for image in (task.fixed, task.moving):
        if image is not None and not image.exists():
            raise missing_file(image)
    with collected() as warned:
        fixed, moving = task.ends
        matrix, from_form = read_with_form(task.source, fixed=fixed, moving=moving, form=task.from_form)
        back = _inverted(matrix, task.source)
        grids = _grids((fixed, moving), matrix, task.source)
        if task.inverse:
            matrix, fixed, moving, grids = back, moving, fixed, grids[::-1]
        grid = grids[0]
        centre = None if grid is None else grid.centre
        write_transform(matrix, task.out, fixed=fixed, moving=moving, form=to_form, centre=centre)
        apart = None
        if task.verify:
            again = read_transform(task.out, fixed=fixed, moving=moving, form=to_form)
            apart = _apart(matrix, again, grid)
    if apart is not None and not apart <= CLOSE_MM:
        warned.append(f"{task.out}: read back, it sends a point {apart:.3g} mm from where {task.source} does")
    record = {
        "input": {"file": str(task.source), "form": from_form.value},
        "output": {"file": str(task.out), "form": to_form.value},
        "fixed": None if task.fixed is None else str(task.fixed),
        "moving": None if task.moving is None else str(task.moving),
        "inverse": task.inverse,
        "matrix": matrix.tolist(),
        "convention": "(u, w) = matrix @ (fixed point, 1); moving point = u / w; LPS mm, or px for pictures",
        "verified": None if apart is None else {"points": POINTS, "largest_difference_mm": apart},
        "warnings": warned,
    }
    turned = ", inverted" if task.inverse else ""
    lines = [
        *(f"warning: {text}" for text in warned),
        f"wrote {task.out} ({to_form.title}, from {from_form.title}{turned})",
    ]
    if apart is not None:
        where = "in a box of 200 mm" if grid is None else "over the fixed image"
        lines.append(f"largest difference of {POINTS:,} points {where}: {apart:.3g} mm")
    return record, lines


def _grids(ends: tuple[End, End], matrix: FloatArray, source: Path) -> tuple[Grid | None, Grid | None]:
    """Of the fixed and the moving image, as far as they are named.

    Raises:
        TransformError: another dimension than the transform's.
    """
    grids = [None if end.path is None else header_of(end.path).grid for end in ends]
    named = {str(end.path): grid.dimension for end, grid in zip(ends, grids, strict=True) if grid is not None}
    check_dimensions({str(source): len(matrix) - 1, **named})
    return grids[0], grids[1]


def _inverted(matrix: FloatArray, source: Path) -> FloatArray:
    """The inverse; asked for also where it is not written, for what has none is no transform of an image."""
    try:
        return invert(matrix)
    except TransformError as error:
        raise TransformError(f"{source}: {error}") from error


def _apart(matrix: FloatArray, again: FloatArray, grid: Grid | None) -> float:
    return largest_difference(matrix, again, spread_points(grid, len(matrix) - 1))
