"""A picture as the search for overlaps looks at it: grey, at several resolutions, in part, on other grids."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from medreg.errors import RegistrationError
from medreg.geometry.affine import homogeneous, map_points
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import level_of, resample, smooth
from medreg.types import FloatArray

BAND = 4.0
"""Pixels: slower changes than this sigma are taken out, since any two pictures share some light from one side."""

MARGIN = 0.05
"""Share of the overlap's sides that is looked at beyond it."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A 2D image as the search looks at it: grey, at several resolutions, each made once.

    Attributes:
        image: (C, y, x).
    """

    image: MedImage
    _seen: dict[tuple[str, float], MedImage] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""
        return self.image.grid

    @property
    def view(self) -> float:
        """The geometric mean of its sides, in the world's units."""
        return math.sqrt(math.prod(self.grid.extent))

    def at(self, spacing: float) -> MedImage:
        """All channels, float32, pooled to about this spacing."""
        return self._made("colour", spacing)

    def grey(self, spacing: float = 0.0) -> MedImage:
        """One channel, the mean of all; at a spacing of 0 as it is."""
        return self._made("grey", spacing)

    def detail(self, spacing: float) -> MedImage:
        """The grey picture without what changes slowly, on the CPU."""
        return self._made("detail", spacing)

    def _made(self, what: str, spacing: float) -> MedImage:
        key = (what, round(spacing, 9))
        if key not in self._seen:
            self._seen[key] = self._make(what, spacing)
        return self._seen[key]

    def _make(self, what: str, spacing: float) -> MedImage:
        if what == "detail":
            grey = self.grey(spacing)
            own, data = grey.grid.spacing, grey.data.cpu()
            return grey.with_data(smooth(data, 0.6 * min(own), own) - smooth(data, BAND * min(own), own))
        data = self.image.data.float()
        data = data.mean(0, keepdim=True) if what == "grey" else data
        return MedImage.on(*level_of(data, self.grid, max(spacing, 1e-12))[::-1], metadata=self.image.metadata)


def on(image: MedImage, grid: Grid, through: FloatArray) -> tuple[Tensor, Tensor]:
    """The image (C, y, x) on a grid, and where it reaches (y, x), bool."""
    within = image.with_data(torch.ones_like(image.data[:1]))
    both = image.with_data(torch.cat([image.data, within.data]))
    moved = resample(both, onto=grid, through=through).data
    return moved[:-1], moved[-1] > 0.5


def cropped(image: MedImage, points: FloatArray) -> MedImage:
    """The part of a picture within the box of these points (N, 2), with a margin for what they are off.

    Raises:
        RegistrationError: where nothing is left.
    """
    index = image.grid.to_index(points)
    margin = MARGIN * np.ptp(index, axis=0)
    low = np.maximum(np.floor(index.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(index.max(0) + margin) + 1, image.size).astype(int)
    if (high - low < 8).any():
        raise RegistrationError(f"{image.name}: nothing of it overlaps")
    affine = image.grid.affine @ homogeneous(np.eye(2), low.astype(np.float64))
    data = image.data[:, low[1] : high[1], low[0] : high[0]].contiguous()
    return MedImage.on(Grid.from_affine((high - low).tolist(), affine), data, metadata=image.metadata)


def around(points: FloatArray, like: Grid) -> Grid:
    """The grid with the axes and spacings of another that holds all points (N, 2)."""
    affine = like.affine.copy()
    affine[:2, 2] = 0
    index = map_points(np.linalg.inv(affine), points)
    low, high = np.floor(index.min(0)), np.ceil(index.max(0))
    affine[:2, 2] = affine[:2, :2] @ low
    return Grid.from_affine((high - low + 1).astype(int).tolist(), affine)
