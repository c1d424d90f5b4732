"""Grids on which a transposed direction or swapped axes show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from medreg.geometry.grid import Grid

SIZE, SPACING, ORIGIN = (9, 8, 7), (1.0, 1.4, 0.8), (-3.0, 12.0, 5.0)

DIRECTIONS = {
    "identity": np.eye(3),
    "flipped": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, -1]]),
    "oblique": Rotation.from_euler("xyz", [25, -40, 65], degrees=True).as_matrix(),
}


@pytest.fixture(params=DIRECTIONS)
def grid(request: pytest.FixtureRequest) -> Grid:
    direction = DIRECTIONS[request.param]
    return Grid(SIZE, SPACING, ORIGIN, tuple(map(tuple, direction.tolist())))


def smooth_noise(*shape: int, seed: int = 0) -> Tensor:
    """Random volumes without kinks at voxel centres to speak of: float64."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
