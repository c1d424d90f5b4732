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
from math import prod

import torch
from torch import Tensor

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
        starts: D tensors (z, y) or (y,), places of the first voxels of the lines along x.
        along: D tensors (W,), places of a line's voxels relative to its first.
        first: (z, y) or (y,) int64, of each line the first voxel inside the image.
        last: the same, the one after the last.
    """

    matrix: list[list[float]]
    starts: Sequence[Tensor]
    along: Sequence[Tensor]
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
            matrix[:d].tolist(), starts.view(d, *lines).unbind(0), along.unbind(0), first.view(lines), last.view(lines)
        )

    def span(self, box: Sequence[slice]) -> list[tuple[float, float]]:
        """Least and greatest place of a box (slices x, y, z) along each axis of the image."""
        spans = []
        for *row, offset in self.matrix:
            ends = [sorted((m * b.start, m * (b.stop - 1))) for m, b in zip(row, box, strict=True)]
            spans.append((offset + sum(e[0] for e in ends), offset + sum(e[1] for e in ends)))
        return spans


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


class _Desk:
    """Tensors that a thread's tiles use one after the other.

    New ones for each tile would be new pages of memory each time, which cost as much as all of the arithmetic.
    """

    def __init__(self, dimension: int, dtype: torch.dtype, most: int) -> None:
        """Room for tiles of up to `most` points."""
        self.place, self.spare = torch.empty(2, most, dtype=torch.float64).unbind(0)
        self.low, self.sum = torch.empty(2, most, dtype=torch.int32).unbind(0)
        self.base = torch.empty(most, dtype=torch.int64)
        self.fractions = torch.empty(dimension, most, dtype=dtype).unbind(0)
        self.values = torch.empty(dimension + 1, most, dtype=dtype).unbind(0)


def _tiles(
    volume: Tensor,
    lattice: Lattice,
    interpolation: Linear | Nearest,
    fill: Sequence[float],
    out: Tensor,
    boxes: Sequence[Sequence[slice]],
) -> None:
    """A share of the tiles."""
    most = max(prod(b.stop - b.start for b in box) for box in boxes)
    desk = _Desk(volume.ndim - 1, out.dtype, most)
    for box in boxes:
        _tile(desk, volume, lattice, interpolation, fill, out, box)


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
    desk: _Desk,
    volume: Tensor,
    lattice: Lattice,
    interpolation: Linear | Nearest,
    fill: Sequence[float],
    out: Tensor,
    box: Sequence[slice],
) -> None:
    """Write one tile (slices x, y, z)."""
    lies = _lies(lattice.span(box), volume.shape[:0:-1])
    targets = [channel[tuple(reversed(box))] for channel in out]
    if lies is _Lies.OUTSIDE:
        for target, value in zip(targets, fill, strict=True):
            target.fill_(value)
        return
    base, fractions = _placed(desk, volume.shape[1:], lattice, interpolation, lies, box)
    n, size = len(base), volume.shape[:0:-1]
    steps = [prod(size[:k]) if size[k] > 1 else 0 for k in range(len(size))]
    if lies is _Lies.PARTLY:
        lines, column = tuple(reversed(box[1:])), torch.arange(box[0].start, box[0].stop)
        beyond = (column < lattice.first[lines][..., None]).logical_or_(column >= lattice.last[lines][..., None])
    for channel, target, value in zip(volume, targets, fill, strict=True):
        rooms = [room[:n] for room in desk.values]
        values = _multilinear(channel.view(-1), base, steps[: len(fractions)], fractions, rooms).view(target.shape)
        target.copy_(values.masked_fill_(beyond, value) if lies is _Lies.PARTLY else values)


def _placed(
    desk: _Desk,
    shape: Sequence[int],
    lattice: Lattice,
    interpolation: Linear | Nearest,
    lies: _Lies,
    box: Sequence[slice],
) -> tuple[Tensor, list[Tensor]]:
    """Of a tile's points the first tap (N,), and the fractions (N,) along x, y(, z), by the arithmetic of the sampler.

    Points that are not inside take some voxel. `Nearest` has no fractions.
    """
    lines, extents = tuple(reversed(box[1:])), [b.stop - b.start for b in reversed(box)]
    points = prod(extents)
    place, spare, low, total, base = (t[:points] for t in (desk.place, desk.spare, desk.low, desk.sum, desk.base))
    fractions, step = [], 1
    for k, n in enumerate(reversed(shape)):
        torch.add(lattice.starts[k][lines][..., None], lattice.along[k][box[0]], out=place.view(extents))
        if isinstance(interpolation, Nearest):
            low.copy_(place.add_(0.5).clamp_(0, n - 1))
        else:
            low.copy_(place if lies is _Lies.INSIDE else torch.clamp(place, 0, max(n - 2, 0), out=spare))
            if lies is _Lies.INSIDE:
                place.frac_()
            else:
                place.sub_(spare.copy_(low)).clamp_(0, min(n - 1, 1))
            fractions.append(desk.fractions[k][:points].copy_(place))
        if prod(shape) >= 2**31:
            base.copy_(low) if k == 0 else base.add_(low, alpha=step)
        else:
            total.copy_(low) if k == 0 else total.add_(low, alpha=step)
        step *= n
    return (base if prod(shape) >= 2**31 else base.copy_(total)), fractions


def _multilinear(
    flat: Tensor, base: Tensor, steps: Sequence[int], fractions: Sequence[Tensor], rooms: Sequence[Tensor]
) -> Tensor:
    """The weighted mean of the 2^D voxels from `base` on, x joined first; in the first of D + 1 rooms (N,)."""
    if not steps:
        if flat.dtype == rooms[0].dtype:
            return torch.index_select(flat, 0, base, out=rooms[0])
        return rooms[0].copy_(flat.index_select(0, base))
    low = _multilinear(flat, base, steps[:-1], fractions, rooms)
    high = _multilinear(flat[steps[-1] :], base, steps[:-1], fractions, rooms[1:])
    return low.lerp_(high, fractions[len(steps) - 1])


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
