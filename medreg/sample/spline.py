"""The cubic B-spline prefilter: from voxel values to the coefficients of the spline that passes through them.

Unser, Aldroubi, Eden, "B-spline signal processing: Part II", 1993, doi:10.1109/78.193221; Unser, "Splines: a perfect
fit for signal and image processing", 1999, doi:10.1109/79.799930.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil, log, sqrt

import torch
from torch import Tensor

from medreg.sample.banded import along_axis

POLE = sqrt(3) - 2
"""Of the cubic prefilter: its impulse response is sqrt(3) * POLE^|k|."""


def spline_coefficients(volume: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Coefficients c, of the shape of `volume` (..., C, z, y, x) or (C, y, x), with mirror boundaries (ITK's).

    At the voxel centres (c[k-1] + 4 c[k] + c[k+1]) / 6 along every axis gives the voxels back; beyond the outermost
    centres the signal continues as its mirror image about them. An axis of one voxel is left as it is.

    Args:
        volume: floating point, first axis channels, all others space.
        axes: those to filter along; all axes of space where none are given.
    """
    reach = reach_of(volume.dtype)
    for axis in range(1, volume.ndim) if axes is None else axes:
        if volume.shape[axis] > 1:
            volume = along_axis(volume, axis, partial(_inverse_entries, volume.shape[axis]), reach)
    return volume


def reach_of(dtype: torch.dtype) -> int:
    """Voxels beyond which the prefilter's response is lost in the rounding of `dtype`."""
    return ceil(log(torch.finfo(dtype).eps / 16) / log(-POLE))


def _inverse_entries(n: int, i: Tensor, j: Tensor) -> Tensor:
    """Entries of the inverse of the n x n matrix of values from coefficients, in closed form.

    The mirrored signal has the period 2(n-1): column j meets row i through its images at j + m period and at
    -j + m period, whose powers of the pole are geometric series. The two ends are their own mirror images.
    """
    period = 2 * (n - 1)

    def images(distance: Tensor) -> Tensor:
        return (POLE**distance + POLE ** (period - distance)) / (1 - POLE**period)

    single = (j == 0) | (j == n - 1)
    return sqrt(3) * (images((i - j).abs()) + torch.where(single, 0.0, images(i + j)))
