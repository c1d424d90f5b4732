"""Motions of an image's content as homogeneous matrices in torch, with gradients to all of their numbers.

A motion takes a point of the world (LPS mm) where something is to where it will be. Motions compose from the right:
`second @ first`. All are float64 whatever their numbers were given in; gradients go back through the conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import pi
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import TransformError

Numbers: TypeAlias = float | Sequence[float] | Tensor
"""One number or several: plain, or a tensor, which gets its gradient."""


class Order(Enum):
    """The order in which turns about x, y and z are made, about axes that stay where they are: `XYZ` is Rz Ry Rx.

    SimpleITK's `Euler3DTransform` is `YXZ` (Rz Rx Ry), and after `SetComputeZYX(True)` it is `XYZ`.
    """

    XYZ = (0, 1, 2)
    XZY = (0, 2, 1)
    YXZ = (1, 0, 2)
    YZX = (1, 2, 0)
    ZXY = (2, 0, 1)
    ZYX = (2, 1, 0)


def rotation(angles: Numbers, centre: Numbers | None = None, order: Order = Order.XYZ) -> Tensor:
    """The turn by `angles` about a centre: x -> R (x - c) + c.

    R is the product of the turns about x, y and z in `order`; each turns by the right-hand rule: a positive angle about
    z takes +x to +y, about x +y to +z, about y +z to +x. Multiples of 90 degrees are exact.

    Args:
        angles: degrees, three (about x, y, z) or, in 2D, one (x towards y).
        centre: world point, mm; the origin where none is given.
        order: of the three turns.

    Returns:
        (4, 4), or (3, 3) of one angle; differentiable to angles and centre.

    Raises:
        TransformError: for another number of angles.

    Example:
        >>> rotation(90.0)[:2, :2].int().tolist()
        [[0, -1], [1, 0]]
    """
    given = numbers(angles).reshape(-1)
    cosines, sines = _cosine_and_sine(given)
    if len(given) == 1:
        plane = torch.stack([cosines[0], -sines[0], sines[0], cosines[0]]).view(2, 2)
        return about(plane, centre)
    if len(given) != 3:
        raise TransformError(
            f"a rotation has 3 angles (about x, y, z), or 1 in 2D, got {len(given)}; give the others as 0"
        )
    linear = torch.eye(3, dtype=given.dtype, device=given.device)
    for axis in order.value:
        linear = _turn(axis, cosines[axis], sines[axis]) @ linear
    return about(linear, centre)


def _turn(axis: int, cosine: Tensor, sine: Tensor) -> Tensor:
    """About one axis of three: the next axis turns towards the one after."""
    following, last = (axis + 1) % 3, (axis + 2) % 3
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    entries = {(axis, axis): one, (following, following): cosine, (last, last): cosine}
    entries |= {(following, last): -sine, (last, following): sine}
    return torch.stack([entries.get((i, j), zero) for i in range(3) for j in range(3)]).view(3, 3)


def _cosine_and_sine(degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Quarters of a turn are exchanges, the rest is computed: so the cosine of 90 degrees is 0, not 6e-17."""
    quarters = (degrees.detach() / 90).round()
    rest = (degrees - 90 * quarters) * (pi / 180)
    cosine, sine = rest.cos(), rest.sin()
    quarter = quarters.remainder(4)
    odd, low = quarter.remainder(2) == 1, quarter < 2
    turned_cosine, turned_sine = torch.where(odd, -sine, cosine), torch.where(odd, cosine, sine)
    return torch.where(low, turned_cosine, -turned_cosine), torch.where(low, turned_sine, -turned_sine)


def scaling(factors: Numbers, dimension: int, centre: Numbers | None = None) -> Tensor:
    """(D+1, D+1): the content grows by `factors` along x, y(, z) (one number: all alike) about a centre.

    Raises:
        TransformError: for another number of factors.
    """
    return about(torch.diag(as_many(factors, dimension, "scale factors")), centre)


def shearing(shears: Numbers, dimension: int, centre: Numbers | None = None) -> Tensor:
    """(D+1, D+1): x moves by xy times y (and xz times z), y by yz times z, about a centre.

    Args:
        shears: xy, xz, yz; in 2D xy alone. Without unit.
        dimension: 2 or 3.
        centre: world point, mm; the origin where none is given.

    Raises:
        TransformError: for another number of shears.
    """
    given = as_many(shears, dimension * (dimension - 1) // 2, "shears (xy, xz, yz; in 2D xy)")
    linear = torch.eye(dimension, dtype=given.dtype, device=given.device)
    rows, columns = torch.triu_indices(dimension, dimension, 1, device=given.device).unbind(0)
    return about(linear.index_put((rows, columns), given), centre)


def translation(shift_mm: Numbers) -> Tensor:
    """(D+1, D+1): everything moves by `shift_mm` (D,) along x, y(, z)."""
    shift = numbers(shift_mm)
    return joined(torch.eye(len(shift), dtype=shift.dtype, device=shift.device), shift)


def about(linear: Tensor, centre: Numbers | None) -> Tensor:
    """(D+1, D+1): x -> linear (x - c) + c, with `linear` (D, D)."""
    if centre is None:
        return joined(linear, torch.zeros_like(linear[0]))
    point = numbers(centre).to(linear.device)
    if point.shape != linear.shape[:1]:
        raise TransformError(f"a centre in {len(linear)}D has {len(linear)} coordinates, got {tuple(point.shape)}")
    return joined(linear, point - linear @ point)


def joined(linear: Tensor, offset: Tensor) -> Tensor:
    """The homogeneous matrix of x -> linear x + offset, from (D, D) and (D,)."""
    upper = torch.cat([linear, offset[:, None]], 1)
    bottom = torch.zeros_like(upper[:1])
    bottom[0, -1] = 1.0
    return torch.cat([upper, bottom])


def numbers(value: Numbers) -> Tensor:
    """`value` as a float64 tensor, in its graph and on its device (float32 where that has no float64: Apple's GPUs)."""
    if isinstance(value, Tensor):
        return value.to(torch.float32 if value.device.type == "mps" else torch.float64)
    if isinstance(value, Sequence) and any(isinstance(v, Tensor) for v in value):
        return torch.stack([numbers(v) for v in value])
    return torch.tensor(value, dtype=torch.float64)


def as_many(value: Numbers, count: int, what: str) -> Tensor:
    """`value` as (count,), one number repeated.

    Raises:
        TransformError: when it holds another number of numbers.
    """
    given = numbers(value).reshape(-1)
    if len(given) == 1:
        return given.expand(count)
    if len(given) != count:
        raise TransformError(f"got {len(given)} {what}, wanted {count}")
    return given
