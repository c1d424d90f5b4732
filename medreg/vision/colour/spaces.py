"""Colour: what the channels of a picture mean, and how large their numbers are."""

from __future__ import annotations

import re
from enum import Enum

from medreg.errors import UsageError


class Colour(Enum):
    """What the channels of a picture mean.

    A hue is counted in turns everywhere: 0 is red (in HSV, HSL, HSI) or +a, +u (in LCHab, LCHuv), and it grows to just
    below 1; degrees are 360 times that. White has Y = 1 and L = 100.

    | colour | channels | range of sRGB's colours |
    |---|---|---|
    | `RGB` | red, green, blue of sRGB (IEC 61966-2-1), as files hold them | 0 to 1 |
    | `BGR` | the same, blue first | 0 to 1 |
    | `LINEAR_RGB` | red, green, blue, in proportion to light | 0 to 1 |
    | `GRAY` | the luma of RGB, weighted by `Luma` | 0 to 1 |
    | `HSV` | hue, saturation, value (Smith 1978, doi:10.1145/800248.807361) | 0 to 1 |
    | `HSL` | hue, saturation, lightness (Joblove & Greenberg 1978, doi:10.1145/800248.807362) | 0 to 1 |
    | `HSI` | hue as an angle, 1 - minimum / mean, mean | 0 to 1 |
    | `YIQ` | NTSC's luma and chroma, of RGB | Y 0 to 1, I within 0.596, Q within 0.523 of 0 |
    | `YCBCR` | luma and differences of `Luma`, of RGB, full range | Y 0 to 1, Cb and Cr within 0.5 of 0 |
    | `XYZ` | CIE 1931 tristimulus values | X 0 to 0.9505, Y 0 to 1, Z 0 to 1.0891 |
    | `XYY` | chromaticity x and y, luminance Y | 0 to 1 |
    | `LMS` | cones, by CAT02 of XYZ (CIE 159:2004) | 0 to 1.09 |
    | `LAB` | CIE 1976 L*, a*, b* (ISO/CIE 11664-4) | L 0 to 100, a -86 to 98, b -108 to 94 |
    | `LCHAB` | L*, chroma and hue of Lab | C 0 to 134, hue 0 to 1 |
    | `LUV` | CIE 1976 L*, u*, v* (ISO/CIE 11664-5) | L 0 to 100, u -83 to 175, v -134 to 107 |
    | `LCHUV` | L*, chroma and hue of Luv | C 0 to 179, hue 0 to 1 |
    | `DIN99` | L99, a99, b99 of Lab (DIN 6176:2001) | L 0 to 100, a -28 to 37, b -34 to 32 |
    """

    RGB = "rgb"
    BGR = "bgr"
    LINEAR_RGB = "linear rgb"
    GRAY = "gray"
    HSV = "hsv"
    HSL = "hsl"
    HSI = "hsi"
    YIQ = "yiq"
    YCBCR = "ycbcr"
    XYZ = "xyz"
    XYY = "xyy"
    LMS = "lms"
    LAB = "lab"
    LCHAB = "lchab"
    LUV = "luv"
    LCHUV = "lchuv"
    DIN99 = "din99"

    def __str__(self) -> str:
        return str(self.value)

    @property
    def channels(self) -> int:
        """1 for `GRAY`, 3 for all others."""
        return 1 if self is Colour.GRAY else 3

    @staticmethod
    def named(text: str) -> Colour:
        """The colour of a name as people write it: "Lab", "linear-RGB", "CIE LCH(ab)", "grey".

        Raises:
            UsageError: no colour is called so.

        Example:
            >>> Colour.named("Linear-RGB")
            <Colour.LINEAR_RGB: 'linear rgb'>
        """
        plain = re.sub(r"[^a-z0-9]", "", str(text).lower()).removeprefix("cie")
        plain = {"grey": "gray", "srgb": "rgb", "ciexyy": "xyy", "lrgb": "linearrgb"}.get(plain, plain)
        for colour in Colour:
            if colour.value.replace(" ", "") == plain:
                return colour
        raise UsageError(f"no colour is called {text!r}; there are {', '.join(str(colour) for colour in Colour)}")
