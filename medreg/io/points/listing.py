"""Points as plain JSON: a list of them, or an object of named ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ReadError
from medreg.io.points.points import Form, Points, placed
from medreg.io.points.space import Space, known_space, to_lps

_SPACE_KEYS = ("space", "coordinateSystem", "coordinate_system")


@dataclass(frozen=True)
class Listing:
    """What stands around the points.

    Attributes:
        count: points.
        around: the object whose "points" they are, without them; None where they stand alone.
        is_list: whether they are a list, not an object of names.
    """

    count: int
    around: Mapping[str, Any] | None
    is_list: bool
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_listing(document: Any, path: Path, asked: Space | None) -> Points:
    """Points of `[[x, y, z], ...]`, `{"name": [x, y, z], ...}`, or either of them as "points" beside a "space".

    Raises:
        ReadError: anything else, numbers that are not finite, points of two lengths.
    """
    around, listed = None, document
    if isinstance(document, dict) and isinstance(document.get("points"), (list, dict)) and _holds(document["points"]):
        listed = document["points"]
        around = {key: value for key, value in document.items() if key != "points"}
    if not isinstance(listed, (list, dict)):
        raise ReadError(
            f"{path}: JSON points are [[x, y, z], ...] or {{name: [x, y, z], ...}}, got {type(listed).__name__}"
        )
    names, rows = (tuple(listed), list(listed.values())) if isinstance(listed, dict) else ((), listed)
    if not rows:
        raise ReadError(f"{path}: holds no points")
    for k, row in enumerate(rows):
        _check(row, len(rows[0]) if isinstance(rows[0], list) else 0, f"{path}: point {names[k] if names else k + 1}")
    said = _said(around or {}, path, asked)
    coordinates, space, known = placed(np.array(rows, dtype=np.float64), said, asked, Form.JSON, path)
    carried = Listing(len(rows), around, isinstance(listed, list))
    return Points(coordinates, names, space, known, Form.JSON, carried, path)


def to_listing(points: Points, space: Space) -> str:
    """The text of points, in the layout of their file if that was JSON; RAS is said."""
    carried = points.carried if isinstance(points.carried, Listing) else None
    as_list = carried.is_list if carried else not points.has_own_names
    rows = to_lps(points.coordinates, space).tolist()
    listed: Any = rows if as_list else dict(zip(points.names, rows, strict=True))
    around = dict(carried.around) if carried and carried.around is not None else None
    if around is None and (space is not Space.RAS or (carried and points.space is space)):
        return _text(listed)
    around = around or {}
    key = next((key for key in _SPACE_KEYS if key in around), "space")
    if space is not Space.PICTURE and (key in around or space is not points.space or carried is None):
        around[key] = space.value
    return _text({**around, "points": listed})


def _text(content: Any) -> str:
    """JSON with a point a line."""
    if isinstance(content, dict):
        lines = [f"  {json.dumps(key, ensure_ascii=False)}: {_inner(value)}" for key, value in content.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in content) + "\n]\n"


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        pairs = [
            f"    {json.dumps(key, ensure_ascii=False)}: {json.dumps(v, ensure_ascii=False)}"
            for key, v in value.items()
        ]
        return "{\n" + ",\n".join(pairs) + "\n  }" if pairs else "{}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join(f"    {json.dumps(row)}" for row in value) + "\n  ]"
    return json.dumps(value, ensure_ascii=False)


def _holds(value: list[Any] | dict[str, Any]) -> bool:
    """Whether these are points, not one point that is called "points"."""
    rows = list(value.values()) if isinstance(value, dict) else value
    return not rows or isinstance(rows[0], list)


def _check(row: Any, length: int, name: str) -> None:
    if not (isinstance(row, list) and len(row) in (2, 3) and all(type(v) in (int, float) for v in row)):
        raise ReadError(f"{name} is {json.dumps(row)[:80]}, 2 or 3 numbers are wanted")
    if len(row) != length:
        raise ReadError(f"{name} has {len(row)} coordinates, those before it have {length}")
    if not np.isfinite(row).all():
        raise ReadError(f"{name} is not finite, {row}; remove it")


def _said(around: Mapping[str, Any], path: Path, asked: Space | None) -> Space | None:
    name = next((around[key] for key in _SPACE_KEYS if key in around), None)
    if name is None:
        return None
    space = known_space(str(name))
    if space is None and str(name).lower() != "picture" and asked is None:
        raise ReadError(f"{path}: its space is {name!r}, medreg reads LPS and RAS; convert it, or say which it is")
    return space
