"""What lies outside an image: a value, its edge, or its background as its own border shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.sample import Edge, Fill, Outside


@dataclass(frozen=True)
class Background:
    """Points outside take the median of the image's border: its outermost voxels on all faces, each channel for itself.

    Air around a head stays air, at -1000 in a CT image and at 0 in an MR image, and a slide's paper stays white. Of an
    even number of voxels the lower of the middle two counts, so that labels stay labels. It carries no gradient.
    """


Beyond: TypeAlias = Outside | Background


def resolved(outside: Beyond, data: Tensor) -> Outside:
    """The policy as the sampler knows it, for voxels `data` (C, z, y, x) or (C, y, x)."""
    if isinstance(outside, Background):
        return Fill(border_median(data)[:, None])
    return outside


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


__all__ = ["Background", "Beyond", "Edge", "Fill", "border_median", "resolved"]
