"""Images on four kinds of grid, and SimpleITK as the oracle of spatial operations."""

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
from medreg.sample import CubicBSpline, Interpolation, Linear, Nearest

SIZES = {2: (21, 26), 3: (17, 20, 15)}
KERNELS: dict[str, tuple[Interpolation, int, float]] = {
    "nearest": (Nearest(), sitk.sitkNearestNeighbor, 0.0),
    "linear": (Linear(), sitk.sitkLinear, 1e-5),
    "cubic": (CubicBSpline(), sitk.sitkBSpline3, 1e-4),
}
"""Each kernel, SimpleITK's, and the largest difference over the image's range: ITK's spline is filtered in float32."""


def turned(dimension: int, *angles: float) -> np.ndarray:
    """A rotation by a vector in radians; in 2D by its last number."""
    return rotation_exp(np.array([0.0, 0.0, angles[-1]]))[:2, :2] if dimension == 2 else rotation_exp(np.array(angles))


def kinds(dimension: int) -> dict[str, tuple[np.ndarray, tuple[float, ...]]]:
    """Direction and spacing of each kind of grid."""
    d = dimension
    return {
        "identity": (np.eye(d), (1.0, 1.0, 1.0)),
        "flipped": (np.diag([-1.0, -1.0, 1.0][:d]), (1.0, 1.1, 0.9)),
        "oblique": (turned(d, 0.3, -0.5, 0.4), (0.9, 1.1, 1.0)),
        "anisotropic": (turned(d, -0.2, 0.1, 0.3)[:, ::-1], (0.6, 0.8, 2.5)),
    }


def grid_of(kind: str, dimension: int, size: tuple[int, ...] | None = None) -> Grid:
    """A grid of a kind, off the world's origin."""
    direction, spacing = kinds(dimension)[kind]
    affine = np.eye(dimension + 1)
    affine[:-1, :-1] = direction * np.array(spacing[:dimension])
    affine[:-1, -1] = [7.3, -4.1, 11.9][:dimension]
    return Grid.from_affine(size or SIZES[dimension], affine)


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def dimension(request: pytest.FixtureRequest) -> int:
    """Space axes."""
    return request.param


@pytest.fixture(params=["identity", "flipped", "oblique", "anisotropic"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the grid lies."""
    return request.param


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> tuple[Interpolation, int, float]:
    """The kernel, SimpleITK's, and the tolerance."""
    return KERNELS[request.param]


@pytest.fixture
def image(kind: str, dimension: int) -> MedImage:
    """A smooth random float32 image of range about 1500 on each kind of grid."""
    return smooth_image(grid_of(kind, dimension))


def smooth_image(grid: Grid, sigma: float = 0.8) -> MedImage:
    noise = np.random.default_rng(7).standard_normal(grid.shape)
    voxels = 700 + 1500 * gaussian_filter(noise, sigma)
    return MedImage.on(grid, torch.from_numpy(voxels.astype(np.float32))[None], metadata={"path": "image.nii", "a": 1})


def to_itk(image: MedImage) -> sitk.Image:
    """The first channel as SimpleITK holds it."""
    itk = sitk.GetImageFromArray(image.data[0].numpy())
    itk.SetSpacing(image.spacing)
    itk.SetOrigin(image.origin)
    itk.SetDirection(np.array(image.direction).ravel().tolist())
    return itk


def by_itk(image: MedImage, onto: Grid, transform: sitk.Transform, interpolator: int, fill: float) -> np.ndarray:
    """`image` on the grid, by SimpleITK."""
    step = sitk.ResampleImageFilter()
    step.SetTransform(transform)
    step.SetInterpolator(interpolator)
    step.SetSize(onto.size)
    step.SetOutputSpacing(onto.spacing)
    step.SetOutputOrigin(onto.origin)
    step.SetOutputDirection(np.array(onto.direction).ravel().tolist())
    step.SetDefaultPixelValue(fill)
    return sitk.GetArrayFromImage(step.Execute(to_itk(image)))


def assert_alike(ours: MedImage, theirs: np.ndarray, of: MedImage, tolerance: float) -> None:
    """No voxel differs by more than `tolerance` of the range of `of`; at 0, by nothing."""
    difference = np.abs(ours.data[0].double().numpy() - theirs).max()
    assert difference <= tolerance * (of.data.max() - of.data.min()).item()


def assert_same_place(ours: MedImage, theirs: sitk.Image) -> None:
    """Geometry as SimpleITK has it, to 1e-9 mm."""
    assert ours.size == theirs.GetSize()
    np.testing.assert_allclose(ours.spacing, theirs.GetSpacing(), atol=1e-12)
    np.testing.assert_allclose(ours.origin, theirs.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(np.ravel(ours.direction), theirs.GetDirection(), atol=1e-12)


Oracle = Callable[[MedImage, Grid, sitk.Transform, int, float], np.ndarray]


@pytest.fixture
def itk() -> dict[str, Callable]:
    """The oracle's parts, for tests, which cannot import from here."""
    return {
        "convert": to_itk,
        "resample": by_itk,
        "alike": assert_alike,
        "placed": assert_same_place,
        "grid": grid_of,
        "smooth": smooth_image,
        "turned": turned,
    }
