"""Matrices in plain text and small JSON: RAS (NiftyReg, greedy, c3d, ITK-SNAP, niimath), LPS, and medreg's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.orientation import conjugate_lps_ras
from medreg.io.transforms.draft import Draft, Source, in_space, projective, scaled
from medreg.io.transforms.numbers import rows_of, square_in
from medreg.types import FloatArray

LPS_HEADER = "# medreg: fixed points -> moving points, LPS mm"
_NIIMATH = "allineate_affine"


def read_ras(source: Source) -> FloatArray:
    """4 rows of 4 numbers, fixed -> moving points, RAS mm."""
    matrix = square_in(source.lines, source.path, "a matrix of 4 rows of 4 numbers")
    return conjugate_lps_ras(matrix)


def write_ras(draft: Draft, target: Path) -> None:
    """Bare rows: the tools know no comments."""
    matrix = conjugate_lps_ras(in_space(draft, "a RAS matrix"))
    target.write_text(rows_of(matrix), encoding="ascii", newline="\n")


def read_lps(source: Source) -> FloatArray:
    """4 rows of 4 numbers, or 3 of 3 in 2D, fixed -> moving points, LPS mm."""
    return square_in(source.lines, source.path, "a matrix of 4 rows of 4 numbers (3 of 3 in 2D)")


def write_lps(draft: Draft, target: Path) -> None:
    """Rows under a line that says what they are."""
    target.write_text(f"{LPS_HEADER}\n{rows_of(draft.matrix)}", encoding="ascii", newline="\n")


def read_niimath(source: Source) -> FloatArray:
    """The JSON of `niimath -allineate -savemat`: world mm (RAS), fixed -> moving."""
    loaded = _json(source)
    try:
        if loaded.get("space", "world") != "world":
            raise TransformError(f"{source.path}: its matrix is in {loaded['space']!r}, wanted 'world'")
        stored = np.array(loaded["fixed_to_moving"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TransformError(f"{source.path}: is no JSON of niimath, it has no matrix fixed_to_moving") from error
    if stored.shape != (4, 4):
        raise TransformError(f"{source.path}: fixed_to_moving has 4 rows of 4 numbers, got shape {stored.shape}")
    return conjugate_lps_ras(stored)


def write_niimath(draft: Draft, target: Path) -> None:
    """As `niimath MOVING -allineate FIXED -applymat OUT` takes it."""
    matrix = conjugate_lps_ras(in_space(draft, "a niimath JSON"))
    content = {
        "type": _NIIMATH,
        "version": 1,
        "space": "world",
        "units": "mm",
        "comment": "written by medreg: fixed world mm (RAS) -> moving world mm",
        "fixed_to_moving": matrix.tolist(),
        "moving_to_fixed": np.linalg.inv(matrix).tolist(),
    }
    target.write_text(json.dumps(content, indent=2) + "\n", encoding="ascii", newline="\n")


def is_niimath(text: str) -> bool:
    """Whether the text of a JSON file is niimath's."""
    return f'"{_NIIMATH}"' in text


def read_medreg(source: Source) -> FloatArray:
    """`run.json` or `transform.json`; may be a homography."""
    try:
        matrix = np.array(_json(source)["transform"]["matrix"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise TransformError(
            f"{source.path}: is no run.json or transform.json of medreg, it has no transform.matrix"
        ) from error
    return scaled(projective(matrix, source.path), source.path)


def write_medreg(draft: Draft, target: Path) -> None:
    """`transform.json`."""
    matrix = draft.matrix
    content = {
        "transform": {
            "kind": "homography" if matrix[-1, :-1].any() else "affine",
            "dimension": len(matrix) - 1,
            "matrix": matrix.tolist(),
            "convention": "(u, w) = matrix @ (fixed point, 1); moving point = u / w; LPS mm, or px for pictures",
        }
    }
    target.write_text(json.dumps(content, indent=2) + "\n", encoding="ascii", newline="\n")


def _json(source: Source) -> Any:
    try:
        return json.loads(source.text or "")
    except ValueError as error:
        raise TransformError(f"{source.path}: is not JSON: {error}") from error
