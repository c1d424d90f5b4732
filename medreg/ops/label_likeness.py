"""Whether an image looks like a label map, which must not be mixed: told from a few thousand of its voxels."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from medreg.errors import MedregWarning
from medreg.image import MedImage
from medreg.ops.background import Between
from medreg.sample import CubicBSpline, Linear, WindowedSinc

MOST_DIFFERENT = 512
"""Labels that a sample of rows holds, at most: parcellations of a brain have up to a few hundred."""

FEW = 32
"""Different values that are few even for labels."""

LEAST_ALIKE, LEAST_ALIKE_OF_FEW = 0.75, 0.5
"""Of the pairs of neighbours outside the background, the share that is equal: labels fill regions, grey values do not.

The background is the commonest value, so that the white paper of a picture counts as little as the air around a head.
"""

ROWS = 512
"""Rows of voxels that are looked at, evenly spaced over the whole image."""

_MIXED = {Linear: "linearly", CubicBSpline: "by cubic splines", WindowedSinc: "by windowed sincs"}


def looks_like_labels(data: Tensor) -> bool:
    """Whether voxels (C, z, y, x) or (C, y, x) are those of a label map or a mask.

    Their dtype holds whole numbers; they have one channel, no value below 0, few different ones, and regions in which
    neighbours are equal. Rows along x are looked at, 512 at most, so that it takes no time worth speaking of.

    Example:
        >>> labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
        >>> labels[0, 2:6, 2:6] = 7
        >>> looks_like_labels(labels), looks_like_labels(torch.arange(64).view(1, 8, 8))
        (True, False)
    """
    if data.is_floating_point() or data.is_complex() or len(data) != 1 or not data.numel():
        return False
    rows = data.detach().reshape(-1, data.shape[-1])
    rows = rows[torch.arange(min(ROWS, len(rows)), device=rows.device) * len(rows) // min(ROWS, len(rows))].long()
    low, high = (int(end) for end in torch.aminmax(rows))
    if low < 0 or high == 0:
        return False
    values, counts = torch.unique(rows, return_counts=True)
    background = values[counts.argmax()]
    least = LEAST_ALIKE_OF_FEW if len(values) <= FEW else LEAST_ALIKE
    here, there = rows[:, :-1], rows[:, 1:]
    both = (here != background) & (there != background)
    pairs = int(both.sum())
    alike = int((both & (here == there)).sum())
    return pairs > 0 and alike >= least * pairs and len(values) <= MOST_DIFFERENT


def warn_of_mixing(image: MedImage, interpolation: Between) -> None:
    """Warn where a label map is about to be interpolated as if it were grey values."""
    how = _MIXED.get(type(interpolation))
    if how is not None and looks_like_labels(image.data):
        warnings.warn(
            f"{image.name}: looks like a label map and is interpolated {how}, which makes values between its labels; "
            "to keep them take nearest: interpolation=Nearest() (or Label()), on the command line --interpolation "
            "nearest",
            MedregWarning,
            stacklevel=4,
        )
