"""`medreg info`: where an image lies and what it holds; with two, how much of them overlaps; the series of a folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Images, Json, Series, SpacingText, Uneven, Verbose

if TYPE_CHECKING:
    from medreg.io.stored import StoredImage


@reported
def info(
    files: Images,
    *,
    series: Series = None,
    uneven: Uneven = "refuse",
    spacing: SpacingText = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show geometry, orientation, type and range of images; of two, their overlap; the images in a DICOM folder.

    World coordinates are LPS millimetres: +x to the patient's left, +y to the back, +z to the head; of pictures that do
    not say how large a pixel is, pixels.
    """
    from medreg.cli.tasks.warned import collected
    from medreg.io.dicom.choice import dicom_choice
    from medreg.io.spacing import spacing_choice
    from medreg.report.description import describe, overlap
    from medreg.report.tables import description_lines, overlap_lines, series_lines

    asked, choice = spacing_choice(spacing), dicom_choice(series, uneven)
    places = {str(path): found for path in files if series is None and (found := _listing(path)) is not None}
    if not json and places:
        typer.echo("\n".join(line for place, found in places.items() for line in series_lines(place, found)))
    with collected() as warned:
        images = [_read(path, choice, asked) for path in files if _is_one(places.get(str(path)))]
    described = [describe(image) for image in images]
    alike = len(images) == 2 and images[0].grid.dimension == images[1].grid.dimension
    alike = alike and described[0]["unit"] == described[1]["unit"]
    between = {**overlap(images[0].grid, images[1].grid), "unit": described[0]["unit"]} if alike else None
    if json:
        from medreg.report.record import to_json

        record = {"images": described, "series": places, "overlap": between, "warnings": warned}
        typer.echo(to_json(record), nl=False)
        return
    lines = [
        line
        for image in described
        for line in description_lines(image, named=len(images) > 1 or image["file"] not in places)
    ]
    lines += [*overlap_lines(between), *(f"warning: {text}" for text in warned)]
    if lines:
        typer.echo("\n".join(lines))


def _listing(path: Path) -> dict[str, Any] | None:
    """The images at a place of several DICOM files; None for any other file."""
    from medreg.io.image import is_dicom_place

    if not is_dicom_place(path):
        return None
    from medreg.io.dicom import list_series

    return asdict(list_series(path))


def _is_one(listing: dict[str, Any] | None) -> bool:
    """Whether there is one image to describe: a file, or a place of one image that can be read."""
    if listing is None:
        return True
    rows = listing["rows"]
    return len(rows) == 1 and not any(note.startswith("refused") for note in rows[0]["notes"])


def _read(path: Path, choice: Any, spacing: tuple[float, ...] | None) -> StoredImage:
    from medreg.io.image import read_stored
    from medreg.io.spacing import with_spacing

    return with_spacing(read_stored(path, choice), spacing)
