"""Volumes to projections: as clouds of their voxels, or as sums along rays (digitally reconstructed radiographs).

A volume is put into the frame of `raster` by its grid: p = (world point - the grid's centre) / half width, so that the
world's axes stay and 1 is `half_width_mm`. A pose R p + t then turns about the grid's centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import sample, working_dtype
from medreg.vision.rasterisation.cameras import Camera, Orthographic, Perspective

ORTHOGRAPHIC = Orthographic()


class Cloud(NamedTuple):
    """Voxels as points.

    Attributes:
        points: (N, D) in half widths from the grid's centre.
        weights: (N,) or (N, C): values times the volume of a voxel in mm^D; in the graph of the image.
    """

    points: Tensor
    weights: Tensor


def half_width_mm(grid: Grid) -> float:
    """Half the diagonal of a grid: with it the whole volume is in view, however it is turned."""
    return float(np.linalg.norm(grid.corners[0] - grid.corners[-1])) / 2


def cloud(image: MedImage, above: float = 0.0, width_mm: float | None = None) -> Cloud:
    """The voxels above a threshold, as points for `raster`.

    The sum of the weights is the integral of what is above the threshold; an image of them, divided by the area of its
    pixels in mm^2, holds integrals along the rays in mm, as `ray_sums` does.

    Args:
        image: D-dimensional; of several channels the first is compared with the threshold.
        above: in the image's unit.
        width_mm: half width of the frame; None for `half_width_mm`.

    Raises:
        ImageError: when no voxel is above.
    """
    half = half_width_mm(image.grid) if width_mm is None else width_mm
    values = image.data.to(working_dtype(image.data.dtype))
    chosen = values[0].detach() > above
    where = chosen.nonzero()
    if not len(where):
        raise ImageError(f"no voxel is above {above}; the largest is {float(values[0].detach().max())}")
    world = image.grid.to_world(where.flip(1).cpu().numpy()) - image.grid.centre
    weights = values[:, chosen] * image.grid.voxel_volume
    points = torch.from_numpy(world / half).to(values)
    return Cloud(points, weights[0] if len(weights) == 1 else weights.t())


def ray_sums(
    image: MedImage,
    size: Sequence[int],
    rotation: Tensor,
    translation: Tensor,
    *,
    camera: Camera = ORTHOGRAPHIC,
    width_mm: float | None = None,
    step_mm: float | None = None,
) -> Tensor:
    """Integrals of a volume along the rays of a camera, one for each pixel: a digitally reconstructed radiograph.

    The pixels are those of `raster` with the same pose, the rays run through their centres, and the volume is sampled
    between its voxels and is 0 outside.

    Args:
        image: 3D.
        size: pixels along x and y.
        rotation: (3, 3) or (B, 3, 3); under parallel rays, too, since the third row is the direction of the rays.
        translation: (3,) or (B, 3), in half widths; under parallel rays the third has no effect.
        camera: parallel rays, or rays through one point.
        width_mm: half width of the frame; None for `half_width_mm`.
        step_mm: between samples of a ray, at the depth of the grid's centre; None for half the smallest spacing.

    Returns:
        (C, y, x) or (B, C, y, x): value times mm. Differentiable once to the image and to the pose.

    Raises:
        UsageError: when shapes do not fit, or the volume lies behind the camera.
    """
    grid = image.grid
    if grid.dimension != 3 or len(size) != 2:
        raise UsageError(f"ray sums go from 3D to 2D, got {grid.dimension}D and a size of {tuple(size)}")
    if rotation.shape[-2:] != (3, 3) or translation.shape[-1:] != (3,):
        raise UsageError(
            f"ray sums need a rotation (3, 3) and a translation (3,), or batches of them, got "
            f"{tuple(rotation.shape)} and {tuple(translation.shape)}"
        )
    if rotation.ndim == 3 or translation.ndim == 2:
        count = max(len(t) for t, n in ((rotation, 2), (translation, 1)) if t.ndim > n)
        poses = zip(rotation.expand(count, 3, 3), translation.expand(count, 3), strict=True)
        how = {"camera": camera, "width_mm": width_mm, "step_mm": step_mm}
        return torch.stack([ray_sums(image, size, r, t, **how) for r, t in poses])  # type: ignore[arg-type]
    half = half_width_mm(grid) if width_mm is None else width_mm
    reach = half_width_mm(grid) / half
    step = (0.5 * min(grid.spacing) if step_mm is None else step_mm) / half
    posed, lengths = _rays(size, translation, camera, reach, step)
    back = torch.linalg.inv(rotation.double())
    points = (posed - translation.double()) @ back.T
    affine = torch.from_numpy(grid.inverse_affine.copy()).to(points)
    world = points * half + torch.tensor(grid.centre).to(points)
    values = sample(image.data, (world @ affine[:3, :3].T + affine[:3, 3]).reshape(-1, 3))
    along = values.view(len(values), len(posed), -1).sum(1)
    return (along * (lengths * half).to(along)).view(-1, size[1], size[0])


def _rays(size: Sequence[int], translation: Tensor, camera: Camera, reach: float, step: float) -> tuple[Tensor, Tensor]:
    """Points (depths, pixels, 3) where rays are sampled, before the pose, and the length (pixels,) of their steps."""
    device = translation.device
    axes = [(torch.arange(n, dtype=torch.float64, device=device) + 0.5) * 2 / n - 1 for n in size]
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    plane = torch.stack([x.reshape(-1), y.reshape(-1)], -1)
    # the samples are laid about the volume's middle, so that they move with it and a pose has no seams
    half_count = int(reach / step) + 1
    depths = torch.arange(-half_count, half_count + 1, dtype=torch.float64, device=device) * step
    middle = translation.double()[2]
    if not isinstance(camera, Perspective):
        posed = torch.cat(
            [plane.expand(len(depths), -1, -1), (depths + middle)[:, None, None].expand(-1, len(plane), 1)], 2
        )
        return posed, torch.full_like(plane[:, 0], step)
    if float(middle.detach()) - reach <= camera.near:
        raise UsageError(
            f"the volume reaches {reach:.3g} half widths about a depth of {float(middle.detach()):.3g}, so behind the "
            f"camera's near depth of {camera.near:g}; raise translation[2]"
        )
    ahead = torch.tensor(camera.centre or (0.0, 0.0), dtype=torch.float64, device=device)
    ray = torch.cat([(plane - ahead) / camera.focal, torch.ones_like(plane[:, :1])], 1)
    return (depths + middle)[:, None, None] * ray, step * ray.norm(dim=1)
