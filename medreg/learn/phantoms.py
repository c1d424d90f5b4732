"""The images that are moved: a line, as published for MedImages.jl, and a head without any symmetry."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medreg.geometry.grid import Grid
from medreg.learn.settings import Phantom

HALO = 0.3
"""Value of the line's four neighbours in its plane."""

SHARPNESS = 3.0
"""Of the head's edges: from 0.1 to 0.9 within one and a half voxels."""

Ellipsoid = tuple[tuple[float, float, float], tuple[float, float, float], float, float]

HEAD: tuple[Ellipsoid, ...] = (
    ((0.00, 0.00, 0.00), (0.66, 0.80, 0.74), 0.0, 0.4),  # scalp and skull
    ((0.02, 0.03, 0.02), (0.54, 0.66, 0.60), 0.0, 0.3),  # brain
    ((-0.16, 0.05, 0.08), (0.14, 0.32, 0.18), 0.25, -0.5),  # a ventricle, wide on one side only
    ((0.30, -0.18, 0.28), (0.20, 0.22, 0.20), 0.0, 0.7),  # a tumour
    ((-0.26, 0.32, -0.28), (0.24, 0.18, 0.16), 0.4, 0.5),  # cerebellum
    ((0.22, 0.42, -0.42), (0.26, 0.22, 0.18), 0.0, -0.4),  # a cyst
    ((-0.26, -0.62, -0.06), (0.16, 0.16, 0.16), 0.0, 0.5),  # eyes
    ((0.26, -0.62, -0.06), (0.16, 0.16, 0.16), 0.0, 0.5),
    ((0.00, -0.72, -0.25), (0.12, 0.18, 0.20), 0.0, 0.5),  # nose
)
"""Centre and radii in units of half the image, turn about z in radians, and what it adds to the value."""


def grid_of(size: int) -> Grid:
    """Where the voxels of a phantom lie: 1 mm apart, the first one at the origin."""
    return Grid.regular((size,) * 3, (1.0,) * 3)


def centre_of(phantom: Phantom, size: int) -> tuple[float, float, float]:
    """The point that motions leave in place: voxel size / 2 - 1 of the line, as published; the head's middle."""
    middle = size // 2 - 1.0 if phantom == "line" else (size - 1) / 2
    return (middle, middle, middle)


def phantom_of(phantom: Phantom, size: int) -> Tensor:
    """The phantom by name, (1, z, y, x)."""
    return line(size) if phantom == "line" else head(size)


def line(size: int) -> Tensor:
    """A line along z through voxel c = size / 2 - 1: 1, its four neighbours in x and y 0.3, all else 0; (1, z, y, x).

    Turned about its own axis it looks nearly the same, so that no image tells that angle.

    Example:
        >>> float((line(16) ** 2).mean())  # what an empty image is off by
        0.005312...
    """
    volume = torch.zeros(1, size, size, size)
    c = size // 2 - 1
    volume[0, :, c, c] = 1.0
    for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        volume[0, :, c + dy, c + dx] = HALO
    return volume


def head(size: int) -> Tensor:
    """A head of ellipsoids (`HEAD`), 0 to 1.4, that no rotation but the identity takes to itself; (1, z, y, x)."""
    half = size / 2
    steps = (torch.arange(size, dtype=torch.float32) - (size - 1) / 2) / half
    z, y, x = torch.meshgrid(steps, steps, steps, indexing="ij")
    volume = torch.zeros_like(x)
    for (cx, cy, cz), (rx, ry, rz), turn, value in HEAD:
        dx, dy = x - cx, y - cy
        along, across = math.cos(turn) * dx + math.sin(turn) * dy, math.cos(turn) * dy - math.sin(turn) * dx
        distance = ((along / rx) ** 2 + (across / ry) ** 2 + ((z - cz) / rz) ** 2).sqrt()
        volume += value * torch.sigmoid((1 - distance) * min(rx, ry, rz) * half * SHARPNESS)
    return volume[None]
