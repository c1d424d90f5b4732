"""Coarser levels of an image: means over whole factors chosen in millimetres, so that anisotropic images behave."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import torch
from torch import Tensor

from medreg.geometry.grid import Grid
from medreg.sample.interpolation import working_dtype

FEWEST = 4
"""Voxels that every axis keeps, where it has them."""


def level_of(volume: Tensor, grid: Grid, spacing_mm: float) -> tuple[Tensor, Grid]:
    """`volume` (C, z, y, x) or (C, y, x) at about `spacing_mm` millimetres, and its grid.

    Every axis is averaged over `factors_of(grid, spacing_mm)` voxels, which is its anti-aliasing; the new voxels lie at
    the centres of their blocks, and a ragged rest at the far end is dropped. Integers come back in floating point.
    """
    return _pooled(volume.to(working_dtype(volume.dtype)), grid, factors_of(grid, spacing_mm))


def pyramid(volume: Tensor, grid: Grid, spacings_mm: Sequence[float]) -> list[tuple[Tensor, Grid]]:
    """`level_of` for several spacings, in their order, the coarser levels made from the finer where factors divide."""
    volume = volume.to(working_dtype(volume.dtype))
    levels = {(1,) * grid.dimension: (volume, grid)}
    wanted = [factors_of(grid, spacing) for spacing in spacings_mm]
    for factors in sorted(wanted):
        divisors = [f for f in levels if all(big % small == 0 for big, small in zip(factors, f, strict=True))]
        nearest = max(divisors, key=sum)
        rest = tuple(big // small for big, small in zip(factors, nearest, strict=True))
        levels[factors] = (_pooled(levels[nearest][0], levels[nearest][1], rest)[0], grid.subsampled(factors))
    levels[(1,) * grid.dimension] = (volume, grid)
    return [levels[factors] for factors in wanted]


def mask_level_of(mask: Tensor, grid: Grid, spacing_mm: float) -> tuple[Tensor, Grid]:
    """`mask` (C, z, y, x) or (C, y, x) at about `spacing_mm`, bool.

    A voxel counts if at least half of its fine voxels do; those count where they are not 0 (bool, integer or floating
    point).
    """
    share, level = level_of((mask != 0).float(), grid, spacing_mm)
    return share >= 0.5, level


def factors_of(grid: Grid, spacing_mm: float) -> tuple[int, ...]:
    """Voxels along x, y(, z) that are averaged for a level of `spacing_mm`.

    The largest whole factor whose spacing does not pass `spacing_mm` by more than 0.3 of a fine voxel. An axis that is
    coarse enough stays as it is, and no axis falls below 4 voxels.

    Example:
        >>> factors_of(Grid.regular((256, 256, 30), (0.9, 0.9, 5.0)), 4.0)
        (4, 4, 1)
    """
    return tuple(
        max(1, min(floor(spacing_mm / spacing + 0.3), n // FEWEST))
        for n, spacing in zip(grid.size, grid.spacing, strict=True)
    )


def _pooled(volume: Tensor, grid: Grid, factors: tuple[int, ...]) -> tuple[Tensor, Grid]:
    if max(factors) == 1:
        return volume, grid
    pool = torch.nn.functional.avg_pool3d if grid.dimension == 3 else torch.nn.functional.avg_pool2d
    return pool(volume[None], factors[::-1])[0], grid.subsampled(factors)
