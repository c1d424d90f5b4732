"""The names of a run's transform."""

from __future__ import annotations

from medreg.types import FloatArray

LINEAR, PROJECTIVE = "transform.tfm", "transform.json"
"""ITK's text, or medreg's own JSON for a homography, which ITK cannot hold."""


def transform_name(matrix: FloatArray) -> str:
    """`LINEAR`, or `PROJECTIVE` for a homography."""
    return PROJECTIVE if matrix[-1, :-1].any() else LINEAR
