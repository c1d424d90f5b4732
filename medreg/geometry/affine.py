"""Homogeneous matrices: compose, invert, rotation exp and log, and the split of a matrix into readable parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medreg.errors import TransformError
from medreg.types import FloatArray


def homogeneous(linear: FloatArray, offset: FloatArray) -> FloatArray:
    """The (D+1)x(D+1) matrix of x -> linear x + offset."""
    d = len(offset)
    matrix = np.eye(d + 1)
    matrix[:d, :d] = linear
    matrix[:d, d] = offset
    return matrix


def invert(matrix: FloatArray) -> FloatArray:
    """The inverse of a homogeneous matrix.

    Raises:
        TransformError: when the matrix is singular or so flat (condition above 1e12) that its inverse means nothing.
    """
    if not np.isfinite(matrix).all() or np.linalg.cond(matrix[:-1, :-1]) > 1e12:
        raise TransformError(f"the transform cannot be inverted, its matrix is singular: {matrix.tolist()}")
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def map_points(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """Points (N, D) through a homogeneous matrix, divided by w (which is 1 for affine maps)."""
    d = matrix.shape[0] - 1
    mapped = points @ matrix[:, :d].T + matrix[:, d]
    result: FloatArray = mapped[:, :d] / mapped[:, d:]
    return result


def derivative_at(matrix: FloatArray, point: FloatArray) -> FloatArray:
    """D x D: how mapped points move with fixed points about `point` (D,); the linear part, unless w varies."""
    mapped = matrix @ [*point, 1.0]
    there = mapped[:-1] / mapped[-1]
    derivative: FloatArray = (matrix[:-1, :-1] - np.outer(there, matrix[-1, :-1])) / mapped[-1]
    return derivative


@dataclass(frozen=True)
class Parts:
    """A linear map as rotation, scales and shears: linear = rotation @ (scales on the diagonal, shears above).

    Attributes:
        rotation: D x D, determinant +1.
        scales: along x, y(, z) of the fixed image's world; one is negative if the map mirrors.
        shears: xy(, xz, yz), without unit.
    """

    rotation: FloatArray
    scales: tuple[float, ...]
    shears: tuple[float, ...]


def decompose(linear: FloatArray) -> Parts:
    """Split a D x D map by QR, with the rotation first-named and positive scales (FLIRT's and SPM's habit).

    Raises:
        TransformError: when the map is singular.
    """
    d = linear.shape[0]
    if abs(np.linalg.det(linear)) < 1e-12:
        raise TransformError(f"a singular map has no rotation: {linear.tolist()}")
    q, r = np.linalg.qr(linear)
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    q, r = q * signs, (r.T * signs).T
    if np.linalg.det(q) < 0:  # a mirror: give it to the last scale, so that the rotation stays one
        q[:, -1] *= -1
        r[-1, :] *= -1
    scales = np.diag(r)
    shears = [r[i, j] / r[i, i] for i in range(d) for j in range(i + 1, d)]
    return Parts(q, tuple(scales.tolist()), tuple(float(s) for s in shears))


def euler_angles(rotation: FloatArray) -> tuple[float, ...]:
    """Degrees about x, y, z such that rotation = Rz Ry Rx (ITK's `ComputeZYX`); one angle in 2D."""
    if rotation.shape == (2, 2):
        return (float(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))),)
    y = float(np.arcsin(np.clip(-rotation[2, 0], -1.0, 1.0)))
    if abs(rotation[2, 0]) > 1 - 1e-12:  # gimbal lock: x and z turn about the same axis, give all to x
        x, z = float(np.arctan2(-rotation[1, 2], rotation[1, 1])), 0.0
    else:
        x = float(np.arctan2(rotation[2, 1], rotation[2, 2]))
        z = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
    return tuple(float(np.degrees(a)) for a in (x, y, z))


def axis_angle(rotation: FloatArray) -> tuple[tuple[float, ...], float]:
    """Unit axis (LPS) and angle in degrees, 0 to 180; in 2D the axis is (0, 0, 1) and the angle is signed."""
    if rotation.shape == (2, 2):
        return (0.0, 0.0, 1.0), euler_angles(rotation)[0]
    vector = rotation_log(rotation)
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return (0.0, 0.0, 1.0), 0.0
    return tuple((vector / angle).tolist()), float(np.degrees(angle))


def rotation_exp(vector: FloatArray) -> FloatArray:
    """3x3 rotation about `vector` by its length in radians (Rodrigues)."""
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = float(np.linalg.norm(vector))
    if angle < 1e-8:
        first, second = 1.0, 0.5
    else:
        first, second = float(np.sin(angle)) / angle, (1 - float(np.cos(angle))) / angle**2
    result: FloatArray = np.eye(3) + first * cross + second * cross @ cross
    return result


def rotation_log(rotation: FloatArray) -> FloatArray:
    """The vector (3,), length in radians up to pi, whose `rotation_exp` is the given 3x3 rotation.

    Goes through the unit quaternion, which stays well conditioned at half turns, where the trace formula does not.
    """
    m = rotation
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    x, y, z, w = np.linalg.eigh(k)[1][:, -1]
    if w < 0:
        x, y, z, w = -x, -y, -z, -w
    sine = float(np.linalg.norm([x, y, z]))
    if sine < 1e-12:
        return np.zeros(3)
    result: FloatArray = np.array([x, y, z]) * (2 * np.arctan2(sine, w) / sine)
    return result


def nearest_rotation(linear: FloatArray) -> FloatArray:
    """The rotation nearest to a D x D map of positive determinant.

    It is that of the polar decomposition (Higham 1986, doi:10.1137/0907079).
    """
    u, _, vt = np.linalg.svd(linear)
    return np.asarray(u @ vt, dtype=np.float64)


ROOTED = 150.0
"""Degrees up to which a homography's square root is well conditioned."""


def halves(matrix: FloatArray, centre: tuple[float, ...] | None = None) -> tuple[FloatArray, FloatArray]:
    """Two homogeneous matrices with second @ first = matrix, each half of the motion.

    For the inverse matrix they are the inverses of each other's: the space between them belongs to neither end. The
    rotation is halved by its angle, which also serves half turns, where the principal square root does not exist; the
    rest has no rotation and is halved by its square root.

    A homography has no part that is its rotation: it is halved by its square root as long as it turns by less than 150
    degrees at `centre`, a point of the first space in view; beyond, that turn is split off first, and the halves are
    those of the inverse only nearly.

    Raises:
        TransformError: when the map mirrors or is singular.
    """
    d = len(matrix) - 1
    projective = bool(matrix[d, :d].any())
    about = np.zeros(d) if centre is None or not projective else np.array(centre)
    rotation = nearest_rotation(derivative_at(matrix, about))
    if projective and abs(axis_angle(rotation)[1]) < ROOTED:
        root = square_root(matrix)
        return root, root
    if not projective and np.linalg.det(matrix[:d, :d]) <= 0:
        raise TransformError(f"a map that mirrors or flattens has no half: {matrix.tolist()}")
    if d == 3:
        turned = rotation_exp(rotation_log(rotation) / 2)
    else:
        angle = np.radians(euler_angles(rotation)[0]) / 2
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = homogeneous(turned, about - turned @ about)
    back = np.linalg.inv(turn)
    rest = square_root(back @ matrix @ back)
    return rest @ turn, turn @ rest


def square_root(matrix: FloatArray) -> FloatArray:
    """The principal square root by Denman and Beavers' iteration (doi:10.1016/0096-3003(76)90020-5).

    Raises:
        TransformError: when there is none, as for a half turn.
    """
    root, inverse = matrix, np.eye(len(matrix))
    try:
        for _ in range(60):
            before = root
            root, inverse = (root + np.linalg.inv(inverse)) / 2, (inverse + np.linalg.inv(root)) / 2
            if np.abs(root - before).max() <= 1e-14 * np.abs(root).max():
                break
    except np.linalg.LinAlgError:
        root = np.full_like(matrix, np.nan)
    if not np.abs(root @ root - matrix).max() <= 1e-9 * max(1.0, float(np.abs(matrix).max())):
        raise TransformError(f"the matrix has no square root: {matrix.tolist()}")
    return np.asarray(root, dtype=np.float64)
