"""Cameras: how points that a pose has placed become places on the grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from medreg.errors import UsageError
from medreg.ops.arguments import number


@dataclass(frozen=True)
class Orthographic:
    """Parallel rays: R p + t are the places themselves, so R is (m, n) and t (m,)."""


@dataclass(frozen=True)
class Perspective:
    """Rays through one point: q = R p + t has one coordinate more than the grid, the last of which is the depth.

    The place on the grid is `focal * q[:m] / q[m] + centre`. The eye is at q = 0 and looks along the last axis; what
    lies no deeper than `near` is not seen. R is (m + 1, n) and t (m + 1,). A focal length to be learnt, or one for each
    axis, is a factor on the first m rows of R and of t.

    Attributes:
        focal: half widths of the grid: at depth `focal` it sees -1 to 1. 1 / tan(half the angle of view).
        centre: the place on the grid of points straight ahead, x, y(, z); () for the middle.
        near: least depth that is seen, > 0.

    Raises:
        UsageError: for a focal length or a least depth that is not positive and finite.
    """

    focal: float = 1.0
    centre: tuple[float, ...] = ()
    near: float = 1e-3

    def __post_init__(self) -> None:
        for name, value in (("focal", self.focal), ("near", self.near)):
            if number(value, name, finite=False) <= 0 or not math.isfinite(value):
                raise UsageError(f"a perspective camera has {name} > 0, got {value}")
        if not all(map(math.isfinite, self.centre)):
            raise UsageError(f"the centre of a perspective camera must be finite, got {self.centre}")


Camera: TypeAlias = Orthographic | Perspective


def rows(camera: Camera, axes: int) -> int:
    """How many coordinates a pose gives to this camera, for a grid of so many axes."""
    return axes + isinstance(camera, Perspective)


def scales(camera: Camera, size: tuple[int, ...]) -> tuple[float, ...]:
    """Voxels for one unit of each coordinate that a pose gives; the depth stays as it is."""
    if isinstance(camera, Perspective):
        return (*(camera.focal * n / 2 for n in size), 1.0)
    return tuple(n / 2 for n in size)


def middle(camera: Camera, size: tuple[int, ...]) -> tuple[float, ...]:
    """The voxel index where the place 0 lies, or what is straight ahead.

    -1 is the outer edge of the first voxel and 1 that of the last, so the centre of voxel i is at 2 (i + 1/2) / n - 1.
    """
    ahead = camera.centre if isinstance(camera, Perspective) and camera.centre else (0.0,) * len(size)
    return tuple((a + 1) * n / 2 - 0.5 for a, n in zip(ahead, size, strict=True))
