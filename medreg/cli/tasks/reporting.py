"""The report of a run, beside its other work: whatever goes wrong with it is a warning, never the end of the run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medreg.errors import MedregError, MedregWarning
from medreg.io.ahead import Clerk, Pending
from medreg.report.page import FIGURE, PAGE
from medreg.types import FloatArray

if TYPE_CHECKING:
    from medreg.image import MedImage
    from medreg.report.page.pictures import Pictures
    from medreg.report.page.views import Views

FILES = {"page": PAGE, "figure": FIGURE}


class Report:
    """A report in the making, in the order of its methods; each does nothing once one has failed.

    Args:
        beside: compiles the page's template while torch is imported, and fills it at the end.
    """

    def __init__(self, beside: Clerk) -> None:
        """Make ready, beside."""
        self._beside = beside
        self._pictures: Pictures | None = None
        self._ready: Pending = beside.submit(prepared)

    def draw(
        self, fixed: MedImage, moving: MedImage, matrix: FloatArray, error: MedImage | None = None
    ) -> Views | None:
        """Look at the images.

        Args:
            fixed: the image that stays.
            moving: the image that was moved.
            matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
            error: predicted error in mm over the fixed image, on any grid, where it is known.

        Returns:
            What `figure` wants; None where it failed.
        """
        from medreg.report.page.pictures import pictures_of
        from medreg.report.page.sampling import views_of

        try:
            views = views_of(fixed, moving, matrix, error)
            self._pictures = pictures_of(views)
        except Exception as failure:
            self._give_up(reason_of(failure))
            return None
        return views

    def figure(self, heading: Mapping[str, Any], views: Views | None, folder: Path) -> None:
        """Write the figure; `heading` holds the `inputs`, `transform` and `verdict` of the record."""
        from medreg.report.page.writing import write_figure

        if views is None or self._pictures is None:
            return
        try:
            write_figure(heading, views, self._pictures, folder)
        except Exception as failure:
            self._give_up(reason_of(failure))

    def outputs(self) -> dict[str, str]:
        """The files by what they are, as far as all went well."""
        return {} if self._pictures is None else dict(FILES)

    def page(self, record: dict[str, Any], folder: Path) -> None:
        """Write the page, which holds the record; where that fails the record says so."""
        if self._pictures is None:
            return
        failed = self._beside.submit(page_written, record, self._pictures, folder).result()
        if failed:
            record["warnings"].append(self._give_up(failed))
            record["outputs"].pop("report")
            (folder / FILES["figure"]).unlink(missing_ok=True)

    def _give_up(self, reason: str) -> str:
        self._pictures = None
        text = f"no report was made: {reason}; --no-report leaves it out"
        warnings.warn(text, MedregWarning, stacklevel=3)
        return text


def prepared() -> None:
    """Import and compile what a page needs; where that fails, filling it will say so."""
    with suppress(Exception):
        from medreg.report.page.writing import prepare

        prepare()


def page_written(record: Mapping[str, Any], pictures: Pictures, folder: Path) -> str:
    """Write the page; returns why that failed, or nothing."""
    from medreg.report.page.writing import write_page

    try:
        write_page(record, pictures, folder)
    except Exception as failure:
        return reason_of(failure)
    return ""


def reason_of(failure: Exception) -> str:
    """One line."""
    text = " ".join(str(failure).split()).rstrip(".")
    return text if isinstance(failure, MedregError | OSError) and text else f"{type(failure).__name__}: {text}"
