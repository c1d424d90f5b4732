"""Pictures side by side: what the other scripts of this folder write."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import medreg

GAP = 4
"""Pixels of white between two pictures."""


def side_by_side(*pictures: Tensor, times: int = 1, gap: int = GAP) -> medreg.MedImage:
    """Pictures (y, x), (1, y, x) or (3, y, x) of 0 to 1 in a row, each pixel `times` as large; uint8."""
    return stored(joined([enlarged(p if p.ndim == 3 else p[None], times) for p in pictures], 2, gap))


def joined(pictures: Sequence[Tensor], axis: int, gap: int = GAP) -> Tensor:
    """Pictures (C, y, x), one after the other along an axis, with white between them."""
    shape = list(pictures[0].shape)
    shape[axis] = gap
    white = pictures[0].new_ones(shape)
    return torch.cat([part for picture in pictures for part in (white, picture)][1:], axis)


def enlarged(picture: Tensor, times: int) -> Tensor:
    """Every pixel of (..., y, x) so many times along both sides."""
    return picture.repeat_interleave(times, -2).repeat_interleave(times, -1)


def lit(*pictures: Tensor) -> list[Tensor]:
    """Pictures as shares of the last one's largest value, and of these the roots, so that faint points show, too."""
    most = pictures[-1].max()
    return [(picture / most).clamp(0, 1).sqrt() for picture in pictures]


def stored(picture: Tensor) -> medreg.MedImage:
    """A picture (C, y, x) of 0 to 1 as bytes; what is beyond is cut off."""
    levels = (255 * picture.clamp(0, 1)).round().to(torch.uint8)
    return medreg.MedImage.on(medreg.Grid.regular(levels.shape[:0:-1], (1.0, 1.0)), levels)
