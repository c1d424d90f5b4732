"""Outputs that are no images: refused before any work where they cannot be written."""

from __future__ import annotations

from pathlib import Path

from medreg.errors import WriteError


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
