"""Reading and writing files of points, whatever their format."""

from __future__ import annotations

import codecs
import json
import re
import warnings
from pathlib import Path

from medreg.errors import MedregWarning, ReadError, UsageError, WriteError
from medreg.io.atomic import written_beside
from medreg.io.failing import AGAIN, reading
from medreg.io.points.listing import read_listing, to_listing
from medreg.io.points.markups import Markups, new_markups, read_markups, to_markups
from medreg.io.points.points import ASSUMED, Form, Points
from medreg.io.points.space import Space
from medreg.io.points.table import Table, new_table, read_table, to_table
from medreg.io.points.vtk import MAGIC, Mesh, new_vtk, read_vtk, to_vtk

_FORMS = {
    ".mrk.json": Form.MARKUPS,
    ".csv": Form.CSV,
    ".tsv": Form.CSV,
    ".fcsv": Form.FCSV,
    ".vtk": Form.VTK,
    ".json": Form.JSON,
    ".txt": Form.TEXT,
}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Bytes that no text holds."""
_SAY = (Form.FCSV, Form.MARKUPS, Form.VTK, Form.CSV, Form.JSON)
"""Forms that can tell their space."""


def form_of_suffix(path: Path) -> Form | None:
    """The format in which a file of this name is written; None where medreg writes no points to such a file.

    Example:
        >>> form_of_suffix(Path("F.mrk.json")).value
        "Slicer's markups"
    """
    return next((form for suffix, form in _FORMS.items() if path.name.lower().endswith(suffix)), None)


def read_points(path: str | Path, space: Space | None = None) -> Points:
    r"""Read points: CSV, FCSV, Slicer's markups, legacy VTK, JSON or plain text, told apart by their content.

    Text is in UTF-8, or in UTF-16 with its byte-order mark; `write_points` writes UTF-8.

    Args:
        path: the file.
        space: what its numbers are, LPS or RAS; where None the file is asked, and where that does not say it, the
            custom of its format is taken (`medreg.io.points.points.ASSUMED`); `Points.sentence` tells which.

    Returns:
        The points in LPS mm, float64. Points with two coordinates are those of a picture, and stay as they are.

    Raises:
        ReadError: the file is missing, of another kind, damaged or empty; columns that cannot be told, rows of several
            lengths, numbers that are not finite.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "points.csv"
        >>> _ = path.write_text("name,R,A,S\nAC,1,2,3\n")
        >>> points = read_points(path)
        >>> points.names, points.coordinates.tolist(), points.sentence
        (('AC',), [[-1.0, -2.0, 3.0]], 'RAS, as the file says')
    """
    path = Path(path)
    if path.is_dir():
        raise ReadError(f"{path}: is a directory; name a file of points")
    with reading(path):
        raw = path.read_bytes()
    if raw.startswith(MAGIC):
        return read_vtk(raw, path, space)
    text = _text(raw, path)
    begin = text.lstrip()[:200]
    if begin.startswith(("{", "[")):
        return _from_json(text, path, space)
    if begin.startswith("<"):
        raise ReadError(f"{path}: is XML; medreg reads legacy VTK (.vtk), save the mesh so")
    is_fcsv = path.suffix.lower() == ".fcsv" or begin.startswith("# Markups fiducial file")
    return read_table(text, path, space, Form.FCSV if is_fcsv else Form.CSV)


def write_points(points: Points, path: str | Path, space: Space | None = None) -> Space:
    """Write points in the format of the file's suffix, whole or not at all.

    In the format that they were read from, all that stood beside them is written again: names, labels, comments,
    further columns, the faces of a mesh. Other formats get their coordinates and names, CSV the texts beside them, too.

    Args:
        points: what to write.
        path: where to: .csv, .tsv, .fcsv, .mrk.json, .json, .vtk or .txt.
        space: LPS or RAS. Where None, the space of the file that they come from if the format is the same or can say
            it; else the custom of the format, so that `read_points` finds them where they are.

    Returns:
        The space that was written.

    Raises:
        WriteError: an unknown suffix, points with two coordinates where three are needed, a disk that refuses.
        UsageError: the space of pictures for points with three coordinates.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> path = Path(tempfile.mkdtemp()) / "points.fcsv"
        >>> write_points(Points(np.array([[0.1, 2.0, 3.0]]), ("AC",)), path).value
        'LPS'
        >>> read_points(path).coordinates.tolist()
        [[0.1, 2.0, 3.0]]
    """
    path = Path(path)
    form = form_of_suffix(path)
    if form is None:
        raise WriteError(f"{path}: unknown suffix for points; medreg writes {', '.join(_FORMS)}")
    space = space or _default_space(points, form)
    if space is Space.PICTURE and points.dimension == 3:
        raise UsageError(f"{path}: a picture's points have 2 coordinates, these have 3; choose LPS or RAS")
    try:
        content = _content(points, path, form, space)
    except WriteError as error:
        raise WriteError(f"{path}: {error}") from error
    with written_beside(path) as temporary:
        temporary.write_bytes(content)
    return space


def _default_space(points: Points, form: Form) -> Space:
    if points.dimension == 2 and points.space is not Space.RAS:
        return points.space
    if form is points.form or form in _SAY:
        return points.space if points.space is not Space.PICTURE else Space.LPS
    return ASSUMED[form]


def _content(points: Points, path: Path, form: Form, space: Space) -> bytes:
    carried = points.carried
    if form is Form.VTK:
        return to_vtk(points, carried, space) if isinstance(carried, Mesh) else new_vtk(points, space)
    if form is Form.MARKUPS:
        text = to_markups(points, carried, space) if isinstance(carried, Markups) else new_markups(points, space)
    elif form is Form.JSON:
        text = to_listing(points, space)
    elif isinstance(carried, Table) and carried.form is form:
        text = to_table(points, carried, space)
    else:
        if form is Form.FCSV and points.dimension != 3:
            raise WriteError("FCSV has 3 coordinates, these points have 2; write .csv, .json or .txt")
        if form is Form.TEXT and points.names:
            warnings.warn(
                f"{path}: plain text holds coordinates only, the names of the points are left out; .csv keeps them",
                MedregWarning,
                stacklevel=3,
            )
        text = new_table(points, space, form, "\t" if path.suffix.lower() == ".tsv" else ",")
    return text.encode("utf-8")


def _from_json(text: str, path: Path, space: Space | None) -> Points:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ReadError(f"{path}: is no JSON, {error}; the file may be damaged, {AGAIN}") from error
    if isinstance(document, dict) and "markups" in document:
        return read_markups(document, path, space)
    return read_listing(document, path, space)


def _text(raw: bytes, path: Path) -> str:
    if not raw.strip():
        raise ReadError(f"{path}: is empty; the program that wrote it failed, or the disk was full")
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        text = "\0"
        if not wide and _CONTROL.search(raw) is None:
            line = error.object[: error.start].count(b"\n") + 1
            raise ReadError(
                f"{path}: is text, but not in UTF-8: line {line} holds the byte 0x{error.object[error.start]:02x}, as "
                "Latin-1 and the code pages of Windows do; save it as UTF-8 (spreadsheets call it CSV UTF-8)"
            ) from error
    if "\0" in text:
        raise ReadError(
            f"{path}: is no file of points that medreg reads: CSV, Slicer's .fcsv or .mrk.json, legacy .vtk, JSON or "
            "plain text, in UTF-8"
        )
    return text
