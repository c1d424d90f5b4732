"""Affine motions, scaling and translation against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.errors import TransformError, UsageError
from medreg.geometry.affine import decompose
from medreg.ops import (
    Axes,
    Expand,
    MoveGrid,
    Resampled,
    affine,
    composed,
    rotation,
    scale,
    scaling,
    shearing,
    translate,
    translation,
)
from medreg.sample import CubicBSpline, Fill


def itk_affine(matrix: np.ndarray) -> sitk.Transform:
    d = len(matrix) - 1
    return sitk.AffineTransform(matrix[:d, :d].ravel().tolist(), matrix[:d, d].tolist())


def steps_of(dimension):
    angles = (12.0, -7.0, 20.0) if dimension == 3 else (20.0,)
    return [
        scaling((1.1, 0.9, 1.2)[:dimension], dimension),
        shearing((0.1, -0.05, 0.08) if dimension == 3 else 0.1, dimension),
        rotation(angles),
        translation((1.3, -0.7, 2.1)[:dimension]),
    ]


def test_any_number_of_steps_is_one_simpleitk_resampling(image, dimension, kernel, itk):
    interpolation, interpolator, tolerance = kernel
    steps = steps_of(dimension)
    ours = affine(image, steps, (0.0,) * dimension, interpolation=interpolation, outside=Fill(-1000.0))
    total = np.linalg.multi_dot([s.numpy() for s in reversed(steps)])
    theirs = itk["resample"](image, image.grid, itk_affine(np.linalg.inv(total)), interpolator, -1000.0)
    itk["alike"](ours, theirs, image, tolerance)


def test_steps_are_about_the_middle_and_along_the_axes_asked_for(image, dimension, itk):
    total = composed(steps_of(dimension)).numpy()
    base = np.eye(dimension + 1)
    base[:-1, :-1] = image.direction
    centre = np.eye(dimension + 1)
    centre[:-1, -1] = image.grid.centre
    for axes, frame in ((Axes.WORLD, np.eye(dimension + 1)), (Axes.IMAGE, base)):
        motion = centre @ frame @ total @ frame.T @ np.linalg.inv(centre)
        theirs = itk["resample"](image, image.grid, itk_affine(np.linalg.inv(motion)), sitk.sitkLinear, 0.0)
        itk["alike"](affine(image, steps_of(dimension), axes=axes), theirs, image, 1e-5)


def test_motions_are_built_as_transforms_are_taken_apart(dimension):
    scales, shears = (1.1, 0.9, 1.2)[:dimension], (0.1, -0.05, 0.08) if dimension == 3 else (0.1,)
    parts = decompose(composed([shearing(shears, dimension), scaling(scales, dimension)]).numpy()[:-1, :-1])
    upper = scaling(scales, dimension) @ shearing(shears, dimension)
    np.testing.assert_allclose(parts.rotation, np.eye(dimension), atol=1e-12)
    np.testing.assert_allclose(decompose(upper.numpy()[:-1, :-1]).scales, scales)
    np.testing.assert_allclose(decompose(upper.numpy()[:-1, :-1]).shears, shears, atol=1e-12)


def test_scaling_is_about_a_point_that_stays(image, dimension, kernel, itk):
    interpolation, interpolator, tolerance = kernel
    factors = (1.31, 0.83, 1.17)[:dimension]  # no point half way between two voxels
    centre = tuple(c + 2.4 for c in image.grid.centre)
    ours = scale(image, factors, centre, interpolation=interpolation, outside=Fill(-1.0))
    transform = sitk.ScaleTransform(dimension, [1 / f for f in factors])
    transform.SetCenter(centre)
    theirs = itk["resample"](image, image.grid, transform, interpolator, -1.0)
    itk["alike"](ours, theirs, image, tolerance)


def test_scaling_down_by_half_with_an_expanded_grid_halves_it(image, dimension):
    ours = scale(image, 0.5, axes=Axes.IMAGE, frame=Expand())
    assert ours.size == tuple(-(-n // 2) for n in image.size)
    np.testing.assert_allclose(ours.grid.centre, image.grid.centre, atol=1e-9)


def test_scaling_by_minus_one_mirrors_without_interpolation(image, dimension):
    ours = scale(image, (-1.0, *[1.0] * (dimension - 1)), axes=Axes.IMAGE, interpolation=CubicBSpline())
    assert torch.equal(ours.data, image.data.flip(-1))


def test_moving_the_origin_moves_no_voxel(image, dimension):
    shift = (3.0, -1.5, 0.25)[:dimension]
    ours = translate(image, shift)
    assert ours.data is image.data
    np.testing.assert_allclose(np.array(ours.origin) - image.origin, shift)
    along = translate(image, (2.0, *[0.0] * (dimension - 1)), Axes.IMAGE, MoveGrid())
    np.testing.assert_allclose(np.array(along.origin) - image.origin, 2 * np.array(image.direction)[:, 0], atol=1e-12)


def test_a_resampled_translation_is_simpleitks(image, dimension, kernel, itk):
    interpolation, interpolator, tolerance = kernel
    shift = (2.3, -1.6, 0.4)[:dimension]
    ours = translate(image, shift, by=Resampled(interpolation, Fill(5.0)))
    theirs = itk["resample"](
        image, image.grid, sitk.TranslationTransform(dimension, [-s for s in shift]), interpolator, 5.0
    )
    itk["alike"](ours, theirs, image, tolerance)


def test_a_translation_by_whole_voxels_moves_them(image, dimension):
    ours = translate(image, (2 * image.spacing[0], *[0.0] * (dimension - 1)), Axes.IMAGE, Resampled(CubicBSpline()))
    assert torch.equal(ours.data[..., 2:], image.data[..., :-2])
    assert not ours.data[..., :2].any()


def test_what_does_not_fit_is_told(image, dimension):
    with pytest.raises(TransformError, match="one step or more"):
        affine(image, [])
    with pytest.raises(TransformError, match="all 3x3"):
        affine(image, [np.eye(3), np.eye(4)])
    with pytest.raises(TransformError, match=f"a {dimension}D image moves by"):
        affine(image, [np.eye(6 - dimension)])
    with pytest.raises(TransformError, match="scale factors"):
        scale(image, (1.0,) * 4)
    with pytest.raises(TransformError, match="millimetres of shift"):
        translate(image, (1.0,) * 4)
    with pytest.raises(UsageError, match="pass by=Resampled"):
        translate(image, torch.ones(dimension, requires_grad=True))
