"""Whether images agree at a pose: the head where it lies, away from it, in another contrast, and other things."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from medreg.geometry.affine import homogeneous
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.registration import recipe
from medreg.registration.agreement import SURE, agreement_of, lead_of
from medreg.registration.levels import LevelImage, Pyramid
from medreg.transform.kind import Kind

SPACING_MM = 6.0


def coarse(image: MedImage, mask: torch.Tensor | None = None) -> LevelImage:
    """The image as a verdict sees it."""
    return Pyramid(image.data.float(), mask, image.grid).at(SPACING_MM, recipe.MutualInformation())


def turned(degrees: float) -> np.ndarray:
    """About the head's middle, in an oblique direction."""
    return homogeneous(
        Rotation.from_rotvec(np.radians(degrees) * np.array([0.6, -0.48, 0.64])).as_matrix(), np.zeros(3)
    )


def smooth(seed: int) -> LevelImage:
    """A volume of noise without any anatomy."""
    from scipy.ndimage import gaussian_filter

    voxels = gaussian_filter(np.random.default_rng(seed).standard_normal((32, 36, 34)), 2.5)
    return LevelImage(torch.from_numpy(voxels)[None].float(), None, Grid.regular((34, 36, 32), (6.0, 6.0, 6.0)))


# Agreement -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", ["T1", "T2"])
@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE], ids=str)
def test_the_right_pose_agrees_whatever_the_contrast(fixed, moved_head, truths, contrast, kind):
    moving = coarse(moved_head(truths[kind], contrast=contrast))
    assert agreement_of(coarse(fixed), moving, truths[kind], 0) > SURE


def test_an_inverted_image_agrees_as_well(fixed, moved_head, truths):
    moving = moved_head(truths[Kind.RIGID])
    negative = moving.with_data(moving.data.max() - moving.data)
    assert agreement_of(coarse(fixed), coarse(negative), truths[Kind.RIGID], 0) > SURE


def test_noise_and_units_do_not_matter(fixed, moved_head, truths):
    moving = moved_head(truths[Kind.RIGID])
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, moving.data.shape)).float() * moving.data.max()
    other = moving.with_data(1e4 * (moving.data + noise) - 3e3)
    assert agreement_of(coarse(fixed), coarse(other), truths[Kind.RIGID], 0) > SURE


@pytest.mark.parametrize("contrast", ["T1", "T2"])
@pytest.mark.parametrize("degrees", [30, 90, 180])
def test_a_wrong_pose_does_not(fixed, moved_head, truths, contrast, degrees):
    moving = coarse(moved_head(truths[Kind.RIGID], contrast=contrast))
    assert agreement_of(coarse(fixed), moving, truths[Kind.RIGID] @ turned(degrees), 0) < SURE


@pytest.mark.parametrize("seed", range(4))
def test_unrelated_images_do_not_agree_anywhere(seed):
    one, other = smooth(seed), smooth(seed + 100)
    for degrees in (0, 40):
        value = agreement_of(one, other, turned(degrees), 0)
        assert math.isnan(value) or value < SURE


def test_it_is_the_same_from_both_sides_and_for_every_seed(fixed, moved_head, truths):
    one, other = coarse(fixed), coarse(moved_head(truths[Kind.RIGID]))
    there = [agreement_of(one, other, truths[Kind.RIGID], seed) for seed in range(3)]
    back = agreement_of(other, one, np.linalg.inv(truths[Kind.RIGID]), 0)
    assert min(*there, back) > SURE
    assert agreement_of(one, other, truths[Kind.RIGID], 1) == there[1]


def test_colours_are_averaged(fixed, moved_head, truths):
    one, other = coarse(fixed), coarse(moved_head(truths[Kind.RIGID]))
    colour = LevelImage(torch.cat([0.5 * one.volume, 1.5 * one.volume]), None, one.grid)
    assert agreement_of(colour, other, truths[Kind.RIGID], 0) == pytest.approx(
        agreement_of(one, other, truths[Kind.RIGID], 0), rel=1e-3
    )


def test_slices_are_judged_as_volumes_are(flat_pair):
    still, moving, truth = flat_pair(Kind.RIGID, contrast="T2")
    assert agreement_of(coarse(still), coarse(moving), truth, 0) > SURE
    far = truth @ homogeneous(Rotation.from_euler("z", 120, degrees=True).as_matrix()[:2, :2], np.zeros(2))
    assert agreement_of(coarse(still), coarse(moving), far, 0) < SURE


def test_what_is_masked_out_is_not_looked_at(fixed, moved_head, truths):
    moving = moved_head(truths[Kind.RIGID])
    half = torch.zeros_like(fixed.data[:1])
    half[..., : half.shape[-1] // 2] = 1
    painted = fixed.with_data(torch.where(half > 0, fixed.data, 1e6 * torch.rand_like(fixed.data)))
    values = [agreement_of(coarse(image, half), coarse(moving), truths[Kind.RIGID], 0) for image in (fixed, painted)]
    assert values[0] == values[1] > SURE


@pytest.mark.parametrize("what", ["constant", "away", "few"])
def test_nothing_to_judge_by_is_nan(fixed, what):
    image, matrix = coarse(fixed), np.eye(4)
    other = image
    if what == "constant":
        other = LevelImage(torch.full_like(image.volume, 7.0), None, image.grid)
    elif what == "away":
        matrix = homogeneous(np.eye(3), np.array([5000.0, 0, 0]))
    else:
        matrix = homogeneous(np.eye(3), np.array([0.0, 0, image.grid.extent[2] - 2]))
    assert math.isnan(agreement_of(image, other, matrix, 0))


# Lead ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", ["T1", "T2"])
@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE], ids=str)
def test_the_right_pose_leads_all_others_whatever_the_contrast(fixed, moved_head, truths, contrast, kind):
    moving = coarse(moved_head(truths[kind], contrast=contrast))
    assert lead_of(coarse(fixed), moving, truths[kind], 0) > 1.3


@pytest.mark.parametrize("degrees", [60, 90, 180])
def test_a_wrong_pose_does_not_lead(fixed, moved_head, truths, degrees):
    moving = coarse(moved_head(truths[Kind.RIGID]))
    assert lead_of(coarse(fixed), moving, truths[Kind.RIGID] @ turned(degrees), 0) < 1.1


@pytest.mark.parametrize("seed", range(4))
def test_unrelated_images_have_no_pose_that_leads(seed):
    assert not lead_of(smooth(seed), smooth(seed + 100), np.eye(4), 0) > 1.3


def test_the_lead_is_the_same_from_both_sides_nearly(fixed, moved_head, truths):
    """The samples are of the smaller view, whichever it is; their draw is its own."""
    one, other = coarse(fixed), coarse(moved_head(truths[Kind.RIGID]))
    there = lead_of(one, other, truths[Kind.RIGID], 0)
    assert lead_of(other, one, np.linalg.inv(truths[Kind.RIGID]), 0) == pytest.approx(there, rel=0.1)


def test_slices_lead_as_volumes_do(flat_pair):
    still, moving, truth = flat_pair(Kind.RIGID, contrast="T2")
    assert lead_of(coarse(still), coarse(moving), truth, 0) > 1.2


@pytest.mark.parametrize("what", ["constant", "away"])
def test_nothing_shared_anywhere_is_nan_and_nothing_here_is_0(fixed, what):
    image = coarse(fixed)
    if what == "constant":
        assert math.isnan(
            lead_of(image, LevelImage(torch.full_like(image.volume, 7.0), None, image.grid), np.eye(4), 0)
        )
    else:
        matrix = homogeneous(np.eye(3), np.array([image.grid.extent[0] * 0.97, 0, 0]))
        assert not lead_of(image, image, matrix, 0) > 0.5
