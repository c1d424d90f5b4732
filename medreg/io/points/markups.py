"""3D Slicer's markups (.mrk.json): control points of point lists, lines and curves."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import MedregWarning, ReadError, WriteError
from medreg.io.points.points import Form, Points, placed
from medreg.io.points.space import Known, Space, known_space, to_lps

SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
_OWN_PLACE = ("center", "origin", "baseToNode", "orientation")
"""Fields of planes and boxes that say where they are beside their control points."""


@dataclass(frozen=True)
class Markups:
    """The document as it stands, and which of its control points are read.

    Attributes:
        document: the JSON.
        places: (markup, control point) of each point.
        texts: the descriptions of the points.
    """

    document: Mapping[str, Any]
    places: tuple[tuple[int, int], ...]
    texts: tuple[str, ...]

    @property
    def count(self) -> int:
        """Points."""
        return len(self.places)

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The descriptions, where there are any."""
        return {"description": self.texts} if any(self.texts) else {}


def read_markups(document: Mapping[str, Any], path: Path, asked: Space | None) -> Points:
    """The control points of all markups of a document, in their order; those without a place are left alone.

    Raises:
        ReadError: fields that are missing or damaged, another coordinate system or unit.
    """
    found: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    names, texts, places, spaces = [], [], [], []
    for m, markup in enumerate(_lists(document, "markups", path)):
        _check_unit(markup, path)
        said = _space_of(markup, path, asked)
        numbers = []
        for p, point in enumerate(_lists(markup, "controlPoints", path)):
            if point.get("positionStatus", "defined") != "defined" or "position" not in point:
                continue
            numbers.append(_position(point["position"], f"{path}: control point {p + 1} of markup {m + 1}"))
            names.append(str(point.get("label", "")))
            texts.append(str(point.get("description", "")))
            places.append((m, p))
        if numbers:
            coordinates, space, known = placed(np.array(numbers), said, asked, Form.MARKUPS, path)
            found.append(coordinates)
            spaces.append((space, known))
    if not found:
        raise ReadError(f"{path}: holds no points; its markups have no control points with a position")
    space, known = spaces[0] if len(set(spaces)) == 1 else (Space.LPS, Known.SAID)
    carried = Markups(document, tuple(places), tuple(texts))
    return Points(np.concatenate(found), tuple(names) if any(names) else (), space, known, Form.MARKUPS, carried, path)


def to_markups(points: Points, carried: Markups, space: Space) -> str:
    """The text of points that were read from markups: all but the positions as it was."""
    document: Any = copy.deepcopy(dict(carried.document))
    for (m, p), place in zip(carried.places, to_lps(points.coordinates, space).tolist(), strict=True):
        point = document["markups"][m]["controlPoints"][p]
        point["position"] = [*place, *point["position"][len(place) :]]
    for markup in document["markups"]:
        before = known_space(str(markup.get("coordinateSystem", "LPS")))
        markup["coordinateSystem"] = space.value
        if before not in (space, None):
            for point in markup.get("controlPoints", ()):
                _turn_orientation(point)
        if own := [key for key in _OWN_PLACE if key in markup]:
            warnings.warn(
                f"{points.path}: a markup of type {markup.get('type')} also has {', '.join(own)}; "
                "only its control points are moved",
                MedregWarning,
                stacklevel=3,
            )
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"


def new_markups(points: Points, space: Space) -> str:
    """The text of points that come from elsewhere, as one point list.

    Raises:
        WriteError: points with two coordinates.
    """
    if points.dimension != 3:
        raise WriteError("Slicer's markups have 3 coordinates, these points have 2; write .csv, .json or .txt")
    names = points.names or tuple(f"F-{k + 1}" for k in range(len(points)))
    texts = points.columns.get("description") or points.columns.get("desc") or points.columns.get("comment")
    controls = [
        {"id": str(k + 1), "label": names[k], "description": texts[k] if texts else "", "position": place}
        for k, place in enumerate(to_lps(points.coordinates, space).tolist())
    ]
    markup = {"type": "Fiducial", "coordinateSystem": space.value, "controlPoints": controls}
    document = {"@schema": f"{SCHEMA}markups-schema-v1.0.3.json#", "markups": [markup]}
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"


def _lists(document: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    found = document.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ReadError(f"{path}: {key!r} is no list of objects, as Slicer's markups have it; the file may be damaged")
    return found


def _check_unit(markup: Mapping[str, Any], path: Path) -> None:
    unit = markup.get("coordinateUnits", "mm")
    unit = unit[0] if isinstance(unit, list) and unit else unit
    if unit not in ("mm", "millimeter"):
        raise ReadError(f"{path}: its coordinates are in {unit!r}; medreg reads mm, save it from Slicer in mm")


def _space_of(markup: Mapping[str, Any], path: Path, asked: Space | None) -> Space | None:
    name = markup.get("coordinateSystem")
    space = None if name is None else known_space(str(name))
    if name is not None and space is None and asked is None:
        raise ReadError(
            f"{path}: its coordinate system is {name!r}, medreg reads LPS and RAS; save it from Slicer anew"
        )
    return space


def _position(value: Any, name: str) -> list[float]:
    if not (isinstance(value, list) and len(value) == 3 and all(type(v) in (int, float) for v in value)):
        raise ReadError(f"{name} has the position {value!r}, three numbers are wanted")
    if not np.isfinite(value).all():
        raise ReadError(f"{name} is not finite, {value}; remove it")
    return [float(v) for v in value]


def _turn_orientation(point: dict[str, Any]) -> None:
    """A control point's axes, the columns of a 3x3 matrix by rows, between LPS and RAS."""
    axes = point.get("orientation")
    if isinstance(axes, list) and len(axes) == 9:
        point["orientation"] = [-value + 0.0 if k < 6 else value for k, value in enumerate(axes)]
