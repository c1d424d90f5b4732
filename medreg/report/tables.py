"""Descriptions of images as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def description_lines(image: Mapping[str, Any], *, named: bool = True) -> list[str]:
    """The lines of one image, as described by `describe`; the first names it, unless that was just done."""
    unit = image["unit"]
    world = "" if image["world"] == "picture" else ", LPS"
    rows = {
        "format": f"{image['format']}{_modality(image)}{_codes(image)}{_turned(image)}",
        "size": f"{_times(image['size'])} {'pixels' if len(image['size']) == 2 else 'voxels'}{_leading(image)}",
        "spacing": f"{_times(image['spacing'])} {unit}{_unsaid(image)}",
        "extent": f"{_times(image['extent'])} {unit}",
        "axes": f"{image['orientation']} ({_directions(image)})",
        "origin": f"{_point(image['origin'])} {unit}{world}",
        "centre": f"{_point(image['centre'])} {unit}{world}",
        "values": f"{image['dtype']}{_scaling(image)}, {_range(image)}",
    }
    lines = [f"  {name:<9}{text}" for name, text in rows.items()]
    return [str(image["file"]), *lines] if named else lines


_TITLES = ("no", "modality", "description", "series", "files", "size", "spacing mm", "volumes")


def series_lines(place: str, listing: Mapping[str, Any]) -> list[str]:
    """The lines of a listing of DICOM images: a table, with what is odd about an image below its row."""
    rows = [
        (
            str(row["number"]),
            row["modality"],
            row["description"] or "-",
            "-" if row["series_number"] is None else str(row["series_number"]),
            str(row["files"]),
            _times(row["size"]),
            _times(row["spacing"]) or "-",
            str(row["frames"]),
        )
        for row in listing["rows"]
    ]
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
    lines = [place]
    for cells, row in zip([_TITLES, *rows], [None, *listing["rows"]], strict=True):
        lines.append(("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))).rstrip())
        lines += [f"  {'':<{widths[0]}}  ! {note}" for note in (row["notes"] if row else ())]
    if others := listing["other_files"]:
        lines.append(
            f"  and {others} other file{'s' if others > 1 else ''}, no image{'s' if others > 1 else ''} of DICOM"
        )
    return [*lines, *(f"  unreadable: {text}" for text in listing["unreadable"])]


def overlap_lines(between: Mapping[str, Any] | None) -> list[str]:
    """The lines of an overlap, as given by `overlap`; none for None."""
    if between is None:
        return []
    unit = between.get("unit", "mm")
    apart = f"centres {between['centres_mm']:.1f} {unit} apart"
    if between["of_first"] == 0 and between["of_second"] == 0:
        return ["overlap", f"  none; {apart} (medreg register starts from the centres of mass)"]
    return [
        "overlap",
        f"  {_times(between['box_mm'])} {unit} along the world's axes, {apart}",
        f"  {between['of_first']:.0%} of the first lies in the second, "
        f"{between['of_second']:.0%} of the second in the first",
    ]


def _times(values: Sequence[float]) -> str:
    return " × ".join(f"{v:.5g}" for v in values)


def _point(values: Sequence[float]) -> str:
    return f"({', '.join(f'{v:.2f}' for v in values)})"


def _modality(image: Mapping[str, Any]) -> str:
    return f", {image['modality']}" if image["modality"] else ""


def _leading(image: Mapping[str, Any]) -> str:
    count = image["leading_length"]
    return "" if count == 1 else f", {count} {'volumes' if image['leading'] == 'frames' else 'channels'}"


def _directions(image: Mapping[str, Any]) -> str:
    if image["world"] == "picture":
        return "a picture, no place in the world"
    tilt = "straight" if image["off_axis_deg"] < 0.01 else f"oblique by {image['off_axis_deg']:.1f}°"
    return f"{tilt}, sheared" if image["sheared"] else tilt


def _unsaid(image: Mapping[str, Any]) -> str:
    if image["spacing_from"] == "asked":
        return ", as asked"
    return ", the file does not say how large a pixel is (--spacing)" if image["unit"] == "px" else ""


def _turned(image: Mapping[str, Any]) -> str:
    tag = image["orientation_tag"]
    return "" if tag == 1 else f", turned upright as its orientation tag ({tag}) says"


def _scaling(image: Mapping[str, Any]) -> str:
    if (image["slope"], image["inter"]) == (1.0, 0.0):
        return ""
    return f" × {image['slope']:g} + {image['inter']:g}"


def _range(image: Mapping[str, Any]) -> str:
    if image["minimum"] is None:
        return "no finite value"
    holes = f", {image['not_finite']} NaN or infinite" if image["not_finite"] else ""
    units = f" {image['units']}" if image["units"] else ""
    return f"{image['minimum']:g} to {image['maximum']:g}{units}{holes}"


def _codes(image: Mapping[str, Any]) -> str:
    if "sform_code" not in image:
        return ""
    text = f", sform code {image['sform_code']}, qform code {image['qform_code']}, place from {image['affine_from']}"
    difference = image.get("sform_qform_mm")
    return text if difference is None else f"{text}; they differ by {difference:.2g} mm"
