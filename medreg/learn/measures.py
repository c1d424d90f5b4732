"""How far images and motions are off: what each row of the report says."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.learn.motions import Samples
from medreg.learn.settings import Settings
from medreg.nn import Warp
from medreg.nn.warp import precision
from medreg.sample import Edge
from medreg.sample.warping import warp

SEEN = 0.05
"""Share of the brightest value from which on a voxel belongs to what is shown."""


@dataclass(frozen=True)
class Row:
    """Means over a set of images, of what was made of them.

    Attributes:
        mse: mean squared error against the unmoved phantom, over all voxels.
        angle_deg: the median angle by which the found rotation misses the one that undoes the motion; None of motions
            that are no rotations, and where there is none.
        angle_deg_90: the same, of nine images in ten.
        miss_mm: by how much points of what is shown end up beside their places, mean over points, median over images.
    """

    mse: float
    angle_deg: float | None = None
    angle_deg_90: float | None = None
    miss_mm: float | None = None


def squared(images: Tensor, phantom: Tensor) -> Tensor:
    """The mean squared error (N,) of images (N, 1, z, y, x) against one (1, z, y, x)."""
    return (images - phantom).square().mean((1, 2, 3, 4))


def empty(phantom: Tensor) -> Row:
    """An image of zeros: what whoever sees nothing gets away with."""
    return Row(float(phantom.double().square().mean()))


@torch.no_grad()
def uncorrected(samples: Samples, phantom: Tensor, settings: Settings) -> Row:
    """The moved images as they are: the baseline."""
    nothing = torch.eye(4, dtype=torch.float64).expand_as(samples.undoing)
    return _row(samples.images, nothing, samples, phantom, settings)


@torch.no_grad()
def oracle(samples: Samples, phantom: Tensor, settings: Settings) -> Row:
    """The exact inverse motions through the same resampler: what remains is what interpolation has blurred away."""
    return _row(oracle_images(samples.images, samples.undoing), samples.undoing, samples, phantom, settings)


def oracle_images(images: Tensor, undoing: Tensor) -> Tensor:
    """Moved images (N, 1, z, y, x) moved back by matrices (N, 4, 4); the phantoms' grids make these index matrices."""
    matrices = undoing[: len(images)].to(images.device, precision(images.device))
    return warp(images, matrices, images.shape[2:], outside=Edge())


@torch.no_grad()
def corrected(model: Warp, samples: Samples, phantom: Tensor, settings: Settings) -> Row:
    """What the model makes of the moved images."""
    images, matrices = applied(model, samples.images)
    return _row(images, matrices, samples, phantom, settings)


@torch.no_grad()
def applied(model: Warp, images: Tensor) -> tuple[Tensor, Tensor]:
    """The images as the model moves them, and its matrices (N, 4, 4), float64 on the CPU."""
    assert model.predictor is not None
    parameters = torch.cat([model.predictor(piece) for piece in torch.split(images, 64)])
    moved = model(images, parameters)
    return moved, model.matrices(parameters.cpu().double())


def angles_between(a: Tensor, b: Tensor) -> Tensor:
    """The angle (N,) in degrees of the rotation a^-1 b, of rotations (N, 3, 3); precise for small ones, too.

    |b - a| = sqrt(8) sin(angle / 2) in the Frobenius norm (Huynh 2009, doi:10.1007/s10851-009-0161-2).
    """
    chord = torch.linalg.matrix_norm(b - a) / 8**0.5
    return torch.rad2deg(2 * torch.asin(chord.clamp(0, 1)))


def _row(images: Tensor, matrices: Tensor, samples: Samples, phantom: Tensor, settings: Settings) -> Row:
    volume = phantom[0].cpu()
    index = (volume > SEEN * volume.max()).nonzero().flip(1).double()  # x, y, z; the grid's voxels lie at whole mm
    points = torch.cat([index, torch.ones(len(index), 1, dtype=torch.float64)], 1)
    missed = ((matrices - samples.undoing) @ points.T)[:, :3].norm(dim=1).mean(1).median()
    mse = float(squared(images, phantom).double().mean())
    if settings.model != "rotation":
        return Row(mse, miss_mm=float(missed))
    angles = angles_between(samples.undoing[:, :3, :3], matrices[:, :3, :3])
    return Row(mse, float(angles.quantile(0.5)), float(angles.quantile(0.9)), float(missed))
