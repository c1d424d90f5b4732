"""Coarser levels of an image: mean pooling by whole factors, chosen in millimetres, so that anisotropic images behave."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import torch
from torch import Tensor

from medreg.geometry.grid import Grid


def factors_of(grid: Grid, spacing_mm: float) -> tuple[int, ...]:
    """Whole factors (x, y, z) that bring each axis near `spacing_mm` without passing it by more than a third.

    An axis that is coarse already keeps its voxels, and every axis keeps at least 4 voxels where it has them.
    """
    return tuple(
        max(1, min(floor(spacing_mm / spacing + 0.3), n // 4)) for n, spacing in zip(grid.size, grid.spacing, strict=True)
    )


def level_of(volume: Tensor, grid: Grid, spacing_mm: float) -> tuple[Tensor, Grid]:
    """The volume (C, z, y, x) or (C, y, x) at about `spacing_mm`, mean-pooled by whole factors, with its grid."""
    return _pooled(volume, grid, factors_of(grid, spacing_mm))


def pyramid(volume: Tensor, grid: Grid, spacings_mm: Sequence[float]) -> list[tuple[Tensor, Grid]]:
    """`level_of` at each spacing, in the order given."""
    return [level_of(volume, grid, s) for s in spacings_mm]


def mask_level_of(mask: Tensor, grid: Grid, spacing_mm: float) -> tuple[Tensor, Grid]:
    """A mask at about `spacing_mm`: a coarse voxel counts if at least half of its fine voxels do."""
    share, level = level_of(mask.to(torch.float32), grid, spacing_mm)
    return share >= 0.5, level


def _pooled(volume: Tensor, grid: Grid, factors: tuple[int, ...]) -> tuple[Tensor, Grid]:
    volume = volume if volume.is_floating_point() else volume.float()
    if max(factors) == 1:
        return volume, grid
    pool = torch.nn.functional.avg_pool3d if grid.dimension == 3 else torch.nn.functional.avg_pool2d
    return pool(volume[None], factors[::-1])[0], grid.subsampled(factors)
