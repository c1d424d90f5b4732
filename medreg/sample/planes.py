"""Turns about one axis of the lattice: a two-dimensional interpolation that all planes along this axis share.

Where each point lies, and with which weights, is found out once for all planes; then only voxels are fetched. Python's
threads take turns between any two of torch's operations, so a plane is done in few of them: all four voxels of every
point are one gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import torch
from torch import Tensor

from medreg.sample.gathering import corner_shifts, joins, summed
from medreg.sample.interpolation import Interpolation, Linear, Nearest, inside_buffer, made_ready, weights_along
from medreg.sample.sharing import shared

POINTS = 32_000
"""Points of one step: with all of their voxels they fit a core's own cache."""
VALUES = 64_000
"""Voxels of one step where whole rows are fetched."""
PARTS = 4
"""Shares of work for each thread."""


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


@dataclass(frozen=True)
class _Points:
    """A run of a plane's points, line by line, as every plane needs it.

    Attributes:
        start: the first of them, as the plane counts its points.
        count: how many there are.
        inside: (N,) int64, which of them are inside the image.
        base: (N,) the first tap of each of these, as a plane of the image counts its voxels.
        steps: from one tap to the next along v and u.
        weights: of the taps along v and u, (N,) each; none with `Nearest`.
    """

    start: int
    count: int
    inside: Tensor
    base: Tensor
    steps: tuple[int, int]
    weights: Sequence[Sequence[Tensor]]

    def parts(self, most: int) -> list[_Points]:
        """The same points, at most so many at once."""
        starts = [*range(0, self.count, most), self.count]
        cuts = torch.searchsorted(self.inside, torch.tensor(starts)).tolist()
        return [
            replace(
                self,
                start=self.start + start,
                count=stop - start,
                inside=self.inside[a:b] - start,
                base=self.base[a:b],
                weights=[[w[a:b] for w in axis] for axis in self.weights],
            )
            for start, stop, a, b in zip(starts, starts[1:], cuts, cuts[1:], strict=False)
        ]


def by_planes(volume: Tensor, turn: Turn, interpolation: Interpolation, fill: Tensor, out: Tensor) -> None:
    """Write every plane of `volume` (C, z, y, x) across `turn.axis`, turned, into `out`.

    Args:
        volume: on a CPU, without gradient.
        turn: the map.
        interpolation: any kernel.
        fill: (C,) what points outside get, in the dtype of `out`.
        out: (C, z, y, x), as many planes as the volume.
    """
    plane = [axis for axis in (1, 2, 3) if axis != turn.axis]
    size = (volume.shape[plane[1]], volume.shape[plane[0]])
    ready = made_ready(volume, interpolation, plane)
    width = ready.shape[plane[1]]
    lines = _ranges(turn.shape[0], max(1, POINTS // turn.shape[1]))
    points = shared(partial(_points, turn, size, width, interpolation, out.dtype), lines, volume)
    least = PARTS * torch.get_num_threads()
    if turn.axis == 3:
        ready = ready.contiguous()
        runs = [run for p in points for run in p.parts(max(1, VALUES // volume.shape[3]))]
        each = -(-len(runs) // least)
        shares = [(c, runs[k : k + each]) for c in range(len(volume)) for k in range(0, len(runs), each)]
        shared(partial(_turned_rows, ready, interpolation, fill.tolist(), out), shares, volume)
    else:
        planes = _ranges(volume.shape[turn.axis], -(-volume.shape[turn.axis] * len(points) // least))
        parts = list(product(range(len(volume)), points, planes))
        shared(partial(_turned, ready, turn.axis, interpolation, fill.tolist(), out), parts, volume)


def _ranges(n: int, step: int) -> list[slice]:
    """0 to n in as few ranges as may be of at most `step`, all but the last of the same length."""
    even = -(-n // max(1, -(-n // step)))
    return [slice(start, min(start + even, n)) for start in range(0, n, even)]


def _points(
    turn: Turn, size: Sequence[int], width: int, interpolation: Interpolation, dtype: torch.dtype, lines: slice
) -> _Points:
    """The points on some lines; `width` is how far apart two voxels along v are."""
    m = turn.matrix
    u = torch.arange(turn.shape[1], dtype=m.dtype)
    v = torch.arange(lines.start, lines.stop, dtype=m.dtype)[:, None]
    axes = [((m[k, 1] * v + m[k, 2]) + m[k, 0] * u).flatten() for k in range(2)]
    inside = inside_buffer(axes, size).nonzero().squeeze(1)
    count = len(axes[0])
    axes = [x.index_select(0, inside) for x in axes]
    if isinstance(interpolation, Nearest):
        lows = [(x + 0.5).clamp(0, n - 1).long() for x, n in zip(axes, size, strict=True)]
        weights: list[list[Tensor]] = []
    else:
        each = (weights_along(x, n, interpolation, dtype) for x, n in zip(axes, size, strict=True))
        lows, weights = map(list, zip(*each, strict=True))
    base = lows[0].long() + lows[1].long() * width
    steps = (width if size[1] > 1 else 0, 1 if size[0] > 1 else 0)
    return _Points(lines.start * turn.shape[1], count, inside, base, steps, weights[::-1])


class _Fetch:
    """Fetches the values of some points from one plane after the other, in room that is taken once.

    New room for every step would be new pages of memory each time, which cost as much as the arithmetic.
    """

    def __init__(self, points: _Points, interpolation: Interpolation, room: Tensor, fill: float) -> None:
        """`room` is what `_room_for` gives for these points, or more."""
        n, linear = len(points.base), isinstance(interpolation, Linear)
        self.points, self.general = points, not (linear or isinstance(interpolation, Nearest))
        self.taps = (points.base + corner_shifts(points.steps[::-1], torch.int64)).view(-1) if linear else points.base
        self.fetched, self.ordered = room[1 : 1 + len(self.taps)], room[len(room) - points.count :]
        self.joins = joins(self.fetched, [axis[1] for axis in reversed(points.weights)]) if linear else []
        self.inside, self.with_fill = self.fetched[:n], room[: 1 + n]
        room[0] = fill
        self.back = torch.zeros(points.count, dtype=torch.int64)
        self.back[points.inside] = torch.arange(1, n + 1)

    def write(self, table: Tensor, there: Tensor) -> None:
        """Write the values from a plane (V,), or from rows (V, M), and the fill for points outside, into `there`."""
        self._fetch(table)
        if len(self.inside) == self.points.count:
            there.copy_(self.inside.view(there.shape))
        elif there.is_contiguous():
            torch.index_select(self.with_fill, 0, self.back, out=there.view(self.ordered.shape))
        else:
            there.copy_(torch.index_select(self.with_fill, 0, self.back, out=self.ordered).view(there.shape))

    def _fetch(self, table: Tensor) -> None:
        if self.general:
            weights = [[w.view(-1, *[1] * (table.ndim - 1)) for w in axis] for axis in self.points.weights]
            self.inside.copy_(summed(table, self.taps, self.points.steps, weights))
            return
        if table.dtype == self.fetched.dtype:
            torch.index_select(table, 0, self.taps, out=self.fetched)
        else:
            self.fetched.copy_(table.index_select(0, self.taps))
        for low, high, fraction in self.joins:
            low.lerp_(high, fraction)


def _room_for(points: Sequence[_Points], interpolation: Interpolation, dtype: torch.dtype, *row: int) -> Tensor:
    """Places for the fill, for the voxels around each point, whose value takes the first's, and for all in order."""
    most = max(p.count for p in points)
    return torch.empty(1 + (4 if isinstance(interpolation, Linear) else 1) * most + most, *row, dtype=dtype)


def _turned(
    volume: Tensor,
    axis: int,
    interpolation: Interpolation,
    fill: Sequence[float],
    out: Tensor,
    part: tuple[int, _Points, slice],
) -> None:
    """Some lines of some planes of a channel, whose values each are fetched alone."""
    channel, points, planes = part
    voxels, result = (t[channel].movedim(axis - 1, 0) for t in (volume, out))
    # side by side: where the lines of a plane lie far apart, they meet in the same few places of the cache
    plane = None if voxels[0].is_contiguous() else torch.empty(voxels.shape[1:], dtype=voxels.dtype)
    fetch = _Fetch(points, interpolation, _room_for([points], interpolation, out.dtype), fill[channel])
    width = result.shape[2]
    lines = slice(points.start // width, (points.start + points.count) // width)
    for k in range(planes.start, planes.stop):
        table = (voxels[k] if plane is None else plane.copy_(voxels[k])).view(-1)
        fetch.write(table, result[k, lines])


def _turned_rows(
    volume: Tensor,
    interpolation: Interpolation,
    fill: Sequence[float],
    out: Tensor,
    part: tuple[int, Sequence[_Points]],
) -> None:
    """Points of all planes at once, where the third axis is x: rows of voxels that lie side by side."""
    channel, runs = part
    rows, result = (t[channel].view(-1, t.shape[3]) for t in (volume, out))
    room = _room_for(runs, interpolation, out.dtype, rows.shape[1])
    for points in runs:
        there = result[points.start : points.start + points.count]
        _Fetch(points, interpolation, room, fill[channel]).write(rows, there)
