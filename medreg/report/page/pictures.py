"""The pictures of a page: every slice stored once, with its edges, and the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medreg.report.page.edges import edges_of
from medreg.report.page.encoding import as_jpeg, as_lines, as_map
from medreg.report.page.maps import agreement_of, coarse
from medreg.report.page.views import View, Views, grey
from medreg.types import VoxelArray

ON_DARK, ON_BRIGHT = (255, 222, 40), (20, 60, 200)
"""Colours of the edges: yellow, and blue on the white ground of slides."""

BRIGHT = 0.6
"""Of the range: pictures whose median is above have a white ground."""


@dataclass(frozen=True)
class Map:
    """A map over the middle plane of each kind.

    Attributes:
        title: what it shows.
        names: of the planes.
        pictures: data: URIs.
        shapes: widths and heights that they are shown at.
        top: the value of the brightest colour, with its unit.
    """

    title: str
    names: tuple[str, ...]
    pictures: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    top: str


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a page shows of two images.

    Attributes:
        rows: for each kind of plane its name, width, height, letters, scale bar and slices, of plain values.
        maps: local agreement before and after, and the predicted error where it is known.
        edges: lines of the fixed image in the middle view of each row.
        colour: of the lines.
        unit: of lengths.
        seen: shares of the fixed pictures that the moving image covers before and after.
    """

    rows: tuple[dict[str, Any], ...]
    maps: tuple[Map, ...]
    edges: tuple[VoxelArray, ...]
    colour: tuple[int, int, int]
    unit: str
    seen: tuple[float, float]


def pictures_of(views: Views) -> Pictures:
    """Encode all views."""
    shown = [view for row in views.rows for view in row]
    lines = edges_of([grey(view.fixed) for view in shown])
    light = np.concatenate([np.nan_to_num(grey(view.fixed)[::4, ::4]).ravel() for view in shown])
    colour = ON_BRIGHT if np.median(light) > BRIGHT else ON_DARK
    bar = bar_of(min(min(view.plane.width, view.plane.height * 4) * view.plane.pixel for view in shown))
    rows, edges, k = [], [], 0
    for row in views.rows:
        here = lines[k : k + len(row)]
        rows.append(_row(row, here, colour, bar, views.unit))
        edges.append(here[len(row) // 2])
        k += len(row)
    seen = [float(np.mean([np.isfinite(grey(p)).mean() for p in kind])) for kind in _moved(shown)]
    return Pictures(tuple(rows), _maps(views), tuple(edges), colour, views.unit, (seen[0], seen[1]))


def bar_of(width: float) -> float:
    """The length of a scale bar for pictures this wide: 1, 2 or 5 times a power of ten, up to a third of it.

    Example:
        >>> bar_of(180.0)
        50.0
    """
    power = 10.0 ** np.floor(np.log10(width / 3))
    return float(max(step * power for step in (1, 2, 5) if step * power <= width / 3))


def _moved(shown: Sequence[View]) -> tuple[list[VoxelArray], list[VoxelArray]]:
    return [view.before for view in shown], [view.after for view in shown]


def _row(
    row: Sequence[View], lines: Sequence[VoxelArray], colour: tuple[int, int, int], bar: float, unit: str
) -> dict[str, Any]:
    plane = row[0].plane
    slices = [
        {
            "place": view.plane.place,
            "fixed": as_jpeg(view.fixed),
            "before": as_jpeg(view.before),
            "after": as_jpeg(view.after),
            "edges": as_lines(edges, colour),
        }
        for view, edges in zip(row, lines, strict=True)
    ]
    return {
        "name": plane.name,
        "width": plane.width,
        "height": plane.height,
        "letters": list(plane.letters),
        "bar": {"share": round(bar / (plane.width * plane.pixel), 5), "text": f"{bar:g} {unit}"},
        "slices": slices,
    }


def _maps(views: Views) -> tuple[Map, ...]:
    names = tuple(view.plane.name for view in views.middles)
    shapes = tuple((view.plane.width, view.plane.height) for view in views.middles)
    pairs = [agreement_of(view) for view in views.middles]
    maps = [
        Map(f"Local correlation, {when}", names, tuple(as_map(pair[k], 1.0) for pair in pairs), shapes, "1")
        for k, when in enumerate(("before", "after"))
    ]
    if views.error:
        cells = [coarse(error) for error in views.error]
        top = max((float(np.nanmax(c)) for c in cells if np.isfinite(c).any()), default=0.0)
        if top > 0:
            drawn = tuple(as_map(cell, top) for cell in cells)
            maps.append(Map("Predicted error", names, drawn, shapes, f"{top:.2g} {views.unit}"))
    return tuple(maps)
