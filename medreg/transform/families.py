"""From any transform to the member of a family that does the same about a point, as nearly as it can."""

from __future__ import annotations

import numpy as np

from medreg.geometry.affine import derivative_at, homogeneous, map_points, nearest_rotation
from medreg.transform.kind import Kind
from medreg.types import FloatArray


def nearest(kind: Kind, matrix: FloatArray, centre: tuple[float, ...]) -> FloatArray:
    """The matrix of the family that carries `centre` to the same point and is nearest to `matrix` about it.

    The linear part is replaced by its nearest rotation, by that times the mean scale, or by the identity. What lies in
    the family already stays as it is, to rounding.

    Args:
        kind: the family wanted.
        matrix: (D+1) x (D+1), with a positive determinant.
        centre: D coordinates, LPS mm.
    """
    if kind is Kind.HOMOGRAPHY or (kind is Kind.AFFINE and not matrix[-1, :-1].any()):
        return matrix
    point = np.array([centre])
    linear = derivative_at(matrix, point[0])
    if kind is not Kind.AFFINE:
        turn = nearest_rotation(linear)
        linear = {
            Kind.TRANSLATION: np.eye(len(linear)),
            Kind.RIGID: turn,
            Kind.SIMILARITY: turn * float(np.linalg.det(linear)) ** (1 / len(linear)),
        }[kind]
    return homogeneous(linear, (map_points(matrix, point) - point @ linear.T)[0])
