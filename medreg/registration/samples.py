"""Samples: which voxels of the fixed image are compared at a level. Stratified, seeded, in memory order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from medreg.errors import RegistrationError
from medreg.geometry.grid import Grid
from medreg.sample import sample_with_gradient
from medreg.types import FloatArray

LEAST = 50
"""Fewer samples than this do not determine a transform."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Fixed values and where they lie.

    Attributes:
        values: (C, N) float32.
        homogeneous: (N, D+1) float32, points relative to `centre` in millimetres, and 1.
        centre: D coordinates, LPS mm: what steps turn about.
        radius: root mean square distance of the points from the centre, mm: what makes steps millimetre-balanced.
        corners: (2^D, D+1) those of the whole image, relative to the centre, and 1.
        view: volume of all that counts in the image (area in 2D), mm^D.
    """

    values: Tensor
    homogeneous: Tensor
    centre: tuple[float, ...]
    radius: float
    corners: FloatArray
    view: float

    def __len__(self) -> int:
        return len(self.homogeneous)

    @cached_property
    def products(self) -> Tensor:
        """(N, K) the distinct products h_i h_j, i <= j, of the homogeneous coordinates, rows of the upper triangle."""
        rows, columns = np.triu_indices(self.homogeneous.shape[1])
        return self.homogeneous[:, rows.tolist()] * self.homogeneous[:, columns.tolist()]

    @property
    def position(self) -> Tensor:
        """(N, D) points relative to the centre, in units of 1.5 radii: about -1 to 1."""
        return self.homogeneous[:, :-1] / (1.5 * self.radius)


class Placement(Enum):
    """Where within its voxel a sample lies.

    Voxel centres serve least squares. A joint histogram needs scattered points: on voxel centres the fixed value is
    exact while the moving one is blurred by interpolation everywhere but where both lattices coincide, and the metric
    prefers the blur (Tsao 2003, doi:10.1109/TMI.2003.815077: jittered sampling cures it).
    """

    CENTRES = "centres"
    SCATTERED = "scattered"
    PATCHES = "patches"


def draw(
    volume: Tensor,
    grid: Grid,
    count: int,
    centre: tuple[float, ...],
    seed: int,
    placement: Placement = Placement.CENTRES,
    allowed: Tensor | None = None,
    patch: int = 1,
) -> Samples:
    """Up to `count` voxels of a fixed level.

    One voxel is drawn from each of `count` equal runs of the candidates in memory order: even coverage of space, no
    clumps, and neighbours in memory stay neighbours, which the sampler's cache rewards.

    Args:
        volume: (C, z, y, x) values.
        grid: where they lie.
        count: most samples.
        centre: see `Samples`.
        seed: of the draw.
        placement: on voxel centres, or anywhere within the voxel.
        allowed: (1, z, y, x) bool; None allows every voxel.
        patch: voxels of a patch along each axis, odd; used by `Placement.PATCHES`.

    Raises:
        RegistrationError: when fewer than `LEAST` voxels are allowed.
    """
    if placement is Placement.PATCHES:
        allowed, count = _middles(volume, allowed, patch), max(LEAST, count // patch**grid.dimension)
    candidates = None if allowed is None else allowed.flatten().nonzero()[:, 0].cpu()
    total = volume[0].numel() if candidates is None else len(candidates)
    if total < LEAST:
        raise RegistrationError(
            f"only {total} voxels of the fixed image are left to compare at {min(grid.spacing):.3g} mm, "
            f"{LEAST} are needed; use a larger mask or finer levels"
        )
    generator = torch.Generator().manual_seed(seed)
    if total <= count:
        picked = torch.arange(total)
    else:
        jitter = torch.rand(count, generator=generator, dtype=torch.float64)
        picked = ((torch.arange(count) + jitter) * (total / count)).long().clamp(max=total - 1)
    flat = picked if candidates is None else candidates[picked]
    index = _unravel(flat, grid.size)
    if placement is Placement.PATCHES:
        index = (index[:, None] + _around(patch, grid.dimension)).flatten(0, 1)
        strides = torch.tensor([1, *np.cumprod(grid.size)[:-1].tolist()])
        flat = (index * strides).sum(1)
    if placement is Placement.SCATTERED:
        index = index + torch.rand(index.shape, generator=generator, dtype=torch.float64) - 0.5
        values = sample_with_gradient(volume, index.to(volume.dtype).to(volume.device)).values
    else:
        values = volume.flatten(1)[:, flat.to(volume.device)]
    return _placed(values, index.double(), grid, centre, total * grid.voxel_volume)


def _unravel(flat: Tensor, size: tuple[int, ...]) -> Tensor:
    """(N, D) indices along x, y(, z) of flat voxel numbers."""
    index = []
    for n in size:
        index.append(flat % n)
        flat = flat // n
    return torch.stack(index, 1)


def _middles(volume: Tensor, allowed: Tensor | None, patch: int) -> Tensor:
    """(1, z, y, x) bool: voxels about which a whole patch lies in the image and is allowed."""
    mask = torch.ones_like(volume[:1], dtype=torch.bool) if allowed is None else allowed
    pool = torch.nn.functional.max_pool3d if mask.ndim == 4 else torch.nn.functional.max_pool2d
    beyond = torch.nn.functional.pad((~mask).float(), [patch // 2] * (2 * mask.ndim - 2), value=1.0)
    return pool(beyond, patch, 1) == 0


def _around(patch: int, dimension: int) -> Tensor:
    """(patch^D, D) offsets of a patch's voxels, x fastest."""
    offsets = torch.arange(patch) - patch // 2
    return torch.cartesian_prod(*[offsets] * dimension).flip(1)


def _placed(values: Tensor, index: Tensor, grid: Grid, centre: tuple[float, ...], view: float) -> Samples:
    """Samples at voxel indices (N, D); positions are formed in float64 and kept relative to the centre."""
    d = grid.dimension
    affine = torch.from_numpy(grid.affine.copy())
    relative = index @ affine[:d, :d].T + (affine[:d, d] - torch.tensor(centre, dtype=torch.float64))
    radius = float(relative.square().sum(1).mean().sqrt())
    homogeneous = torch.cat([relative, torch.ones(len(relative), 1, dtype=torch.float64)], 1)
    corners = np.column_stack([grid.corners - centre, np.ones(2**d)])
    homogeneous = homogeneous.to(values.dtype).to(values.device)
    return Samples(values, homogeneous, centre, max(radius, 1e-6), corners, view)
