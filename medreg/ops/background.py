"""What lies outside an image: a value, its edge, or its background as its own border shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.ops.arguments import described, numbers, one_of
from medreg.sample import Fill, Interpolation, Label, Nearest, Outside


@dataclass(frozen=True)
class Background:
    """Points outside take the median of the image's border: its outermost voxels on all faces, each channel for itself.

    Air around a head stays air, at -1000 in a CT image and at 0 in an MR image, and a slide's paper stays white. Of an
    even number of voxels the lower of the middle two counts, so that labels stay labels. It carries no gradient.
    """


Beyond: TypeAlias = Outside | Background

Between: TypeAlias = Interpolation | Label
"""How an image is taken between its voxels: the kernels, and `Label` for label maps."""


def resolved(outside: Beyond, data: Tensor, interpolation: Between) -> Outside:
    """The policy as the sampler knows it, for voxels `data` (C, z, y, x) or (C, y, x).

    A fill of several values, a list or a tensor (C,) or (C, 1), is one for each channel.

    Raises:
        UsageError: no policy, or a fill that is no number or has another number of them.
        ImageError: a fill that the voxels cannot hold.
    """
    one_of(outside, Beyond, "outside")
    one_of(interpolation, Between, "interpolation")
    if data.is_complex() and not isinstance(interpolation, Nearest):
        raise ImageError("image: complex numbers are not interpolated; take their magnitude (abs), or use Nearest()")
    if isinstance(outside, Background):
        return Fill(border_median(data)[:, None])
    if not isinstance(outside, Fill):
        return outside
    whole = isinstance(interpolation, Nearest | Label) and not data.is_floating_point()
    return _filling(outside.value, len(data), data.dtype if whole else None)


def _filling(value: object, channels: int, whole: torch.dtype | None) -> Fill:
    """A fill of one value or (C, 1); of integers, that it fits into `whole`."""
    if isinstance(value, bool) and whole is torch.bool:
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and (whole is None or isfinite(value)):
        return Fill(value)  # may be not a number, where voxels can hold it
    if isinstance(value, Tensor) and value.dtype.is_floating_point:
        given = value
    elif isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, float | int) for v in value):
        given = torch.tensor(value, dtype=torch.float64)
    else:
        given = numbers(value, "outside: Fill")  # type: ignore[arg-type]
    if given.numel() not in (1, channels) or given.ndim > 2 or (given.ndim == 2 and given.shape[1] != 1):
        raise UsageError(
            f"outside: Fill takes one value, or one for each of {channels} channels, got {described(value)}"
        )
    if whole is not None:
        _check_held(given.detach(), whole)
    return Fill(given if given.ndim == 0 else given.reshape(-1, 1))


def _check_held(values: Tensor, dtype: torch.dtype) -> None:
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    if not all(isfinite(v) and v == int(v) and low <= v <= high for v in values.reshape(-1).tolist()):
        raise ImageError(
            f"{dtype} voxels cannot hold the fill value {values.squeeze().tolist()}; choose a whole number {low} to "
            f"{high}"
        )


def border_median(data: Tensor) -> Tensor:
    """(C,) the median of each channel's outermost voxels, in the dtype of `data` (C, z, y, x) or (C, y, x).

    Example:
        >>> border_median(torch.tensor([[[5, 5, 5], [5, 9, 0], [5, 5, 0]]]))
        tensor([5])
    """
    border = torch.ones(data.shape[1:], dtype=torch.bool, device=data.device)
    if min(data.shape[1:]) > 2:
        border[(slice(1, -1),) * border.ndim] = False
    at_border = data.detach()[:, border]
    if at_border.dtype == torch.bool:
        return at_border.byte().median(1).values.bool()
    return at_border.median(1).values
