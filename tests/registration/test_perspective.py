"""Registration by homographies in pictures whose world begins far away, by several multiples, and half a turn apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from medreg.errors import TransformError
from medreg.geometry.affine import derivative_at, map_points
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.registration.pairwise import register
from medreg.registration.recipe import Recipe
from medreg.registration.verdict import Standing

SIZE, FAR = 120, 1000.0


def picture() -> np.ndarray:
    """Smooth noise with a rim, 120 x 120 px."""
    noise = gaussian_filter(np.random.default_rng(4).standard_normal((SIZE, SIZE)), 4)
    y, x = np.mgrid[:SIZE, :SIZE]
    return noise / noise.std() + 6.0 * ((x - 60) ** 2 + (y - 57) ** 2 < 48**2)


def bent(turn: float = 0.1, shift: float = 3.0) -> np.ndarray:
    """A homography of the picture's middle, with w from about 0.9 to 1.1, in a world that begins `FAR` away."""
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[1.03 * c, -s, shift], [s, 0.98 * c, -2.0], [1.5e-3, -1e-3, 1.0]])
    to = np.eye(3)
    to[:2, 2] = -(FAR + SIZE / 2)
    return np.linalg.inv(to) @ matrix @ to


def pair(matrix: np.ndarray) -> tuple[MedImage, MedImage]:
    """The picture, and what `matrix` maps it to."""
    grid = Grid.regular((SIZE, SIZE), (1.0, 1.0), (FAR, FAR))
    fixed, index = picture(), np.stack(np.meshgrid(*[np.arange(SIZE)] * 2), -1).reshape(-1, 2)
    from_ = grid.to_index(map_points(np.linalg.inv(matrix), grid.to_world(index)))
    moving = map_coordinates(fixed, from_[:, ::-1].T, order=3, mode="nearest").reshape(SIZE, SIZE)
    return tuple(MedImage.on(grid, torch.from_numpy(v.astype(np.float32))[None]) for v in (fixed, moving))


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Largest distance in px between where two maps take the picture's middle half."""
    points = FAR + SIZE / 4 + np.random.default_rng(0).uniform(0, SIZE / 2, (200, 2))
    return float(np.linalg.norm(map_points(one, points) - map_points(other, points), axis=1).max())


@pytest.mark.parametrize("metric", ["auto", "self_similarity", "gradient_fields"])
def test_a_homography_far_from_the_origin_is_found_and_believed(metric):
    fixed, moving = pair(bent())
    result = register(fixed, moving, Recipe(transform="homography", metric=metric))
    assert apart(result.transform.matrix, bent()) < (0.1 if metric == "auto" else 0.5)  # px
    assert result.verdict.standing is Standing.OK


@pytest.mark.parametrize("multiple", [1.0, 0.05, -1.0])
def test_any_multiple_of_a_start_is_the_same_start(multiple):
    fixed, moving = pair(bent())
    plain, other = (register(fixed, moving, Recipe(transform="homography"), initial=k * bent()) for k in (1, multiple))
    assert apart(plain.transform.matrix, other.transform.matrix) < 1e-6
    assert other.start == "given"


def test_a_start_that_mirrors_at_the_centre_is_refused():
    fixed, moving = pair(bent())
    mirror = np.diag([-1.0, 1.0, 1.0])
    assert np.linalg.det(derivative_at(mirror, np.zeros(2))) < 0
    with pytest.raises(TransformError, match="does not mirror"):
        register(fixed, moving, Recipe(transform="homography"), initial=mirror)


@pytest.mark.parametrize("turn", [0.1, np.pi - 0.02, np.pi])
def test_a_symmetric_run_finds_a_homography_at_any_turn(turn):
    fixed, moving = pair(bent(turn))
    asked = Recipe(transform="homography", symmetric=True)
    there, back = register(fixed, moving, asked), register(moving, fixed, asked)
    assert apart(there.transform.matrix, bent(turn)) < 0.15  # px
    assert apart(back.transform.matrix @ there.transform.matrix, np.eye(3)) < 1e-6
