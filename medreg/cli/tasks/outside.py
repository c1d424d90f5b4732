"""What voxels get that the image does not reach, from the command line's text."""

from __future__ import annotations

from math import isfinite

from medreg.errors import UsageError


def outside_value(text: str, wanted: str = "a number or 'edge'") -> float | str:
    """What `--outside` was given: a number, or "edge"; `wanted` says in the error what it takes.

    Raises:
        UsageError: for anything else.
    """
    if text.strip().lower() == "edge":
        return "edge"
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--outside takes {wanted}, got {text!r}") from None
    if not isfinite(value):
        raise UsageError(f"--outside takes {wanted}, finite, got {text!r}")
    return value
