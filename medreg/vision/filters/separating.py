"""Kernels as products of smaller ones: an outer product filters as well, and faster, one axis after another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_PASS = 3
"""What one more pass over the image costs beside its taps, in taps: the voxels beyond the border."""


def factors(kernel: Tensor, tolerance: float) -> list[Tensor]:
    """Kernels whose outer product is `kernel`, or the kernel itself where it has none that is cheaper.

    One axis after another is tried: a kernel that, unfolded along an axis, is a matrix of rank 1 is the product of a
    kernel along that axis and one along the others, which is split further.

    Args:
        kernel: (kz, ky, kx) or fewer axes, float64, without gradient.
        tolerance: of the kernel's norm, how much the product may miss.

    Returns:
        Kernels of as many axes; of length 1 along those that they leave alone.

    Example:
        >>> smooth = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
        >>> [tuple(part.shape) for part in factors(smooth[:, None, None] * smooth[:, None] * smooth, 1e-12)]
        [(3, 1, 1), (1, 3, 1), (1, 1, 3)]
    """
    parts = _split(kernel, tolerance)
    return parts if _cost(parts) < _cost([kernel]) else [kernel]


def _split(kernel: Tensor, tolerance: float) -> list[Tensor]:
    long = [axis for axis, n in enumerate(kernel.shape) if n > 1]
    if len(long) < 2:
        return [kernel]
    for axis in long:
        moved = kernel.movedim(axis, 0)
        left, values, right = torch.linalg.svd(moved.reshape(len(moved), -1), full_matrices=False)
        if float(values[1:].norm()) <= tolerance * float(values.norm()):
            shape = [len(moved) if k == axis else 1 for k in range(kernel.ndim)]
            along = (left[:, 0] * values[0].sqrt()).view(shape)
            across = (right[0] * values[0].sqrt()).view(1, *moved.shape[1:]).movedim(0, axis)
            return [along, *_split(across, tolerance)]
    return [kernel]


def _cost(parts: Sequence[Tensor]) -> int:
    return sum(int(part.count_nonzero()) + _PASS for part in parts)
