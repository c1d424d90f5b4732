"""Landmarks: how far from the true places a transform carries points (Fitzpatrick 1998, doi:10.1109/42.736021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from medreg.errors import ImageError, TransformError, UsageError
from medreg.geometry.affine import map_points
from medreg.types import FloatArray


class MatchedBy(Enum):
    """How the points of two lists were paired."""

    NAME = "name"
    ORDER = "order"


@dataclass(frozen=True)
class Pairing:
    """Which point of the fixed list belongs to which of the moving one.

    Attributes:
        by: the name, or the place in the list.
        fixed, moving: indices, one pair at a place.
        names: of the pairs; numbers from 1 where the points have none.
        only_fixed, only_moving: names that the other list does not have.
    """

    by: MatchedBy
    fixed: tuple[int, ...]
    moving: tuple[int, ...]
    names: tuple[str, ...]
    only_fixed: tuple[str, ...] = ()
    only_moving: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """Target registration errors.

    Attributes:
        vectors: (N, D) mapped fixed point minus moving point, mm.
        distances: (N,) their lengths.
    """

    vectors: FloatArray

    @property
    def distances(self) -> FloatArray:
        """(N,) mm."""
        return np.asarray(np.linalg.norm(self.vectors, axis=1), dtype=np.float64)

    @property
    def mean(self) -> float:
        """Of the distances, mm."""
        return float(self.distances.mean())

    @property
    def median(self) -> float:
        """Of the distances, mm."""
        return float(np.median(self.distances))

    @property
    def maximum(self) -> float:
        """Of the distances, mm."""
        return float(self.distances.max())

    @property
    def rms(self) -> float:
        """The root of the mean squared distance, mm."""
        return float(np.sqrt(np.square(self.vectors).sum(1).mean()))


def paired(fixed: Sequence[str], moving: Sequence[str], counts: tuple[int, int]) -> Pairing:
    """Pair the points of two lists: by their names where each has one of its own in both lists, else by their order.

    Args:
        fixed: the names of the fixed points; empty where they have none.
        moving: the names of the moving points.
        counts: how many fixed and moving points there are.

    Raises:
        UsageError: no name that both lists have; or no names, and lists of different lengths.

    Example:
        >>> pairing = paired(["AC", "PC"], ["PC", "eye", "AC"], (2, 3))
        >>> pairing.by.value, pairing.fixed, pairing.moving, pairing.only_moving
        ('name', (0, 1), (2, 0), ('eye',))
    """
    if _own(fixed, counts[0]) and _own(moving, counts[1]):
        place = {name: k for k, name in enumerate(moving)}
        both = [(k, place[name]) for k, name in enumerate(fixed) if name in place]
        if both:
            return Pairing(
                MatchedBy.NAME,
                tuple(k for k, _ in both),
                tuple(k for _, k in both),
                tuple(fixed[k] for k, _ in both),
                tuple(name for name in fixed if name not in place),
                tuple(name for name in moving if name not in set(fixed)),
            )
        raise UsageError(
            f"the points have no name in common: {', '.join(fixed[:3])} ... and {', '.join(moving[:3])} ...; "
            "name them alike, or leave the names out of one file to pair them by their order"
        )
    if counts[0] != counts[1]:
        raise UsageError(
            f"there are {counts[0]} fixed and {counts[1]} moving points, and no names of their own to pair them by; "
            "name them in both files, or list the same points in the same order"
        )
    order = tuple(range(counts[0]))
    names = next((n for n in (fixed, moving) if _own(n, counts[0])), [str(k + 1) for k in order])
    return Pairing(MatchedBy.ORDER, order, order, tuple(names))


def landmark_errors(fixed: FloatArray, moving: FloatArray, matrix: FloatArray | None = None) -> LandmarkErrors:
    """How far each fixed point lies from its moving point, in the moving image's space.

    Args:
        fixed: (N, D), LPS mm.
        moving: (N, D), LPS mm: the same anatomy, in the same order.
        matrix: fixed points -> moving points, (D+1) x (D+1); the identity when None.

    Raises:
        ImageError: arrays of different shapes, no points, or another dimension of the matrix.
        TransformError: points beyond a homography's horizon, which have no place in the moving image.

    Example:
        >>> landmark_errors(np.zeros((2, 3)), np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]])).mean
        3.0
    """
    fixed, moving = np.asarray(fixed, dtype=np.float64), np.asarray(moving, dtype=np.float64)
    if fixed.shape != moving.shape or fixed.ndim != 2 or not len(fixed):
        raise ImageError(f"fixed and moving points are (N, D) both, N at least 1, got {fixed.shape} and {moving.shape}")
    if matrix is not None:
        if len(matrix) != fixed.shape[1] + 1:
            raise ImageError(f"the points have {fixed.shape[1]} coordinates, the transform is {len(matrix) - 1}D")
        matrix = np.asarray(matrix, dtype=np.float64)
        w = fixed @ matrix[-1, :-1] + matrix[-1, -1]
        if w.min() <= 0 <= w.max():
            raise TransformError("fixed points lie on or beyond the horizon of the homography; leave them out")
        fixed = map_points(matrix, fixed)
    return LandmarkErrors(fixed - moving)


def _own(names: Sequence[str], count: int) -> bool:
    return len(names) == count and all(names) and len(set(names)) == count
