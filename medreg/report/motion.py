"""A transform in numbers that a person can check: angles, millimetres, scales, and one point worked out."""

from __future__ import annotations

from typing import Any

import numpy as np

from medreg.geometry.affine import axis_angle, decompose, derivative_at, euler_angles, map_points
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import conjugate_lps_ras
from medreg.types import FloatArray

PROJECTED = (
    " This one is a homography: the result is divided by its last coordinate, which holds for matrix_ras and "
    "voxel_to_voxel, too, and rotation, scales and shears are those at the fixed image's centre."
)


def motion_of(matrix: FloatArray, fixed: Grid, moving: Grid, unit: str = "mm", world: str = "LPS") -> dict[str, Any]:
    """The matrix in all the forms that other tools want, as plain lists and numbers.

    Args:
        matrix: (D+1) x (D+1), fixed points -> moving points, LPS mm.
        fixed: the fixed image's grid; translations are given at its centre.
        moving: the moving image's grid.
        unit: of the world, "px" for pictures that do not say how large a pixel is; the names keep their "mm".
        world: "LPS", or "picture" where it has no patient's directions.
    """
    d = fixed.dimension
    centre = np.array(fixed.centre)
    there = map_points(matrix, centre[None])[0]
    parts = decompose(derivative_at(matrix, centre))
    axis, angle = axis_angle(parts.rotation)
    move = there - centre
    return {
        "matrix": matrix.tolist(),
        "matrix_ras": (conjugate_lps_ras(matrix) + 0.0).tolist(),
        "voxel_to_voxel": (moving.inverse_affine @ matrix @ fixed.affine).tolist(),
        "unit": unit,
        "convention": convention(d, unit, world) + (PROJECTED if matrix[d, :d].any() else ""),
        "example": worked_example(centre, there, unit),
        "euler_angles_deg": dict(zip(("x", "y", "z") if d == 3 else ("z",), euler_angles(parts.rotation), strict=True)),
        "rotation_axis": list(axis),
        "rotation_angle_deg": angle,
        "translation_at_centre_mm": move.tolist(),
        "translation_length_mm": float(np.linalg.norm(move)),
        "translation_of_matrix_mm": matrix[:d, d].tolist(),
        "scales": list(parts.scales),
        "shears": dict(zip(("xy", "xz", "yz") if d == 3 else ("xy",), parts.shears, strict=True)),
    }


def convention(dimension: int, unit: str, world: str = "LPS") -> str:
    """What the numbers mean, in words."""
    axes = "x, y, z" if dimension == 3 else "x, y"
    turned = "rotation = Rz Ry Rx" if dimension == 3 else "positive from x to y"
    if unit == "px":
        where = f"{axes} in pixels, the first pixel's centre at 0"
    elif world == "picture":
        where = f"{axes} in millimetres from the first pixel's centre, x to the right, y down"
    else:
        up = ", +z to the head" if dimension == 3 else ""
        where = f"{axes} in LPS millimetres (+x to the patient's left, +y to the back{up})"
    return (
        f"matrix maps points of the fixed image to points of the moving image: moving = matrix @ (fixed, 1), {where}. "
        f"matrix_ras does the same in RAS (first two axes negated). voxel_to_voxel maps voxel indices, from 0. "
        f"The linear part is rotation @ scales @ shears; Euler angles are degrees, {turned}; the translation at the "
        f"centre is how far the fixed image's centre is moved; translation_of_matrix is the matrix's last column."
    )


def worked_example(fixed: FloatArray, moving: FloatArray, unit: str) -> dict[str, Any]:
    """One pair of points, and the sentence that says so; whoever applies the matrix can check against it."""
    here, there = (f"({', '.join(f'{v:.3f}' for v in point)})" for point in (fixed, moving))
    return {
        "fixed_point": fixed.tolist(),
        "moving_point": moving.tolist(),
        "sentence": f"The centre of the fixed image, {here} {unit}, lies at {there} {unit} in the moving image.",
    }
