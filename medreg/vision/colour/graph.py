"""How colours hang together: a tree, each written once with its two steps to and from the colour above it.

From any colour to any other the steps go up to the nearest colour above both, and down again: HSV comes to HSL by way
of RGB, Lab to LCHab at once, and Luv to YIQ by way of XYZ, linear RGB and RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from medreg.vision.colour.cie import (
    din99_from_lab,
    lab_from_din99,
    lab_from_xyz,
    luv_from_xyz,
    plane,
    polar,
    xyy_from_xyz,
    xyz_from_lab,
    xyz_from_luv,
    xyz_from_xyy,
)
from medreg.vision.colour.hues import (
    hsi_from_rgb,
    hsl_from_rgb,
    hsv_from_rgb,
    rgb_from_hsi,
    rgb_from_hsl,
    rgb_from_hsv,
)
from medreg.vision.colour.light import (
    linear_from_rgb,
    linear_from_xyz,
    lms_from_xyz,
    reversed_channels,
    rgb_from_linear,
    xyz_from_linear,
    xyz_from_lms,
)
from medreg.vision.colour.luma_chroma import (
    gray_from_rgb,
    rgb_from_gray,
    rgb_from_ycbcr,
    rgb_from_yiq,
    ycbcr_from_rgb,
    yiq_from_rgb,
)
from medreg.vision.colour.spaces import Colour
from medreg.vision.colour.standards import D65, REC_601, Luma, White


@dataclass(frozen=True)
class Relative:
    """What colours are relative to."""

    white: White = D65
    luma: Luma = REC_601


Step: TypeAlias = Callable[[Tensor, Relative], Tensor]
"""Channels (C, ...) of one colour to those of another."""


@dataclass(frozen=True)
class _Branch:
    """A colour hangs below another: the steps up to it and down from it."""

    above: Colour
    up: Step
    down: Step


def _plainly(step: Callable[[Tensor], Tensor]) -> Step:
    return lambda values, _: step(values)


def _by_white(step: Callable[[Tensor, White], Tensor]) -> Step:
    return lambda values, relative: step(values, relative.white)


def _by_luma(step: Callable[[Tensor, Luma], Tensor]) -> Step:
    return lambda values, relative: step(values, relative.luma)


_BRANCHES = {
    Colour.LINEAR_RGB: _Branch(Colour.XYZ, _plainly(xyz_from_linear), _plainly(linear_from_xyz)),
    Colour.LMS: _Branch(Colour.XYZ, _plainly(xyz_from_lms), _plainly(lms_from_xyz)),
    Colour.XYY: _Branch(Colour.XYZ, _plainly(xyz_from_xyy), _by_white(xyy_from_xyz)),
    Colour.LAB: _Branch(Colour.XYZ, _by_white(xyz_from_lab), _by_white(lab_from_xyz)),
    Colour.LUV: _Branch(Colour.XYZ, _by_white(xyz_from_luv), _by_white(luv_from_xyz)),
    Colour.LCHAB: _Branch(Colour.LAB, _plainly(plane), _plainly(polar)),
    Colour.LCHUV: _Branch(Colour.LUV, _plainly(plane), _plainly(polar)),
    Colour.DIN99: _Branch(Colour.LAB, _plainly(lab_from_din99), _plainly(din99_from_lab)),
    Colour.RGB: _Branch(Colour.LINEAR_RGB, _plainly(linear_from_rgb), _plainly(rgb_from_linear)),
    Colour.BGR: _Branch(Colour.RGB, _plainly(reversed_channels), _plainly(reversed_channels)),
    Colour.HSV: _Branch(Colour.RGB, _plainly(rgb_from_hsv), _plainly(hsv_from_rgb)),
    Colour.HSL: _Branch(Colour.RGB, _plainly(rgb_from_hsl), _plainly(hsl_from_rgb)),
    Colour.HSI: _Branch(Colour.RGB, _plainly(rgb_from_hsi), _plainly(hsi_from_rgb)),
    Colour.YIQ: _Branch(Colour.RGB, _plainly(rgb_from_yiq), _plainly(yiq_from_rgb)),
    Colour.YCBCR: _Branch(Colour.RGB, _by_luma(rgb_from_ycbcr), _by_luma(ycbcr_from_rgb)),
    Colour.GRAY: _Branch(Colour.RGB, _plainly(rgb_from_gray), _by_luma(gray_from_rgb)),
}
"""Every colour but `XYZ`, which is at the top."""


def steps(of: Colour, to: Colour) -> list[Step]:
    """What takes the channels of one colour to those of another, in order; none for the same."""
    rising, falling = _line(of), _line(to)
    while rising and falling and rising[-1] == falling[-1]:  # what is above both
        rising.pop()
        falling.pop()
    return [_BRANCHES[colour].up for colour in rising] + [_BRANCHES[colour].down for colour in reversed(falling)]


def _line(colour: Colour) -> list[Colour]:
    """A colour and those above it, without `XYZ`."""
    line = []
    while colour in _BRANCHES:
        line.append(colour)
        colour = _BRANCHES[colour].above
    return line
