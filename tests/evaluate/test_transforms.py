"""Differences of transforms are those of all voxel centres, mapped one by one."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from medreg.errors import TransformError
from medreg.evaluate import inverse_consistency, transform_difference
from medreg.evaluate import transforms as over_images
from medreg.geometry.grid import Grid

SIZE = (9, 8, 7)


def oblique(size: tuple[int, ...] = SIZE) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [12, -31, 64], degrees=True).as_matrix() * (0.75, -1.25, 2.5)
    affine[:3, 3] = (-71.5, 33.25, 12.125)
    return Grid.from_affine(size, affine)


def random_affine(seed: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3] += np.random.default_rng(seed).normal(size=(3, 4)) * (0.1, 0.1, 0.1, 5)
    return matrix


def itk_of(matrix: np.ndarray) -> sitk.AffineTransform:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel())
    transform.SetTranslation(matrix[:3, 3])
    return transform


def voxels(grid: Grid) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), -1).reshape(-1, 3)
    return grid.to_world(index)


def test_the_difference_of_two_transforms_is_that_of_simpleitk_at_all_voxels() -> None:
    first, second = random_affine(1), random_affine(2)
    one, two = itk_of(first), itk_of(second)
    apart = np.array([np.subtract(one.TransformPoint(p), two.TransformPoint(p)) for p in voxels(oblique()).tolist()])
    lengths = np.linalg.norm(apart, axis=1)
    found = transform_difference(first, second, oblique())
    assert found.mean == pytest.approx(lengths.mean())
    assert found.rms == pytest.approx(np.sqrt((lengths**2).mean()))
    assert found.percentile_95 == pytest.approx(np.percentile(lengths, 95))
    assert found.maximum == pytest.approx(lengths.max())
    assert found.points == np.prod(SIZE)


def test_there_and_back_goes_through_the_first_transform_first() -> None:
    first, second = random_affine(3), random_affine(4)
    there, back = itk_of(first), itk_of(second)
    ends = [back.TransformPoint(there.TransformPoint(p)) for p in voxels(oblique()).tolist()]
    lengths = np.linalg.norm(np.array(ends) - voxels(oblique()), axis=1)
    found = inverse_consistency(first, second, oblique())
    assert found.mean == pytest.approx(lengths.mean())
    assert found.maximum == pytest.approx(lengths.max())


def test_a_transform_and_its_inverse_are_consistent_to_rounding() -> None:
    matrix = random_affine(5)
    assert inverse_consistency(matrix, np.linalg.inv(matrix), oblique()).maximum < 1e-10  # mm


def test_homographies_of_pictures_are_compared() -> None:
    tilted = np.array([[1.0, 0, 5], [0, 1, 0], [0.001, 0, 1]])
    found = transform_difference(tilted, np.eye(3), Grid.regular((2, 1), (100.0, 1.0)))
    ends = [5.0, np.hypot(105 / 1.1 - 100, 0)]
    assert found.mean == pytest.approx(np.mean(ends))
    assert found.maximum == pytest.approx(5.0)


def test_blocks_stand_for_the_voxels_of_a_large_image(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = oblique((64, 48, 40))
    first, second = random_affine(6), random_affine(7)
    exact = transform_difference(first, second, grid)
    monkeypatch.setattr(over_images, "MOST_POINTS", 3000)
    coarse = transform_difference(first, second, grid)
    assert coarse.points <= 3000
    assert coarse.mean == pytest.approx(exact.mean, rel=0.01)  # the midpoint rule, and a rest of the grid that is cut
    assert coarse.percentile_95 == pytest.approx(exact.percentile_95, rel=0.03)
    assert coarse.maximum == pytest.approx(exact.maximum, rel=1e-12)


def test_transforms_that_do_not_fit_the_image_are_refused() -> None:
    with pytest.raises(TransformError, match="the image is 3D, the transform is 2D"):
        transform_difference(np.eye(4), np.eye(3), oblique())
    for slope in (-0.5, -0.3):  # the horizon meets voxel centres, or passes between them
        horizon = np.array([[1.0, 0, 0], [0, 1, 0], [slope, 0, 1]])
        for first, second in ((horizon, np.eye(3)), (np.eye(3), horizon)):
            for compare in (transform_difference, inverse_consistency):
                with pytest.raises(TransformError, match="horizon crosses the image"):
                    compare(first, second, Grid.regular((5, 5), (1.0, 1.0)))
