"""The size of a picture's pixels, where its file does not say it and a person does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medreg.errors import UsageError
from medreg.geometry.grid import Grid
from medreg.io.stored import StoredImage

ALIKE = 1e-6
"""Relative difference below which an asked spacing is the file's own: headers keep float32."""


def spacing_choice(text: str | None, option: str = "--spacing") -> tuple[float, ...] | None:
    """What `--spacing` was given: one number, or one for each axis with commas between, in mm; None for None.

    Args:
        text: what was given.
        option: the flag's name, for the message.

    Raises:
        UsageError: for anything else.

    Example:
        >>> spacing_choice("0.5"), spacing_choice("0.5,0.25")
        ((0.5,), (0.5, 0.25))
    """
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not 1 <= len(values) <= 3 or not all(0 < v < float("inf") for v in values):
        raise UsageError(
            f"{option} takes millimetres above 0, one number or X,Y or X,Y,Z, got {text!r}; "
            "micrometres are thousandths: 0.00025 for 0.25 µm"
        )
    return values


def with_spacing(stored: StoredImage, spacing: float | Sequence[float] | None) -> StoredImage:
    """A picture in pixels as one in millimetres; None leaves any image as it is.

    An image whose file states its spacing keeps it: the asked one must be the same. To override a header silently is
    how people get hurt.

    Args:
        stored: as read.
        spacing: millimetres, one number for all axes or x, y(, z).

    Raises:
        UsageError: a spacing for too many axes, or other than what the file says.
    """
    if spacing is None:
        return stored
    d = stored.grid.dimension
    values = np.atleast_1d(np.asarray(spacing, dtype=np.float64)).tolist()
    if len(values) not in (1, d):
        asked = ",".join(f"{v:g}" for v in values)
        raise UsageError(f"{stored.name}: has {d} axes, the spacing {asked} mm is for {len(values)}")
    asked_mm = tuple(values * d if len(values) == 1 else values)
    if stored.metadata.get("unit", "mm") != "px":
        own = stored.grid.spacing
        if all(abs(a - o) <= ALIKE * o for a, o in zip(asked_mm, own, strict=True)):
            return stored
        said, wanted = (" x ".join(f"{v:.7g}" for v in values) for values in (own, asked_mm))
        raise UsageError(
            f"{stored.name}: its file says that its spacing is {said} mm, not {wanted} mm as asked; leave the spacing "
            "of this image out (there are --fixed-spacing and --moving-spacing), or repair the file if it is wrong"
        )
    grid = Grid.regular(stored.grid.size, asked_mm)
    return replace(stored, grid=grid, metadata={**stored.metadata, "unit": "mm", "grid": grid, "spacing_from": "asked"})


def in_place_of(mask: StoredImage, image: StoredImage) -> StoredImage:
    """A mask that is a picture without spacing, with that of its image, where both have the same pixels.

    Only where the image is straight and begins at 0, as pictures do: of any other grid a picture cannot know which of
    its corners is the first.
    """
    straight = Grid.regular(image.grid.size, image.grid.spacing)
    if mask.metadata.get("unit") != "px" or mask.grid.size != image.grid.size or image.grid != straight:
        return mask
    metadata = {**mask.metadata, "unit": image.metadata.get("unit", "mm"), "grid": image.grid}
    return replace(mask, grid=image.grid, metadata=metadata)


def common_unit(first: StoredImage, second: StoredImage, options: tuple[str, str]) -> str:
    """The unit, mm or px, of two images that are to share a world.

    Args:
        first: an image.
        second: the other one.
        options: the flags by which the first and the second can be given a spacing.

    Raises:
        UsageError: one is in millimetres and one in pixels.
    """
    units = [str(image.metadata.get("unit", "mm")) for image in (first, second)]
    if units[0] == units[1]:
        return units[0]
    at = units.index("px")
    pixels, other = (first, second) if at == 0 else (second, first)
    raise UsageError(
        f"{pixels.name}: its file does not say how large a pixel is, while {other.name} is in millimetres; say it with "
        f"{options[at]} MM (if it is not known: 1, and a transform that finds the scale)"
    )
