"""Scans of the digital head with known motion, small enough that a registration takes about a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import phantom
import pytest
import torch
from scipy.ndimage import gaussian_filter

from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform

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


@pytest.fixture(scope="session")
def truths() -> Mapping[Kind, np.ndarray]:
    """A motion of each family, fixed to moving points, LPS mm."""
    turn, shift = (5, -4, 6), (5, -4, 3)
    return {
        Kind.TRANSLATION: phantom.pose((0, 0, 0), shift),
        Kind.RIGID: phantom.pose(turn, shift),
        Kind.SIMILARITY: phantom.pose(turn, shift, (1.05, 1.05, 1.05)),
        Kind.AFFINE: phantom.pose(turn, shift, (1.05, 0.96, 1.03), (0.02, -0.03, 0.04)),
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
    }


@cache
def _scan(contrast: str, pose: bytes | None, bias: float, noise_seed: int, flat: bool) -> MedImage:
    grid = (SLICES if flat else (FIXED_GRID, MOVING_GRID))[pose is not None]
    matrix = None if pose is None else np.frombuffer(pose).reshape(4, 4)
    return as_image(grid, phantom.render(grid, CONTRASTS[contrast], matrix, noise=0.02, bias=bias, seed=noise_seed))


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
def flat_pair(flat_truths) -> Callable[..., tuple[MedImage, MedImage, np.ndarray]]:
    """flat_pair(kind, contrast=): two slices, the moving one turned in its plane, and the 3x3 truth."""

    def pair(kind: Kind, contrast: str = "T1") -> tuple[MedImage, MedImage, np.ndarray]:
        truth = flat_truths[kind]
        return _scan("T1", None, 0.0, 1, True), _scan(contrast, truth.tobytes(), 0.0, 2, True), in_plane(truth)

    return pair


@pytest.fixture(scope="session")
def furthest() -> Callable[[LinearTransform | np.ndarray, LinearTransform | np.ndarray], float]:
    """furthest(one, other): the largest distance in mm between where two transforms take points of the head."""

    def error(one: LinearTransform | np.ndarray, other: LinearTransform | np.ndarray) -> float:
        one, other = (t if isinstance(t, LinearTransform) else LinearTransform(t) for t in (one, other))
        points = LANDMARKS[:, : one.dimension]
        return float(np.linalg.norm(one.map(points) - other.map(points), axis=1).max())

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
