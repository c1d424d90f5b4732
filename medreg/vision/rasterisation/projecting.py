"""Volumes to projections: as clouds of their voxels, or as sums along rays (digitally reconstructed radiographs).

A volume is put into the frame of `raster` by its grid: p = (world point - the grid's centre) / half width, so that the
world's axes stay and 1 is `half_width_mm`. A pose R p + t then turns about the grid's centre.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.arguments import described, number, one_of, whole_numbers
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
        UsageError: no image, or a width that is not above 0.
    """
    one_of(image, MedImage, "image")
    _check_length(width_mm, "width_mm")
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
        image: of D dimensions, 3 or 2.
        size: pixels along x and y; of a 2D image, pixels of a line.
        rotation: (D, D) or (B, D, D); under parallel rays, too, since the last row is the direction of the rays.
        translation: (D,) or (B, D), in half widths; under parallel rays the last has no effect.
        camera: parallel rays, or rays through one point.
        width_mm: half width of the frame; None for `half_width_mm`.
        step_mm: between samples of a ray, at the depth of the grid's centre; None for half the smallest spacing.

    Returns:
        (C, y, x) or (B, C, y, x), of a 2D image (C, x) or (B, C, x): value times mm. Differentiable once to the image
        and to the pose.

    Raises:
        UsageError: when shapes do not fit, a pose is not finite or flattens the volume, a length is not above 0, or the
            volume lies behind the camera.
    """
    _check_projection(image, rotation, translation, camera)
    size = whole_numbers(size, "size", error=UsageError)
    _check_length(width_mm, "width_mm")
    _check_length(step_mm, "step_mm")
    grid = image.grid
    d = grid.dimension
    if len(size) != d - 1 or min(size) < 1:
        raise UsageError(
            "ray sums go from 3D to 2D, or from 2D to 1D, with 1 pixel or more along each axis, "
            f"got {d}D and a size of {tuple(size)}"
        )
    if rotation.shape[-2:] != (d, d) or translation.shape[-1:] != (d,):
        raise UsageError(
            f"ray sums of a {d}D image need a rotation ({d}, {d}) and a translation ({d},), or batches of them, got "
            f"{tuple(rotation.shape)} and {tuple(translation.shape)}"
        )
    half = half_width_mm(grid) if width_mm is None else width_mm
    reach = half_width_mm(grid) / half
    step = (0.5 * min(grid.spacing) if step_mm is None else step_mm) / half
    device = translation.device
    if isinstance(camera, Perspective):
        rays = _fan(size, camera, reach, step, device)
    else:
        rays = _parallel(size, reach, step, device)
    count = max([1, *(len(t) for t, n in ((rotation, 2), (translation, 1)) if t.ndim > n)])
    poses = zip(rotation.expand(count, d, d), translation.expand(count, d), strict=True)
    sums = [_sums(image, rays, half, r.double(), t.double()) for r, t in poses]
    shaped = [s.view(-1, *size[::-1]) for s in sums]
    return torch.stack(shaped) if rotation.ndim == 3 or translation.ndim == 2 else shaped[0]


def _check_projection(image: MedImage, rotation: Tensor, translation: Tensor, camera: Camera) -> None:
    """Refuse what is no image, no camera, or no pose that can be followed back."""
    one_of(image, MedImage, "image")
    one_of(camera, Camera, "camera")
    for name, value in (("rotation", rotation), ("translation", translation)):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise UsageError(f"{name}: takes a floating-point tensor, got {described(value)}")
        if not bool(value.detach().isfinite().all()):
            raise UsageError(f"{name}: takes finite numbers, got {value.tolist()}; lower the rate of a descent")
    square = rotation.ndim > 1 and rotation.shape[-1] == rotation.shape[-2]
    if square and bool((torch.linalg.det(rotation.detach().double()) == 0).any()):
        raise UsageError(f"rotation: flattens the volume, so that no ray can be followed: {rotation.tolist()}")
    if rotation.ndim == 3 and translation.ndim == 2 and len(rotation) != len(translation):
        raise UsageError(
            f"the batches differ: {len(rotation)} of rotation, {len(translation)} of translation; give as many of each"
        )
    if isinstance(camera, Perspective) and len(camera.centre) not in (0, image.dimension - 1):
        raise UsageError(f"the camera's centre has {len(camera.centre)} coordinates, a pixel {image.dimension - 1}")


def _check_length(value: float | None, name: str) -> None:
    if value is not None and number(value, name) <= 0:
        raise UsageError(f"{name}: takes millimetres above 0, or None, got {value}")


class _Rays(NamedTuple):
    """Where rays are sampled, before the pose.

    The samples are laid about the volume's middle, so that they move with it and a pose has no seams.

    Attributes:
        at: a translation (D,) to points (depths, pixels, D) less that translation.
        lengths: (pixels,) of the steps.
    """

    at: Callable[[Tensor], Tensor]
    lengths: Tensor


def _sums(image: MedImage, rays: _Rays, half: float, rotation: Tensor, translation: Tensor) -> Tensor:
    """(C, pixels) of one pose, in float64."""
    grid, d = image.grid, image.dimension
    points = rays.at(translation)
    # all that is linear in one product: p = R^-1 (q - t), then half widths to mm from the centre, then to indices
    to_index = torch.from_numpy(grid.inverse_affine[:d, :d] * half).to(points) @ torch.linalg.inv(rotation)
    centre = torch.from_numpy(grid.to_index([grid.centre])[0]).to(points)
    index = torch.addmm(centre, points.reshape(-1, d), to_index.T)
    along = sample(image.data, index).view(len(image.data), len(points), -1).sum(1)
    return along * (rays.lengths * half).to(along)


def _parallel(size: Sequence[int], reach: float, step: float, device: torch.device) -> _Rays:
    """The same for every pose but for its shift along the pixels."""
    plane, depths = _plane(size, device), _depths(reach, step, device)
    points = torch.cat([plane.expand(len(depths), -1, -1), depths[:, None, None].expand(-1, len(plane), 1)], 2)
    sideways = torch.ones_like(points[0, 0])
    sideways[-1] = 0.0
    return _Rays(lambda translation: points - translation * sideways, torch.full_like(plane[:, 0], step))


def _fan(size: Sequence[int], camera: Perspective, reach: float, step: float, device: torch.device) -> _Rays:
    """From the eye through the pixels."""
    plane, depths = _plane(size, device), _depths(reach, step, device)
    ahead = torch.tensor(camera.centre or (0.0,) * len(size), dtype=torch.float64, device=device)
    ray = torch.cat([(plane - ahead) / camera.focal, torch.ones_like(plane[:, :1])], 1)

    def at(translation: Tensor) -> Tensor:
        middle = translation[-1]
        if float(middle.detach()) - reach <= camera.near:
            raise UsageError(
                f"the volume reaches {reach:.3g} half widths about a depth of {float(middle.detach()):.3g}, so behind "
                f"the camera's near depth of {camera.near:g}; raise translation[{len(size)}]"
            )
        return (depths + middle)[:, None, None] * ray - translation

    return _Rays(at, step * ray.norm(dim=1))


def _plane(size: Sequence[int], device: torch.device) -> Tensor:
    """(pixels, D - 1) the pixels' centres, -1 to 1 from edge to edge."""
    axes = [(torch.arange(n, dtype=torch.float64, device=device) + 0.5) * 2 / n - 1 for n in size]
    return torch.stack([axis.reshape(-1) for axis in torch.meshgrid(*axes, indexing="xy")], -1)


def _depths(reach: float, step: float, device: torch.device) -> Tensor:
    """Of the samples, from the volume's middle."""
    half_count = int(reach / step) + 1
    return torch.arange(-half_count, half_count + 1, dtype=torch.float64, device=device) * step
