"""A contact sheet: the middle slices of several images, side by side in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np

from medreg.geometry.grid import Grid
from medreg.types import FloatArray

if TYPE_CHECKING:
    from medreg.image import MedImage

_GAP = 2
"""Pixels between pictures."""
_ENDS = (0.5, 99.5)
"""Percentiles of all values shown that become black and white."""


def contact_sheet(images: Sequence[MedImage]) -> MedImage:
    """The middle slices across all axes of each image (a 2D one itself), three side by side, all on one sheet.

    Pixels are square millimetres wherever the voxels are: each slice is drawn to scale by nearest voxels. The patient's
    left is on the right of the picture, head up, and the face up where it is seen from below.

    Args:
        images: scalar ones, or the first volume of each.
    """
    import torch

    from medreg.image import MedImage

    slices = [_slices(image) for image in images]
    flat = np.concatenate([part.ravel() for row in slices for part in row])
    finite = flat[np.isfinite(flat)]
    low, high = np.percentile(finite, _ENDS) if finite.size else (0.0, 1.0)
    rows = [_beside([_grey(part, low, high) for part in row]) for row in slices]
    height, width = (max(row.shape[k] for row in rows) + _GAP for k in (0, 1))
    across = max(1, round(sqrt(len(rows) * height / width)))
    sheet = np.zeros((ceil(len(rows) / across) * height, across * width), np.uint8)
    for k, row in enumerate(rows):
        y, x = k // across * height, k % across * width
        sheet[y : y + row.shape[0], x : x + row.shape[1]] = row
    return MedImage.on(Grid.regular(sheet.shape[::-1], (1.0, 1.0)), torch.from_numpy(sheet)[None])


def _slices(image: MedImage) -> list[FloatArray]:
    if image.dimension == 2:
        return [_to_scale(image.data[0].detach().float().cpu().numpy(), image.spacing[::-1])]
    from medreg.ops import reorient  # imports torch

    image = reorient(image, "LPS")  # voxels are exchanged only
    volume = image.data[0].detach().float().cpu().numpy()
    z, y, x = (n // 2 for n in volume.shape)
    dx, dy, dz = image.spacing
    return [
        _to_scale(volume[z], (dy, dx)),
        _to_scale(volume[::-1, y], (dz, dx)),
        _to_scale(volume[::-1, :, x], (dz, dy)),
    ]


def _to_scale(picture: FloatArray, spacing: Sequence[float]) -> FloatArray:
    """With square pixels of the finer spacing."""
    fine = min(spacing)
    index = [
        np.minimum((np.arange(round(n * s / fine)) * fine / s).astype(int), n - 1)
        for n, s in zip(picture.shape, spacing, strict=True)
    ]
    scaled: FloatArray = picture[np.ix_(*index)]
    return scaled


def _grey(picture: FloatArray, low: float, high: float) -> FloatArray:
    span = high - low if high > low else 1.0
    return np.asarray(np.clip((np.nan_to_num(picture) - low) / span, 0, 1) * 255, np.uint8)


def _beside(pictures: Sequence[FloatArray]) -> FloatArray:
    height = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, _GAP))) for p in pictures]
    return np.concatenate(padded, 1)
