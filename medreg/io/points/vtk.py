"""VTK's legacy files, text or binary: the POINTS of a mesh are read and replaced, all else stays as it is."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medreg.errors import MedregWarning, ReadError, WriteError
from medreg.io.failing import AGAIN
from medreg.io.points.points import Form, Points, placed
from medreg.io.points.space import Space, known_space, respelt, space_in, to_lps
from medreg.types import FloatArray

MAGIC = b"# vtk DataFile Version"
_POINTS = re.compile(rb"(?i)\npoints[ \t]+(\d+)[ \t]+(\w+)[ \t]*\r?\n")
_FIELD = re.compile(rb"(\nSPACE 1 1 string\r?\n\xc3?)(LPS|RAS)")
"""How Slicer's legacy files tell their space; in binary ones a byte before the text holds its length."""
_VECTORS = re.compile(rb"\n(NORMALS|VECTORS|TENSORS) ")
_TYPES = {
    b"float": ">f4",
    b"double": ">f8",
    b"int": ">i4",
    b"unsigned_int": ">u4",
    b"short": ">i2",
    b"unsigned_short": ">u2",
    b"long": ">i8",
    b"vtktypeint64": ">i8",
}
_WITHOUT = (b"STRUCTURED_POINTS", b"RECTILINEAR_GRID", b"FIELD")


@dataclass(frozen=True)
class Mesh:
    """The bytes around the points.

    Attributes:
        before: from the first line to that before POINTS.
        after: what follows the coordinates.
        binary: whether numbers are bytes.
        count: points.
    """

    before: bytes
    after: bytes
    binary: bool
    count: int
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_vtk(raw: bytes, path: Path, asked: Space | None) -> Points:
    """The points of a legacy file.

    Raises:
        ReadError: a dataset without points, a file that is cut short or damaged.
    """
    lines = raw.split(b"\n", 4)
    if len(lines) < 5 or lines[2].strip().upper() not in (b"ASCII", b"BINARY"):
        raise ReadError(f"{path}: is no legacy VTK file, its third line is neither ASCII nor BINARY; {AGAIN}")
    kind = lines[3].strip().upper().removeprefix(b"DATASET").strip()
    head = _POINTS.search(raw)
    if head is None:
        why = " as " + kind.decode("ascii", "replace") + " has none" if kind.startswith(_WITHOUT) else ""
        raise ReadError(f"{path}: holds no points{why}; medreg reads the POINTS of meshes")
    binary = lines[2].strip().upper() == b"BINARY"
    count, name = int(head.group(1)), head.group(2).lower()
    if count == 0:
        raise ReadError(f"{path}: holds no points")
    if name not in _TYPES:
        raise ReadError(f"{path}: its points are of type {name.decode()!r}, medreg reads {b', '.join(_TYPES).decode()}")
    read = _from_bytes if binary else _from_text
    numbers, end = read(raw, head.end(), count, name, path)
    mesh = Mesh(raw[: head.start() + 1], raw[end:], binary, count)
    told = _FIELD.search(mesh.before)
    said = told.group(2).decode() if told else space_in(lines[1].decode("utf-8", "replace"))
    coordinates, space, known = placed(numbers, known_space(said) if said else None, asked, Form.VTK, path)
    return Points(coordinates, (), space, known, Form.VTK, mesh, path)


def to_vtk(points: Points, mesh: Mesh, space: Space) -> bytes:
    """The bytes of points that were read from VTK; their numbers become double, so that no digit is lost."""
    if vectors := _VECTORS.search(mesh.after):
        warnings.warn(
            f"{points.path}: its {vectors.group(1).decode().lower()} are kept as they are, only the points are moved; "
            "compute them again where they are needed",
            MedregWarning,
            stacklevel=3,
        )
    numbers = to_lps(points.coordinates, space)
    if numbers.shape[1] == 2:
        numbers = np.pad(numbers, ((0, 0), (0, 1)))
    body = numbers.astype(">f8").tobytes() + b"\n" if mesh.binary else _ascii(numbers)
    head = b"POINTS %d double\n" % len(numbers)
    return _telling(mesh.before, space, points.space) + head + body + mesh.after.lstrip(b"\r\n")


def new_vtk(points: Points, space: Space) -> bytes:
    """The bytes of points that come from elsewhere: polydata of vertices, as text.

    Raises:
        WriteError: points with two coordinates.
    """
    if points.dimension != 3:
        raise WriteError("points of VTK have 3 coordinates, these have 2; write .csv, .json or .txt")
    n = len(points)
    head = f"# vtk DataFile Version 3.0\nPoints of medreg. SPACE={space.value}\nASCII\nDATASET POLYDATA\n"
    vertices = "".join(f"1 {k}\n" for k in range(n))
    body = f"POINTS {n} double\n".encode() + _ascii(to_lps(points.coordinates, space))
    return head.encode() + body + f"VERTICES {n} {2 * n}\n{vertices}".encode()


def _from_bytes(raw: bytes, start: int, count: int, name: bytes, path: Path) -> tuple[FloatArray, int]:
    dtype = np.dtype(_TYPES[name])
    end = start + 3 * count * dtype.itemsize
    if end > len(raw):
        raise ReadError(f"{path}: is cut short, {count} points are announced; {AGAIN}")
    return np.frombuffer(raw[start:end], dtype).reshape(count, 3).astype(np.float64), end


def _from_text(raw: bytes, start: int, count: int, name: bytes, path: Path) -> tuple[FloatArray, int]:
    """The numbers, and where the last of them ends."""
    words: list[bytes] = []
    end = start
    for line in re.finditer(rb"[^\n]*\n?", raw[start:]):
        if len(words) >= 3 * count or not line.group():
            break
        words += line.group().split()
        end = start + line.end()
    if len(words) < 3 * count:
        raise ReadError(f"{path}: is cut short, {count} points are announced, {len(words) // 3} are there; {AGAIN}")
    try:
        numbers = np.array([float(word) for word in words[: 3 * count]]).reshape(count, 3)
    except ValueError as error:
        raise ReadError(f"{path}: a coordinate is no number, {error}; {AGAIN}") from error
    return numbers, end


def _telling(before: bytes, space: Space, was: Space) -> bytes:
    """The head of the file, telling the space where it told one, or where it is another than before."""
    if _FIELD.search(before):
        return _FIELD.sub(lambda found: found.group(1) + space.value.encode(), before)
    version, title, rest = before.split(b"\n", 2)
    text = title.decode("utf-8", "replace")
    if space_in(text) is not None:
        return b"\n".join([version, respelt(text, space).encode(), rest])
    if space is was:
        return before
    return b"\n".join([version, f"{text.rstrip()} SPACE={space.value}"[-255:].encode(), rest])


def _ascii(numbers: FloatArray) -> bytes:
    return "".join(" ".join(map(repr, row)) + "\n" for row in numbers.tolist()).encode()
