"""What voxels get that the image does not reach, from the command line's text."""

from __future__ import annotations

from math import isfinite

from medreg.errors import UsageError


def outside_value(text: str) -> float | str:
    """What `--outside` was given: a number, or "edge".

    Raises:
        UsageError: for anything else.
    """
    if text.strip().lower() == "edge":
        return "edge"
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--outside takes a number or 'edge', got {text!r}") from None
    if not isfinite(value):
        raise UsageError(f"--outside takes a finite number or 'edge', got {text!r}")
    return value
