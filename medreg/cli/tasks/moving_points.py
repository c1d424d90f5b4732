"""Points moved as an image is: from the space that they are in to the other one. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medreg.cli.tasks.chain import Link, composed, images_named, read_early
from medreg.cli.tasks.outputs import check_free
from medreg.cli.tasks.warned import collected
from medreg.errors import TransformError, UsageError, WriteError
from medreg.geometry.affine import invert
from medreg.io.content import head_of, kind_of
from medreg.io.failing import missing_file
from medreg.io.points import Points, Space, form_of_suffix, read_points, write_points
from medreg.io.transforms import End
from medreg.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class MovingPoints:
    """Which points to move, through what, and where to.

    Attributes:
        points: their file.
        out: the file to write.
        chain: the transforms in the order in which the points pass them, as an image would.
        comes_to: "fixed" or "moving": the space of the result, for messages.
        coordinates: of the numbers in both files, where they are to be other than the file says.
        begin: an image in the points' own space, for formats of transforms that ask for it.
        end: an image in the space that they come to.
    """

    points: Path
    out: Path
    chain: Sequence[Link]
    comes_to: str = "fixed"
    coordinates: Space | None = None
    begin: Path | None = None
    end: Path | None = None


def is_points(path: Path) -> bool:
    """Whether a file is one of points, by its suffix, unless its content is an image's.

    Example:
        >>> is_points(Path("F.mrk.json")), is_points(Path("t1.nii.gz"))
        (True, False)
    """
    if form_of_suffix(path) is None or path.is_dir():
        return False
    try:
        return kind_of(head_of(path)) is None
    except OSError:
        return True  # whoever reads it says what is wrong


def move_points(task: MovingPoints, *, overwrite: bool) -> str:
    """Do it; returns what to tell.

    A transform file maps fixed to moving points. So what is in the moving space goes through its inverse, and what is
    in the fixed space through it as it is; `task.chain` is such that an image would be moved the same way.

    Raises:
        MedregError: whatever is wrong with the points, the transforms or the disk; then nothing is written.
    """
    if form_of_suffix(task.out) is None:
        raise WriteError(f"{task.out}: is no file of points; name a .csv, .tsv, .fcsv, .mrk.json, .json, .vtk or .txt")
    check_free(task.out, overwrite=overwrite)
    if not task.points.exists():
        raise missing_file(task.points)
    if not task.chain:
        raise UsageError("points are moved through a transform; name it with --transform")
    with collected() as warned:
        points = read_points(task.points, task.coordinates)
        matrix = read_early(task.chain)
        if matrix is None:
            ends = (End() if path is None else End(path=path) for path in (task.begin, task.end))
            with images_named("--of", "--like (with --inverse the other way round)"):
                matrix = composed(task.chain, *ends)
        assert matrix is not None  # there is a chain
        moved = _moved(points, invert(matrix), task)
        space = write_points(moved, task.out, task.coordinates)
    count = f"{len(moved)} point{'s' if len(moved) != 1 else ''}"
    where = f"in the {task.comes_to} image's space, {_named(space)}"
    told = f"wrote {task.out} ({count}, now {where}; read as {points.sentence})"
    return "\n".join([*(f"warning: {text}" for text in warned), told])


def _moved(points: Points, matrix: FloatArray, task: MovingPoints) -> Points:
    """The points through a matrix.

    Raises:
        TransformError: another dimension; points on both sides of a homography's horizon, of which some have no place.
    """
    try:
        here = points.in_dimension(len(matrix) - 1)
    except UsageError as error:
        names = " and ".join(link.name for link in task.chain)
        raise TransformError(f"{error}, for {names} is {len(matrix) - 1}D") from error
    w = here.coordinates @ matrix[-1, :-1] + matrix[-1, -1]
    if not ((w > 0).all() or (w < 0).all()):
        beyond = int(np.flatnonzero(np.sign(w) != np.sign(np.median(w)))[0])
        raise TransformError(
            f"{task.points}: point {beyond + 1} lies on or beyond the horizon of the homography, so it has no place in "
            f"the {task.comes_to} image; leave it out"
        )
    return here.through(matrix)


def _named(space: Space) -> str:
    return "in pixels of a picture" if space is Space.PICTURE else f"{space.value} mm"
