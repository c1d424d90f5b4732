"""One operation as a process: read while torch is imported, change, write; for one output or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medreg.cli.tasks.outputs import check_image
from medreg.cli.tasks.starting import importing_torch
from medreg.cli.tasks.warned import collected
from medreg.errors import UsageError
from medreg.io.ahead import Wanted, clerk, read_files
from medreg.io.content import suffix_of
from medreg.io.dicom.choice import Choice
from medreg.io.failing import missing_file
from medreg.io.spacing import with_spacing

if TYPE_CHECKING:
    from medreg.image import MedImage
    from medreg.io.stored import StoredImage
    from medreg.ops import Between, Beyond

Change = Callable[["MedImage", "Between"], "MedImage"]
"""From the image, and how it is taken between its voxels, to the result."""


@dataclass(frozen=True)
class Operating:
    """What to read, where to compute, the picture to draw of all results, if any, and the interpolation, if any.

    An `interpolation` of None is what suits the image, as in `medreg apply`.
    """

    image: Path
    choice: Choice
    spacing: tuple[float, ...] | None = None
    device: str = "auto"
    threads: int | None = None
    picture: Path | None = None
    interpolation: str | None = "nearest"


def operate(task: Operating, changes: Mapping[Path, Change], *, overwrite: bool) -> str:
    """Write, to each path, the image after its change; returns what to tell.

    Raises:
        MedregError: whatever is wrong with the input, the change, the device or the disk.
    """
    if task.picture is not None and suffix_of(task.picture) != ".png":
        raise UsageError(f"--picture {task.picture}: a picture is written as .png")
    for path in (*changes, *([task.picture] if task.picture else [])):
        check_image(path, overwrite=overwrite)
    if not task.image.exists():
        raise missing_file(task.image)
    with clerk() as beside, collected() as warned:
        reading = beside.submit(read_files, [Wanted(task.image, task.choice)])
        with importing_torch():
            from medreg.cli.tasks import engine
        device, _ = engine.compute_on(task.device, task.threads)
        stored = with_spacing(reading.result()[0].image, task.spacing)
        kernel, lines = _between(task, stored)
        image, shown = engine.image_on(device, stored), []
        for path, change in changes.items():
            changed = change(image, kernel)
            lines.append(f"wrote {path} ({_described(changed)}, {engine.write(changed, path, beside)})")
            if task.picture is not None:
                shown.append(changed)
        if task.picture is not None:
            from medreg.report.contact_sheet import contact_sheet

            engine.write(contact_sheet(shown), task.picture, beside)
            lines.append(f"wrote {task.picture} ({len(shown)} images, row by row in the order above)")
    return "\n".join([*(f"warning: {text}" for text in warned), *lines])


def _described(image: MedImage) -> str:
    return " x ".join(map(str, image.size))


def values(text: str, option: str, *, whole: bool = False) -> tuple[float, ...]:
    """Numbers with commas between them.

    Raises:
        UsageError: for anything else.

    Example:
        >>> values("1,2.5", "--centre")
        (1.0, 2.5)
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    sound = all(map(math.isfinite, numbers))
    if not numbers or not sound or (whole and any(number != int(number) for number in numbers)):
        kind = "whole numbers" if whole else "numbers"
        raise UsageError(f"{option} takes {kind} with commas between them, such as 10,20,5, got {text!r}")
    return numbers


def for_axes(numbers: Sequence[float], image: MedImage, option: str) -> list[int]:
    """One whole number an axis; one for all serves each.

    Raises:
        UsageError: a number of them that is not the image's.
    """
    d = image.dimension
    if len(numbers) not in (1, d):
        raise UsageError(f"{option}: {image.name} has {d} axes, got {len(numbers)} numbers; give 1 or {d}")
    return [int(n) for n in (list(numbers) * d if len(numbers) == 1 else numbers)]


def _between(task: Operating, image: StoredImage) -> tuple[Between, list[str]]:
    """How the image is taken between its voxels, and what to tell where nobody has said it."""
    from medreg.cli.tasks import engine
    from medreg.cli.tasks.labels import suiting
    from medreg.sample import Label

    name, told = suiting(image, task.image) if task.interpolation is None else (task.interpolation, [])
    return (Label() if name == "label" else engine.INTERPOLATIONS[name]), told


def beyond(text: str) -> Beyond:
    """What `--outside` was given: a number, edge, or background.

    Raises:
        UsageError: for anything else.
    """
    from medreg.cli.tasks.outside import outside_value
    from medreg.ops import Background
    from medreg.sample import Edge, Fill

    if text.strip().lower() == "background":
        return Background()
    value = outside_value(text, "a number, 'edge' or 'background'")
    return Edge() if isinstance(value, str) else Fill(value)
