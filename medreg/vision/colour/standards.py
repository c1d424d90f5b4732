"""White and Luma: what conversions are relative to. Values; the ones that people name are constants."""

from __future__ import annotations

from dataclasses import dataclass

from medreg.errors import UsageError
from medreg.ops.arguments import number


@dataclass(frozen=True)
class White:
    """A reference white by its chromaticity; its luminance is 1.

    Lab, Luv and DIN99 are relative to it, and black is given its chromaticity in xyY. It does not change what RGB's
    colours are in XYZ: nothing is adapted from one light to another.

    Attributes:
        x: CIE 1931 chromaticity, above 0.
        y: above 0; x + y is at most 1.

    Raises:
        UsageError: numbers that no white has.

    Example:
        >>> [round(v, 4) for v in D65.xyz]
        [0.9505, 1.0, 1.0891]
    """

    x: float
    y: float

    def __post_init__(self) -> None:
        x, y = number(self.x, "x"), number(self.y, "y")
        if not (x > 0 and y > 0 and x + y <= 1):
            raise UsageError(f"white: takes a chromaticity x > 0, y > 0, x + y <= 1, got ({x}, {y}); D65 is the usual")

    @property
    def xyz(self) -> tuple[float, float, float]:
        """Tristimulus values X, Y, Z, with Y = 1."""
        return self.x / self.y, 1.0, (1 - self.x - self.y) / self.y

    @property
    def uv(self) -> tuple[float, float]:
        """CIE 1976 u', v'."""
        share = -2 * self.x + 12 * self.y + 3
        return 4 * self.x / share, 9 * self.y / share


D65 = White(0.3127, 0.3290)
"""Daylight, 6504 K: sRGB's white (IEC 61966-2-1)."""

D50 = White(0.3457, 0.3585)
"""Warmer daylight, 5003 K: the white of prints and of colour profiles."""

ILLUMINANT_A = White(0.44758, 0.40745)
"""A light bulb, 2856 K."""

ILLUMINANT_E = White(1 / 3, 1 / 3)
"""Equal energy at all wavelengths."""


@dataclass(frozen=True)
class Luma:
    """How much red and blue weigh in the luma of RGB; green weighs the rest.

    Attributes:
        red: above 0.
        blue: above 0; together they are below 1.

    Raises:
        UsageError: weights that leave nothing to one of them.
    """

    red: float
    blue: float

    def __post_init__(self) -> None:
        red, blue = number(self.red, "red"), number(self.blue, "blue")
        if not (red > 0 and blue > 0 and red + blue < 1):
            raise UsageError(
                f"luma: takes weights above 0 that sum to less than 1, got ({red}, {blue}); use REC_601 or REC_709"
            )

    @property
    def green(self) -> float:
        """What is left of 1."""
        return 1 - self.red - self.blue


REC_601 = Luma(0.299, 0.114)
"""ITU-R BT.601: JPEG's, and what Pillow and OpenCV mean by gray."""

REC_709 = Luma(0.2126, 0.0722)
"""ITU-R BT.709: high-definition television's, and that of sRGB's own primaries."""
