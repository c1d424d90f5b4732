"""`report.html`: one file that holds everything, for any browser, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.report.page.charts import HEIGHT, WIDTH, charts_of
from medreg.report.page.encoding import HIGH, LOW, MIDDLE
from medreg.report.page.words import MEANING, words_of
from medreg.report.record import to_json
from medreg.report.summary import apply_command, summary

if TYPE_CHECKING:
    from jinja2 import Template

    from medreg.report.page.pictures import Pictures

PERSONAL = frozenset({"identifiers"})
"""Keys of a record that name persons; a page, which is sent around, leaves them out even where they were asked for."""

TOLD = ("ended", "metric", "counted", "warning", "took")
"""Lines of the summary that the page repeats."""

STANDINGS = {"ok": ("✓", "The images fit"), "suspect": ("!", "Look closely"), "failed": ("✕", "Do not use this result")}


PLACED = {
    "LPS": '"Before" is where the files\' headers place the moving image.',
    "picture": '"Before" lays the first pixels of both pictures on each other.',
}

_PICTURE_AXES = {"L": "right", "R": "left", "P": "down", "A": "up"}


@dataclass(frozen=True)
class Verdict:
    """What the top of a page says.

    Attributes:
        standing: ok, suspect or failed; "unknown" in records without one.
        sign: one character, since colour alone does not reach everyone.
        head: what that means.
        reasons: sentences.
        error: the predicted error; empty where it is not known.
        tries: what to try next.
    """

    standing: str
    sign: str
    head: str
    reasons: tuple[str, ...]
    error: str
    tries: tuple[str, ...]


def page(record: Mapping[str, Any], pictures: Pictures) -> str:
    """The page of a run.

    Args:
        record: as in `run.json`.
        pictures: what it shows.
    """
    lines = summary(record)
    return template().render(
        title=lines[0].text.rsplit(", ", 1)[0],
        kind=record["transform"]["kind"],
        verdict=verdict_of(record),
        words=words_of(record["transform"]),
        meaning=MEANING,
        lines=[(line.label, line.text) for line in lines if line.label in TOLD],
        command=apply_command(record).strip(),
        pictures=pictures,
        seen=seen_of(pictures),
        placed=PLACED["picture" if record["transform"].get("world") == "picture" else "LPS"],
        data={"rows": pictures.rows},
        edge="#{:02x}{:02x}{:02x}".format(*pictures.colour),
        scale=", ".join("rgb({}, {}, {})".format(*colour) for colour in (LOW, MIDDLE, HIGH)),
        charts=charts_of(record["levels"]),
        field=(WIDTH, HEIGHT),
        numbers=numbers_of(record["transform"]),
        matrix=matrix_of(record["transform"]),
        images=images_of(record),
        record=to_json(without(record, PERSONAL)),
        version=record["versions"]["medreg"],
    )


@cache
def template() -> Template:
    """The page's template, compiled; imports Jinja2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=1,
    )
    for name in ("css", "js"):
        environment.globals[name] = Markup((here / f"page.{name}").read_text(encoding="utf-8"))
    return environment.get_template("page.html")


def verdict_of(record: Mapping[str, Any]) -> Verdict:
    """The verdict of a record, whose parts may be missing."""
    said = record.get("verdict") or {}
    standing = str(said.get("standing", "unknown"))
    sign, head = STANDINGS.get(standing, ("?", "No verdict"))
    return Verdict(
        standing,
        sign,
        head,
        tuple(str(reason) for reason in said.get("reasons") or ()),
        error_of(said.get("predicted_error"), str(record["transform"].get("unit", "mm"))),
        tuple(str(step) for step in said.get("next") or ()),
    )


def error_of(predicted: Mapping[str, Any] | None, unit: str = "mm") -> str:
    """The predicted error in words; empty where there is none.

    Example:
        >>> error_of({"mean_mm": 0.031, "p95_mm": 0.052, "interval_mm": [0.02, 0.06]})
        'mean 0.031 mm (95 % sure: 0.02 to 0.06 mm), 95 % of the foreground below 0.052 mm'
    """
    if not predicted:
        return ""
    mean, most, interval = (predicted.get(name) for name in ("mean_mm", "p95_mm", "interval_mm"))
    between = ""
    if interval and len(interval) == 2 and all(map(_known, interval)):
        between = f"95 % sure: {interval[0]:.2g} to {interval[1]:.2g} {unit}"
    parts = []
    if _known(mean):
        parts.append(f"mean {mean:.2g} {unit}" + (f" ({between})" if between else ""))
    elif between:
        parts.append(between)
    if _known(most):
        parts.append(f"95 % of the foreground below {most:.2g} {unit}")
    return ", ".join(parts)


def seen_of(pictures: Pictures) -> str:
    """A sentence where the headers place the images apart; else empty."""
    before, after = pictures.seen
    if before == 0.0:
        return "Before: the headers place nothing of the moving image here, so these pictures are empty."
    if before < 0.5 * after:
        return (
            f"Before: the headers place the moving image over {before:.0%} of what is shown, after it is {after:.0%}."
        )
    return ""


def numbers_of(transform: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The table of a transform's numbers, in the sense of the file: fixed -> moving."""
    unit = transform["unit"]
    named = [
        ("rotation", f"{transform['rotation_angle_deg']:.4f}° about ({_list(transform['rotation_axis'], 4)})"),
        ("Euler angles", ", ".join(f"{k} {_number(v, 4)}°" for k, v in transform["euler_angles_deg"].items())),
        ("translation at the centre", f"({_list(transform['translation_at_centre_mm'], 4)}) {unit}"),
        ("scales", _list(transform["scales"], 6)),
        ("shears", ", ".join(f"{k} {_number(v, 6)}" for k, v in transform["shears"].items())),
    ]
    if "centre" in transform:
        named.append(("centre", f"({_list(transform['centre'], 3)}) {unit}"))
    return [*named, ("example", str(transform["example"]["sentence"]))]


def matrix_of(transform: Mapping[str, Any]) -> str:
    """The matrix as aligned text."""
    rows = [[f"{value:.9g}" for value in row] for row in transform["matrix"]]
    width = max(len(cell) for row in rows for cell in row)
    return "\n".join("  ".join(cell.rjust(width) for cell in row) for row in rows)


def images_of(record: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """A row for each input: role, file, size, spacing, axes."""
    rows = []
    for role, image in record["inputs"].items():
        size, spacing = (" × ".join(f"{v:.4g}" for v in image.get(k, ())) for k in ("size", "spacing"))
        place, axes = f"{spacing} {image.get('unit', 'mm')}", str(image.get("orientation", ""))
        if record["transform"].get("world") == "picture":
            axes = ", ".join(_PICTURE_AXES.get(letter, letter) for letter in axes)
        rows.append((role.replace("_", " "), str(image["file"]), size, place, axes))
    return rows


def without(value: Any, names: frozenset[str]) -> Any:
    """A copy of plain JSON values that lacks some keys at every depth."""
    if isinstance(value, Mapping):
        return {key: without(v, names) for key, v in value.items() if key not in names}
    return [without(v, names) for v in value] if isinstance(value, list | tuple) else value


def _list(values: Sequence[float], digits: int) -> str:
    return ", ".join(_number(value, digits) for value in values)


def _number(value: float, digits: int) -> str:
    """Never "-0.0"."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _known(value: Any) -> bool:
    return value is not None and bool(np.isfinite(value))
