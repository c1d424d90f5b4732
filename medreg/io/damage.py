"""Damage that ITK reads without a word: each check raises where a file is cut short or altered."""

from __future__ import annotations

import re
import zlib
from math import prod
from pathlib import Path

from medreg.errors import ReadError
from medreg.io.content import Kind
from medreg.io.failing import AGAIN

_HEAD_BYTES = 1 << 16
"""A MetaImage header is text of some hundred bytes."""

_ELEMENT_BYTES = {
    f"MET_{name}": size
    for size, names in {
        1: "CHAR UCHAR",
        2: "SHORT USHORT",
        4: "INT UINT FLOAT",
        8: "DOUBLE LONG_LONG ULONG_LONG",
    }.items()
    for name in names.split()
}
"""Bytes of a voxel by MetaImage's names; MET_LONG is left out, for it depends on the platform."""


def check_undamaged(path: Path, kind: Kind) -> None:
    """Look for the damage that ITK's reader of this format passes over.

    A JPEG that is cut short reads as grey below the cut; a compressed MetaImage with altered bytes reads as whatever
    came out of zlib so far.

    Raises:
        ReadError: when the file is damaged.
    """
    if kind is Kind.JPEG:
        _check_jpeg(path)
    elif kind is Kind.META:
        _check_metaimage(path)


def _check_jpeg(path: Path) -> None:
    """The end mark must follow the last scan; a thumbnail inside the file has its own, earlier."""
    data = path.read_bytes()
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise ReadError(f"{path}: is cut short, its JPEG data have no end; {AGAIN}")


def _check_metaimage(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    match = re.search(rb"^ElementDataFile\s*=\s*(.*?)\s*?\n", head, re.MULTILINE)
    if match is None:
        raise ReadError(f"{path}: its MetaImage header has no ElementDataFile line; it is cut short, {AGAIN}")
    name = match[1].decode("utf-8", "replace")
    local = name.upper() == "LOCAL"
    single = not local and "%" not in name and not name.upper().startswith("LIST")
    if single and not (path.parent / name).exists():
        raise ReadError(f"{path}: its voxels are in {name}, which is not beside it; copy both files")
    fields = dict(re.findall(r"^(\w+)\s*=\s*(.*?)\s*$", head[: match.start()].decode("utf-8", "replace"), re.MULTILINE))
    if fields.get("CompressedData", "").lower() == "true":
        packed = path.read_bytes()[match.end() :] if local else (path.parent / name).read_bytes() if single else b""
        try:
            if packed:
                zlib.decompress(packed)
        except zlib.error as error:
            raise ReadError(f"{path}: the compressed voxels are damaged ({error}); {AGAIN}") from error
    elif local and fields.get("BinaryData", "").lower() == "true":
        voxels = prod(int(n) for n in fields.get("DimSize", "0").split())
        need = (
            voxels
            * int(fields.get("ElementNumberOfChannels", 1))
            * _ELEMENT_BYTES.get(fields.get("ElementType", ""), 0)
        )
        have = path.stat().st_size - match.end()
        if need > have:
            raise ReadError(f"{path}: is cut short, {have} bytes of voxels where its header says {need}; {AGAIN}")
