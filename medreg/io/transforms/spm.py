"""SPM's .mat files, RAS mm: matrices that move an image, and the place to which SPM moved one.

`M` alone is a matrix as Display > Reorient saves and "Reorient Images" applies it: it maps the moving image's old mm to
new mm, those of the fixed image. `mat` (beside `M`) lies with an image and is its new place: voxel, counted from 1, to
mm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import invert
from medreg.geometry.orientation import conjugate_lps_ras, flip_lps_ras
from medreg.io.transforms.draft import Draft, Source, in_space
from medreg.io.transforms.ends import header_at
from medreg.io.transforms.matlab import to_matlab, variables_of
from medreg.types import FloatArray

_FROM_ZERO = np.array([[1.0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
"""Voxel counted from 0 -> counted from 1."""


def read(source: Source) -> FloatArray:
    """A reorienting matrix `M`, or an image's place `mat`, which needs the moving image as it was before."""
    variables = variables_of(source.raw, source.path)
    if "Affine" in variables:
        raise TransformError(
            f"{source.path}: holds SPM's Affine of a normalisation or segmentation, which medreg does not read; use "
            "the .mat file that Coregister or Reorient leaves"
        )
    if "mat" in variables:
        return _moved(variables["mat"], source)
    if "M" not in variables:
        found = ", ".join(variables) or "none"
        raise TransformError(f"{source.path}: holds neither M nor mat, as SPM's files do; its variables: {found}")
    return invert(conjugate_lps_ras(_square(variables["M"], source.path)))


def write(draft: Draft, target: Path) -> None:
    """`M`, old -> new mm of the moving image, for SPM's "Reorient Images"."""
    matrix = invert(conjugate_lps_ras(in_space(draft, "an SPM .mat")))
    target.write_bytes(to_matlab({"M": matrix}))


def _moved(places: FloatArray, source: Source) -> FloatArray:
    places = places if places.ndim == 3 else places[..., None]
    if places.shape[:2] != (4, 4):
        raise TransformError(f"{source.path}: mat has 4 rows of 4 numbers, got shape {places.shape}")
    if not (places == places[..., :1]).all():
        raise TransformError(
            f"{source.path}: holds the places of {places.shape[2]} volumes that differ, as SPM's Realign leaves them; "
            "take one volume"
        )
    why = f"{source.path}: holds the place to which SPM moved an image, and the transform is from its place before"
    before = header_at(source.moving, "moving", why).grid
    if before.dimension != 3:
        raise TransformError(f"{source.path}: SPM's images are 3D, the moving image is 2D")
    after = flip_lps_ras(_square(places[..., 0], source.path) @ _FROM_ZERO)
    return before.affine @ invert(after)


def _square(matrix: FloatArray, path: Path) -> FloatArray:
    if matrix.shape != (4, 4):
        raise TransformError(f"{path}: a matrix of SPM has 4 rows of 4 numbers, got shape {matrix.shape}")
    return matrix
