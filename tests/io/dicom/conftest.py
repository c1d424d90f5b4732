"""Volumes with known truth, and what it means that a read image is the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medreg.io.stored import StoredImage

TURN = Rotation.from_euler("xyz", [12, -31, 64], degrees=True).as_matrix()
TILT = np.array([[1, 0, 0], [0, 1, np.tan(np.radians(17))], [0, 0, 1]])  # a CT gantry tilted by 17 degrees
SPACING = np.diag([0.75, 1.25, 2.5])
LINEAR = {
    "straight": SPACING,
    "left-handed": np.diag([1, 1, -1]) @ SPACING,
    "oblique": TURN @ SPACING,
    "oblique and left-handed": TURN @ np.diag([1, -1, 1]) @ SPACING,
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]) @ SPACING,
    "tilted": TILT @ SPACING,
    "oblique and tilted": TURN @ TILT @ SPACING,
}
OFF_CENTRE_MM = 1e-4  # positions and cosines have 16 characters, 1e-14 of some 100 mm; tiny beside any voxel


def placed(name: str) -> np.ndarray:
    """The index -> world LPS affine of that name."""
    affine = np.eye(4)
    affine[:3, :3] = LINEAR[name]
    affine[:3, 3] = (-71.5, 33.25, 12.125)
    return affine


@pytest.fixture(params=list(LINEAR))
def affine(request: pytest.FixtureRequest) -> np.ndarray:
    """Each kind of grid."""
    return placed(request.param)


@pytest.fixture
def oblique() -> np.ndarray:
    """An oblique affine."""
    return placed("oblique")


@pytest.fixture
def volume() -> np.ndarray:
    """uint16 (z, y, x) below 4000, all sizes different."""
    return np.random.default_rng(7).integers(0, 4000, (7, 6, 5)).astype(np.uint16)


@pytest.fixture
def series() -> np.ndarray:
    """uint16 (t, z, y, x) below 4000; every volume is another."""
    return np.random.default_rng(8).integers(0, 4000, (4, 3, 6, 5)).astype(np.uint16)


@pytest.fixture(scope="session")
def assert_same() -> Callable[..., None]:
    """Claims that an image is the truth: assert_same(image, values (z, y, x) or (t, z, y, x), affine, rtol)."""

    def assert_same(image: StoredImage, values: np.ndarray, affine: np.ndarray, rtol: float = 0.0) -> None:
        truth = values if values.ndim == 4 else values[None]
        assert image.array.shape[0] == truth.shape[0]
        assert sorted(image.array.shape[1:]) == sorted(truth.shape[1:])
        size = truth.shape[:0:-1]
        index = np.random.default_rng(0).integers(0, size, (100, 3))
        index = np.concatenate([index, [(0, 0, 0), np.array(size) - 1]])
        found = image.grid.to_index(index @ affine[:3, :3].T + affine[:3, 3])
        nearest = np.rint(found).astype(int)
        assert (np.abs(found - nearest) * image.grid.spacing).max() < OFF_CENTRE_MM
        assert (nearest >= 0).all() and (nearest < image.grid.size).all()
        for read, true in zip(image.array, truth, strict=True):
            np.testing.assert_allclose(read[tuple(nearest.T[::-1])], true[tuple(index.T[::-1])], rtol=rtol, atol=0)

    return assert_same
