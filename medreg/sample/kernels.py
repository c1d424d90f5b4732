"""Interpolation kernels: weights of the voxels around a point along one axis, by its place between two of them."""

from __future__ import annotations

import torch
from torch import Tensor


def linear_weights(fraction: Tensor) -> list[Tensor]:
    """Of the voxels at 0 and 1, for a point at `fraction` (N,), 0 to 1."""
    return [1 - fraction, fraction]


def cubic_weights(fraction: Tensor) -> list[Tensor]:
    """Of the coefficients at -1, 0, 1, 2: the cubic B-spline (Unser 1999, doi:10.1109/79.799930)."""
    rest = 1 - fraction
    first, last = rest**3 / 6, fraction**3 / 6
    return [first, 2 / 3 - fraction**2 * (2 - fraction) / 2, 2 / 3 - rest**2 * (2 - rest) / 2, last]


def lanczos_weights(fraction: Tensor, radius: int) -> list[Tensor]:
    """Of the voxels at 1 - radius, ..., radius: sinc(x) sinc(x / radius), scaled to sum 1.

    Meijering, Niessen, Viergever, "Quantitative evaluation of convolution-based methods for medical image
    interpolation", 2001, doi:10.1016/S1361-8415(00)00040-2.
    """
    distances = [fraction - k for k in range(1 - radius, radius + 1)]
    weights = [torch.sinc(x) * torch.sinc(x / radius) for x in distances]
    total = torch.stack(weights).sum(0)
    return [w / total for w in weights]
