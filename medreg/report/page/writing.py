"""The two files of a report. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medreg.report.page import FIGURE, PAGE
from medreg.report.page.figure import draw_figure
from medreg.report.page.html import page, template, verdict_of
from medreg.report.page.pictures import Pictures
from medreg.report.page.views import Views
from medreg.report.page.words import words_of
from medreg.report.summary import title_of


def prepare() -> None:
    """Import and compile what a page needs, ahead of time."""
    from PIL import Image, JpegImagePlugin, PngImagePlugin  # noqa: F401

    template()


def write_page(record: Mapping[str, Any], pictures: Pictures, folder: Path) -> None:
    """Write `report.html`.

    Args:
        record: as in `run.json`.
        pictures: of the run's images.
        folder: where to.
    """
    (folder / PAGE).write_text(page(record, pictures), encoding="utf-8")


def write_figure(record: Mapping[str, Any], views: Views, pictures: Pictures, folder: Path) -> None:
    """Write `figure.png`.

    Args:
        record: as in `run.json`; only its inputs, transform and verdict are looked at.
        views: of the run's images.
        pictures: made of them.
        folder: where to.
    """
    draw_figure(views, pictures, heading_of(record), folder / FIGURE)


def heading_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines above the figure, each with its tone."""
    verdict = verdict_of(record)
    files = {role: str(record["inputs"][role]["file"]) for role in ("fixed", "moving")}
    title = title_of(files["moving"], files["fixed"]).replace("→", "onto")
    good = verdict.error and verdict.standing == "ok"  # of a wrong place it would mislead
    told = f"predicted error: {verdict.error}" if good else "; ".join(verdict.reasons)
    return [
        (title, "title"),
        (f"{verdict.standing}: {verdict.head.lower()}; {told}", verdict.standing),
        (words_of(record["transform"]).sentence, "plain"),
    ]
