"""Which versions made a result."""

from __future__ import annotations

import platform
import sys

import numpy as np


def own_version() -> str:
    """Medreg's version; "unknown" in a source tree that was not installed."""
    import medreg

    told = getattr(medreg, "__version__", None)
    if told is not None:
        return str(told)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("medreg")
    except PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Of medreg, what it computes with, and the machine's system."""
    torch = sys.modules.get("torch")  # there, unless a record is made without registering
    return {
        "medreg": own_version(),
        "torch": str(getattr(torch, "__version__", "unknown")),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
