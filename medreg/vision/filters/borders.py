"""What a filter sees beyond the image: each border a value, for kernels of any size, also larger than the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
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


@dataclass(frozen=True)
class Run:
    """Voxels of a continued axis that in the image follow one another, up or down, or are one; or a `Fill`'s.

    Attributes:
        places: where they are, counted from the first that is wanted.
        voxels: those of the image that they hold, upwards, which may be one for all; None of a `Fill`.
        is_turned: whether they hold them downwards.
    """

    places: slice
    voxels: slice | None
    is_turned: bool = False


def runs_of(n: int, start: int, stop: int, border: Border) -> list[Run]:
    """Places `start` to `stop`, some of them inside, of an axis of n voxels that the border continues; these first."""
    before, after = max(0, -start), max(0, stop - n)
    inside = Run(slice(before, stop - start - after), slice(start + before, stop - after))
    if isinstance(border, Fill):
        ends = [(0, before), (stop - start - after, stop - start)]
        return [inside, *(Run(slice(*end), None) for end in ends if end[1] > end[0])]
    return [inside, *_strips(n, before, after, stop - start - after, border)]


@lru_cache(1024)
def _strips(n: int, before: int, after: int, end: int, border: Border) -> list[Run]:
    """Those beyond the image, `end` being the place of the first after it."""
    first, last = _beyond(n, before, after, border)
    return [*_runs(0, first.tolist()), *_runs(end, last.tolist())]


def _runs(at: int, held: Sequence[int]) -> list[Run]:
    """Which voxels the places from `at` on hold, as few runs."""
    runs, start = [], 0
    for end in range(1, len(held) + 1):
        step = held[start + 1] - held[start] if end > start + 1 else None
        if end < len(held) and abs(held[end] - held[end - 1]) <= 1 and step in (None, held[end] - held[end - 1]):
            continue
        low, high = sorted((held[start], held[end - 1]))
        runs.append(Run(slice(at + start, at + end), slice(low, high + 1), step == -1))
        start = end
    return runs


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
    if isinstance(border, Fill) or not before + after:
        return core
    first, last = _beyond(n, before, after, border)
    core = core.clone()  # so that the rest touches no more than the ends
    core.index_add_(axis, first.to(data.device), data.narrow(axis, 0, before))
    return core.index_add_(axis, last.to(data.device), data.narrow(axis, before + n, after))


def _beyond(n: int, before: int, after: int, border: Border) -> tuple[Tensor, Tensor]:
    """Which of n voxels stand in for those before the first and after the last."""
    first, last = torch.arange(-before, 0), torch.arange(n, n + after)
    if isinstance(border, Fill | Edge):
        return first.clamp(min=0), last.clamp(max=n - 1)
    where = folded(torch.cat([first, last]).double(), n, border).long()
    return where[:before], where[before:]
