"""What a filter sees beyond the image: each border a value, for kernels of any size, also larger than the image."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.ops.arguments import numbers
from medreg.sample import Edge, Fill, Outside, Reflect
from medreg.sample.continuing import folded

Border: TypeAlias = Outside
"""`Fill(value)` is scipy's "constant", `Edge()` its "nearest", `Reflect()`, `Mirror()` and `Periodic()` (c | a b c | a)
its "reflect", "mirror" and "wrap".

A filter of several passes, such as Sobel's, has everywhere the result of its whole kernel at once, with a `Fill`, too:
after each pass what lies beyond is what that pass makes of it. scipy fills with the same value again, so that its
derivatives see an edge where there is none, unless the value is 0.
"""

REFLECT = Reflect()


def filling(border: Border, data: Tensor, dimension: int) -> Tensor | None:
    """The value of a `Fill`, shaped to go with `data` (..., C, z, y, x), in its dtype; None of other borders.

    Raises:
        UsageError: a fill that is neither one number nor one for each channel.
    """
    if not isinstance(border, Fill):
        return None
    value = numbers(border.value, "border: Fill")
    leading = data.shape[: data.ndim - dimension]
    channels = leading[-1] if leading else 1
    if value.numel() not in (1, channels):
        raise UsageError(f"border: Fill takes one value, or one for each of {channels} channels, got {value.numel()}")
    return value.to(data).reshape(-1, *[1] * dimension) if leading else value.to(data).reshape([1] * dimension)


def extended(data: Tensor, axis: int, before: int, after: int, border: Border, fill: Tensor | None = None) -> Tensor:
    """`data` with so many voxels more at the two ends of a tensor axis, as the border has them. Differentiable.

    Args:
        data: (..., z, y, x).
        axis: which of its axes, counted from the end, below 0.
        before: how many voxels are added before the first.
        after: how many after the last.
        border: what they hold.
        fill: the value of a `Fill`, see `filling`.
    """
    if not before + after:
        return data
    parts = []
    for index in _beyond(data.shape[axis], before, after, border):
        if fill is not None:
            shape = list(data.shape)
            shape[axis] = len(index)
            parts.append(fill.expand(shape))
        else:
            parts.append(data.index_select(axis, index.to(data.device)))
    return torch.cat([parts[0], data, parts[1]], axis)


def folded_back(data: Tensor, axis: int, before: int, after: int, border: Border) -> Tensor:
    """The adjoint of `extended`: what the added voxels hold is added where it was copied from; of a `Fill` it is lost.

    Args:
        data: (..., z, y, x) with the added voxels.
        axis: which of its axes.
        before: how many of its first voxels were added.
        after: how many of its last.
        border: what they held.
    """
    n = data.shape[axis] - before - after
    core = data.narrow(axis, before, n)
    if isinstance(border, Fill):
        return core
    first, last = _beyond(n, before, after, border)
    core = core.index_add(axis, first.to(data.device), data.narrow(axis, 0, before))
    return core.index_add(axis, last.to(data.device), data.narrow(axis, before + n, after))


def _beyond(n: int, before: int, after: int, border: Border) -> tuple[Tensor, Tensor]:
    """Which of n voxels stand in for those before the first and after the last."""
    first, last = torch.arange(-before, 0), torch.arange(n, n + after)
    if isinstance(border, Fill | Edge):
        return first.clamp(min=0), last.clamp(max=n - 1)
    where = folded(torch.cat([first, last]).double(), n, border).long()
    return where[:before], where[before:]
