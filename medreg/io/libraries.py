"""nibabel and SimpleITK, imported when first asked for, so that `import medreg` does not pay for them."""

from __future__ import annotations

import importlib
from typing import Any


def nibabel(module: str) -> Any:
    """A module of nibabel by its name below it: "nifti1"."""
    return importlib.import_module(f"nibabel.{module}")


def simpleitk() -> Any:
    """SimpleITK, its warnings to stderr switched off."""
    sitk: Any = importlib.import_module("SimpleITK")
    sitk.ProcessObject.GlobalWarningDisplayOff()
    return sitk
