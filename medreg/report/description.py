"""What `medreg info` tells of an image, and of two images' overlap. Free of torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from medreg.geometry.grid import Grid
from medreg.geometry.orientation import orientation_code
from medreg.io.stored import StoredImage
from medreg.types import FloatArray

_PROBES = 32
"""Points along each axis that are looked up to measure an overlap."""


def describe(image: StoredImage) -> dict[str, Any]:
    """Geometry, orientation, type and range as plain JSON values; lengths in `unit`, LPS but of pictures."""
    grid, metadata = image.grid, image.metadata
    finite = image.array[np.isfinite(image.array)] if image.array.dtype.kind == "f" else image.array
    return {
        "file": image.name,
        "format": metadata.get("format"),
        "size": list(grid.size),
        "spacing": list(grid.spacing),
        "extent": list(grid.extent),
        "origin": list(grid.origin),
        "centre": list(grid.centre),
        "direction": [list(row) for row in grid.direction],
        "orientation": orientation_code(np.array(grid.direction)),
        "off_axis_deg": off_axis(np.array(grid.direction)),
        "sheared": grid.is_sheared,
        "unit": metadata.get("unit", "mm"),
        "world": metadata.get("world", "LPS"),
        "spacing_from": metadata.get("spacing_from", "file" if metadata.get("unit", "mm") == "mm" else None),
        "orientation_tag": metadata.get("orientation_tag", 1),
        "leading": image.leading.value,
        "leading_length": int(image.array.shape[0]),
        "dtype": str(metadata.get("stored_dtype", image.array.dtype.name)),
        "slope": metadata.get("slope", 1.0),
        "inter": metadata.get("inter", 0.0),
        "minimum": finite.min().item() if finite.size else None,
        "maximum": finite.max().item() if finite.size else None,
        "not_finite": int(image.array.size - finite.size),
        "modality": metadata.get("modality", ""),
        "units": metadata.get("units", ""),
        **{
            key: metadata[key]
            for key in ("sform_code", "qform_code", "affine_from", "sform_qform_mm")
            if key in metadata
        },
    }


def off_axis(direction: FloatArray) -> float:
    """Degrees between the grid's axes and the world axes nearest to them, the largest: 0 for a straight image."""
    nearest = np.abs(direction).max(axis=0)
    return float(np.degrees(np.arccos(np.clip(nearest, 0.0, 1.0)).max()))


def overlap(first: Grid, second: Grid) -> dict[str, Any]:
    """How much of two grids lies in the same place.

    Returns:
        In the unit of both, whatever the names say: `box_mm`, lengths along the world's axes (LPS) of what both grids'
        upright bounding boxes share, 0 where they are apart; `of_first` and `of_second`, the fraction of each that lies
        inside the other, from 32 points along each axis; `centres_mm`, the distance between the centres.
    """
    (low_a, high_a), (low_b, high_b) = _box(first), _box(second)
    shared = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
    return {
        "box_mm": np.maximum(shared, 0.0).tolist() if (shared > 0).all() else [0.0] * first.dimension,
        "of_first": _inside(first, second),
        "of_second": _inside(second, first),
        "centres_mm": float(np.linalg.norm(np.array(first.centre) - second.centre)),
    }


def _box(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """The upright box around the outer faces of a grid."""
    ends = [(-0.5, n - 0.5) for n in grid.size]
    corners = grid.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, grid.dimension))
    return corners.min(axis=0), corners.max(axis=0)


def _inside(grid: Grid, other: Grid) -> float:
    """The fraction of a grid that lies inside another."""
    axes = [(np.arange(_PROBES) + 0.5) / _PROBES * n - 0.5 for n in grid.size]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, grid.dimension)
    there = other.to_index(grid.to_world(index))
    return float(((there >= -0.5) & (there < np.array(other.size) - 0.5)).all(axis=1).mean())
