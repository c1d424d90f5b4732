"""From RGB to light: sRGB's curve, its primaries in XYZ, and cones. Channels are the first axis.

The matrices are derived from sRGB's chromaticities in float64, so that grey has the chromaticity of white to the last
digits; the rounded ones in the standard's text differ by up to 5e-5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medreg.types import FloatArray
from medreg.vision.colour.standards import D65

_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
"""Chromaticities of sRGB's red, green and blue (IEC 61966-2-1)."""

_BEND = 0.04045
"""Below this, and below 0, sRGB's curve is a line."""

_CAT02 = np.array([[0.7328, 0.4296, -0.1624], [-0.7036, 1.6975, 0.0061], [0.0030, 0.0136, 0.9834]])
"""XYZ to cones, CIE 159:2004. Its rows sum to 1: equal energy has L = M = S."""


def _light_of_primaries() -> FloatArray:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in _PRIMARIES]).T
    return np.asarray(columns * np.linalg.solve(columns, np.array(D65.xyz)), dtype=np.float64)


_TO_XYZ = _light_of_primaries()
_FROM_XYZ = np.linalg.inv(_TO_XYZ).astype(np.float64)
_FROM_CAT02 = np.linalg.inv(_CAT02).astype(np.float64)


def combined(matrix: FloatArray | Sequence[Sequence[float]], values: Tensor) -> Tensor:
    """Sums of the channels (3, ...), weighted by the rows of a matrix: no matrix product, which may round to TF32."""
    one, two, three = values
    return torch.stack([float(a) * one + float(b) * two + float(c) * three for a, b, c in matrix])


def linear_from_rgb(values: Tensor) -> Tensor:
    """The curve of sRGB taken off; values below 0 go on along the line, so that colours out of gamut come back."""
    power = ((values.clamp(min=_BEND) + 0.055) / 1.055) ** 2.4
    return torch.where(values > _BEND, power, values / 12.92)


def rgb_from_linear(values: Tensor) -> Tensor:
    """The inverse of `linear_from_rgb`; nothing is clipped."""
    bend = _BEND / 12.92  # not the standard's 0.0031308, at which values just above the bend would not come back
    power = 1.055 * values.clamp(min=bend) ** (1 / 2.4) - 0.055
    return torch.where(values > bend, power, values * 12.92)


def xyz_from_linear(values: Tensor) -> Tensor:
    """Tristimulus values of sRGB's primaries."""
    return combined(_TO_XYZ, values)


def linear_from_xyz(values: Tensor) -> Tensor:
    """The inverse of `xyz_from_linear`."""
    return combined(_FROM_XYZ, values)


def lms_from_xyz(values: Tensor) -> Tensor:
    """Cones by CAT02."""
    return combined(_CAT02, values)


def xyz_from_lms(values: Tensor) -> Tensor:
    """The inverse of `lms_from_xyz`."""
    return combined(_FROM_CAT02, values)


def reversed_channels(values: Tensor) -> Tensor:
    """Red, green, blue to blue, green, red, and back."""
    return values.flip(0)
