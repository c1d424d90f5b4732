"""Linear filters along one axis as products with a banded matrix: spline prefilter and Gaussian stand on it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Rows = Callable[[Tensor, Tensor], Tensor]
"""The entries (I, J), float64, of an n x n matrix at rows (I, 1) and columns (1, J)."""

CHUNK = 64
"""Rows a product: with bands of ten or twenty columns the arithmetic stays near the least and the products large."""


def along_axis(volume: Tensor, axis: int, entries: Rows, reach: int) -> Tensor:
    """`volume` multiplied along `axis` by the matrix that `entries` describes and that is zero beyond `reach` columns.

    The entries are made in float64 and multiplied in the volume's dtype. Differentiable to the volume.
    """
    n = volume.shape[axis]
    stacked = volume.reshape(-1, n, volume.shape[axis + 1 :].numel() if axis != -1 else 1)
    parts = []
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        low, high = max(0, start - reach), min(n, stop + reach)
        rows = torch.arange(start, stop, dtype=torch.float64)[:, None]
        columns = torch.arange(low, high, dtype=torch.float64)[None, :]
        band = entries(rows, columns).to(stacked)
        if stacked.shape[2] == 1:  # the last axis: one product over all lines, not one per line
            parts.append((stacked[:, low:high, 0] @ band.T)[..., None])
        else:
            parts.append(band @ stacked[:, low:high])
    return torch.cat(parts, 1).view(volume.shape)
