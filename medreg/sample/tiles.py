"""Any affine map of a lattice, a small box of voxels at a time: the sampler's values with a third of its steps.

A box of the result comes from a box of the image, turned: so the voxels around its points are in the cache, its corners
say whether all of it is inside, and where only a part is, each of its lines along x says from where to where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import product
from math import nextafter, prod

import torch
from torch import Tensor

from medreg.sample.gathering import corner_shifts, joins
from medreg.sample.interpolation import Linear, Nearest
from medreg.sample.sharing import shared

SIDES = (64, 32, 16)
"""Voxels of a tile along x, y, z: three tensors of as many values fit a core's own cache."""
SIDES_2D = (256, 128)
PARTS = 4
"""Shares of work for each thread."""
SLACK = 1e-6
"""Voxels by which corners must be inside for a tile to count as wholly inside; more than rounding can do."""


@dataclass(frozen=True)
class Lattice:
    """A lattice of points in an image, their places in x, y, z order.

    Attributes:
        matrix: (D, D+1) float64, rows x, y(, z): from voxel indices of the result to those of the image.
        starts: (D, z, y, 1) or (D, y, 1), places of the first voxels of the lines along x.
        along: (D, 1, 1, W) or (D, 1, W), places of a line's voxels relative to its first.
        first: (z, y, 1) or (y, 1) int64, of each line the first voxel inside the image.
        last: the same, the one after the last.
    """

    matrix: list[list[float]]
    starts: Tensor
    along: Tensor
    first: Tensor
    last: Tensor

    @staticmethod
    def of(matrix: Tensor, shape: Sequence[int], size: Sequence[int]) -> Lattice:
        """The lattice (z, y, x) of `shape` in an image of `size` (x, y, z) voxels."""
        d = len(shape)
        counts = [torch.arange(n, dtype=matrix.dtype) for n in shape]
        rows = torch.stack(torch.meshgrid(*counts[:-1], indexing="ij")[::-1]).flatten(1)
        starts, along = matrix[:d, 1:d] @ rows + matrix[:d, d:], matrix[:d, :1] * counts[-1]
        first, last = _interval(starts, along, size)
        lines = shape[:-1]
        return Lattice(
            matrix[:d].tolist(),
            starts.view(d, *lines, 1),
            along.view(d, *[1] * len(lines), -1),
            first.view(*lines, 1),
            last.view(*lines, 1),
        )

    def span(self, box: Sequence[slice]) -> list[tuple[float, float]]:
        """Least and greatest place of a box (slices x, y, z) along each axis of the image."""
        spans = []
        for *row, offset in self.matrix:
            ends = [sorted((m * b.start, m * (b.stop - 1))) for m, b in zip(row, box, strict=True)]
            spans.append((offset + sum(e[0] for e in ends), offset + sum(e[1] for e in ends)))
        return spans

    def beyond(self, place: tuple[slice, ...]) -> Tensor:
        """Which points of a box (slices z, y, x) are outside the image."""
        *lines, along = place
        column = torch.arange(along.start, along.stop)
        return (column < self.first[tuple(lines)]).logical_or_(column >= self.last[tuple(lines)])


def by_tiles(volume: Tensor, matrix: Tensor, interpolation: Linear | Nearest, fill: Tensor, out: Tensor) -> None:
    """Write `volume` (C, z, y, x) or (C, y, x) through an affine map into `out`.

    Args:
        volume: on a CPU, without gradient.
        matrix: homogeneous (D+1, D+1) float64, from voxel indices of `out` to those of `volume`, x, y, z order.
        interpolation: `Linear` or `Nearest`.
        fill: (C,) what points outside get, in the dtype of `out`.
        out: (C, z, y, x), contiguous.
    """
    lattice = Lattice.of(matrix, out.shape[1:], volume.shape[:0:-1])
    sides = SIDES if out.ndim == 4 else SIDES_2D
    lengths = zip(out.shape[:0:-1], sides, strict=True)
    boxes = list(product(*([slice(k, min(k + side, n)) for k in range(0, n, side)] for n, side in lengths)))
    boxes.sort(key=lambda box: [b.start for b in reversed(box)])
    each = -(-len(boxes) // (PARTS * torch.get_num_threads()))
    parts = [boxes[k : k + each] for k in range(0, len(boxes), each)]
    shared(partial(_tiles, volume.contiguous(), lattice, interpolation, fill.tolist(), out), parts, volume)


class _Room:
    """Tensors that a thread's tiles of one shape use one after the other, and the views of them that all of them need.

    New ones for each tile would be new pages of memory each time, which cost as much as all of the arithmetic; and
    while Python makes views, the other threads' Python waits.
    """

    def __init__(
        self, extents: Sequence[int], shape: Sequence[int], interpolation: Linear | Nearest, dtype: torch.dtype
    ) -> None:
        """Room for a tile of `extents` (z, y, x) or (y, x) of values of `dtype`, in a volume of `shape`."""
        d, points = len(shape), prod(extents)
        linear = isinstance(interpolation, Linear)
        whole = torch.int32 if prod(shape) < 2**31 else torch.int64
        self.size = tuple(reversed(shape))
        self.steps = [prod(self.size[:k]) for k in range(d)]
        steps = [step if n > 1 else 0 for step, n in zip(self.steps, self.size, strict=True)]
        self.shifts = corner_shifts(steps if linear else [], whole)
        self.places = torch.empty(d, points, dtype=torch.float64)
        self.lattice = self.places.view(d, *extents)
        # just short of the last voxel, so that the pair around it is in the volume, and its fraction rounds to 1
        self.last = [nextafter(n - 1, 0.0) if linear else float(n - 1) for n in self.size]
        self.lows = torch.empty(d, points, dtype=whole)
        self.taps = torch.empty(len(self.shifts), points, dtype=whole)
        self.fractions = torch.empty(d if linear else 0, points, dtype=dtype)
        self.voxels = torch.empty(len(self.shifts) * points, dtype=dtype)
        self.joins = joins(self.voxels, self.fractions.unbind(0))
        self.values = self.voxels[:points].view(*extents)


def _tiles(
    volume: Tensor,
    lattice: Lattice,
    interpolation: Linear | Nearest,
    fill: Sequence[float],
    out: Tensor,
    boxes: Sequence[Sequence[slice]],
) -> None:
    """A share of the tiles."""
    size = volume.shape[:0:-1]
    rooms: dict[tuple[int, ...], _Room] = {}
    for box in boxes:
        place = tuple(reversed(box))
        lies = _lies(lattice.span(box), size)
        if lies is _Lies.OUTSIDE:
            for channel, value in zip(out, fill, strict=True):
                channel[place].fill_(value)
            continue
        extents = tuple(b.stop - b.start for b in place)
        if extents not in rooms:
            rooms[extents] = _Room(extents, volume.shape[1:], interpolation, out.dtype)
        _tile(rooms[extents], volume, lattice, interpolation, lies, fill, out, place)


class _Lies(Enum):
    """Where a tile's points are."""

    OUTSIDE = "none is in the buffer"
    PARTLY = "some may be"
    INSIDE = "all are, and all of their taps are voxels"


def _lies(span: Sequence[tuple[float, float]], size: Sequence[int]) -> _Lies:
    if any(high < -0.5 - SLACK or low > n - 0.5 + SLACK for (low, high), n in zip(span, size, strict=True)):
        return _Lies.OUTSIDE
    if all(low > SLACK and high < n - 1 - SLACK for (low, high), n in zip(span, size, strict=True)):
        return _Lies.INSIDE
    return _Lies.PARTLY


def _tile(
    room: _Room,
    volume: Tensor,
    lattice: Lattice,
    interpolation: Linear | Nearest,
    lies: _Lies,
    fill: Sequence[float],
    out: Tensor,
    place: tuple[slice, ...],
) -> None:
    """Write one tile (slices z, y, x), of which all or a part is inside."""
    _find(room, lattice, interpolation, lies, place)
    taps = room.taps.view(-1)
    if lies is _Lies.PARTLY:
        beyond = lattice.beyond(place)
    for channel, target, value in zip(volume, out, fill, strict=True):
        if channel.dtype == out.dtype:
            torch.index_select(channel.view(-1), 0, taps, out=room.voxels)
        else:
            room.voxels.copy_(channel.view(-1).index_select(0, taps))
        for low, high, fraction in room.joins:
            low.lerp_(high, fraction)
        if lies is _Lies.PARTLY:
            room.values.masked_fill_(beyond, value)
        target[place] = room.values


def _find(
    room: _Room, lattice: Lattice, interpolation: Linear | Nearest, lies: _Lies, place: tuple[slice, ...]
) -> None:
    """Set a tile's taps and fractions in its room, by the arithmetic of the sampler.

    Points that are not inside take some voxel. `Nearest` has one tap and no fractions.
    """
    places, lows = room.places, room.lows
    lines = (slice(None), *place[:-1])
    torch.add(lattice.starts[lines], lattice.along[..., place[-1]], out=room.lattice)
    if isinstance(interpolation, Nearest):
        places.add_(0.5)
    if lies is _Lies.PARTLY:
        for x, last in zip(places, room.last, strict=True):
            x.clamp_(0, last)
    lows.copy_(places)
    if isinstance(interpolation, Linear):
        room.fractions.copy_(places.frac_())
    base, *others = lows
    for low, step in zip(others, room.steps[1:], strict=True):
        base.add_(low, alpha=step)
    torch.add(base, room.shifts, out=room.taps)


def _interval(starts: Tensor, along: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of each line (D, R) the first voxel inside the buffer, and the one after the last.

    Found by division, then corrected by the places themselves, so that rounding decides as it does for single points.
    """
    width = along.shape[1]
    first, last = torch.zeros_like(starts[0]), torch.full_like(starts[0], width)
    for start, step, n in zip(starts, along, size, strict=True):
        rate = float(step[1]) if width > 1 else 0.0
        if rate == 0.0:
            last = torch.where((start >= -0.5) & (start < n - 0.5), last, first)
            continue
        up, down = _first_past(start, step, rate, -0.5), _first_past(start, step, rate, n - 0.5)
        begin, end = (up, down) if rate > 0 else (down, up)
        first, last = torch.maximum(first, begin), torch.minimum(last, end)
    return first.long(), torch.maximum(first, last).long()


def _first_past(start: Tensor, step: Tensor, rate: float, limit: float) -> Tensor:
    """(R,) the first voxel whose place is at or above `limit`; of lines that go down, the first below."""
    width = len(step)
    found = ((limit - start) / rate).ceil().clamp(0, width)

    def past(k: Tensor) -> Tensor:
        place = start + step[k.clamp(0, width - 1).long()]
        return place >= limit if rate > 0 else place < limit

    found = found - ((found > 0) & past(found - 1)).double()
    return found + ((found < width) & ~past(found)).double()
