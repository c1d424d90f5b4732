"""Motions of an image's content as homogeneous matrices in torch, with gradients to all of their numbers.

A motion takes a point of the world (LPS mm) where something is to where it will be. Motions compose from the right:
`second @ first`. All are float64 whatever their numbers were given in; gradients go back through the conversion.
"""

from __future__ import annotations

from enum import Enum
from math import pi

import torch
from torch import Tensor

from medreg.errors import TransformError, UsageError
from medreg.ops.arguments import Numbers, as_many, described, number, numbers, one_of


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
    given = numbers(angles, "angles").reshape(-1)
    if len(given) not in (1, 3):
        raise TransformError(
            f"angles: a rotation has 3 angles (about x, y, z), or 1 in 2D, got {len(given)}; give the others as 0"
        )
    return about(turns(given, order), centre)


def turns(angles: Tensor, order: Order = Order.XYZ) -> Tensor:
    """The matrices (..., 3, 3) of angles (..., 3), or (..., 2, 2) of one angle (..., 1): `rotation`, of many at a time.

    Args:
        angles: degrees, floating point.
        order: of the three turns.

    Example:
        >>> turns(torch.tensor([[90.0], [180.0]])).int().tolist()
        [[[0, -1], [1, 0]], [[-1, 0], [0, -1]]]
    """
    one_of(order, Order, "order")
    one_of(angles, Tensor, "angles")
    if not angles.ndim or angles.shape[-1] not in (1, 3) or not angles.is_floating_point():
        raise UsageError(f"angles: takes floating-point degrees (..., 3), or (..., 1) in 2D, got {described(angles)}")
    cosines, sines = (part.unbind(-1) for part in _cosine_and_sine(angles))
    if len(cosines) == 1:
        (c,), (s,) = cosines, sines
        return torch.stack([c, -s, s, c], -1).view(*c.shape, 2, 2)
    first, second, third = (_turn(axis, cosines[axis], sines[axis]) for axis in order.value)
    return third @ (second @ first)


def _turn(axis: int, cosine: Tensor, sine: Tensor) -> Tensor:
    """About one axis of three: the next axis turns towards the one after."""
    following, last = (axis + 1) % 3, (axis + 2) % 3
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    entries = {(axis, axis): one, (following, following): cosine, (last, last): cosine}
    entries |= {(following, last): -sine, (last, following): sine}
    return torch.stack([entries.get((i, j), zero) for i in range(3) for j in range(3)], -1).view(*cosine.shape, 3, 3)


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
        TransformError: for another number of factors, or one of 0, which leaves nothing to look at.
    """
    given = as_many(factors, _dimension(dimension), "factors", "scale factors")
    if bool((given.detach() == 0).any()):
        raise TransformError(f"factors: a scale factor is not 0, got {given.tolist()}; a negative one mirrors")
    return about(torch.diag(given), centre)


def shearing(shears: Numbers, dimension: int, centre: Numbers | None = None) -> Tensor:
    """(D+1, D+1): x moves by xy times y (and xz times z), y by yz times z, about a centre.

    Args:
        shears: xy, xz, yz; in 2D xy alone. Without unit.
        dimension: 2 or 3.
        centre: world point, mm; the origin where none is given.

    Raises:
        TransformError: for another number of shears.
    """
    count = _dimension(dimension) * (dimension - 1) // 2
    given = numbers(shears, "shears").reshape(-1)
    if len(given) != count:
        raise TransformError(f"shears: {dimension}D has {'xy, xz, yz' if count == 3 else 'xy alone'}, got {len(given)}")
    linear = torch.eye(dimension, dtype=given.dtype, device=given.device)
    rows, columns = torch.triu_indices(dimension, dimension, 1, device=given.device).unbind(0)
    return about(linear.index_put((rows, columns), given), centre)


def translation(shift_mm: Numbers) -> Tensor:
    """(D+1, D+1): everything moves by `shift_mm` (D,) along x, y(, z)."""
    shift = numbers(shift_mm, "shift_mm").reshape(-1)
    _dimension(len(shift), "shift_mm")
    return joined(torch.eye(len(shift), dtype=shift.dtype, device=shift.device), shift)


def about(linear: Tensor, centre: Numbers | None) -> Tensor:
    """(..., D+1, D+1): x -> linear (x - c) + c, with `linear` (..., D, D)."""
    if centre is None:
        return joined(linear, torch.zeros_like(linear[..., 0]))
    point, d = numbers(centre, "centre").to(linear), linear.shape[-1]
    if point.shape != (d,):
        raise TransformError(f"a centre in {d}D has {d} coordinates, got {point.detach().tolist()}")
    return joined(linear, point - linear @ point)


def centred(motion: Tensor, centre: Tensor) -> Tensor:
    """(..., D+1, D+1): a motion that takes `centre` (D,) for its origin: x -> M (x - c) + c."""
    still = torch.eye(len(centre), dtype=motion.dtype, device=motion.device)
    there, back = (joined(still, shift.to(motion)) for shift in (centre, -centre))
    return there @ motion @ back


def joined(linear: Tensor, offset: Tensor) -> Tensor:
    """The homogeneous matrices of x -> linear x + offset, from (..., D, D) and (..., D)."""
    upper = torch.cat([linear, offset[..., None]], -1)
    bottom = torch.zeros_like(upper[..., :1, :])
    bottom[..., -1] = 1.0
    return torch.cat([upper, bottom], -2)


def _dimension(value: int, name: str = "dimension") -> int:
    if number(value, name, wanted="2 or 3") not in (2, 3):
        raise UsageError(f"{name}: images have 2 or 3 axes, got {value}")
    return int(value)
