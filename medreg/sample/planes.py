"""Turns about one axis of the lattice: a two-dimensional interpolation that all planes along this axis share.

Where each point lies, and with which weights, is found out once for all planes; then only voxels are fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor

from medreg.sample.gathering import summed
from medreg.sample.interpolation import Interpolation, Nearest, inside_buffer, made_ready, weights_along
from medreg.sample.sharing import shared

POINTS = 32_000
"""Values of one step: three tensors of them fit a core's own cache."""
PLANES = 16
"""Planes of one share of work."""


@dataclass(frozen=True)
class Turn:
    """A map of voxel indices that turns, scales and shears in one plane of the lattice and leaves the third axis.

    Attributes:
        axis: the third axis as the tensor counts it, 1 (z) to 3 (x).
        matrix: 2 x 3 float64, of homogeneous places (u, v, 1) in a plane of the result; u is the faster axis.
        shape: of a plane of the result, (v, u).
    """

    axis: int
    matrix: Tensor
    shape: tuple[int, int]


def by_planes(volume: Tensor, turn: Turn, interpolation: Interpolation, out: Tensor) -> None:
    """Write every plane of `volume` (C, z, y, x) across `turn.axis`, turned, into `out`.

    `out` is filled with what points outside the image get, and holds as many planes as the volume.
    """
    plane = [axis for axis in (1, 2, 3) if axis != turn.axis]
    size = [volume.shape[axis] for axis in plane]
    ready = made_ready(volume, interpolation, plane).contiguous()
    by_rows = turn.axis == 3
    at_once = max(1, POINTS // volume.shape[3]) if by_rows else POINTS
    rows = max(1, at_once // turn.shape[1])
    planes = [slice(0, volume.shape[3])] if by_rows else _ranges(volume.shape[turn.axis], PLANES)
    parts = list(product(range(len(volume)), _ranges(turn.shape[0], rows), planes))
    work = _turned_rows if by_rows else _turned
    shared(partial(work, ready, turn, (size[1], size[0]), interpolation, out), parts, volume)


Part = tuple[int, slice, slice]
"""A channel, lines of the plane, and planes."""


def _ranges(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _turned(
    volume: Tensor, turn: Turn, size: Sequence[int], interpolation: Interpolation, out: Tensor, part: Part
) -> None:
    """Lines of some planes whose values each are fetched alone."""
    channel, lines, planes = part
    voxels = volume[channel]
    strides = [voxels.stride(axis) for axis in (2, 1, 0) if axis != turn.axis - 1]  # of u, v
    inside, base, weights = _points(turn, lines, size, strides, interpolation, out.dtype)
    if not len(inside):
        return
    flat, step = voxels.reshape(-1), voxels.stride(turn.axis - 1)
    apart = [stride if n > 1 else 0 for stride, n in zip(strides, size, strict=True)][::-1]
    all_in = len(inside) == (lines.stop - lines.start) * turn.shape[1]
    for plane in range(planes.start, planes.stop):
        values = summed(flat[plane * step :], base, apart, weights)
        there = out[channel].select(turn.axis - 1, plane)[lines]
        if not all_in:
            values = there.flatten().scatter_(0, inside, values)
        there.copy_(values.view(there.shape))


def _turned_rows(
    volume: Tensor, turn: Turn, size: Sequence[int], interpolation: Interpolation, out: Tensor, part: Part
) -> None:
    """Lines of all planes at once, where the third axis is x: rows of voxels that lie side by side."""
    channel, lines, _ = part
    voxels = volume[channel]
    inside, base, weights = _points(turn, lines, size, (1, voxels.shape[1]), interpolation, out.dtype)
    rows = voxels.reshape(-1, voxels.shape[2])
    apart = [voxels.shape[1] if size[1] > 1 else 0, 1 if size[0] > 1 else 0]
    values = summed(rows, base, apart, [[w[:, None] for w in axis] for axis in weights])
    there = out[channel][lines]
    there.view(-1, there.shape[2]).index_copy_(0, inside, values)


def _points(
    turn: Turn,
    lines: slice,
    size: Sequence[int],
    strides: Sequence[int],
    interpolation: Interpolation,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, list[list[Tensor]]]:
    """Of the points on `lines` inside the image: their places (N,), first taps (N,), and weights for v and u."""
    m, device = turn.matrix, turn.matrix.device
    u = torch.arange(turn.shape[1], dtype=m.dtype, device=device)
    v = torch.arange(lines.start, lines.stop, dtype=m.dtype, device=device)[:, None]
    axes = [((m[k, 1] * v + m[k, 2]) + m[k, 0] * u).flatten() for k in range(2)]
    inside = inside_buffer(axes, size).nonzero().squeeze(1)
    axes = [x.index_select(0, inside) for x in axes]
    if isinstance(interpolation, Nearest):
        lows = [(x + 0.5).clamp(0, n - 1).long() for x, n in zip(axes, size, strict=True)]
        weights: list[list[Tensor]] = []
    else:
        each = (weights_along(x, n, interpolation, dtype) for x, n in zip(axes, size, strict=True))
        lows, weights = map(list, zip(*each, strict=True))
    base = lows[0].long() * strides[0] + lows[1].long() * strides[1]
    return inside, base, weights[::-1]
