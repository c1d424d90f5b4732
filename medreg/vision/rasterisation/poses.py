"""Rotations that stay rotations while they are learnt, in torch, with gradients everywhere.

`medreg.geometry.affine` has the same for NumPy, and `medreg.ops.rotation` makes a matrix of Euler angles.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medreg.errors import TransformError


def from_axis_angle(vector: Tensor) -> Tensor:
    """(..., 3, 3): the turn about `vector` (..., 3) by its length in radians, right-handed.

    The gradient is finite and right at zero, too. To learn a pose, put it before the best one so far:
    `from_axis_angle(step) @ start` with `step` at zero has three even directions, whatever the start.

    Example:
        >>> from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 2])).round().int()[:2, :2].tolist()
        [[0, -1], [1, 0]]
    """
    if vector.shape[-1] != 3:
        raise TransformError(f"an axis has 3 coordinates, got a tensor of {tuple(vector.shape)}")
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    result: Tensor = torch.linalg.matrix_exp(torch.stack(rows, -2))
    return result


def from_quaternion(quaternion: Tensor) -> Tensor:
    """(..., 3, 3): the turn of a quaternion (..., 4) in the order w, x, y, z, which is scaled to length 1.

    Example:
        >>> from_quaternion(torch.tensor([1.0, 0.0, 0.0, 1.0])).round().int()[:2, :2].tolist()
        [[0, -1], [1, 0]]
    """
    if quaternion.shape[-1] != 4:
        raise TransformError(f"a quaternion has 4 numbers (w, x, y, z), got a tensor of {tuple(quaternion.shape)}")
    if not bool((quaternion.detach().abs().amax(-1) > 0).all()):
        raise TransformError("the quaternion 0, 0, 0, 0 turns nothing; no turn is 1, 0, 0, 0")
    w, *along = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    axis = torch.stack(along, -1)
    x, y, z = along
    zero = torch.zeros_like(x)
    rows = [torch.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    cross = torch.stack(rows, -2)
    outer = axis[..., :, None] * axis[..., None, :]
    eye = torch.eye(3, dtype=w.dtype, device=w.device)
    result: Tensor = (2 * w * w - 1)[..., None, None] * eye + 2 * outer + 2 * w[..., None, None] * cross
    return result


def degrees_between(first: Tensor, second: Tensor) -> Tensor:
    """(...): the angle from one rotation (..., 3, 3) to the other, 0 to 180 degrees; exact for small ones, too."""
    apart = (first - second).square().sum((-2, -1)).sqrt() / (2 * math.sqrt(2))
    return 2 * torch.rad2deg(torch.asin(apart.clamp(max=1)))
