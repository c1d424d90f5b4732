"""Volumes, grids and transforms that the sampler's tests share, and SimpleITK as their oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import gaussian_filter

from medreg.geometry.affine import rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import MedImage

SIZES = {2: ((31, 26), (28, 33)), 3: ((23, 19, 17), (18, 24, 21))}


def turn(dimension: int, *angles: float) -> np.ndarray:
    """A rotation; in 2D only by the last angle."""
    return rotation_exp(np.array([0.0, 0.0, angles[-1]]))[:2, :2] if dimension == 2 else rotation_exp(np.array(angles))


def placed(size: tuple[int, ...], direction: np.ndarray, spacing: tuple[float, ...], centre: np.ndarray) -> Grid:
    """A grid whose middle lies at the world point `centre`."""
    d = len(size)
    affine = np.eye(d + 1)
    affine[:d, :d] = direction * np.array(spacing[:d])
    affine[:d, d] = centre[:d] - affine[:d, :d] @ (np.array(size) - 1) / 2
    return Grid.from_affine(size, affine)


GRIDS: dict[str, Callable[[int, tuple[int, ...]], Grid]] = {
    "identity": lambda d, size: placed(size, np.eye(d), (1.0, 1.0, 1.0), np.array([1.0, 2.0, 3.0])),
    "flipped": lambda d, size: placed(size, np.diag([-1.0, -1.0, 1.0][:d]), (1.0, 1.1, 0.9), np.array([1.0, 2.0, 3.0])),
    "oblique": lambda d, size: placed(size, turn(d, 0.3, -0.5, 0.4), (0.9, 1.1, 1.0), np.array([2.0, 1.0, 3.0])),
    "anisotropic": lambda d, size: placed(size, turn(d, -0.2, 0.1, 0.3), (0.6, 0.8, 2.5), np.array([1.0, 2.0, 2.0])),
}
"""Kinds of moving grid; all about as wide as the fixed one, so that some fixed voxels fall outside."""


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def dimension(request: pytest.FixtureRequest) -> int:
    """Space axes."""
    return request.param


@pytest.fixture(params=GRIDS)
def moving(request: pytest.FixtureRequest, dimension: int) -> MedImage:
    """A smooth random float32 image, range about 1,500 above an offset, on each kind of grid."""
    grid = GRIDS[request.param](dimension, SIZES[dimension][1])
    noise = np.random.default_rng(7).standard_normal(grid.shape)
    voxels = 700 + 1500 * gaussian_filter(noise, 0.8)
    return MedImage.on(grid, torch.from_numpy(voxels.astype(np.float32))[None], metadata={"path": "moving.nii"})


@pytest.fixture
def fixed_grid(dimension: int) -> Grid:
    """An oblique anisotropic grid that is not the moving image's."""
    size = SIZES[dimension][0]
    return placed(size, turn(dimension, -0.1, 0.2, -0.15), (0.95, 1.05, 1.2), np.array([0.7, 1.9, 2.8]))


@pytest.fixture
def affine(dimension: int) -> np.ndarray:
    """A homogeneous map with rotation, scales, shear and shift."""
    d = dimension
    matrix = np.eye(d + 1)
    matrix[:d, :d] = turn(d, 0.05, 0.08, -0.1) @ (np.diag([1.05, 0.97, 1.02][:d]) + 0.03 * np.eye(d, k=1))
    matrix[:d, d] = [0.83, -0.62, 0.47][:d]
    return matrix


def to_itk(image: MedImage) -> sitk.Image:
    """The first channel as SimpleITK holds it."""
    itk = sitk.GetImageFromArray(image.data[0].numpy())
    itk.SetSpacing(image.spacing)
    itk.SetOrigin(image.origin)
    itk.SetDirection(np.array(image.direction).ravel().tolist())
    return itk


@pytest.fixture
def by_itk() -> Callable[..., np.ndarray]:
    """`resample` by SimpleITK: (image, onto, matrix, interpolator, fill) -> float64 voxels, or the image's integers."""

    def resampled(image: MedImage, onto: Grid, matrix: np.ndarray, interpolator: int, fill: float) -> np.ndarray:
        d = onto.dimension
        transform = sitk.AffineTransform(d)
        transform.SetMatrix(matrix[:d, :d].ravel().tolist())
        transform.SetTranslation(matrix[:d, d].tolist())
        step = sitk.ResampleImageFilter()
        step.SetTransform(transform)
        step.SetInterpolator(interpolator)
        step.SetSize(onto.size)
        step.SetOutputSpacing(onto.spacing)
        step.SetOutputOrigin(onto.origin)
        step.SetOutputDirection(np.array(onto.direction).ravel().tolist())
        step.SetDefaultPixelValue(fill)
        if image.data.is_floating_point():
            step.SetOutputPixelType(sitk.sitkFloat64)
        return sitk.GetArrayFromImage(step.Execute(to_itk(image)))

    return resampled
