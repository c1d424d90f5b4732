"""Generators of the linear families: the directions in which a transform may move, in millimetre-balanced units.

A small step `delta` of P parameters is the matrix exp(sum_k delta_k G_k) about a centre. Every G_k is scaled so that a
unit step moves points at distance `radius` from the centre by one millimetre; so one number is a step length for all of
them. Rotations, similarities and affine maps are each closed under this product: a rigid transform stays rigid exactly.
"""

from __future__ import annotations

import numpy as np

from medreg.transform.kind import Kind
from medreg.types import FloatArray

Generators = FloatArray
"""(P, D+1, D+1)."""


def generators(kind: Kind, dimension: int, radius: float) -> Generators:
    """(P, D+1, D+1) generators of a family, about the origin.

    Args:
        kind: the family; P is D for a translation, then 3 or 6 (rigid), 4 or 7 (similarity), 6 or 12 (affine), 8 or 15
            (homography: sl(D+1), up to the scale that a homogeneous matrix may have) in 2D or 3D.
        dimension: 2 or 3.
        radius: millimetres; typical distance of the voxels from the centre.
    """
    d = dimension
    result: list[FloatArray] = []
    if kind in (Kind.RIGID, Kind.SIMILARITY):
        for i, j in ((1, 2), (2, 0), (0, 1)) if d == 3 else ((0, 1),):
            result.append((_unit(d, j, i) - _unit(d, i, j)) / radius)
    if kind is Kind.SIMILARITY:
        result.append(sum((_unit(d, i, i) for i in range(d)), np.zeros((d + 1, d + 1))) / radius)
    if kind in (Kind.AFFINE, Kind.HOMOGRAPHY):
        result.extend(_unit(d, i, j) / radius for i in range(d) for j in range(d))
    result.extend(_unit(d, i, d) for i in range(d))
    if kind is Kind.HOMOGRAPHY:
        result.extend(_unit(d, d, i) / radius**2 for i in range(d))
    return np.stack(result)


def _unit(dimension: int, row: int, column: int) -> FloatArray:
    matrix = np.zeros((dimension + 1, dimension + 1))
    matrix[row, column] = 1.0
    return matrix


def exponential(matrix: FloatArray) -> FloatArray:
    """The exponential of a small square matrix, or of each of a stack of them (..., n, n).

    Scaled to norm below 1/2, 12 Taylor terms, squared back.

    In numpy, since the loop's 4x4 steps must not wait for torch's dispatch.
    """
    norm = float(np.abs(matrix).sum(axis=-1).max())
    halvings = max(0, int(np.ceil(np.log2(norm))) + 1) if norm > 0 else 0
    scaled = matrix / 2.0**halvings
    result = term = np.eye(matrix.shape[-1])
    for k in range(1, 13):
        term = term @ scaled / k
        result = result + term
    for _ in range(halvings):
        result = result @ result
    return result


def about(centre: tuple[float, ...], matrix: FloatArray) -> FloatArray:
    """The map that does about `centre` what `matrix` does about the origin."""
    d = len(centre)
    to, back = np.eye(d + 1), np.eye(d + 1)
    to[:d, d], back[:d, d] = centre, [-c for c in centre]
    return to @ matrix @ back
