"""CIE's colour spaces over XYZ: xyY, Lab, Luv, their polar forms, and DIN99. Channels are the first axis.

Black has no chromaticity: it gets that of white, and gradients of 0 to what is divided by its luminance. A colour
without chroma has no hue: it is 0, with gradients of 0; the chroma's own is 0 there, too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medreg.vision.colour.guarding import length, nothing, quotient, turns
from medreg.vision.colour.standards import White

_DELTA = 6 / 29
"""Where the cube root of lightness gives way to a line (ISO/CIE 11664-4)."""

_HUNDRED = 100.0
"""The scale of L, a, b, u and v, for what counts as nothing."""


def xyy_from_xyz(values: Tensor, white: White) -> Tensor:
    """Chromaticity x, y, and luminance Y."""
    x, y, _ = values
    total = values.sum(0)
    black = nothing(total).to(total.dtype)
    return torch.stack([quotient(x, total) + white.x * black, quotient(y, total) + white.y * black, y])


def xyz_from_xyy(values: Tensor) -> Tensor:
    """The inverse of `xyy_from_xyz`; a chromaticity y of 0 gives black."""
    x, y, luminance = values
    share = quotient(luminance, y)
    return torch.stack([x * share, luminance, (1 - x - y) * share])


def lab_from_xyz(values: Tensor, white: White) -> Tensor:
    """L*, a*, b*, relative to a white."""
    x, y, z = (_root(channel / of_white) for channel, of_white in zip(values, white.xyz, strict=True))
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def xyz_from_lab(values: Tensor, white: White) -> Tensor:
    """The inverse of `lab_from_xyz`."""
    lightness, a, b = values
    y = (lightness + 16) / 116
    roots = (y + a / 500, y, y - b / 200)
    return torch.stack([_cubed(root) * of_white for root, of_white in zip(roots, white.xyz, strict=True)])


def luv_from_xyz(values: Tensor, white: White) -> Tensor:
    """L*, u*, v*, relative to a white."""
    x, y, z = values
    lightness = 116 * _root(y) - 16
    total, (u, v) = x + 15 * y + 3 * z, white.uv
    seen = (~nothing(total)).to(total.dtype)
    along_u, along_v = quotient(4 * x, total) - u * seen, quotient(9 * y, total) - v * seen
    return torch.stack([lightness, 13 * lightness * along_u, 13 * lightness * along_v])


def xyz_from_luv(values: Tensor, white: White) -> Tensor:
    """The inverse of `luv_from_xyz`."""
    lightness, along_u, along_v = values
    y = _cubed((lightness + 16) / 116)
    u = quotient(along_u, 13 * lightness, _HUNDRED) + white.uv[0]
    v = quotient(along_v, 13 * lightness, _HUNDRED) + white.uv[1]
    return torch.stack([quotient(9 * y * u, 4 * v), y, quotient(y * (12 - 3 * u - 20 * v), 4 * v)])


def polar(values: Tensor) -> Tensor:
    """L, a, b or L, u, v to L, chroma, and hue in turns."""
    lightness, x, y = values
    chroma = length(x, y)
    return torch.stack([lightness, chroma, turns(y, x, nothing(chroma, _HUNDRED))])


def plane(values: Tensor) -> Tensor:
    """The inverse of `polar`; a hue counts modulo 1."""
    lightness, chroma, hue = values
    angle = 2 * torch.pi * hue
    return torch.stack([lightness, chroma * torch.cos(angle), chroma * torch.sin(angle)])


_DIN = 105.509
"""The scale of L99, at which white has 100 (Cui et al. 2002, doi:10.1002/col.10066)."""

_COS, _SIN = math.cos(math.radians(16)), math.sin(math.radians(16))


def din99_from_lab(values: Tensor) -> Tensor:
    """L99, a99, b99 with kE = kCH = 1; a lightness below 0 goes on along the tangent."""
    lightness, a, b = values
    light = _DIN * (torch.log1p(0.0158 * lightness.clamp(min=0)) + 0.0158 * lightness.clamp(max=0))
    along, across = _COS * a + _SIN * b, 0.7 * (_COS * b - _SIN * a)
    chroma = length(along, across)
    void = nothing(chroma, _HUNDRED)
    pressed = torch.where(void, 1, quotient(torch.log1p(0.045 * chroma), 0.045 * chroma))
    return torch.stack([light, pressed * along, pressed * across])


def lab_from_din99(values: Tensor) -> Tensor:
    """The inverse of `din99_from_lab`."""
    light, along, across = values
    scaled = light / _DIN
    lightness = (torch.expm1(scaled.clamp(min=0)) + scaled.clamp(max=0)) / 0.0158
    chroma = length(along, across)
    void = nothing(chroma, _HUNDRED)
    drawn = torch.where(void, 1, quotient(torch.expm1(0.045 * chroma), 0.045 * chroma))
    along, across = drawn * along, drawn * across / 0.7
    return torch.stack([lightness, _COS * along - _SIN * across, _SIN * along + _COS * across])


def _root(share: Tensor) -> Tensor:
    """The cube root of what white has of it; a line near 0 and below."""
    line = share / (3 * _DELTA**2) + 4 / 29
    return torch.where(share > _DELTA**3, share.clamp(min=_DELTA**3) ** (1 / 3), line)


def _cubed(root: Tensor) -> Tensor:
    """The inverse of `_root`."""
    return torch.where(root > _DELTA, root**3, 3 * _DELTA**2 * (root - 4 / 29))
