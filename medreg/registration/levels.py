"""The default levels of a pair of images: octaves from the coarser image's voxels up to about 1/24 of the field of view."""

from __future__ import annotations

import math

from medreg.geometry.grid import Grid
from medreg.registration.recipe import Level

COARSEST_SHARE = 24
"""The coarsest voxel is about this many times smaller than the smaller field of view: 8 mm on a head."""


def default_levels(fixed: Grid, moving: Grid) -> tuple[Level, ...]:
    """Coarse to fine. Tolerances follow the spacing, so that units do not matter (pixels, micrometres as mm)."""
    finest = max(_mean(fixed.spacing), _mean(moving.spacing))
    view = min(_mean(fixed.extent), _mean(moving.extent))
    octaves = max(0, min(7, round(math.log2(max(1.0, view / (COARSEST_SHARE * finest))))))
    levels = []
    for octave in range(octaves, -1, -1):
        spacing = finest * 2**octave
        samples = 300_000 if octave == 0 else 100_000
        tolerance = spacing * (0.003 if octave == 0 else 0.006)
        levels.append(Level(spacing_mm=spacing, samples=samples, steps=30, tolerance_mm=tolerance))
    return tuple(levels)


def _mean(values: tuple[float, ...]) -> float:
    """Geometric mean."""
    return math.prod(values) ** (1 / len(values))
