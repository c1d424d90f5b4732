"""Rotations that stay rotations while they are learnt, in torch, with gradients everywhere.

`medreg.geometry.affine` has the same for NumPy, and `medreg.ops.rotation` makes a matrix of Euler angles.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.ops.arguments import described


def from_axis_angle(vector: Tensor) -> Tensor:
    """(..., 3, 3): the turn about `vector` (..., 3) by its length in radians, right-handed.

    The gradient is finite and right at zero, too. To learn a pose, put it before the best one so far:
    `from_axis_angle(step) @ start` with `step` at zero has three even directions, whatever the start.

    Raises:
        TransformError: no floating-point tensor (..., 3).

    Example:
        >>> from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 2])).round().int()[:2, :2].tolist()
        [[0, -1], [1, 0]]
    """
    _check(vector, (3,), "an axis has 3 coordinates")
    result: Tensor = torch.linalg.matrix_exp(_crossing(vector))
    return result


def from_quaternion(quaternion: Tensor) -> Tensor:
    """(..., 3, 3): the turn of a quaternion (..., 4) in the order w, x, y, z, which is scaled to length 1.

    Raises:
        TransformError: no floating-point tensor (..., 4), or four zeros.

    Example:
        >>> from_quaternion(torch.tensor([1.0, 0.0, 0.0, 1.0])).round().int()[:2, :2].tolist()
        [[0, -1], [1, 0]]
    """
    _check(quaternion, (4,), "a quaternion has 4 numbers (w, x, y, z)")
    if not bool((quaternion.detach().abs().amax(-1) > 0).all()):
        raise TransformError("the quaternion 0, 0, 0, 0 turns nothing; no turn is 1, 0, 0, 0")
    unit = quaternion / quaternion.norm(dim=-1, keepdim=True)
    w, axis = unit[..., :1, None], unit[..., 1:]
    outer = axis[..., :, None] * axis[..., None, :]
    eye = torch.eye(3, dtype=unit.dtype, device=unit.device)
    result: Tensor = (2 * w * w - 1) * eye + 2 * outer + 2 * w * _crossing(axis)
    return result


def degrees_between(first: Tensor, second: Tensor) -> Tensor:
    """(...): the angle from one rotation (..., 3, 3) to the other, 0 to 180 degrees; exact for small ones, too.

    Raises:
        TransformError: no floating-point tensors (..., 3, 3).
    """
    for rotation in (first, second):
        _check(rotation, (3, 3), "a rotation is a matrix of 3 x 3")
    apart = torch.linalg.vector_norm(first - second, dim=(-2, -1)) / (2 * math.sqrt(2))
    return 2 * torch.rad2deg(torch.asin(apart.clamp(max=1)))


def _crossing(vector: Tensor) -> Tensor:
    """(..., 3, 3): the matrix of v x p, for vectors v (..., 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    return torch.stack(rows, -2)


def _check(value: Tensor, shape: tuple[int, ...], wanted: str) -> None:
    """Refuse what is no floating-point tensor (..., *shape)."""
    fits = isinstance(value, Tensor) and value.is_floating_point() and value.shape[-len(shape) :] == shape
    if not fits:
        raise TransformError(
            f"{wanted}, as a floating-point tensor (..., {', '.join(map(str, shape))}), got {described(value)}"
        )
