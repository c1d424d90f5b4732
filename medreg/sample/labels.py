"""Label maps between voxels: at each point the label with the largest share. No value is mixed, none is new.

Linear interpolation of one label's indicator (1 where a voxel bears it, else 0) at a point is the sum of the weights of
those of its 2^D voxels that bear the label. So all labels that have any share there are among these voxels, and nothing
need be done label by label: time and memory do not depend on how many labels there are. Where all 2^D agree, as almost
everywhere in a label map, no weight is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import floor, prod
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.sample.continuing import extended, folded
from medreg.sample.interpolation import ZERO, Edge, Fill, Outside, check_fits, inside_buffer, pair_of
from medreg.sample.sharing import MOST, shared

TIE = 1e-5
"""Shares that differ by less are equal: far above rounding, far below what an outline shows."""
MOST_SAMPLES = 8
"""Points along an axis of a voxel, at most, where their number is not given."""
_TABLE = 1 << 24
"""Labels that span fewer numbers than this are listed by a table, others by sorting all voxels."""

Place: TypeAlias = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""From the coordinates of a lattice along x, y(, z), in voxels of the result, to the places of all of its points, in
voxels of the volume: one flat tensor for each of x, y(, z), x running fastest."""


@dataclass(frozen=True)
class Label:
    """For label maps: the label with the largest share at a point, linear between voxels; the dtype stays.

    It is the idea of the "generic label" interpolation of ITK and ANTs: each label's indicator is interpolated linearly
    and the largest wins, so outlines come out straighter than `Nearest` draws them. Of equal shares the smallest label
    wins, whichever way the grids are turned. No gradient.

    Where voxels become larger, one point does not speak for a voxel: then `samples` points along each of its axes vote,
    and it gets the label that most of them have, again the smallest of equals. A label that fills the lesser part of
    every voxel is lost then, as it must be.

    Attributes:
        samples: points along each axis of a voxel of the result that vote; 1 is its centre alone, as in ITK. None takes
            as many as voxels of the image go into one of the result along that axis, 8 at most.

    Example:
        >>> from medreg.geometry.grid import Grid
        >>> from medreg.image import MedImage
        >>> from medreg.sample import Label, resample
        >>> labels = MedImage.on(Grid.regular((4, 1), (2.0, 2.0)), torch.tensor([[[0, 7, 7, 9]]]))
        >>> resample(labels, Grid.regular((7, 1), (1.0, 1.0)), interpolation=Label()).data.tolist()
        [[[0, 0, 7, 7, 7, 7, 9]]]
    """

    samples: int | None = None

    def __post_init__(self) -> None:
        if self.samples is not None and not 1 <= self.samples <= 16:
            raise ImageError(f"a label map is sampled at 1 to 16 points along an axis of a voxel, got {self.samples}")


def vote(volume: Tensor, place: Place, shape: Sequence[int], label: Label, outside: Outside = ZERO) -> Tensor:
    """The labels of `volume` (C, z, y, x) or (C, y, x) on a lattice (z, y, x) or (y, x), each channel for itself.

    Args:
        volume: of any real dtype; whole numbers or not, each value is a label.
        place: where the points of the lattice lie in the volume.
        shape: of the result.
        label: how many points vote.
        outside: what points outside the buffer get; `Edge` the label at the nearest point inside.

    Returns:
        (C, *shape) in the dtype of `volume`.

    Raises:
        ImageError: complex voxels, NaN, or a fill value that the dtype cannot hold.
    """
    inner = place
    if not isinstance(outside, Fill | Edge):
        size, on = volume.shape[:0:-1], outside
        for axis in range(1, volume.ndim):
            volume = extended(volume, axis, 0, on)

        def inner(lattice: Sequence[Tensor]) -> Sequence[Tensor]:
            return [folded(x, n, on) for x, n in zip(place(lattice), size, strict=True)]

        outside = Edge()
    codes, values = coded(volume)
    fill = 0
    if isinstance(outside, Fill):
        values, codes, fill = _with_fill(values, codes, outside, volume.dtype)
    counts = samples_of(place, shape, label, volume.device)
    blocks = _blocks(shape, counts)
    out = torch.empty(len(volume), *shape, dtype=codes.dtype, device=volume.device)
    for channel, target in zip(codes, out, strict=True):
        poll = _Poll(channel, None if isinstance(outside, Edge) else fill)

        def work(block: Sequence[slice], poll: _Poll = poll, target: Tensor = target) -> None:
            lattice = [_between(b, k, volume.device) for b, k in zip(block, counts, strict=True)]
            labels = poll.at(inner(lattice)).view([len(along) for along in reversed(lattice)])
            target[tuple(reversed(block))] = _majority(labels, counts[::-1])

        shared(work, blocks, codes)
    return values.index_select(0, out.flatten().int()).view(out.shape)


def coded(volume: Tensor) -> tuple[Tensor, Tensor]:
    """The place of each voxel's value in the list of all values, and that list, rising.

    Returns:
        (C, z, y, x) int16, or int32 where the list is long; (V,) in the dtype of `volume`.

    Raises:
        ImageError: complex numbers or NaN, which are no labels.
    """
    if volume.is_complex() or (volume.is_floating_point() and bool(volume.isnan().any())):
        raise ImageError(
            f"labels are real numbers, got {'NaN' if volume.is_floating_point() else volume.dtype}; replace them first"
        )
    data = volume.detach()
    whole = data.to(torch.int64) if _is_whole(data) else None
    if whole is not None:
        low = int(whole.amin())
        span = int(whole.amax()) - low + 1
        if span <= _TABLE:
            table = torch.zeros(span, dtype=torch.bool, device=data.device)
            flat = whole.sub_(low).flatten() if whole is not data else (whole - low).flatten()
            table[flat] = True
            places = table.cumsum(0).sub_(1).to(_code_dtype(span))
            values = (table.nonzero().squeeze(1) + low).to(volume.dtype)
            return places.index_select(0, flat).view(volume.shape), values
    values, inverse = torch.unique(data, return_inverse=True)
    return inverse.to(_code_dtype(len(values))), values


def samples_of(place: Place, shape: Sequence[int], label: Label, device: torch.device | None = None) -> list[int]:
    """Points along x, y(, z) of a voxel of the result that vote: how many voxels one step along that axis passes."""
    d = len(shape)
    if label.samples is not None:
        return [label.samples] * d
    coarse = [torch.linspace(0, n - 1, min(n, 5), dtype=_precision(device), device=device) for n in reversed(shape)]
    here = place(coarse)
    counts = []
    for axis in range(d):
        there = place([along + 1 if k == axis else along for k, along in enumerate(coarse)])
        passed = torch.stack([(a - b).abs() for a, b in zip(here, there, strict=True)]).amax(0)
        passed = passed[passed.isfinite()]
        ratio = float(passed.median()) if len(passed) else 1.0
        counts.append(min(max(floor(ratio + 0.5 + 1e-6), 1), MOST_SAMPLES))
    return counts


class _Poll:
    """One channel of codes, made ready to be asked at points."""

    def __init__(self, codes: Tensor, fill: int | None) -> None:
        """Codes (z, y, x) or (y, x), and the code of points outside, None for the nearest inside."""
        self.size = tuple(reversed(codes.shape))
        self.fill = fill
        self._codes = codes.reshape(-1)
        self._cells = _agreed(codes).view(-1)
        self._steps = [prod(self.size[:k]) if n > 1 else 0 for k, n in enumerate(self.size)]

    def at(self, axes: Sequence[Tensor]) -> Tensor:
        """The winning codes (N,) at places (N,) along x, y(, z)."""
        if self.fill is None:
            axes = [x.nan_to_num(0.0).clamp(0, n - 1) for x, n in zip(axes, self.size, strict=True)]
        else:
            inside = inside_buffer(axes, self.size)
            axes = [x.nan_to_num(0.0) for x in axes]
        pairs = [pair_of(x, n) for x, n in zip(axes, self.size, strict=True)]
        base = torch.zeros_like(pairs[0][0], dtype=torch.int64)
        for (low, _), step in zip(pairs, self._steps, strict=True):
            base.add_(low, alpha=step)
        winner = self._cells.index_select(0, base)
        mixed = winner < 0 if self.fill is None else (winner < 0).logical_and_(inside)
        some = mixed.nonzero().squeeze(1)
        if len(some):
            fractions = [
                place.index_select(0, some).float().clamp_(0, min(n - 1, 1))
                for (_, place), n in zip(pairs, self.size, strict=True)
            ]
            winner[some] = self._largest(base.index_select(0, some), fractions)
        return winner if self.fill is None else winner.masked_fill_(inside.logical_not_(), self.fill)

    def _largest(self, base: Tensor, fractions: Sequence[Tensor]) -> Tensor:
        """Of the voxels from `base` (M,) on, the code whose weights sum highest; the smallest of equals."""
        codes, weights = [], []
        for corner in product((0, 1), repeat=len(fractions)):
            shift = sum(step for step, far in zip(self._steps, corner, strict=True) if far)
            codes.append(self._codes.index_select(0, base + shift))
            weight = torch.ones_like(fractions[0])
            for fraction, far in zip(fractions, corner, strict=True):
                weight *= fraction if far else 1 - fraction
            weights.append(weight)
        bearer, share = torch.stack(codes), torch.stack(weights)
        totals = torch.stack([(share * (bearer == code)).sum(0) for code in codes])
        best = totals >= totals.amax(0) - TIE
        return bearer.masked_fill(~best, torch.iinfo(bearer.dtype).max).amin(0)


def _agreed(codes: Tensor) -> Tensor:
    """For each voxel the code that it and the next along every axis all have; -1 where they differ."""
    low = high = codes
    for axis, n in enumerate(codes.shape):
        if n > 1:
            low = torch.minimum(low.narrow(axis, 0, n - 1), low.narrow(axis, 1, n - 1))
            high = torch.maximum(high.narrow(axis, 0, n - 1), high.narrow(axis, 1, n - 1))
    cells = codes.clone()  # the last voxels of an axis are never the lower of a pair
    cells[tuple(slice(0, n) for n in low.shape)] = torch.where(low == high, low, -1)
    return cells


def _majority(labels: Tensor, counts: Sequence[int]) -> Tensor:
    """The commonest code of each box of `counts` (z, y, x) points, the smallest of equals."""
    most = prod(counts)
    if most == 1:
        return labels
    d = len(counts)
    split = [part for n, k in zip(labels.shape, counts, strict=True) for part in (n // k, k)]
    boxes = labels.view(split).permute(*range(0, 2 * d, 2), *range(1, 2 * d, 2)).reshape(-1, most)
    winner, high = boxes.amin(1), boxes.amax(1)
    some = (winner != high).nonzero().squeeze(1)
    if len(some):
        rising = boxes.index_select(0, some).sort(1).values
        number = torch.arange(most, device=labels.device)
        begins = torch.ones_like(rising, dtype=torch.bool)
        begins[:, 1:] = rising[:, 1:] != rising[:, :-1]
        run = number - torch.where(begins, number, 0).cummax(1).values
        winner[some] = rising.gather(1, run.argmax(1, keepdim=True)).squeeze(1)  # the first of equal runs
    return winner.view([n // k for n, k in zip(labels.shape, counts, strict=True)])


def _blocks(shape: Sequence[int], counts: Sequence[int]) -> list[list[slice]]:
    """Boxes of the result, slices x, y(, z), of about as many points as stay in the cache: some rows of one plane."""
    size = list(reversed(shape))
    rows = max(1, MOST // (prod(counts) * size[0]))
    starts = [range(0, size[1], rows), *(range(n) for n in size[2:])]
    blocks = []
    for first, *planes in product(*starts):
        above = [slice(k, k + 1) for k in planes]
        blocks.append([slice(0, size[0]), slice(first, min(first + rows, size[1])), *above])
    return blocks


def _between(block: slice, count: int, device: torch.device) -> Tensor:
    """Coordinates along one axis of the points that vote, evenly inside the voxels of a block."""
    first = block.start * count
    numbers = torch.arange(first, block.stop * count, dtype=_precision(device), device=device)
    return (numbers + 0.5) / count - 0.5


def _with_fill(values: Tensor, codes: Tensor, outside: Fill, dtype: torch.dtype) -> tuple[Tensor, Tensor, int]:
    """The list of values with the fill value in its place, the codes by that list, and the fill value's."""
    value = float(outside.value) if isinstance(outside.value, Tensor) else outside.value
    check_fits(value, dtype)
    fill = torch.tensor([int(value) if not dtype.is_floating_point else value], dtype=dtype, device=values.device)
    at = int(torch.searchsorted(values, fill)) if dtype != torch.bool else int(value) and int(not bool(values[0]))
    if at < len(values) and bool(values[at] == fill[0]):
        return values, codes, at
    codes = codes.to(_code_dtype(len(values) + 1))
    return torch.cat([values[:at], fill, values[at:]]), codes + (codes >= at).to(codes.dtype), at


def _is_whole(data: Tensor) -> bool:
    """Whether all voxels are whole numbers that int64 holds."""
    if not data.is_floating_point():
        return True
    return bool(((data == data.round()) & (data.abs() < 2**62)).all())


def _code_dtype(count: int) -> torch.dtype:
    return torch.int16 if count < 2**15 - 1 else torch.int32


def _precision(device: torch.device | None) -> torch.dtype:
    """What coordinates are computed in; Apple's GPUs have no float64."""
    return torch.float32 if device is not None and device.type == "mps" else torch.float64
