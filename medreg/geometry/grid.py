"""Grid: where the voxels of an image lie in the world. A frozen value in float64, free of torch and of file formats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medreg.errors import GeometryError
from medreg.types import FloatArray

SHEAR_TOLERANCE = 1e-4
"""Largest |cosine| between two grid axes that still counts as a right angle (headers keep float32 directions)."""


@dataclass(frozen=True)
class Grid:
    """The lattice of voxel centres of an image.

    Attributes:
        size: voxels along x, y(, z).
        spacing: distance between neighbouring voxel centres along each axis, millimetres, > 0.
        origin: world position (LPS mm) of voxel (0, 0, 0).
        direction: row-major D x D; column k is the unit vector (LPS) along which index k grows. The columns are
            orthogonal for most images, but not for a sheared grid (CT gantry tilt), which is kept as it is.

    Raises:
        GeometryError: for sizes below 1, spacing that is not positive and finite, a singular or non-finite direction.

    Example:
        >>> grid = Grid.regular(size=(4, 5, 6), spacing=(1.0, 2.0, 3.0))
        >>> grid.to_world([[1, 1, 1]]).tolist()
        [[1.0, 2.0, 3.0]]
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        d = len(self.size)
        if d not in (2, 3):
            raise GeometryError(f"a grid has 2 or 3 axes, got size {self.size}")
        if len(self.spacing) != d or len(self.origin) != d or np.shape(self.direction) != (d, d):
            raise GeometryError(
                f"grid of {d} axes needs {d} spacings, {d} origin coordinates and a {d}x{d} direction, "
                f"got spacing {self.spacing}, origin {self.origin}, direction {self.direction}"
            )
        if min(self.size) < 1:
            raise GeometryError(f"the image is empty: its size is {'x'.join(map(str, self.size))} voxels")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise GeometryError(
                f"voxel spacing must be positive and finite, got {self.spacing} mm; "
                "repair the header (for example with nibabel) before registering"
            )
        if not (np.isfinite(self.origin).all() and np.isfinite(self.direction).all()):
            raise GeometryError(f"origin or direction is not finite: origin {self.origin}, direction {self.direction}")
        if abs(np.linalg.det(np.array(self.direction))) < 1e-6:
            raise GeometryError(
                f"the direction matrix is singular ({self.direction}): two index axes point the same way; "
                "the header's affine is damaged"
            )

    @staticmethod
    def regular(size: Sequence[int], spacing: Sequence[float], origin: Sequence[float] | None = None) -> Grid:
        """An axis-aligned grid; origin (0, 0, 0) where none is given."""
        d = len(size)
        return Grid(
            tuple(int(n) for n in size),
            tuple(float(s) for s in spacing),
            tuple(float(o) for o in origin) if origin is not None else (0.0,) * d,
            tuple(tuple(float(v) for v in row) for row in np.eye(d)),
        )

    @staticmethod
    def from_affine(size: Sequence[int], affine: FloatArray) -> Grid:
        """The grid whose index -> world map (LPS mm) is `affine`, (D+1) x (D+1) homogeneous; shears are kept.

        Raises:
            GeometryError: for a singular or non-finite affine.
        """
        affine = np.asarray(affine, dtype=np.float64)
        d = len(size)
        if affine.shape != (d + 1, d + 1):
            raise GeometryError(f"a {d}D grid needs a {d + 1}x{d + 1} affine, got shape {affine.shape}")
        if not np.isfinite(affine).all():
            raise GeometryError(f"the header's affine holds values that are not finite: {affine.tolist()}")
        linear = affine[:d, :d]
        spacing = np.linalg.norm(linear, axis=0)
        if (spacing == 0).any():
            raise GeometryError(f"the header's affine is singular: voxel spacing {tuple(spacing.tolist())} mm")
        return Grid(
            tuple(int(n) for n in size),
            tuple(spacing.tolist()),
            tuple(affine[:d, d].tolist()),
            tuple(map(tuple, (linear / spacing).tolist())),
        )

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size in tensor order: (z, y, x) or (y, x)."""
        return self.size[::-1]

    @cached_property
    def affine(self) -> FloatArray:
        """(D+1) x (D+1): voxel index (x, y, z) -> world point (LPS mm)."""
        d = self.dimension
        matrix = np.eye(d + 1)
        matrix[:d, :d] = np.array(self.direction) * np.array(self.spacing)
        matrix[:d, d] = self.origin
        matrix.flags.writeable = False
        return matrix

    @cached_property
    def inverse_affine(self) -> FloatArray:
        """(D+1) x (D+1): world point (LPS mm) -> voxel index (x, y, z)."""
        matrix: FloatArray = np.asarray(np.linalg.inv(self.affine), dtype=np.float64)
        matrix.flags.writeable = False
        return matrix

    def to_world(self, index: FloatArray | Sequence[Sequence[float]]) -> FloatArray:
        """World points (N, D) in LPS mm of voxel indices (N, D); fractions are fine."""
        d = self.dimension
        result: FloatArray = np.asarray(index, dtype=np.float64) @ self.affine[:d, :d].T + self.affine[:d, d]
        return result

    def to_index(self, points: FloatArray | Sequence[Sequence[float]]) -> FloatArray:
        """Voxel indices (N, D), fractional, of world points (N, D) in LPS mm."""
        d = self.dimension
        result: FloatArray = np.asarray(points, dtype=np.float64) @ self.inverse_affine[:d, :d].T
        return result + self.inverse_affine[:d, d]

    @cached_property
    def centre(self) -> tuple[float, ...]:
        """World point (LPS mm) in the middle of the grid."""
        return tuple(self.to_world([[(n - 1) / 2 for n in self.size]])[0].tolist())

    @cached_property
    def corners(self) -> FloatArray:
        """World points (2^D, D) of the outermost voxel centres."""
        ends = [(0, n - 1) for n in self.size]
        index = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, self.dimension)
        return self.to_world(index)

    @property
    def extent(self) -> tuple[float, ...]:
        """Length in millimetres along each axis, from outer voxel face to outer voxel face."""
        return tuple(n * s for n, s in zip(self.size, self.spacing, strict=True))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm^D; a sheared voxel counts as the parallelepiped that it is."""
        return float(abs(np.linalg.det(self.affine[: self.dimension, : self.dimension])))

    @property
    def volume(self) -> float:
        """Of the whole field of view, cubic millimetres (square ones in 2D)."""
        return self.voxel_volume * math.prod(self.size)

    @property
    def is_sheared(self) -> bool:
        """Whether two axes are off a right angle by more than the precision of a float32 header."""
        direction = np.array(self.direction)
        cosines = direction.T @ direction - np.eye(self.dimension)
        return bool(np.abs(cosines).max() > SHEAR_TOLERANCE)

    def subsampled(self, factors: Sequence[int]) -> Grid:
        """The grid of blocks of `factors` voxels (x, y, z), each at its block's centre; a ragged rest is dropped.

        This is where the values lie that a mean pooling of the same factors gives.
        """
        d = self.dimension
        affine = self.affine.copy()
        affine[:d, d] += affine[:d, :d] @ ((np.array(factors) - 1) / 2)
        affine[:d, :d] = affine[:d, :d] * np.array(factors)
        return Grid.from_affine([max(1, n // f) for n, f in zip(self.size, factors, strict=True)], affine)

    def subdivided(self, factors: Sequence[int]) -> Grid:
        """The grid with each voxel cut into `factors` (x, y, z): `subsampled` by the same ones leads back."""
        d = self.dimension
        affine = self.affine.copy()
        affine[:d, :d] = affine[:d, :d] / np.array(factors)
        affine[:d, d] -= affine[:d, :d] @ ((np.array(factors) - 1) / 2)
        return Grid.from_affine([n * f for n, f in zip(self.size, factors, strict=True)], affine)
