"""What a picture's file says of the size of its pixels, and whether that is a measure of the object."""

from __future__ import annotations

import re
from collections.abc import Mapping

from medreg.io.tiff_tags import Page, Tag

MM_PER_UNIT = {
    "mm": 1.0,
    "millimeter": 1.0,
    "um": 1e-3,
    "µm": 1e-3,  # the micro sign
    "μm": 1e-3,  # the Greek letter, which some programs write
    "micron": 1e-3,
    "microns": 1e-3,
    "micrometer": 1e-3,
    "nm": 1e-6,
    "cm": 10.0,
    "m": 1000.0,
    "inch": 25.4,
    "in": 25.4,
}
"""Millimetres of each unit of length, by the names that files give it."""

PRINT_UNITS = frozenset({"inch", "in", "cm"})
"""Units in which programs state how large a picture is to be printed or shown."""

FINEST_PRINT_MM = 0.01
"""2540 dots an inch. Coarser resolutions in a printer's units say how to print a picture, finer ones what was seen."""


def tiff_spacing(page: Page, axes: int) -> tuple[float, ...] | None:
    """Millimetres between pixels along x, y(, z), or None where the file does not measure the object.

    OME's and ImageJ's sizes are taken. So is a plain resolution tag, but only below 10 µm: 72 or 300 dots an inch are
    how a picture is printed, and nearly every program writes some such number.

    Args:
        page: the file's first.
        axes: 2, or 3 for a stack of pages.
    """
    text = page.text(Tag.DESCRIPTION)
    sizes = _ome(text) if "<OME" in text or ":OME" in text else _imagej(page, text) if _is_imagej(text) else None
    if sizes is None:
        sizes = _resolution(page, {2: "inch", 3: "cm"}.get(page.whole(Tag.RESOLUTION_UNIT, 2)))
    if sizes is None or len(sizes) < axes:
        return None
    return sizes[:axes]


def axes_of_pages(page: Page) -> Mapping[str, int]:
    """How many channels, slices and frames the pages are, as OME or ImageJ says; empty where neither does."""
    text = page.text(Tag.DESCRIPTION)
    if _is_imagej(text):
        named = {"channels": "channels", "slices": "slices", "frames": "frames"}
        values = _imagej_values(text)
        return {name: int(values[key]) for name, key in named.items() if values.get(key, "").isdigit()}
    match = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", text)
    if match is None:
        return {}
    named = {"channels": "SizeC", "slices": "SizeZ", "frames": "SizeT"}
    found = {name: re.search(rf'\b{key}="(\d+)"', match[0]) for name, key in named.items()}
    samples = page.whole(Tag.SAMPLES, 1)
    counts = {name: int(value[1]) for name, value in found.items() if value}
    if "channels" in counts and samples > 1:  # OME counts the colours of a pixel as channels
        counts["channels"] = max(1, counts["channels"] // samples)
    return counts


def _ome(text: str) -> tuple[float, ...] | None:
    match = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", text)
    if match is None:
        return None
    sizes = []
    for axis in "XYZ":
        size = re.search(rf'\bPhysicalSize{axis}="([^"]+)"', match[0])
        unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]+)"', match[0])
        scale = MM_PER_UNIT.get(unit[1] if unit else "µm")
        value = _positive(size[1]) if size else None
        if value is None or scale is None:
            break
        sizes.append(value * scale)
    return tuple(sizes) if len(sizes) >= 2 else None


def _is_imagej(text: str) -> bool:
    return text.startswith("ImageJ=")


def _imagej_values(text: str) -> dict[str, str]:
    lines = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in lines}


def _imagej(page: Page, text: str) -> tuple[float, ...] | None:
    """ImageJ's tags count pixels in its own unit, which its description names; `spacing` lies between slices."""
    values = _imagej_values(text)
    unit = values.get("unit", "").replace("\\u00B5", "µ")
    sizes = _resolution(page, unit)
    depth = _positive(values.get("spacing", ""))
    return sizes if sizes is None or depth is None else (*sizes, depth * MM_PER_UNIT[unit])


def _resolution(page: Page, unit: str | None) -> tuple[float, ...] | None:
    if unit not in MM_PER_UNIT:
        return None
    density = [page.number(tag, 0.0) for tag in (Tag.X_RESOLUTION, Tag.Y_RESOLUTION)]
    if min(density) <= 0:
        return None
    sizes = tuple(MM_PER_UNIT[unit] / d for d in density)
    return None if unit in PRINT_UNITS and max(sizes) >= FINEST_PRINT_MM else sizes


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
