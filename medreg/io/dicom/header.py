"""Attributes of a DICOM header that may hold anything: a value of the wanted kind, or none. Never raises."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Key = str | tuple[int, int]
"""A keyword ("EchoTime"), or group and element of a private attribute."""

_LONGEST_TEXT = 1024
_DECIMAL = frozenset(("DS", "IS"))
_PLAIN = frozenset(("AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"))
"""Value representations that are written in ASCII whatever the character set."""


def value_of(dataset: Dataset, key: Key) -> Any:
    """The attribute's value as pydicom has it; None where it is missing, empty or cannot be understood."""
    try:
        element = dataset.get(key)  # by keyword the value, by tag the element
        value = element if isinstance(key, str) or element is None else element.value
        return None if value is None or value == "" else value
    except Exception:  # pydicom raises what it likes on values that break their VR
        return None


def numbers(dataset: Dataset, key: Key) -> tuple[float, ...] | None:
    """All finite numbers of an attribute; None where there is none, or one of them is no finite number."""
    written = _written(dataset, key, _DECIMAL)
    try:
        if written is not None:
            found = tuple(map(float, written.split("\\"))) if written else ()
        else:
            value = value_of(dataset, key)
            if value is None or isinstance(value, bytes):
                return None
            found = tuple(float(v) for v in (value if _is_many(value) else [value]))
    except Exception:
        return None
    return found if found and all(map(math.isfinite, found)) else None


def number(dataset: Dataset, key: Key) -> float | None:
    """The first number of an attribute."""
    found = numbers(dataset, key)
    return found[0] if found else None


def whole(dataset: Dataset, key: Key) -> int | None:
    """The first number of an attribute, of one that counts or names; None where it is no whole one."""
    found = number(dataset, key)
    return int(found) if found is not None and found == int(found) else None


def text(dataset: Dataset, key: Key) -> str:
    """An attribute as text, several values joined by backslashes as in the file; "" where there is none."""
    written = _written(dataset, key, _PLAIN)
    if written is not None:
        return written[:_LONGEST_TEXT] if written.isprintable() else "".join(filter(str.isprintable, written))
    value = value_of(dataset, key)
    if value is None or isinstance(value, bytes):
        return ""
    try:
        said = "\\".join(map(str, value)) if _is_many(value) else str(value)
    except Exception:
        return ""
    return "".join(c for c in said.strip().strip("\0") if c.isprintable())[:_LONGEST_TEXT]


def words(dataset: Dataset, key: Key) -> tuple[str, ...]:
    """The values of an attribute of several texts, upper case: ("ORIGINAL", "PRIMARY", "AXIAL")."""
    said = text(dataset, key)
    return tuple(word.strip().upper() for word in said.split("\\")) if said else ()


def items(dataset: Dataset, key: Key) -> list[Dataset]:
    """The items of a sequence; none where it is missing or no sequence."""
    value = value_of(dataset, key)
    try:
        return [item for item in value if hasattr(item, "group_dataset")] if value is not None else []
    except Exception:
        return []


def item(dataset: Dataset, key: Key) -> Dataset | None:
    """The first item of a sequence."""
    found = items(dataset, key)
    return found[0] if found else None


def raw(dataset: Dataset, key: Key) -> bytes:
    """The bytes of an attribute whose meaning pydicom does not know; b"" where it holds none."""
    value = value_of(dataset, key)
    return bytes(value) if isinstance(value, bytes | bytearray) else b""


def _written(dataset: Dataset, key: Key, representations: frozenset[str]) -> str | None:
    """The text of an element as it stands in the file, if it is of such a representation and not yet parsed.

    pydicom takes 0.1 ms to parse one, which adds up to seconds over the slices of a series.
    """
    try:
        element = dataset.get_item(key)
        if element is None or element.VR not in representations or type(element.value) is not bytes:
            return None
        return element.value.decode("ascii").strip(" \0")
    except Exception:
        return None


def _is_many(value: Any) -> bool:
    return isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
