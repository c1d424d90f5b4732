"""Kernels one after another over an image, a block of it at a time, so that what lies between them stays in the cache.

A volume under three passes is read once and written once. Whole images would be written, and read again, at every tap;
and the pages of memory that each new one takes cost more than the arithmetic of a short kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from math import isfinite, prod

import torch
from torch import Tensor

from medreg.sample.sharing import shared
from medreg.vision.filters.borders import Border, Run, runs_of
from medreg.vision.filters.passes import LONG, Pass

ROOM = 2**19
"""Bytes of a block of the result: what a core's own cache holds."""

ROOM_LONG = 2**22
"""The same under long kernels, which read each voxel less often, and more of those that blocks share."""

ROOM_ALONE = 2**20
"""The same under one kernel at a time, along the axes of which blocks are long."""

ALONE = 64
"""Taps along an axis above which kernels go one by one: blocks under several would share more than they hold."""

LINE = 512
"""Voxels of a line in a block, where no kernel runs along it."""

SHARES = 4
"""Shares of the blocks for each thread."""

Margins = Sequence[tuple[int, int]]
"""Voxels before and after, for each space axis."""


@dataclass(frozen=True)
class Cut:
    """A part of an axis of the result.

    Attributes:
        place: which voxels of it.
        runs: what of the image a block takes there, that inside the image first; nothing of the axis of items.
        strips: what it takes from itself after that, of an axis that is whole in it.
    """

    place: slice
    runs: Sequence[Run] = ()
    strips: Sequence[Run] = ()


@dataclass(frozen=True, eq=False)
class Course:
    """What goes over an image.

    Attributes:
        passes: the kernels, of as many axes as there are space axes.
        margins: by how much the border continues each of the axes.
        border: what lies there.
        fill: the value of a `Fill` that goes with (N, z, y, x).
        room: bytes of a block of the result.
    """

    passes: Sequence[Pass]
    margins: Margins
    border: Border
    fill: Tensor | None
    room: int

    @property
    def reach(self) -> list[int]:
        """By how many voxels the kernels make each axis shorter."""
        return [sum(one.size[k] - 1 for one in self.passes) for k in range(len(self.margins))]


def by_blocks(data: Tensor, passes: Sequence[Pass], margins: Margins, border: Border, fill: Tensor | None) -> Tensor:
    """`data`, continued by its border, correlated with one kernel after another wherever all of them fit.

    The result does not depend on the number of threads.

    Args:
        data: (..., z, y, x), without gradient.
        passes: the kernels, of as many axes as there are space axes.
        margins: by how much the border continues each of them.
        border: what lies there.
        fill: the value of a `Fill`, see `borders.filling`.

    Returns:
        (..., z, y, x), each longer by its margins and shorter by the kernels' taps less one each.
    """
    d = len(margins)
    leading, space = data.shape[: data.ndim - d], data.shape[data.ndim - d :]
    values = None if fill is None else fill.expand(*leading, *[1] * d).reshape(-1, *[1] * d)
    lines = data.reshape(-1, *space)
    for course in _courses(passes, margins, border, values):
        lines = _run(lines, course)
    return lines.view(*leading, *lines.shape[1:])


def _courses(passes: Sequence[Pass], margins: Margins, border: Border, fill: Tensor | None) -> list[Course]:
    """All kernels at once, or one after another."""
    longest = max(n for one in passes for n in one.size)
    if len(passes) == 1 or longest <= ALONE:
        return [Course(passes, margins, border, fill, ROOM_LONG if longest > LONG else ROOM)]
    courses, left = [], list(margins)
    for one in passes:
        mine = [margin if n > 1 else (0, 0) for margin, n in zip(left, one.size, strict=True)]
        left = [(0, 0) if n > 1 else margin for margin, n in zip(left, one.size, strict=True)]
        courses.append(Course([one], mine, border, fill, ROOM_ALONE))
        fill = None if fill is None else fill * sum(weight for _, weight in one.taps)  # beyond is filtered, too
    return courses


def _run(data: Tensor, course: Course) -> Tensor:
    """(N, z, y, x) under some of the kernels."""
    reach = course.reach
    sizes = [n + sum(margin) - r for n, margin, r in zip(data.shape[1:], course.margins, reach, strict=True)]
    out = data.new_empty((len(data), *sizes))
    room = course.room // data.element_size()
    extents = _extents(out.shape, [0, *reach], room) if data.device.type == "cpu" else out.shape
    blocks = _blocks(data.shape[1:], course, out.shape, extents)
    each = -(-len(blocks) // (SHARES * torch.get_num_threads()))
    shares = [blocks[k : k + each] for k in range(0, len(blocks), each)]
    shared(partial(_several, data, course, out), shares, data)
    return out


class _Room:
    """Tensors that blocks of one shape use one after the other; new ones each time would be new pages of memory."""

    def __init__(self, shape: tuple[int, ...], course: Course, like: Tensor) -> None:
        """Room for a block of `shape` (N, z, y, x) of the result."""
        reach = [0, *course.reach]
        self.piece = like.new_empty([n + r for n, r in zip(shape, reach, strict=True)])
        self.stages = [self.piece]
        for one in course.passes[:-1]:
            self.stages.append(like.new_empty(one.kept(tuple(self.stages[-1].shape))))
        self.writes = [one.quickly(stage) for one, stage in zip(course.passes, self.stages, strict=True)]

    def run(self, course: Course, out: Tensor) -> None:
        """From the piece to the result."""
        targets = [*self.stages[1:], out]
        for write, target in zip(self.writes, targets, strict=True):
            write(target)
        if any(one.band is not None for one in course.passes) and not isfinite(float(out.sum())):
            for one, stage, target in zip(course.passes, self.stages, targets, strict=True):
                one.surely(stage)(target)


def _several(data: Tensor, course: Course, out: Tensor, blocks: Sequence[tuple[Cut, ...]]) -> None:
    """Write these blocks of the result (N, z, y, x)."""
    rooms: dict[tuple[int, ...], _Room] = {}
    for block in blocks:
        first, *others = block
        target = out[tuple(cut.place for cut in block)]
        shape = tuple(target.shape)
        if shape not in rooms:
            rooms[shape] = _Room(shape, course, data)
        fill = None if course.fill is None else course.fill[first.place]
        _load(data[first.place], fill, others, rooms[shape].piece)
        rooms[shape].run(course, target)


def _load(data: Tensor, fill: Tensor | None, cuts: Sequence[Cut], piece: Tensor) -> None:
    """Set `piece` (N, z, y, x) to what the kernels need for a block."""
    for runs in product(*(cut.runs for cut in cuts)):
        _copy(data, fill, runs, piece)
    for axis, cut in enumerate(cuts, 1):
        inside = cut.runs[0].places
        line = piece.narrow(axis, inside.start, inside.stop - inside.start)
        for strip in cut.strips:
            others = (Run(slice(None), slice(None)),) * piece.ndim
            _copy(line, fill, (*others[: axis - 1], strip, *others[axis:-1]), piece)


def _copy(data: Tensor, fill: Tensor | None, runs: Sequence[Run], piece: Tensor) -> None:
    """Set those places of `piece`, for one run along each space axis."""
    places = (slice(None), *(run.places for run in runs))
    voxels = (slice(None), *(run.voxels for run in runs if run.voxels is not None))
    if fill is not None and len(voxels) < len(places):
        piece[places] = fill
        return
    turned = [axis for axis, run in enumerate(runs, 1) if run.is_turned]
    piece[places] = data[voxels].flip(turned) if turned else data[voxels]


def _extents(shape: Sequence[int], reach: Sequence[int], room: int) -> list[int]:
    """A block of at most `room` voxels: lines of the last axis, the others longest where blocks share most."""
    extents = [1] * (len(shape) - 1) + [min(shape[-1], room if reach[-1] else LINE)]
    while True:
        free = [k for k, (n, extent) in enumerate(zip(shape, extents, strict=True)) if extent < n]
        if not free or 2 * prod(extents) > room:
            return extents
        longest = max(free, key=lambda k: (reach[k] / extents[k], k))
        extents[longest] = min(2 * extents[longest], shape[longest])


def _blocks(
    space: Sequence[int], course: Course, shape: Sequence[int], extents: Sequence[int]
) -> list[tuple[Cut, ...]]:
    """The result (N, z, y, x), of `shape`, cut into blocks of at most these extents."""
    axes = [[Cut(place) for place in _places(shape[0], extents[0])]]
    for n, (before, _), reach, *cut in zip(space, course.margins, course.reach, shape[1:], extents[1:], strict=True):
        places = _places(*cut)
        runs = [runs_of(n, place.start - before, place.stop - before + reach, course.border) for place in places]
        if len(places) == 1:
            axes.append([Cut(places[0], runs[0][:1], runs[0][1:])])
        else:
            axes.append([Cut(place, each) for place, each in zip(places, runs, strict=True)])
    return list(product(*axes))


def _places(n: int, extent: int) -> list[slice]:
    """Pieces of nearly one length."""
    count = -(-n // extent)
    return [slice(start, stop) for start, stop in pairwise(k * n // count for k in range(count + 1))]
