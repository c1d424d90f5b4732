"""The curves of a registration as points of small charts, one for each level: the metric and the step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 168.0, 84.0
"""Of a chart's field, in the units of its drawing."""

LEAST = 1e-4
"""Lengths of steps below this are drawn there; a level's start, which moved nothing, is not drawn."""


@dataclass(frozen=True)
class Curve:
    """A polyline.

    Attributes:
        points: "x,y x,y ..." for SVG.
        dots: the same as pairs.
        top: the value at the upper edge of the field, as text.
        bottom: that at the lower edge.
        ticks: heights of lines across, with their texts.
    """

    points: str
    dots: tuple[tuple[float, float], ...]
    top: str
    bottom: str
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Chart:
    """One level.

    Attributes:
        title: such as "affine, 4.39 mm".
        metric: by name.
        steps: number of steps.
        loss: the metric by step, on a scale of its own.
        step: how far voxels moved by step, on a logarithmic scale that all levels share; the unit is in `unit`.
        outcome: how it ended.
        unit: "mm" or "px".
    """

    title: str
    metric: str
    steps: int
    loss: Curve
    step: Curve
    outcome: str
    unit: str


def charts_of(levels: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Charts of the `levels` of a record; levels without a step are left out."""
    shown = [level for level in levels if level.get("steps")]
    lengths = [float(s["step_mm"]) for level in shown for s in level["steps"] if _moved(s["step_mm"])]
    low = math.floor(math.log10(max(min(lengths, default=0.01), LEAST)))
    high = max(math.ceil(math.log10(max(max(lengths, default=1.0), LEAST))), low + 1)
    return [_chart(level, low, high) for level in shown]


def _chart(level: Mapping[str, Any], low: int, high: int) -> Chart:
    steps = level["steps"]
    values = [s["value"] for s in steps]
    unit = str(level.get("unit", "mm"))
    known = [float(v) for v in values if _known(v)] or [0.0]
    bottom, top = min(known), max(known)
    span = (top - bottom) or 1.0
    heights = [None if not _known(v) else (float(v) - bottom) / span for v in values]
    if top == bottom:
        heights = [None if h is None else 0.5 for h in heights]
    logs = [
        None if not _moved(s["step_mm"]) else (math.log10(max(float(s["step_mm"]), LEAST)) - low) / (high - low)
        for s in steps
    ]
    ticks = tuple(
        (round(HEIGHT * (1 - (power - low) / (high - low)), 2), f"{10.0**power:g}") for power in range(low, high + 1)
    )
    return Chart(
        title=f"{level['kind']}, {level['spacing_mm']:.3g} {unit}",
        metric=str(level["metric"]).replace("_", " "),
        steps=len(steps),
        loss=_curve(heights, f"{top:.4f}", "" if top == bottom else f"{bottom:.4f}"),
        step=_curve(logs, "", "", ticks),
        outcome=str(level["outcome"]).replace("_", " "),
        unit=unit,
    )


def _curve(heights: Sequence[float | None], top: str, bottom: str, ticks: tuple[tuple[float, str], ...] = ()) -> Curve:
    last = max(len(heights) - 1, 1)
    dots = tuple(
        (round(WIDTH * (k / last if len(heights) > 1 else 0.5), 2), round(HEIGHT * (1 - height), 2))
        for k, height in enumerate(heights)
        if height is not None
    )
    return Curve(" ".join(f"{x:g},{y:g}" for x, y in dots), dots, top, bottom, ticks)


def _known(value: Any) -> bool:
    return value is not None and math.isfinite(float(value))


def _moved(value: Any) -> bool:
    return _known(value) and float(value) > 0
