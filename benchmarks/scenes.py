"""Images of things that have nothing in common: random textures and random shapes, in space and in a plane."""

import numpy as np
import torch
from heads import phantom  # puts sample_data/ on the path, where `shapes` is
from shapes import Waves, ellipsoid

from medreg import Grid, MedImage

SIZE, SPACING_MM = 64, 3.0


def texture(seed: int, dimension: int) -> MedImage:
    """A smooth random field in a box: waves of about 30 mm with 2 % noise."""
    return _image(100 + 20 * Waves(1000 + seed, 30)(_points(dimension)), seed, dimension)


def shapes(seed: int, dimension: int) -> MedImage:
    """A dozen ellipsoids of random place, size and brightness before black, with 2 % noise."""
    random = np.random.default_rng([seed, 2])
    points = _points(dimension)
    values = np.zeros(points.shape[1], np.float32)
    for _ in range(12):
        centre = random.uniform(-55, 55, 3) * (1, 1, dimension == 3)
        inside = ellipsoid(points, centre, random.uniform(8, 35, 3)) < 0
        values[inside] = random.uniform(30, 200)
    return _image(values, seed, dimension)


def _points(dimension: int) -> np.ndarray:
    """Where the voxels lie (3, n), x running fastest; a plane is z = 0."""
    along = (np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2) * np.float32(SPACING_MM)
    axes = [along if k < dimension else np.zeros(1, np.float32) for k in (2, 1, 0)]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")][::-1])


def _image(values: np.ndarray, seed: int, dimension: int) -> MedImage:
    """Values with noise on their grid, whose middle is the world's origin."""
    noisy = phantom.gaussian(values, 0.02 * float(np.ptp(values)), np.random.default_rng([seed, 3]))
    origin = [-(SIZE - 1) / 2 * SPACING_MM] * dimension
    grid = Grid.regular([SIZE] * dimension, [SPACING_MM] * dimension, origin)
    return MedImage.on(grid, torch.from_numpy(noisy.reshape(1, *grid.shape)))
