"""Gaussian smoothing in millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.sample.banded import Rows, along_axis
from medreg.sample.interpolation import working_dtype

TRUNCATE = 4.0
"""Standard deviations after which the kernel ends (scipy's default); 6e-5 of the weight lies beyond."""


def smooth(volume: Tensor, sigma_mm: float | Sequence[float], spacing: Sequence[float]) -> Tensor:
    """`volume` (C, z, y, x) or (C, y, x) under a Gaussian; beyond the image its edge voxels go on.

    Args:
        volume: integers are smoothed in `working_dtype`. Differentiable.
        sigma_mm: standard deviation in millimetres, 0 or more: the same in all directions, or along x, y(, z).
        spacing: millimetres between voxels along x, y(, z).

    Raises:
        ImageError: for a negative sigma, or spacings that do not match the axes.
    """
    d = volume.ndim - 1
    sigmas = list(sigma_mm) if isinstance(sigma_mm, Sequence) else [sigma_mm] * d
    if min(sigmas) < 0 or len(sigmas) != d or len(spacing) != d:
        raise ImageError(
            f"smoothing a volume {tuple(volume.shape)} needs sigma >= 0 and {d} spacings, "
            f"got {sigma_mm} mm and {tuple(spacing)}"
        )
    volume = volume.to(working_dtype(volume.dtype))
    for axis, step, sigma in zip(range(d, 0, -1), spacing, sigmas, strict=True):
        reach = int(TRUNCATE * sigma / step + 0.5)
        if reach > 0 and volume.shape[axis] > 1:
            volume = along_axis(volume, axis, _gaussian(volume.shape[axis], sigma / step, reach), reach)
    return volume


def gaussian_taps(sigma: Tensor, reach: int) -> Tensor:
    """(2 reach + 1,) weights of a Gaussian at whole voxels, of sum 1; differentiable to sigma.

    Args:
        sigma: () standard deviation in voxels, above 0; the weights have its dtype and device.
        reach: voxels to either side.

    Example:
        >>> gaussian_taps(torch.tensor(1.0), 1)
        tensor([0.2741, 0.4519, 0.2741])
    """
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=sigma.dtype, device=sigma.device) / sigma) ** 2)
    return weights / weights.sum()


def _gaussian(n: int, sigma: float, reach: int) -> Rows:
    """The n x n matrix of the kernel along an axis, where the end columns also carry what falls beyond them."""
    kernel = gaussian_taps(torch.tensor(sigma, dtype=torch.float64), reach)
    tails = kernel.flip(0).cumsum(0).flip(0)  # tails[reach + d]: weight at distances d and more

    def entries(i: Tensor, j: Tensor) -> Tensor:
        def at(table: Tensor, distance: Tensor) -> Tensor:
            return torch.where(distance.abs() <= reach, table[(distance.clamp(-reach, reach) + reach).long()], 0.0)

        inner = at(kernel, i - j)
        ends = torch.where(j == 0, at(tails, i - j), at(tails, j - i))
        return torch.where((j == 0) | (j == n - 1), ends, inner)

    return entries
