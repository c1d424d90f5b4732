"""Correlation with one kernel, where it fits: shifted sums, sums of ever more voxels, products with a banded matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from operator import mul

import torch
from torch import Tensor

LONG = 12
"""Taps of a kernel along one axis above which products with a banded matrix are faster than as many shifted sums."""

SHORT = 3
"""Taps, all alike, above which sums of twice as many voxels each time are faster."""

CHUNK = 32
"""Voxels of a line that one product with the banded matrix gives."""

Write = Callable[[Tensor], None]
"""Writes a result into a tensor of its size."""


@dataclass(frozen=True, eq=False)
class Pass:
    """A kernel made ready to go over an image (..., z, y, x): out[i] = sum over j of kernel[j] data[i + j].

    Attributes:
        size: its taps along the space axes.
        taps: which of them are not 0, and their weights.
        axis: the longest, counted from the end.
        is_box: whether it runs along one axis alone, with more than `SHORT` taps, all alike.
        band: (CHUNK, CHUNK + n - 1), on its diagonals the n taps of another that is long and runs along one axis alone.
    """

    size: tuple[int, ...]
    taps: tuple[tuple[tuple[int, ...], float], ...]
    axis: int
    is_box: bool
    band: Tensor | None

    @staticmethod
    def by(kernel: Tensor) -> Pass:
        """A kernel of as many axes as there are space axes, in the image's dtype."""
        size = tuple(kernel.shape)
        weights = kernel.detach().flatten().tolist()
        taps = tuple((at, w) for at, w in zip(product(*map(range, size)), weights, strict=True) if w)
        n = max(size)
        line = kernel.detach().reshape(-1) if n == len(weights) else None
        box = line is not None and n > SHORT and weights[0] != 0 and len(set(weights)) == 1
        band = _band(line) if line is not None and n > LONG and not box else None
        return Pass(size, taps, size.index(n) - len(size), box, band)

    def kept(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (..., z, y, x) of what comes out of one."""
        lead = len(shape) - len(self.size)
        return (*shape[:lead], *(n - k + 1 for n, k in zip(shape[lead:], self.size, strict=True)))

    def quickly(self, data: Tensor) -> Write:
        """From `data`, the fastest way; with a band, where all of it is finite."""
        if self.band is not None:
            return partial(_multiplied, data, self.axis, self.band)
        if self.is_box:
            return _doubled(data, self.axis, len(self.taps), self.taps[0][1])
        return self.surely(data)

    def surely(self, data: Tensor) -> Write:
        """From `data`, tap after tap: what is not finite reaches as far as the kernel, and no further."""
        kept, strides, first = self.kept(tuple(data.shape)), data.stride(), data.storage_offset()
        starts = [first + sum(map(mul, at, strides[-len(at) :])) for at, _ in self.taps]
        windows = [data.as_strided(kept, strides, start) for start in starts]  # sooner made than by slices
        return partial(_summed, [(one, weight) for one, (_, weight) in zip(windows, self.taps, strict=True)])


def _summed(terms: list[tuple[Tensor, float]], out: Tensor) -> None:
    if not terms:
        out.zero_()
        return
    (first, weight), *others = terms
    torch.mul(first, weight, out=out)
    for other, weight in others:
        out.add_(other, alpha=weight)


def _doubled(data: Tensor, axis: int, n: int, weight: float) -> Write:
    """A weight times the sum of n voxels, from sums of 1, 2, 4, ... of them: of 7 by 4 additions, of 100 by 8."""
    terms: list[tuple[Tensor, float]] = []
    steps: list[tuple[Tensor, Tensor, Tensor]] = []
    count, width, at = data.shape[axis] - n + 1, 1, 0
    while True:
        if n & width:
            terms.append((data.narrow(axis, at, count), weight))
            at += width
        if 2 * width > n:
            return partial(_added, steps, terms)
        length = data.shape[axis] - width
        one, other = data.narrow(axis, 0, length), data.narrow(axis, width, length)
        data = torch.empty_like(one, memory_format=torch.contiguous_format)
        steps.append((one, other, data))
        width *= 2


def _added(steps: list[tuple[Tensor, Tensor, Tensor]], terms: list[tuple[Tensor, float]], out: Tensor) -> None:
    for one, other, twice in steps:
        torch.add(one, other, out=twice)
    _summed(terms, out)


def _band(taps: Tensor) -> Tensor:
    n = len(taps)
    offset = torch.arange(CHUNK + n - 1, device=taps.device) - torch.arange(CHUNK, device=taps.device)[:, None]
    return torch.where((offset >= 0) & (offset < n), taps[offset.clamp(0, n - 1)], 0.0)


def _multiplied(data: Tensor, axis: int, band: Tensor, out: Tensor) -> None:
    """A kernel along one axis: pieces of each line times the matrix."""
    chunk, width = band.shape
    count = out.shape[axis]
    for start in range(0, count, chunk):
        rows = min(chunk, count - start)
        matrix, piece = band[:rows, : rows + width - chunk], data.narrow(axis, start, rows + width - chunk)
        target = out.narrow(axis, start, rows)
        if axis == -1:  # one product over all lines
            target.copy_((piece.reshape(-1, piece.shape[-1]) @ matrix.T).view(target.shape))
        else:
            lines = piece.reshape(*piece.shape[: axis + 1], -1) if axis < -1 else piece
            target.copy_((matrix @ lines).view(target.shape))
