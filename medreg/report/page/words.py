"""A transform in plain words: how the moving image had to turn, move and grow to fit the fixed one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medreg.geometry.affine import Parts, axis_angle, decompose, derivative_at, map_points
from medreg.types import FloatArray

MEANING = (
    "Said of the moving image: how it had to turn, move and change its size to lie on the fixed one, at the fixed "
    "image's centre. The file of the transform holds the opposite sense, which resampling needs: it maps points of the "
    "fixed image to points of the moving one."
)

_AXES = ("left-right", "front-back", "head-foot")
_TURNS = (
    ("front down", "front up"),
    ("head to the left", "head to the right"),
    ("front to the left", "front to the right"),
)
"""What a rotation about x, y, z (LPS) does, by a positive and by a negative angle."""
_WAYS = (("to the left", "to the right"), ("to the back", "to the front"), ("to the head", "to the feet"))
_PICTURE_AXES = ("across", "up-down")
_PICTURE_WAYS = (("to the right", "to the left"), ("down", "up"))

SLIGHT = 0.05
"""Degrees, and lengths: less is not told where there is more."""

ALONG = 0.985
"""Cosine (10 degrees) from which an axis counts as an anatomical one."""


@dataclass(frozen=True)
class Words:
    """Clauses without a capital or a full stop; `size` is empty for rigid transforms.

    Attributes:
        turn: "turned 7.4° about the head-foot axis (front to the left)".
        move: "moved 12.1 mm to the left".
        size: "grown by 3.1 % in volume: ...".
        bend: of a homography.
    """

    turn: str
    move: str
    size: str = ""
    bend: str = ""

    @property
    def sentence(self) -> str:
        """All of it."""
        said = "; ".join(part for part in (self.turn, self.move, self.size, self.bend) if part)
        return f"{said[:1].upper()}{said[1:]}."


def words_of(transform: Mapping[str, Any]) -> Words:
    """The words for the `transform` of a record.

    Args:
        transform: with `matrix` (fixed -> moving points), `example` (the fixed image's centre), `kind`, `unit`, and
            `world`, which is "picture" where there is no patient.

    Example:
        >>> matrix = np.eye(4)
        >>> matrix[0, 3] = -12.1
        >>> centre = {"fixed_point": [0.0, 0.0, 0.0]}
        >>> words_of({"matrix": matrix.tolist(), "example": centre, "kind": "rigid", "unit": "mm"}).sentence
        'Not turned; moved 12.1 mm to the left.'
    """
    matrix = np.array(transform["matrix"], dtype=np.float64)
    centre = np.array(transform["example"]["fixed_point"], dtype=np.float64)
    there = map_points(matrix, centre[None])[0]
    parts = decompose(derivative_at(matrix, centre))  # as the record's: R U, so back it is first R^T, then U^-1
    unit, kind = str(transform["unit"]), str(transform["kind"])
    picture = transform.get("world") == "picture"
    return Words(
        turn="" if kind == "translation" else _turn(parts.rotation.T, picture=picture),
        move=_move(centre - there, unit, picture=picture),
        size=_size(parts, picture=picture) if kind not in ("translation", "rigid") else "",
        bend=_bend(matrix, centre),
    )


def _turn(rotation: FloatArray, *, picture: bool) -> str:
    axis, angle = axis_angle(rotation)
    if abs(angle) < SLIGHT:
        return "not turned"
    if len(rotation) == 2:
        ways = ("clockwise", "anticlockwise") if picture else _TURNS[2]
        way = ways[int(angle < 0)]
        return f"turned {abs(angle):.1f}° {way}" if picture else f"turned {abs(angle):.1f}° ({way})"
    parts = angle * np.array(axis)
    order = np.argsort(-np.abs(parts))
    if abs(axis[order[0]]) >= ALONG:
        return f"turned {angle:.1f}° about the {_about(order[0], parts)}"
    each = [f"{abs(parts[k]):.1f}° about the {_about(k, parts)}" for k in order if abs(parts[k]) >= SLIGHT]
    return f"turned {angle:.1f}°: {', '.join(each)}"


def _about(k: int, parts: FloatArray) -> str:
    return f"{_AXES[k]} axis ({_TURNS[k][int(parts[k] < 0)]})"


def _move(move: FloatArray, unit: str, *, picture: bool) -> str:
    length = float(np.linalg.norm(move))
    if length < SLIGHT:
        return f"not moved (less than {SLIGHT} {unit})"
    names = _PICTURE_WAYS if picture else _WAYS
    ways = [
        (abs(v), f"{abs(v):.1f} {unit} {names[k][int(v < 0)]}") for k, v in enumerate(move) if abs(v) >= SLIGHT
    ] or [(0.0, "")]
    if len(ways) == 1 or max(w for w, _ in ways) >= ALONG * length:
        return f"moved {length:.1f} {unit} {max(ways)[1].split(' ', 2)[-1]}"
    return f"moved {length:.1f} {unit}: {', '.join(text for _, text in sorted(ways, reverse=True))}"


def _size(parts: Parts, *, picture: bool) -> str:
    along = [100 * (1 / scale - 1) for scale in parts.scales]
    change = 100 * (1 / float(np.prod(parts.scales)) - 1)
    skew = float(np.degrees(np.arctan(np.abs(parts.shears).max())))
    what = "area" if len(along) == 2 else "volume"
    if max(map(abs, [*along, change, skew])) < SLIGHT:
        return f"{what} unchanged"
    verb = "grown" if change > 0 else "shrunk"
    if np.ptp(along) < SLIGHT and skew < SLIGHT:
        return f"{verb} by {abs(along[0]):.1f} % in all directions"
    axes = _PICTURE_AXES if picture else _AXES
    each = ", ".join(f"{value:+.1f} % {axes[k]}" for k, value in enumerate(along))
    skewed = f", right angles skewed by up to {skew:.1f}°" if skew >= SLIGHT else ""
    return f"{verb} by {abs(change):.1f} % in {what} ({each}{skewed})"


def _bend(matrix: FloatArray, centre: FloatArray) -> str:
    d = len(centre)
    if not matrix[d, :d].any():
        return ""
    return "bent by a perspective, so all this holds at the centre only"
