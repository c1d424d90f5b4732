"""Luma and chroma of RGB: gray, YIQ and YCbCr. Channels are the first axis."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from medreg.types import FloatArray
from medreg.vision.colour.light import combined
from medreg.vision.colour.standards import REC_601, Luma

_U, _V, _TURN = 0.492111, 0.877283, math.radians(33)
"""NTSC: U = 0.492111 (B - Y), V = 0.877283 (R - Y); I and Q are V and U turned by 33 degrees (SMPTE 170M)."""


def _of_ntsc() -> FloatArray:
    luma = np.array([REC_601.red, REC_601.green, REC_601.blue])
    u, v = _U * (np.array([0.0, 0.0, 1.0]) - luma), _V * (np.array([1.0, 0.0, 0.0]) - luma)
    turned = [v * math.cos(_TURN) - u * math.sin(_TURN), v * math.sin(_TURN) + u * math.cos(_TURN)]
    return np.asarray([luma, *turned], dtype=np.float64)


_YIQ = _of_ntsc()
_FROM_YIQ = np.linalg.inv(_YIQ).astype(np.float64)


def gray_from_rgb(values: Tensor, luma: Luma) -> Tensor:
    """(1, ...): the luma."""
    return combined([(luma.red, luma.green, luma.blue)], values)


def rgb_from_gray(values: Tensor) -> Tensor:
    """(3, ...): R = G = B."""
    return torch.cat([values] * 3)


def yiq_from_rgb(values: Tensor) -> Tensor:
    """NTSC's Y, I, Q."""
    return combined(_YIQ, values)


def rgb_from_yiq(values: Tensor) -> Tensor:
    """The inverse of `yiq_from_rgb`."""
    return combined(_FROM_YIQ, values)


def ycbcr_from_rgb(values: Tensor, luma: Luma) -> Tensor:
    """Y, and B - Y and R - Y scaled to -0.5 to 0.5 (with `REC_601` ITU-T T.871's, which is JPEG's, less its 128)."""
    red, _, blue = values
    (y,) = gray_from_rgb(values, luma)
    return torch.stack([y, (blue - y) / (2 - 2 * luma.blue), (red - y) / (2 - 2 * luma.red)])


def rgb_from_ycbcr(values: Tensor, luma: Luma) -> Tensor:
    """The inverse of `ycbcr_from_rgb`."""
    y, cb, cr = values
    red, blue = y + (2 - 2 * luma.red) * cr, y + (2 - 2 * luma.blue) * cb
    return torch.stack([red, (y - luma.red * red - luma.blue * blue) / luma.green, blue])
