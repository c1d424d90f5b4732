"""Families of transforms that a homogeneous matrix holds, as names. Free of torch."""

from __future__ import annotations

from enum import Enum


class Kind(str, Enum):
    """Families of transforms, from few to many parameters."""

    TRANSLATION = "translation"
    RIGID = "rigid"
    SIMILARITY = "similarity"
    AFFINE = "affine"
    HOMOGRAPHY = "homography"

    def __str__(self) -> str:
        return self.value
