"""Scans of the digital head with known motion, small enough that a registration takes about a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import phantom
import pytest
import torch
from scipy.ndimage import gaussian_filter

from medreg.geometry.affine import map_points
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform

Transform = LinearTransform | Homography | np.ndarray

CONTRASTS = {"T1": phantom.T1, "T2": phantom.T2}
FIXED_GRID = phantom.Grid.centred((48, 56, 48), (4.0, 4.0, 4.0), (0, 4, -3))
MOVING_GRID = phantom.Grid.centred((46, 54, 50), (4.2, 4.0, 3.9), (2, 1, -1), phantom.rotation((4, -3, 5)))
SLICES = (
    phantom.Grid.centred((80, 92, 1), (2.5, 2.5, 1.0), (0, 4, 20)),
    phantom.Grid.centred((88, 80, 1), (2.4, 2.6, 1.0), (3, 2, 20), phantom.rotation((0, 0, 8))),
)
LANDMARKS = np.random.default_rng(0).uniform(-60, 60, (200, 3))
"""Points of the head, LPS mm, at which errors are taken."""


def as_image(grid: phantom.Grid, voxels: np.ndarray) -> MedImage:
    """Voxels [i, j, k] on their grid; a single slice becomes a 2D image."""
    if grid.size[2] > 1:
        data = torch.from_numpy(np.ascontiguousarray(voxels.T))[None]
        return MedImage.on(Grid.from_affine(grid.size, grid.affine), data)
    keep = [0, 1, 3]
    data = torch.from_numpy(np.ascontiguousarray(voxels[:, :, 0].T))[None]
    return MedImage.on(Grid.from_affine(grid.size[:2], grid.affine[np.ix_(keep, keep)]), data)


def in_plane(matrix: np.ndarray) -> np.ndarray:
    """The 2D part of a map that leaves z alone."""
    return matrix[np.ix_([0, 1, 3], [0, 1, 3])]


def bent(matrix: np.ndarray, bottom: tuple[float, ...]) -> np.ndarray:
    """With a perspective: w falls or rises by so much a mm, up to a tenth over the head."""
    matrix[3, :3] = bottom
    return matrix


@pytest.fixture(scope="session")
def truths() -> Mapping[Kind, np.ndarray]:
    """A motion of each family, fixed to moving points, LPS mm."""
    turn, shift = (5, -4, 6), (5, -4, 3)
    return {
        Kind.TRANSLATION: phantom.pose((0, 0, 0), shift),
        Kind.RIGID: phantom.pose(turn, shift),
        Kind.SIMILARITY: phantom.pose(turn, shift, (1.05, 1.05, 1.05)),
        Kind.AFFINE: phantom.pose(turn, shift, (1.05, 0.96, 1.03), (0.02, -0.03, 0.04)),
        Kind.HOMOGRAPHY: bent(phantom.pose(turn, shift), (6e-4, -4e-4, 5e-4)),
    }


@pytest.fixture(scope="session")
def flat_truths() -> Mapping[Kind, np.ndarray]:
    """The same in a plane: the maps in 3D that leave z alone."""
    turn, shift = (0, 0, 7), (5, -4, 0)
    return {
        Kind.TRANSLATION: phantom.pose((0, 0, 0), shift),
        Kind.RIGID: phantom.pose(turn, shift),
        Kind.SIMILARITY: phantom.pose(turn, shift, (1.05, 1.05, 1)),
        Kind.AFFINE: phantom.pose(turn, shift, (1.05, 0.96, 1), (0.03, 0, 0)),
        Kind.HOMOGRAPHY: bent(phantom.pose(turn, shift), (6e-4, -4e-4, 0)),
    }


@cache
def _scan(contrast: str, pose: bytes | None, bias: float, noise_seed: int, flat: bool) -> MedImage:
    grid = (SLICES if flat else (FIXED_GRID, MOVING_GRID))[pose is not None]
    matrix = None if pose is None else np.frombuffer(pose).reshape(4, 4)
    if matrix is not None and matrix[3, :3].any():
        return as_image(grid, seen_in_perspective(grid, CONTRASTS[contrast], matrix, noise_seed, flat))
    return as_image(grid, phantom.render(grid, CONTRASTS[contrast], matrix, noise=0.02, bias=bias, seed=noise_seed))


def seen_in_perspective(grid: phantom.Grid, contrast: phantom.Contrast, matrix: np.ndarray, seed: int, flat: bool):
    """The head moved by a homography, which `phantom.render` does not do; a slice is moved in its own plane."""
    index = np.indices(grid.size).reshape(3, -1)
    points = (grid.affine[:3, :3] @ index + grid.affine[:3, 3:]).T
    if flat:
        points[:, :2] = map_points(np.linalg.inv(in_plane(matrix)), points[:, :2])
    else:
        points = map_points(np.linalg.inv(matrix), points)
    image = phantom.appearance(points.T, contrast).reshape(grid.size)
    return contrast.noise(image, 0.02 * float(np.ptp(contrast.table())), np.random.default_rng(seed))


@pytest.fixture(scope="session")
def fixed() -> MedImage:
    """A T1 scan of the head, 48 x 56 x 48 voxels of 4 mm, 2 % noise."""
    return _scan("T1", None, 0.0, 1, False)


@pytest.fixture(scope="session")
def moved_head() -> Callable[..., MedImage]:
    """moved_head(matrix, contrast=, bias=): a scan of the moved head on an oblique grid with other noise."""

    def scan(matrix: np.ndarray, contrast: str = "T1", bias: float = 0.0) -> MedImage:
        return _scan(contrast, np.asarray(matrix, np.float64).tobytes(), bias, 2, False)

    return scan


@pytest.fixture(scope="session")
def label_maps() -> Callable[[np.ndarray], tuple[MedImage, MedImage]]:
    """label_maps(matrix): the labels of the head and of the moved head, on the grids of their scans."""

    def maps(matrix: np.ndarray) -> tuple[MedImage, MedImage]:
        pairs = ((FIXED_GRID, None), (MOVING_GRID, matrix))
        one, other = (as_image(grid, phantom.render_labels(grid, moved)) for grid, moved in pairs)
        return one, other

    return maps


@pytest.fixture(scope="session")
def flat_pair(flat_truths) -> Callable[..., tuple[MedImage, MedImage, np.ndarray]]:
    """flat_pair(kind, contrast=): two slices, the moving one turned in its plane, and the 3x3 truth."""

    def pair(kind: Kind, contrast: str = "T1") -> tuple[MedImage, MedImage, np.ndarray]:
        truth = flat_truths[kind]
        return _scan("T1", None, 0.0, 1, True), _scan(contrast, truth.tobytes(), 0.0, 2, True), in_plane(truth)

    return pair


@pytest.fixture(scope="session")
def furthest() -> Callable[[Transform, Transform], float]:
    """furthest(one, other): the largest distance in mm between where two transforms take points of the head."""

    def error(one: Transform, other: Transform) -> float:
        first, second = (t if isinstance(t, np.ndarray) else t.matrix for t in (one, other))
        points = LANDMARKS[:, : len(first) - 1]
        return float(np.linalg.norm(map_points(first, points) - map_points(second, points), axis=1).max())

    return error


@pytest.fixture
def texture() -> Callable[..., MedImage]:
    """texture(dimension, size, grid=): a smooth random float64 image on an oblique grid."""

    def make(dimension: int, size: int = 24, seed: int = 0, sheared: bool = False) -> MedImage:
        from medreg.geometry.affine import rotation_exp

        sizes = (size, size + 3, size - 2)[:dimension]
        direction = rotation_exp(np.array([0.2, -0.3, 0.25]))[:dimension, :dimension]
        direction = np.linalg.qr(direction)[0] + 0.1 * sheared * np.eye(dimension, k=1)
        affine = np.eye(dimension + 1)
        affine[:-1, :-1] = direction * np.array([2.0, 1.8, 2.3])[:dimension]
        affine[:-1, -1] = -affine[:-1, :-1] @ (np.array(sizes) / 2) + 5
        voxels = 100 + 400 * gaussian_filter(np.random.default_rng(seed).standard_normal(sizes[::-1]), 2.0)
        return MedImage.on(Grid.from_affine(sizes, affine), torch.from_numpy(voxels)[None])

    return make
