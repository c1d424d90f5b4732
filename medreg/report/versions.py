"""Which versions made a result."""

from __future__ import annotations

import platform
import sys

import numpy as np

from medreg.version import __version__


def versions() -> dict[str, str]:
    """Of medreg, what it computes with, and the machine's system."""
    torch = sys.modules.get("torch")  # there, unless a record is made without registering
    return {
        "medreg": __version__,
        "torch": str(getattr(torch, "__version__", "unknown")),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
