"""Files to write: refused before any work where they cannot be written."""

from __future__ import annotations

from pathlib import Path

from medreg.errors import WriteError
from medreg.io.content import KIND_OF_SUFFIX, known_suffixes, suffix_of


def check_image(path: Path, *, overwrite: bool) -> None:
    """Refuse an image that is there already, has no folder to be in, or is of an unknown format.

    Raises:
        WriteError: with what to do.
    """
    if suffix_of(path) not in KIND_OF_SUFFIX:
        dicom = "; DICOM is written by medreg register --dicom-out" if suffix_of(path) in (".dcm", ".ima") else ""
        raise WriteError(f"{path}: unknown suffix {suffix_of(path)!r}; medreg writes {known_suffixes()}{dicom}")
    check_free(path, overwrite=overwrite)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse an output that is there already, or that has no folder to be in.

    Raises:
        WriteError: with what to do.
    """
    if path.is_dir():
        raise WriteError(f"{path}: is a directory; give the name of a file to write")
    if path.exists() and not overwrite:
        raise WriteError(f"{path}: is there already; add --overwrite to replace it")
    if not path.parent.is_dir():
        raise WriteError(f"{path}: the folder {path.parent} does not exist; make it first")
