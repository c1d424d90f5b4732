"""What stands out of an image: its centre of mass, its principal axes, points of it."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor

from medreg.registration.levels import LevelImage
from medreg.types import FloatArray

POINTS = 500
"""Of the foreground, where distances are asked for over it."""


def mass(image: LevelImage) -> Tensor:
    """(z, y, x) float64: how far each voxel stands out from the mean, 0 where it does not.

    Taking the mean off keeps a wide background with a small offset from pulling the centre to the middle of the view.
    """
    above = standing_out(image).volume[0].cpu().double()
    return above.clamp(min=0) if image.mask is None else above.clamp(min=0) * image.mask[0].cpu()


def gray(image: LevelImage) -> LevelImage:
    """Its one channel, or the mean of all."""
    return LevelImage(image.volume.mean(0, keepdim=True), image.mask, image.grid)


def standing_out(image: LevelImage) -> LevelImage:
    """One channel: brightness above the mean of what counts; darkness below it where the border is bright (a slide)."""
    volume = gray(image).volume
    counts = torch.ones_like(volume) if image.mask is None else image.mask.to(volume.dtype)
    above = volume - (volume * counts).sum() / counts.sum().clamp(min=1)
    return LevelImage(-above if has_bright_border(image) else above, image.mask, image.grid)


def has_bright_border(image: LevelImage) -> bool:
    """Whether the ground is bright, as a slide's: most of the border lies above the mean, as far as both count."""
    volume = image.volume.mean(0)
    counts = torch.ones_like(volume, dtype=torch.bool) if image.mask is None else image.mask[0]
    border = _border(volume)[_border(counts)]
    return len(border) > 0 and float(border.median()) > float(volume[counts].mean())


def centre_of_mass(image: LevelImage) -> tuple[float, ...]:
    """World point, LPS mm; the grid's centre for a constant image."""
    weight = mass(image)
    total = float(weight.sum())
    if total <= 0:
        return image.grid.centre
    index = [float((profile * torch.arange(len(profile))).sum()) / total for profile in _profiles(weight)]
    return tuple(image.grid.to_world(np.array([index]))[0].tolist())


def foreground_points(image: LevelImage) -> FloatArray:
    """About `POINTS` world points (N, D), LPS mm, of voxels that stand out; of a constant image, its corners."""
    index = (mass(image) > 0).nonzero().flip(1).double().numpy()
    if not len(index):
        return image.grid.corners
    return image.grid.to_world(index[:: max(1, len(index) // POINTS)])


def frames(image: LevelImage) -> list[FloatArray]:
    """Right-handed D x D frames of principal axes in columns, one for each choice of signs: 4 in 3D, 2 in 2D."""
    weight = mass(image)
    where = weight.nonzero().flip(1).double().numpy()
    d = image.grid.dimension
    if len(where) <= d:
        return [np.eye(d)]
    points = image.grid.to_world(where)
    share = weight[weight > 0].numpy()
    share = share / share.sum()
    centred = points - share @ points
    axes = np.linalg.eigh((centred * share[:, None]).T @ centred)[1]
    signs = [s for s in product((1.0, -1.0), repeat=d) if np.linalg.det(axes * s) > 0]
    return [axes * s for s in signs]


def _profiles(weight: Tensor) -> list[Tensor]:
    """Sums over all other axes, along x, y(, z)."""
    return [weight.sum([a for a in range(weight.ndim) if a != axis]) for axis in reversed(range(weight.ndim))]


def _border(values: Tensor) -> Tensor:
    """The outermost voxels of every axis that is longer than a slab's."""
    faces = [
        v
        for axis in range(values.ndim)
        if values.shape[axis] > 4
        for v in (values.select(axis, 0), values.select(axis, -1))
    ]
    return torch.cat([face.flatten() for face in faces]) if faces else values.flatten()
