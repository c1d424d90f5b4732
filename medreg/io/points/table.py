"""Points as rows of text: CSV with its many headers, Slicer's FCSV, and plain columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medreg.errors import ReadError
from medreg.io.points.points import Form, Points, placed
from medreg.io.points.space import Space, known_space, respelt, space_in, to_lps

_NAMES = {
    Form.CSV: ("name", "landmark", "label", "id", "comment", "desc", "description", ""),
    Form.FCSV: ("label", "desc"),
    Form.TEXT: ("name", "landmark", "label", "id", ""),
}
"""Columns that may name the points. The first whose entries are all different is taken, else the first there is."""

_OF_FCSV = ("id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID")
_UNIT = re.compile(r"[\s_]*[(\[]?\s*(mm|lps|ras|px|pixels?)\s*[)\]]?$")
_BETWEEN_COMMAS = re.compile(r"\d+\s+[-+]?\d+")
"""What stands between two commas where these were decimal ones: the end of a number, and the beginning of the next."""
_AXES: tuple[tuple[str, Space | None], ...] = (("xyz", None), ("ras", Space.RAS), ("lps", Space.LPS), ("xy", None))
"""Names of coordinate columns, with the space that they tell."""


@dataclass(frozen=True)
class Table:
    """A file of rows as it stands.

    Attributes:
        form: CSV, FCSV or TEXT.
        delimiter: between cells; " " stands for any white space.
        comments: the lines that begin with #, and those that elastix puts first.
        header: the names of the columns; for FCSV those of a comment; None where there is none.
        cells: the texts of each row.
        axes: which columns hold x, y(, z).
        naming: the column that names the points, or None.
        newline: what ends a line.
    """

    form: Form
    delimiter: str
    comments: tuple[str, ...]
    header: tuple[str, ...] | None
    cells: tuple[tuple[str, ...], ...]
    axes: tuple[int, ...]
    naming: int | None = None
    newline: str = "\n"

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.cells)

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The named columns that hold neither coordinates nor names."""
        taken = {*self.axes, self.naming}
        return {
            title: tuple(row[k] if k < len(row) else "" for row in self.cells)
            for k, title in enumerate(self.header or ())
            if k not in taken and title
        }


def read_table(text: str, path: Path, asked: Space | None, form: Form) -> Points:
    """Points of a text of rows.

    Args:
        text: the whole file.
        path: for messages, and to tell CSV by its suffix.
        asked: the space, where the caller knows it.
        form: FCSV where the file is one; CSV and TEXT are told apart here.

    Raises:
        ReadError: no rows, rows of several lengths, columns that cannot be told, cells that are no numbers.
    """
    comments, numbered = _split(text, path)
    said = next((name for line in comments if (name := space_in(line)) is not None), None)
    if comments[:1] == ["point"]:
        said = "LPS"  # elastix
    delimiter = "," if form is Form.FCSV else _delimiter(numbered[0][1])
    if form is not Form.FCSV:
        form = Form.TEXT if delimiter == " " and path.suffix.lower() not in (".csv", ".tsv") else Form.CSV
    rows = [(number, _cells(line, delimiter, path, number)) for number, line in numbered]
    header = _fcsv_columns(comments) if form is Form.FCSV else None
    if header is None and not any(_is_number(cell) for cell in rows[0][1]):
        header = tuple(rows.pop(0)[1])
    if not rows:
        raise ReadError(f"{path}: holds no points, only a header")
    axes, by_columns = _axes(header, rows, path)
    _check_lengths(rows, header, axes, form, path)
    numbers = np.array([[_number(cells[k], path, number) for k in axes] for number, cells in rows])
    told = known_space(said) if said is not None else by_columns
    if said is not None and told is None and asked is None:
        raise ReadError(
            f"{path}: its coordinate system is {said!r}, medreg reads LPS and RAS; convert it, or say which"
        )
    coordinates, space, known = placed(numbers, told, asked, form, path)
    table = Table(form, delimiter, tuple(comments), header, tuple(cells for _, cells in rows), axes)
    naming = _naming(table)
    newline = "\r\n" if "\r\n" in text else "\n"
    names = () if naming is None else tuple(row[naming].strip() if naming < len(row) else "" for row in table.cells)
    return Points(coordinates, names, space, known, form, replace(table, naming=naming, newline=newline), path)


def to_table(points: Points, table: Table, space: Space) -> str:
    """The text of points whose file was a table of the same form: all but the coordinates as it was."""
    numbers = to_lps(points.coordinates, space)
    header, comments = _telling(table, space, points.space)
    rows = [_with_numbers(cells, table.axes, row) for cells, row in zip(table.cells, numbers, strict=True)]
    titles = [header] if header is not None and table.form is not Form.FCSV else []
    content = "".join(f"{line}\n" for line in comments) + _lines([*titles, *rows], table.delimiter)
    return content.replace("\n", table.newline)


def _telling(table: Table, space: Space, was: Space) -> tuple[tuple[str, ...] | None, list[str]]:
    """The header and the comments, telling the space where they told one, or where it is another than before."""
    header, comments = table.header, [respelt(line, space) for line in table.comments]
    if space is Space.PICTURE or table.form is Form.TEXT or any(space_in(line) for line in comments):
        return header, comments
    if table.form is Form.FCSV:
        return header, [*comments[:1], f"# CoordinateSystem = {space.value}", *comments[1:]]
    if header is None or len(table.axes) == 2:
        return header, comments
    told = _axes(header, (), Path())[1]
    if told is not space and (told is not None or space is not was):
        letters = dict(zip(table.axes, "LPS" if space is Space.LPS else "RAS", strict=False))
        header = tuple(letters.get(k, title) for k, title in enumerate(header))
    return header, comments


def new_table(points: Points, space: Space, form: Form, delimiter: str = ",") -> str:
    """The text of points that come from elsewhere.

    CSV says RAS by the names of its columns; plain text cannot say it.
    """
    numbers = to_lps(points.coordinates, space)
    texts = [[repr(float(value)) for value in row] for row in numbers]
    if form is Form.TEXT:
        return _lines(texts, " ")
    if form is Form.FCSV:
        return _new_fcsv(points, space, texts)
    axes = list("RAS" if space is Space.RAS else "xyz")[: points.dimension]
    columns = {**({"name": points.names} if points.names else {})}
    after = {title: cells for title, cells in points.columns.items() if title not in ("name", *axes)}
    rows = [
        [*(cells[k] for cells in columns.values()), *texts[k], *(cells[k] for cells in after.values())]
        for k in range(len(points))
    ]
    return _lines([[*columns, *axes, *after], *rows], delimiter)


def _new_fcsv(points: Points, space: Space, texts: Sequence[Sequence[str]]) -> str:
    names = points.names or tuple(f"F-{k + 1}" for k in range(len(points)))
    described = points.columns.get("desc") or points.columns.get("description") or points.columns.get("comment")
    rows = [
        [str(k + 1), *text, "0", "0", "0", "1", "1", "1", "0", names[k], described[k] if described else "", ""]
        for k, text in enumerate(texts)
    ]
    head = (
        "# Markups fiducial file version = 4.11\n"
        f"# CoordinateSystem = {space.value}\n"
        f"# columns = {','.join(_OF_FCSV)}\n"
    )
    return head + _lines(rows, ",")


def _split(text: str, path: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """The comments; and the other lines that are not blank, with their numbers."""
    lines = [(k + 1, line.rstrip()) for k, line in enumerate(text.splitlines())]
    comments = [line for _, line in lines if line.lstrip().startswith("#")]
    rows = [(k, line) for k, line in lines if line.strip(" \t,;") and not line.lstrip().startswith("#")]
    first = rows[0][1].strip().lower() if rows else ""
    if first == "index":
        raise ReadError(f"{path}: holds voxel indices, as elastix calls them; medreg reads points in mm (point)")
    if first == "point" and len(rows) > 1 and rows[1][1].strip().isdigit():
        comments, rows = ["point", rows[1][1].strip(), *comments], rows[2:]
    if not rows:
        raise ReadError(f"{path}: holds no points")
    return comments, rows


def _delimiter(line: str) -> str:
    return next((mark for mark in ("\t", ";", ",") if mark in line), " ")


def _cells(line: str, delimiter: str, path: Path, number: int) -> tuple[str, ...]:
    if delimiter == " ":
        return tuple(line.split())
    try:
        return tuple(next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)))
    except csv.Error as error:
        raise ReadError(f"{path}: line {number} is no row of a table, {error}") from error


def _fcsv_columns(comments: Sequence[str]) -> tuple[str, ...]:
    for line in comments:
        key, _, names = line.lstrip("# ").partition("=")
        if key.strip().lower() == "columns":
            return tuple(name.strip() for name in names.split(","))
    return _OF_FCSV


def _axes(
    header: tuple[str, ...] | None, rows: Sequence[tuple[int, tuple[str, ...]]], path: Path
) -> tuple[tuple[int, ...], Space | None]:
    """Which columns hold coordinates, and the space that their names tell."""
    if header is None:
        return _columns_of_numbers(rows, path), None
    plain = [title.strip().strip("#").strip().lower() for title in header]
    bare = [_UNIT.sub("", title) for title in plain]
    for names, space in _AXES:
        if all(bare.count(name) == 1 for name in names):
            axes = tuple(bare.index(name) for name in names)
            unit = _UNIT.search(plain[axes[0]])
            return axes, space or (known_space(unit.group(1)) if unit else None)
    twice = next((name for name in "xyz" if bare.count(name) > 1), None)
    raise ReadError(
        f"{path}: its columns are {', '.join(map(repr, header))}, "
        + (f"and {twice!r} is there more than once" if twice else "none of which are known as coordinates")
        + ("; voxel indices are no points, multiply them by the image's affine first" * (set("ijk") <= set(bare)))
        + "; call them x, y, z, or R, A, S, or L, P, S (x and y in 2D)"
    )


def _columns_of_numbers(rows: Sequence[tuple[int, tuple[str, ...]]], path: Path) -> tuple[int, ...]:
    """The two or three columns of numbers of a table without a header; a column of names may stand beside them."""
    cells = rows[0][1]
    numeric = tuple(k for k, cell in enumerate(cells) if _is_number(cell))
    if len(numeric) in (2, 3) and len(cells) - len(numeric) <= 1 and numeric[-1] - numeric[0] == len(numeric) - 1:
        return numeric
    comma = "; write decimals with a point" if any(_BETWEEN_COMMAS.fullmatch(cell) for cell in cells) else ""
    raise ReadError(
        f"{path}: line {rows[0][0]} has {len(cells)} columns, {len(numeric)} of them numbers, and there is no header; "
        f"points have 2 or 3 numbers, and may have a name; add a first line such as x,y,z,t,label{comma}"
    )


def _check_lengths(
    rows: Sequence[tuple[int, tuple[str, ...]]],
    header: tuple[str, ...] | None,
    axes: tuple[int, ...],
    form: Form,
    path: Path,
) -> None:
    wanted = len(header) if header is not None else len(rows[0][1])
    for number, cells in rows:
        if len(cells) != wanted and not (form is Form.FCSV and len(cells) > max(axes)):
            raise ReadError(
                f"{path}: line {number} has {len(cells)} columns, {wanted} are wanted as in "
                f"{'the header' if header is not None else f'line {rows[0][0]}'}"
            )


def _is_number(text: str) -> bool:
    """Whether a cell is meant as a number, also with a decimal comma, of which `_number` tells."""
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return True


def _number(text: str, path: Path, number: int) -> float:
    try:
        value = float(text)
    except ValueError:
        comma = "; write decimals with a point" if re.fullmatch(r"\s*[-+]?\d+,\d+\s*", text) else ""
        raise ReadError(f"{path}: line {number} has {text!r} where a coordinate is wanted{comma}") from None
    if not np.isfinite(value):
        raise ReadError(
            f"{path}: line {number} has the coordinate {text.strip()}, which is not finite; remove the point"
        )
    return value


def _naming(table: Table) -> int | None:
    if table.header is None:
        others = [k for k in range(len(table.cells[0])) if k not in table.axes]
        return others[0] if others else None
    titles = [title.strip().lower() for title in table.header]
    there = [titles.index(name) for name in _NAMES[table.form] if name in titles]
    for column in there:
        texts = [row[column].strip() for row in table.cells if column < len(row)]
        if all(texts) and len(set(texts)) == table.count:
            return column
    return there[0] if there else None


def _with_numbers(cells: tuple[str, ...], axes: tuple[int, ...], numbers: Sequence[float]) -> list[str]:
    """The row with new coordinates; those that are the same keep their spelling."""
    row = list(cells)
    for k, value in zip(axes, numbers, strict=False):  # a plane's points leave their z as it is
        if float(row[k]) != float(value):
            row[k] = repr(float(value))
    return row


def _lines(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    if delimiter == " ":
        return "".join(" ".join(row) + "\n" for row in rows)
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()
