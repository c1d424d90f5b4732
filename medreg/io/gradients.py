"""Directions of a diffusion series (FSL's bvec and bval): read, turned with the image, written.

FSL counts a direction in the axes of the voxels, not of the world, and turns the first of them round where the image is
stored in neurological order, that is, where the determinant of its index-to-world matrix is positive (in RAS and in LPS
alike, which differ by half a turn). So the same direction of the world has other numbers in an image that is stored
otherwise, and moving an image changes them for two reasons: the tissue has turned, and the axes are others.

The tissue is turned by the rotation of the transform, without its scales and shears (finite strain, Alexander et al.
2001, doi:10.1109/42.963816; Leemans and Jones 2009, doi:10.1002/mrm.21890).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medreg.errors import ReadError, TransformError, UsageError
from medreg.geometry.affine import derivative_at, invert, nearest_rotation
from medreg.geometry.grid import Grid
from medreg.io.atomic import written_beside
from medreg.io.failing import reading
from medreg.types import FloatArray

UNIT = 0.05
"""How far a direction's length may be from 1: files have as few as three digits."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """The directions and b-values of a series, one of each for every volume.

    Attributes:
        directions: (N, 3) in the axes of an image's voxels by FSL's rule, unit vectors or zeros.
        values: (N,) s/mm^2, or None where no file was given.
    """

    directions: FloatArray
    values: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.directions)

    def turned(self, matrix: FloatArray | None, moving: Grid, onto: Grid) -> Gradients:
        """The directions for the image after it was moved.

        Args:
            matrix: fixed points -> moving points, LPS mm, as resampling uses it; None for the identity. Of a homography
                the rotation at the middle of `onto` counts.
            moving: the grid of the image that the directions belong to.
            onto: the grid that it is moved to.

        Raises:
            TransformError: a grid or a transform that is not of 3D.

        Example:
            A quarter turn about z, moving x to fixed y, on grids along LPS:

            >>> grid = Grid.regular((2, 2, 2), (1.0, 1.0, 1.0))
            >>> back = np.array([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
            >>> (Gradients(np.eye(3)[:1]).turned(back, grid, grid).directions + 0.0).tolist()
            [[0.0, -1.0, 0.0]]
        """
        if moving.dimension != 3 or onto.dimension != 3:
            raise TransformError("directions of diffusion are turned in 3D only")
        rotation = rotation_of(np.eye(4) if matrix is None else matrix, onto)
        whole = voxel_axes(onto).T @ rotation @ voxel_axes(moving)
        return Gradients(self.directions @ whole.T + 0.0, self.values)

    def check_fits(self, volumes: int, name: str) -> Gradients:
        """These, where they are as many as the volumes of a series.

        Raises:
            UsageError: with what to do.
        """
        if len(self) != volumes:
            raise UsageError(
                f"{name}: has {volumes} volume{'s' if volumes != 1 else ''}, the b-vectors are {len(self)}; give those "
                "of this series, one for each volume, b = 0 included"
            )
        return self


def voxel_axes(grid: Grid) -> FloatArray:
    """3 x 3 orthogonal: what takes a direction by FSL's rule, in the axes of the voxels, to the world (LPS).

    On a sheared grid the axes are the nearest that are at right angles.
    """
    axes = nearest_rotation(np.array(grid.direction))
    return np.asarray(axes * [-1.0, 1.0, 1.0] if np.linalg.det(axes) > 0 else axes, dtype=np.float64)


def rotation_of(matrix: FloatArray, onto: Grid) -> FloatArray:
    """3 x 3: how the moving image's content is turned in the world (LPS) when it is moved to the fixed one.

    The orthogonal part of the polar decomposition; it mirrors where the transform does.

    Raises:
        TransformError: a transform without an inverse, or not of 3D.
    """
    if len(matrix) != 4:
        raise TransformError(f"directions of diffusion are turned by a 4x4 matrix, got {len(matrix)}x{len(matrix)}")
    invert(matrix)
    there_to_here: FloatArray = nearest_rotation(derivative_at(matrix, np.array(onto.centre)))
    here_to_there: FloatArray = there_to_here.T
    return here_to_there


def read_gradients(directions: str | Path, values: str | Path | None = None) -> Gradients:
    """Read FSL's .bvec, three rows of N numbers, or N rows of three; and .bval, N numbers.

    Raises:
        ReadError: a missing file, no numbers, or not three for each volume.
        UsageError: another number of b-values.
    """
    directions = Path(directions)
    table = _numbers(directions)
    if len({len(row) for row in table}) != 1 or 3 not in (len(table), len(table[0])):
        raise ReadError(
            f"{directions}: b-vectors are three rows of one number for each volume, or a row of three for each; got "
            f"{len(table)} rows of {' or '.join(map(str, sorted({len(row) for row in table})))} numbers"
        )
    vectors = np.array(table)
    if len(table) == 3:  # also of three volumes: FSL's own form
        vectors = vectors.T
    lengths = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero((lengths > 1e-6) & (np.abs(lengths - 1) > UNIT))
    if len(bad):
        raise ReadError(
            f"{directions}: the b-vector of volume {bad[0]} has length {lengths[bad[0]]:.3g}; unit vectors (or zeros) "
            "are wanted: is it another kind of file, or scaled by its b-value?"
        )
    if values is None:
        return Gradients(vectors)
    strengths = np.array([number for row in _numbers(Path(values)) for number in row])
    if len(strengths) != len(vectors):
        raise UsageError(f"{values}: holds {len(strengths)} b-values, {directions} {len(vectors)} b-vectors")
    return Gradients(vectors, strengths)


@contextmanager
def gradients_beside(gradients: Gradients, directions: str | Path, values: str | Path | None = None) -> Iterator[None]:
    """Around the writing of their series: what `write_gradients` writes is there when the block ends well, else not.

    It is all written before the block begins, so that no series is left without its gradients on a full disk.

    Raises:
        WriteError: the disk refuses.
    """
    rows = [" ".join(f"{number:.10g}" for number in row) for row in gradients.directions.T]
    with ExitStack() as files:
        files.enter_context(written_beside(directions)).write_text("\n".join(rows) + "\n", encoding="ascii")
        if values is not None and gradients.values is not None:
            row = " ".join(f"{number:.10g}" for number in gradients.values)
            files.enter_context(written_beside(values)).write_text(f"{row}\n", encoding="ascii")
        yield


def write_gradients(gradients: Gradients, directions: str | Path, values: str | Path | None = None) -> None:
    """Write .bvec as three rows and, where a path is given, .bval as one row; whole or not at all.

    Raises:
        WriteError: the disk refuses.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "dwi.bvec"
        >>> write_gradients(Gradients(np.array([[0.0, 0.0, 0.0], [0.6, 0.0, 0.8]])), path)
        >>> read_gradients(path).directions.tolist()
        [[0.0, 0.0, 0.0], [0.6, 0.0, 0.8]]
    """
    with gradients_beside(gradients, directions, values):
        pass


def _numbers(path: Path) -> list[list[float]]:
    """The rows of a file of numbers."""
    with reading(path):
        text = path.read_text(encoding="utf-8-sig")
        try:
            rows = [[float(word) for word in line.replace(",", " ").split()] for line in text.splitlines()]
        except ValueError as error:
            raise ReadError(f"{path}: is no text of numbers, {error}; FSL's .bvec and .bval are read") from error
    rows = [row for row in rows if row]
    if not rows or not np.isfinite([number for row in rows for number in row]).all():
        raise ReadError(f"{path}: holds {'numbers that are not finite' if rows else 'no numbers'}")
    return rows
