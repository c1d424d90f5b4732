"""Interpolation one axis at a time, where the axes of two lattices run alike.

Every kernel here is a product of one-dimensional ones, so what a map that keeps the axes apart does to a volume is done
to each axis in its turn: for 3D that is 3 K products a voxel instead of K^3, on whole rows and planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from torch import Tensor

from medreg.sample.interpolation import Interpolation, Nearest, continued, made_ready, margin_of, weights_along
from medreg.sample.sharing import shared

SLAB = 1_000_000
"""Voxels of the result that are made at once: what lies between two axes' passes stays in the cache."""


@dataclass(frozen=True)
class Taps:
    """What each place along an axis of n voxels is made of.

    Attributes:
        voxels: (K, N) int64, 0 to n - 1.
        weights: (K, N) in the dtype of the sum, or None where K is 1 and the voxel is the value.
    """

    voxels: Tensor
    weights: Tensor | None

    def part(self, start: int, stop: int) -> tuple[Taps, int, int]:
        """The taps of places `start` to `stop`, and the first and last voxel that they need, counted from the first."""
        voxels = self.voxels[:, start:stop]
        low, high = int(voxels.min()), int(voxels.max())
        return Taps(voxels - low, None if self.weights is None else self.weights[:, start:stop]), low, high


def taps_at(places: Tensor, n: int, interpolation: Interpolation, dtype: torch.dtype) -> Taps:
    """Taps at fractional `places` (N,) of an axis of n voxels, all inside the buffer; of whole places one tap alone.

    The cubic spline's taps are those of its coefficients, but of whole places those of the voxels.
    """
    if isinstance(interpolation, Nearest):
        return Taps((places + 0.5).long().clamp(0, n - 1)[None], None)
    if is_whole(places) and int(places.min()) >= 0 and int(places.max()) < n:
        return Taps(places.long()[None], None)
    low, weights = weights_along(places, n, interpolation, dtype)
    counts = torch.arange(len(weights), device=low.device)[:, None] - margin_of(interpolation)
    return Taps(continued(interpolation)(low.long() + counts, n), torch.stack(weights))


def is_whole(places: Tensor) -> bool:
    """Whether all places lie on voxel centres."""
    return bool((places == places.round()).all())


def along_axis(volume: Tensor, axis: int, taps: Taps) -> Tensor:
    """`volume` at the taps along one of its axes."""
    first = _picked(volume, axis, taps.voxels[0])
    if taps.weights is None:
        return first
    weights = taps.weights.view(len(taps.weights), -1, *[1] * (volume.ndim - 1 - axis))
    others = (_picked(volume, axis, voxels) for voxels in taps.voxels[1:])
    if len(weights) == 2:  # as the sampler does it: a constant stays exactly what it is
        return torch.lerp(first.to(weights.dtype), next(others).to(weights.dtype), weights[1])
    total = first * weights[0]
    for weight, other in zip(weights[1:], others, strict=True):
        total.addcmul_(other.to(total.dtype), weight)
    return total


def _picked(volume: Tensor, axis: int, voxels: Tensor) -> Tensor:
    """The voxels of one axis at `voxels`: a view where they follow one another."""
    first, count = int(voxels[0]), len(voxels)
    if count == 1 or bool((voxels.diff() == 1).all()):
        return volume.narrow(axis, first, count)
    return volume.index_select(axis, voxels)


def by_axes(volume: Tensor, places: Sequence[Tensor], interpolation: Interpolation, out: Tensor) -> None:
    """Write `volume` (C, z, y, x) or (C, y, x) at a lattice of places into `out`.

    Args:
        volume: voxels of any dtype that the kernel takes.
        places: for each of x, y(, z) the fractional voxel indices, float64, inside the buffer.
        interpolation: the kernel.
        out: (C, z, y, x) as many voxels as places, in the dtype of the result.
    """
    sizes = volume.shape[:0:-1]
    each = [taps_at(p.to(volume.device), n, interpolation, out.dtype) for p, n in zip(places, sizes, strict=True)]
    taps = dict(zip(range(volume.ndim - 1, 0, -1), each, strict=True))
    volume = made_ready_along(volume, interpolation, [axis for axis in taps if taps[axis].weights is not None])
    rows = max(1, SLAB // max(1, prod(out.shape[2:]) * len(out)))
    starts = range(0, out.shape[1], rows)
    shared(partial(_slab, volume, taps, out, rows), starts, volume, out)


def one_axis(volume: Tensor, axis: int, places: Tensor, interpolation: Interpolation, dtype: torch.dtype) -> Tensor:
    """`volume` at fractional places (N,) of one of its axes, all inside the buffer, and at all voxels of the others."""
    taps = taps_at(places.to(volume.device), volume.shape[axis], interpolation, dtype)
    if taps.weights is not None:
        volume = made_ready_along(volume, interpolation, [axis])
    return along_axis(volume, axis, taps)


def made_ready_along(volume: Tensor, interpolation: Interpolation, axes: Sequence[int]) -> Tensor:
    """The volume prefiltered along `axes` without margins: taps of an axis are folded at its ends instead."""
    margin = margin_of(interpolation)
    ready = made_ready(volume, interpolation, axes) if axes else volume
    for axis in axes if margin else ():
        ready = ready.narrow(axis, margin, volume.shape[axis])
    return ready


def _slab(volume: Tensor, taps: dict[int, Taps], out: Tensor, rows: int, start: int) -> None:
    """Planes `start` to `start + rows` of the slowest axis."""
    stop = min(start + rows, out.shape[1])
    slow, low, high = taps[1].part(start, stop)
    part = volume[:, low : high + 1]
    growth = {axis: t.voxels.shape[1] / volume.shape[axis] for axis, t in taps.items()}
    shrinking = sorted(axis for axis in taps if growth[axis] < 1)  # whole planes first, while there are most of them
    for axis in [*shrinking, *sorted((axis for axis in taps if growth[axis] >= 1), reverse=True)]:
        part = along_axis(part, axis, slow if axis == 1 else taps[axis])
    out[:, start:stop].copy_(part)
