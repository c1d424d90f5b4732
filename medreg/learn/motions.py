"""Images that were moved, with the motions that undo it exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.learn.phantoms import centre_of, grid_of, phantom_of
from medreg.learn.settings import Settings
from medreg.nn import Affine, Rotate

ANGLE = 30.0
"""Degrees: a rotation is up to so much about each axis, one way or the other."""

STILL = 0.5
"""Degrees: a smaller angle is taken for none, as published."""

STRETCH = 0.1
"""Times the image's edge: millimetres up to which each of the twelve parameters of an affine motion moves points."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Moved images of one phantom.

    Attributes:
        images: (N, 1, z, y, x), float32.
        undoing: (N, 4, 4) float64, points of the phantom to points of the image: what a perfect model finds.
    """

    images: Tensor
    undoing: Tensor

    def to(self, device: str | torch.device) -> Samples:
        """The same, with the images on a device."""
        return Samples(self.images.to(device), self.undoing)


def drawn(settings: Settings) -> tuple[Samples, Samples]:
    """Images to train on and to test on, as the seed has it: those to train on are drawn first."""
    generator = torch.Generator().manual_seed(settings.seed)
    draw = _rotated if settings.model == "rotation" else _warped
    return draw(settings, settings.images, generator), draw(settings, settings.test_images, generator)


def _rotated(settings: Settings, count: int, generator: torch.Generator) -> Samples:
    """Turned about x, then y, then z, each time interpolated linearly with 0 outside: three times blurred."""
    angles = (torch.rand(count, 3, generator=generator) * 2 - 1) * ANGLE
    angles = angles.where(angles.abs() > STILL, 0.0)
    rotate = Rotate(grid_of(settings.size), centre=centre_of(settings.phantom, settings.size))
    images = phantom_of(settings.phantom, settings.size).expand(count, -1, -1, -1, -1)
    turned = torch.eye(4, dtype=torch.float64).expand(count, 4, 4)
    for axis in range(3):
        about_one = angles * (torch.arange(3) == axis)
        images = rotate(images, about_one)
        turned = turned @ rotate.matrices(about_one.double())
    return Samples(images, torch.linalg.inv(turned))


def _warped(settings: Settings, count: int, generator: torch.Generator) -> Samples:
    """Moved by exp(sum_k a_k G_k), a_k uniform up to `STRETCH` of the edge, in one interpolation with 0 outside."""
    steps = (torch.rand(count, 12, generator=generator) * 2 - 1) * STRETCH * settings.size
    affine = Affine(grid_of(settings.size), centre=centre_of(settings.phantom, settings.size))
    images = phantom_of(settings.phantom, settings.size).expand(count, -1, -1, -1, -1)
    return Samples(affine(images, steps), affine.matrices(-steps.double()))
