"""`figure.png`: the middle planes before and after in one picture, for those who have no browser at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.report.page.edges import FINER
from medreg.report.page.encoding import to_bytes
from medreg.report.page.lettering import lettered, own_font
from medreg.report.page.pictures import Pictures
from medreg.report.page.views import View, Views, grey
from medreg.types import VoxelArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

WIDTH, MARGIN, GAP = 1600, 40, 24
LABEL, FOOT = 34, 44
TALLEST = 460
"""Pixels: of the whole, around it and between pictures; a label's height, the legend's, and a picture's at most."""

ORANGE, BLUE = (255, 128, 0), (0, 127, 255)
"""Of the fixed and of the moving image: where both are as bright, their sum is grey."""

INK, FAINT = "#1f2933", "#52606d"
TONES = {"ok": "#16703a", "suspect": "#8a5a00", "failed": "#b42318"}
LEGEND = (
    "Orange: only the fixed image is bright; blue: only the moving one; grey: both. Lines: edges of the fixed image."
)


def overlay(fixed: VoxelArray, moving: VoxelArray) -> VoxelArray:
    """(height, width, 3) uint8 of two grey pictures (0 to 1): the fixed one orange, the moving one blue."""
    first, second = to_bytes(fixed), to_bytes(moving)
    return np.dstack([first, (first >> 1) + (second >> 1), second])


def draw_figure(views: Views, pictures: Pictures, heading: Sequence[tuple[str, str]], path: Path) -> None:
    """Draw the middle planes before and after as overlays, with the edges of the fixed image.

    Args:
        views: the planes; of a volume a row before and one after, of a 2D image both in one row.
        pictures: their edges and scale bars.
        heading: texts above, each with its tone: "title", "plain", or a verdict's standing.
        path: of the PNG.
    """
    from PIL import Image, ImageDraw

    middles = views.middles
    beside = list(range(len(middles))) if len(middles) > 1 else [0, 0]
    widths, tallest = [middles[k].plane.width for k in beside], max(view.plane.height for view in middles)
    scale = min(
        (WIDTH - 2 * MARGIN - GAP * (len(beside) - 1)) / sum(widths),
        (1 if len(middles) > 1 else 1.7) * TALLEST / tallest,
    )
    texts = [
        (line, tone, font)
        for text, tone in heading
        for shown, font in [lettered(text, _size(tone))]
        for line in _lines(shown, font, WIDTH - 2 * MARGIN)
    ]
    top = 24 + sum(_size(tone) + 14 for _, tone, _ in texts)
    step = LABEL + round(scale * tallest)
    canvas = Image.new("RGB", (WIDTH, top + step * (2 if len(middles) > 1 else 1) + FOOT), "white")
    pen = ImageDraw.Draw(canvas)
    _write(pen, texts)
    spare = (WIDTH - 2 * MARGIN - scale * sum(widths)) / max(len(beside) - 1, 1)
    left, y = float(MARGIN), top
    for number, (when, k) in enumerate((when, k) for when in ("before", "after") for k in range(len(middles))):
        view, bar = middles[k], pictures.rows[k]["bar"]
        shown = _drawn(view, when, pictures.edges[k], pictures.colour, scale)
        canvas.paste(shown, (round(left), y + LABEL))
        name = "" if view.plane.name == "picture" else f", {view.plane.name}, {view.plane.place}"
        pen.text((left, y + LABEL / 2), f"{when}{name}", INK, own_font(18), "lm")
        _mark(pen, view, bar, (round(left), y + LABEL, shown.width, shown.height))
        left += shown.width + min(spare, 4 * GAP)
        if (number + 1) % len(beside) == 0:
            left, y = float(MARGIN), y + step
    pen.text((MARGIN, canvas.height - FOOT / 2), LEGEND, FAINT, own_font(16), "lm")
    canvas.save(path, compress_level=1)


def _drawn(view: View, when: str, edges: VoxelArray, colour: tuple[int, int, int], scale: float) -> Image:
    from PIL import Image

    moving = view.before if when == "before" else view.after
    size = max(1, round(view.plane.width * scale)), max(1, round(view.plane.height * scale))
    shown = Image.fromarray(overlay(grey(view.fixed), grey(moving))).resize(size, Image.Resampling.BILINEAR)
    lines = Image.fromarray(edges.astype(np.uint8) * np.uint8(255))
    kind = Image.Resampling.BOX if scale < FINER else Image.Resampling.BILINEAR
    shown.paste(colour, (0, 0), lines.resize(size, kind))
    return shown


def _size(tone: str) -> int:
    return 30 if tone == "title" else 21


def _write(pen: ImageDraw, texts: Sequence[tuple[str, str, Any]]) -> None:
    top = 20.0
    for text, tone, font in texts:
        pen.text((MARGIN, top), text, TONES.get(tone, INK), font, "la")
        top += _size(tone) + 14


def _lines(text: str, font: Any, width: int) -> list[str]:
    """Text broken into lines at spaces, two at most: the second is cut where it is too long."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        elif len(lines) < 2:
            lines.append(word)
        else:
            lines[-1] += " ..."
            break
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: Any, width: int) -> str:
    while len(line) > 4 and font.getlength(line) > width:
        line = f"{line[: -4 - len(line) // 50]}..."
    return line


def _mark(pen: ImageDraw, view: View, bar: dict[str, Any], box: tuple[int, int, int, int]) -> None:
    """Letters on the edges and a scale bar."""
    left, top, width, height = box
    if view.plane.letters:
        middle = left + width / 2, top + height / 2
        places: list[tuple[float, float, str]] = [(left + 6, middle[1], "lm"), (left + width - 6, middle[1], "rm")]
        places += [(middle[0], top + 4, "mt"), (middle[0], top + height - 4, "mb")]
        for letter, (x, y, anchor) in zip(view.plane.letters, places, strict=True):
            pen.text((x, y), letter, "white", own_font(18), anchor, stroke_width=2, stroke_fill="black")
    y, right = top + height - 12, left + 10 + bar["share"] * width
    pen.line([(left + 9, y), (right + 1, y)], "black", 6)
    pen.line([(left + 10, y), (right, y)], "white", 3)
    pen.text((left + 10, y - 6), bar["text"], "white", own_font(15), "lb", stroke_width=2, stroke_fill="black")
