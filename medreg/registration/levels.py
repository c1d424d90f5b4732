"""Levels: which resolutions a pair of images goes through, and how an image is filtered for one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from medreg.geometry.grid import Grid
from medreg.registration import recipe
from medreg.registration.measures import is_histogram
from medreg.registration.recipe import Level
from medreg.sample import Sampled, sample_with_gradient
from medreg.sample.binomial import binomial
from medreg.sample.pyramid import factors_of, level_of

COARSEST_SHARE = 24
"""The coarsest voxel is about this many times smaller than the smaller field of view: 8 mm on a head."""

SHORT = 16
"""Axes with fewer voxels are not smoothed: a slab has no slices to lose."""


def default_levels(fixed: Grid, moving: Grid) -> tuple[Level, ...]:
    """Octaves from the coarser image's voxels up to `1 / COARSEST_SHARE` of the view, coarse to fine.

    Tolerances follow the spacing, so that units do not matter (pixels, micrometres as mm).
    """
    finest = max(_mean(fixed.spacing), _mean(moving.spacing))
    view = min(_mean(fixed.extent), _mean(moving.extent))
    octaves = max(0, min(7, round(math.log2(max(1.0, view / (COARSEST_SHARE * finest))))))
    levels = []
    for octave in range(octaves, -1, -1):
        spacing = finest * 2**octave
        samples = 200_000 if octave == 0 else 100_000
        tolerance = spacing * (0.003 if octave == 0 else 0.02)
        levels.append(Level(spacing_mm=spacing, samples=samples, steps=30, tolerance_mm=tolerance))
    return tuple(levels)


@dataclass(frozen=True, eq=False)
class LevelImage:
    """One image at one level.

    Attributes:
        volume: (C, z, y, x) float32.
        mask: (1, z, y, x) bool where it counts, or None where all of it does.
        grid: where the voxels lie.
    """

    volume: Tensor
    mask: Tensor | None
    grid: Grid

    @property
    def counted(self) -> int:
        """How many voxels count."""
        return self.volume[0].numel() if self.mask is None else int(self.mask.sum())

    @cached_property
    def _counting(self) -> Tensor | None:
        """The mask in the volume's type, so that it can be interpolated."""
        return None if self.mask is None else self.mask.to(self.volume.dtype)

    def at(self, index: Tensor) -> Sampled:
        """Values and index gradients at indices (N, D); inside is what lies in the image and in its mask."""
        sampled = sample_with_gradient(self.volume, index)
        if self._counting is None:
            return sampled
        share = sample_with_gradient(self._counting, index).values[0]
        return sampled._replace(inside=sampled.inside & (share >= 0.5))


class Pyramid:
    """One image at every level that is asked for; the last level's means are kept, since stages share them.

    Args:
        volume: (C, z, y, x) float32.
        mask: (1, z, y, x) float32 of 0 and 1, or None where all counts.
        grid: where the voxels lie.
    """

    def __init__(self, volume: Tensor, mask: Tensor | None, grid: Grid) -> None:
        self.volume, self.mask, self.grid = volume, mask, grid
        self._last: tuple[float, LevelImage] | None = None

    def at(self, spacing_mm: float, metric: recipe.SingleMetric) -> LevelImage:
        """The image pooled to about `spacing_mm`; for least squares the axes that pooling left alone are smoothed.

        Least squares weighs noise by its variance, and interpolation lowers the variance off the voxel centres; without
        the light [1 2 1] / 4 the answer is drawn to where the lattices do not coincide. Axes much coarser than the
        level, and short ones, stay as they are. Histogram metrics scatter their samples instead, which keeps the full
        contrast.
        """
        if self._last is None or self._last[0] != spacing_mm:
            self._last = spacing_mm, _pooled(self.volume, self.mask, self.grid, spacing_mm)
        pooled = self._last[1]
        sharp = is_histogram(metric) or isinstance(metric, recipe.SelfSimilarity)
        return pooled if sharp else self._smoothed(pooled, spacing_mm)

    def _smoothed(self, pooled: LevelImage, spacing_mm: float) -> LevelImage:
        grid, factors = self.grid, factors_of(self.grid, spacing_mm)
        alone = [
            k
            for k in range(grid.dimension)
            if factors[k] == 1 and grid.spacing[k] <= 1.5 * spacing_mm and grid.size[k] >= SHORT
        ]
        axes = [grid.dimension - k for k in alone]
        affine = pooled.grid.affine.copy()
        affine[:-1, -1] += affine[:-1, alone].sum(1)
        size = [n - 2 * (k in alone) for k, n in enumerate(pooled.grid.size)]
        clean = None
        if pooled.mask is not None:  # no voxel out of the mask may enter one that counts
            clean = binomial(pooled.mask.to(pooled.volume.dtype), axes) > 0.999
        return LevelImage(binomial(pooled.volume, axes), clean, Grid.from_affine(size, affine))


def _pooled(volume: Tensor, mask: Tensor | None, grid: Grid, spacing_mm: float) -> LevelImage:
    """Volume and mask at about `spacing_mm`; only voxels in the mask enter a mean, and where there are none stands it.

    So nothing that is masked out reaches a metric, not even through a coarse voxel, an interpolation or a range.
    """
    if mask is None:
        pooled, level = level_of(volume, grid, spacing_mm)
        return LevelImage(pooled, None, level)
    total, level = level_of(torch.where(mask > 0, volume, 0.0), grid, spacing_mm)
    share = level_of(mask, grid, spacing_mm)[0]
    mean = total.flatten(1).sum(1).view(-1, *[1] * grid.dimension) / share.sum()
    return LevelImage(torch.where(share > 0, total / share.clamp(min=1e-6), mean), share >= 0.5, level)


def _mean(values: tuple[float, ...]) -> float:
    """Geometric mean."""
    return math.prod(values) ** (1 / len(values))
