"""Random poses by which an image is turned and shifted through its header alone. numpy only.

World is LPS in millimetres. Random numbers are drawn in a fixed order, so a seed names a pose.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.floating[Any]]

LPS_AND_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Takes LPS to RAS, and RAS to LPS."""


@dataclass(frozen=True)
class Pose:
    """A motion: `matrix` (4, 4) takes an LPS point to where it lies afterwards. Angle and shift are its sizes."""

    matrix: Matrix
    degrees: float
    shift_mm: float


def random_pose(
    seed: int, centre_mm: ArrayLike, max_degrees: float, max_shift_mm: float, max_scale: float = 0.0
) -> Pose:
    """A turn about `centre_mm` (LPS) by half to all of `max_degrees`, then a shift.

    The axis is uniform over the sphere; the shift is uniform up to `max_shift_mm` along each of x, y, z, and so is the
    scale of each axis up to 1 +- `max_scale`. They are drawn in RAS, the frame of the file that they stand for.
    """
    random = np.random.default_rng(seed)
    axis = random.normal(size=3)
    degrees = random.uniform(0.5, 1.0) * max_degrees
    scales = 1 + random.uniform(-1, 1, 3) * max_scale
    shift_mm = random.uniform(-1, 1, 3) * max_shift_mm
    centre_ras = LPS_AND_RAS[:3, :3] @ np.asarray(centre_mm)
    in_ras = about(centre_ras, rotation(axis, degrees) * scales, shift_mm)
    return Pose(LPS_AND_RAS @ in_ras @ LPS_AND_RAS, degrees, float(np.linalg.norm(shift_mm)))


def turn(seed: int, centre_mm: ArrayLike, degrees: float) -> Pose:
    """A turn about `centre_mm` by exactly `degrees`, its axis uniform over the sphere."""
    axis = np.random.default_rng(seed).normal(size=3)
    return Pose(about(centre_mm, rotation(axis, degrees)), degrees, 0.0)


def rotation(axis: ArrayLike, degrees: float) -> Matrix:
    """The matrix (3, 3) that turns about `axis`, of any length, by the right-hand rule (Rodrigues)."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    along = np.outer((x, y, z), (x, y, z))
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Matrix = cosine * np.eye(3) + (1 - cosine) * along + sine * across
    return turned


def about(centre_mm: ArrayLike, linear: Matrix, shift_mm: ArrayLike = (0, 0, 0)) -> Matrix:
    """The map (4, 4) x -> linear (x - centre) + centre + shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = np.asarray(centre_mm) + np.asarray(shift_mm) - linear @ np.asarray(centre_mm)
    return matrix
