"""Sampling of the planes that a report shows. What needs torch of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.report.page.planes import Plane, depths_of, planes_of
from medreg.report.page.views import View, Views
from medreg.sample import Fill, Sampler, level_of
from medreg.sample.interpolation import LINEAR
from medreg.sample.sharing import shared
from medreg.types import FloatArray, VoxelArray

SHARES = ((0.2, 0.5, 0.8), (0.2, 0.5, 0.8), (0.12, 0.31, 0.5, 0.69, 0.88))
"""Of what is to be seen along x, y and z of the image's frame, how much lies below each of the slices."""

ENDS = (0.5, 99.5)
"""Percentiles of what is shown of an image that become black and white."""

ENOUGH = 150_000
"""Pixels that percentiles are taken of."""

LOOKED_AT = 48
"""Voxels along an axis that are looked at to choose the slices."""

FINEST = 3
"""Samples at most along a pixel's side, whose mean it shows where voxels are finer than pixels."""


@torch.no_grad()
def views_of(fixed: MedImage, moving: MedImage, matrix: FloatArray, error: MedImage | None = None) -> Views:
    """Sample the planes: three of a volume, at five places each; one of a 2D image.

    Args:
        fixed: the image that stays; its own axes are those of the pictures.
        moving: the image that was moved.
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        error: predicted error in mm over the fixed image, on any grid.
    """
    unit = "px" if fixed.metadata.get("unit") == "px" == moving.metadata.get("unit") else "mm"
    worlds = {str(image.metadata.get("world", "LPS")) for image in (fixed, moving)}
    depths = [] if fixed.dimension == 2 else depths_of(fixed.grid, _weight(fixed), SHARES)
    rows = planes_of(fixed.grid, depths, world="picture" if worlds == {"picture"} else "LPS")
    planes = [plane for row in rows for plane in row]
    coarse = 2 * planes[0].pixel
    seen = [_Image.of(fixed, coarse), _Image.of(moving, coarse)]
    asked = [(seen[0], None), (seen[1], None), (seen[1], matrix)]
    jobs = [(image, plane, through) for plane in planes for image, through in asked]
    taken = shared(lambda job: job[0].on(job[1], job[2]), jobs, fixed.data, moving.data)
    stays, before, after = (_grey_or_colour(taken[k::3]) for k in range(3))
    windows = [_window(fixed, stays), _window(moving, after)]
    shown = [
        View(plane, _within(a, windows[0]), _within(b, windows[1]), _within(c, windows[1]))
        for plane, a, b, c in zip(planes, stays, before, after, strict=True)
    ]
    split = np.cumsum([0, *(len(row) for row in rows)])
    views = Views(tuple(tuple(shown[a:b]) for a, b in zip(split[:-1], split[1:], strict=True)), unit)
    if error is None:
        return views
    mapped = _Image.of(error, 0.0)
    return replace(views, error=tuple(mapped.on(view.plane, None)[0].numpy() for view in views.middles))


@dataclass(frozen=True, eq=False)
class _Image:
    """An image made ready to be looked at in planes."""

    grid: Grid
    sampler: Sampler
    device: torch.device

    @staticmethod
    def of(image: MedImage, coarse: float) -> _Image:
        data, grid = image.data, image.grid
        if image.dimension == 2 and coarse > 0:  # a slide may have a hundred times the pixels that are shown
            data, grid = level_of(data, grid, coarse / 2)
        return _Image(grid, Sampler(data, LINEAR, Fill(float("nan"))), data.device)

    def on(self, plane: Plane, through: FloatArray | None) -> Tensor:
        """The image (C, height, width), float32 on the CPU, NaN where it does not reach."""
        d = self.grid.dimension
        parts = min(FINEST, max(1, round(plane.pixel / min(self.grid.spacing))))
        world = np.eye(d + 1) if through is None else through
        matrix = self.grid.inverse_affine @ world @ plane.grid.affine
        at_u, at_v = (
            torch.arange(n * parts, dtype=torch.float64).add_(0.5).div_(parts).sub_(0.5)
            for n in (plane.width, plane.height)
        )
        projective = matrix[d].tolist() != [0.0] * d + [1.0]
        rows = [matrix[k, 0] * at_u + (matrix[k, 1] * at_v + matrix[k, d])[:, None] for k in range(d + projective)]
        if projective:
            rows = [torch.where(rows[d] > 0, row / rows[d], float("nan")) for row in rows[:d]]
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        axes = [row.flatten().to(self.device, dtype) for row in rows[:d]]
        values = self.sampler.at_axes(axes).float().cpu().view(-1, plane.height, parts, plane.width, parts)
        return values.mean((2, 4)) if parts > 1 else values[:, :, 0, :, 0]


def _weight(image: MedImage) -> FloatArray:
    """How far the values of a few voxels are from what is at the border, (z, y, x): what is to be seen."""
    steps = [max(1, n // LOOKED_AT) for n in image.data.shape[1:]]
    few = image.data[0][tuple(slice(step // 2, None, step) for step in steps)].cpu().numpy().astype(np.float64)
    few = np.nan_to_num(few)
    faces = np.concatenate([np.take(few, end, axis).ravel() for axis in range(3) for end in (0, -1)])
    away = np.abs(few - np.median(faces))
    some = away[away > 0]
    return np.asarray(np.minimum(away, np.percentile(some, 95)) if some.size else away, dtype=np.float64)


def _grey_or_colour(pictures: Sequence[Tensor]) -> list[VoxelArray]:
    """(height, width), or (height, width, 3) of three or four channels, whose last is an alpha; else their mean."""
    channels = len(pictures[0])
    if channels in (3, 4):
        return [picture[:3].permute(1, 2, 0).numpy() for picture in pictures]
    return [(picture.mean(0) if channels > 1 else picture[0]).numpy() for picture in pictures]


def _window(image: MedImage, pictures: Sequence[VoxelArray]) -> tuple[float, float]:
    """The values that become black and white: of colour in bytes all, else percentiles of what is shown."""
    if str(image.data.dtype) == "torch.uint8" and pictures[0].ndim == 3:
        return 0.0, 255.0
    every = np.concatenate([picture.ravel() for picture in pictures])
    few = every[:: max(1, every.size // ENOUGH)]
    finite = few[np.isfinite(few)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, ENDS))
    return (low, high) if high > low else (low, low + 1.0)


def _within(picture: VoxelArray, window: tuple[float, float]) -> VoxelArray:
    low, high = window
    return np.asarray(np.clip((picture - low) / (high - low), 0, 1), dtype=np.float32)
