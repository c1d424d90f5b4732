"""Families of linear transforms, as names. Free of torch."""

from __future__ import annotations

from enum import Enum


class Kind(str, Enum):
    """Families of transforms, from few to many parameters."""

    TRANSLATION = "translation"
    RIGID = "rigid"
    SIMILARITY = "similarity"
    AFFINE = "affine"

    def __str__(self) -> str:
        return self.value
