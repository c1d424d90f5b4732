"""Which DICOM files there are in what was named: a file, a folder, a DICOMDIR or a zip."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from medreg.errors import ReadError
from medreg.io.content import Kind, kind_of
from medreg.io.dicom.header import items, text
from medreg.io.dicom.opened import whole_dataset
from medreg.io.failing import AGAIN

_HEAD_BYTES = 400
"""Enough to know a DICOM file, and a NIfTI one beside it."""
_MOST_UNPACKED = 32 << 30
_DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR."""


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes:
        files: the DICOM files, in the order of their paths.
        others: the files beside them that are none.
        unpacked: whether the files are copies that vanish when they were read.
        notes: what is not as it was named.
    """

    files: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    unpacked: bool = False
    notes: tuple[str, ...] = ()


@contextmanager
def found_in(path: Path) -> Iterator[Found]:
    """The DICOM files at a path; those of a zip exist while the block runs.

    Raises:
        ReadError: no DICOM file is there, a zip is damaged, or a DICOMDIR names files that are not.
    """
    if path.is_dir():
        yield _checked(_in_folder(path), path)
    elif _starts_with(path, b"PK\x03\x04"):
        with tempfile.TemporaryDirectory(prefix="medreg-") as folder:
            _unpack(path, Path(folder))
            yield replace(_checked(_in_folder(Path(folder)), path), unpacked=True)
    elif _is_directory_file(path):
        yield _named_by(path)
    elif _starts_with(path, b"\x1f\x8b"):
        with tempfile.TemporaryDirectory(prefix="medreg-") as folder:
            file = Path(folder, path.name)
            with gzip.open(path) as packed, file.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
            yield Found((file,), unpacked=True)
    else:
        yield Found((path,))


def is_dicom(path: Path) -> bool:
    """Whether a file shows itself as DICOM by its first bytes; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(_HEAD_BYTES)) is Kind.DICOM
    except OSError:
        return False


def _in_folder(folder: Path) -> Found:
    files: list[Path] = []
    others: list[Path] = []
    for here, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(here, name)
            if name.startswith(".") or name.upper() == "DICOMDIR" or not file.is_file():
                continue
            (files if is_dicom(file) else others).append(file)
    return Found(tuple(files), tuple(others))


def _checked(found: Found, path: Path) -> Found:
    if found.files:
        return found
    if not found.others:
        raise ReadError(f"{path}: holds no files at all; name the folder of a DICOM series, or an image file")
    images = [file for file in found.others if _is_image(file)]
    hint = f"; name an image file in it, such as {images[0].name}" if images else ""
    which = "its only file is no" if len(found.others) == 1 else f"none of its {len(found.others)} files is"
    raise ReadError(f"{path}: {which} DICOM{hint}")


def _is_image(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    return head[:2] == b"\x1f\x8b" or kind_of(head) is not None


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            size = sum(member.file_size for member in members)
            room = shutil.disk_usage(folder).free
            if size > min(_MOST_UNPACKED, room):
                raise ReadError(
                    f"{path}: unpacks to {size / 1e9:.1f} GB, more than the {min(_MOST_UNPACKED, room) / 1e9:.1f} GB "
                    "that medreg unpacks here; unpack it yourself and name the folder"
                )
            for number, member in enumerate(members):  # by number: names in archives may lead out of the folder
                name = re.sub(r"[^\w.-]", "_", Path(member.filename).name)[-100:]  # for messages
                with archive.open(member) as packed, (folder / f"{number:07d}_{name}").open("wb") as out:
                    shutil.copyfileobj(packed, out, 1 << 20)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
        raise ReadError(f"{path}: cannot be unpacked, {error}; {AGAIN}") from error
    except RuntimeError as error:  # zipfile's for a password
        raise ReadError(f"{path}: is locked by a password; unpack it yourself and name the folder") from error


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _is_directory_file(path: Path) -> bool:
    if path.name.upper() == "DICOMDIR":
        return True
    with path.open("rb") as file:
        return _DIRECTORY.encode() in file.read(_HEAD_BYTES)


def _named_by(path: Path) -> Found:
    """The files that a DICOMDIR names, which may differ from them in case."""
    try:
        records = items(whole_dataset(path), "DirectoryRecordSequence")
    except Exception as error:  # pydicom raises what it likes on damaged files
        raise ReadError(f"{path}: cannot be read as a DICOMDIR; {AGAIN}, or name its folder") from error
    named = [text(record, "ReferencedFileID") for record in records]
    parts = [name.split("\\") for name in named if name]
    there = [file for file in (_without_case(path.parent, each) for each in parts) if file is not None]
    files = tuple(file for file in there if is_dicom(file))
    if not files:
        fault = f"none of the {len(parts)} files that it names is beside it" if parts else "names no files"
        raise ReadError(f"{path}: {fault}; copy the whole medium, or name a folder of DICOM files")
    missing = len(parts) - len(there)
    notes = (f"{path}: {missing} of the {len(parts)} files that it names are not beside it",) if missing else ()
    return Found(files, notes=notes)


def _without_case(folder: Path, parts: list[str]) -> Path | None:
    for part in parts:
        if part in ("", ".", ".."):
            return None
        if (folder / part).exists():
            folder = folder / part
            continue
        alike = [entry for entry in folder.iterdir() if entry.name.lower() == part.lower()] if folder.is_dir() else []
        if not alike:
            return None
        folder = alike[0]
    return folder if folder.is_file() else None
