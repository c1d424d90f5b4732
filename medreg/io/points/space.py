"""The space that a file of points uses, and the way from there to LPS."""

from __future__ import annotations

import re
from enum import Enum

import numpy as np

from medreg.errors import UsageError
from medreg.types import FloatArray


class Space(Enum):
    """What the numbers of a point count; the value is the name in messages.

    LPS is medreg's world. RAS has the other sign in x and y. PICTURE is for points with two coordinates: x to the
    right, y down, from the centre of the first pixel, in pixels, or in mm where the picture's spacing is known.

    Example:
        >>> Space.named("ras")
        <Space.RAS: 'RAS'>
    """

    LPS = "LPS"
    RAS = "RAS"
    PICTURE = "picture"

    @staticmethod
    def named(text: str) -> Space:
        """The space of this name, in capitals or not.

        Raises:
            UsageError: for any other name.
        """
        for space in Space:
            if text.strip().lower() == space.value.lower():
                return space
        raise UsageError(f"the space {text!r} is unknown; choose {', '.join(s.value for s in Space)}")


class Known(Enum):
    """How the space of a file is known."""

    SAID = "said by the file"
    ASKED = "asked for"
    ASSUMED = "assumed"


def to_lps(numbers: FloatArray, space: Space) -> FloatArray:
    """Points (N, D) of a space in LPS, and of LPS in that space: the same signs serve both ways.

    Raises:
        UsageError: pixels of a picture with three coordinates.

    Example:
        >>> to_lps(np.array([[10.0, -20.0, 30.0]]), Space.RAS).tolist()
        [[-10.0, 20.0, 30.0]]
    """
    if space is Space.PICTURE and numbers.shape[1] != 2:
        raise UsageError("a picture's points have 2 coordinates, these have 3; choose the space LPS or RAS")
    if space is not Space.RAS:
        return numbers
    turned: FloatArray = numbers * np.array([-1.0, -1.0, 1.0])[: numbers.shape[1]] + 0.0  # no -0.0
    return turned


_SAID = re.compile(r"(?i)\b(?:space|coordinate[\s_]*system)\s*[:=]\s*([A-Za-z0-9]+)")
_NAMES = {"lps": Space.LPS, "1": Space.LPS, "ras": Space.RAS, "0": Space.RAS}
"""The numbers are those of 3D Slicer before 4.11."""


def space_in(comment: str) -> str | None:
    """The name of a space that a comment tells: "LPS" of "# CoordinateSystem = LPS"; None where it tells none.

    Example:
        >>> space_in("3D Slicer output. SPACE=RAS")
        'RAS'
    """
    found = _SAID.search(comment)
    return found.group(1) if found else None


def known_space(name: str) -> Space | None:
    """The space of a name in a file, LPS, RAS, 0 or 1; None for others, such as IJK."""
    return _NAMES.get(name.strip().lower())


def respelt(comment: str, space: Space) -> str:
    """A comment that tells a space, telling this one, a number where it was one."""
    found = _SAID.search(comment)
    if not found or known_space(found.group(1)) is space:
        return comment
    name = space.value
    if found.group(1).isdigit():
        name = "0" if space is Space.RAS else "1"
    return comment[: found.start(1)] + name + comment[found.end(1) :]
