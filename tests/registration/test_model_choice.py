"""Which family is kept: motions of known family on scans of the digital head, and the criterion in closed form.

Voxels are 4 mm in 3D and 2.5 mm in 2D; what lies beyond the next smaller family moves the border by 3 mm or more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medreg.errors import RecipeError
from medreg.geometry.affine import map_points
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.registration.model_choice import FLOOR, candidates, choose, decides_at
from medreg.registration.pairwise import assess, register
from medreg.registration.recipe import Recipe, job_from
from medreg.registration.uncertainty import Uncertainty
from medreg.registration.verdict import Standing
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind

AUTO = Recipe(transform="auto")
SOLID = [Kind.RIGID, Kind.SIMILARITY, Kind.AFFINE]
FLAT = [*SOLID, Kind.HOMOGRAPHY]


# Known families ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SOLID, ids=str)
@pytest.mark.parametrize("contrast", ["T1", "T2"])
def test_the_family_of_a_heads_motion_is_kept(fixed, moved_head, truths, furthest, kind, contrast):
    result = register(fixed, moved_head(truths[kind], contrast=contrast, bias=0.2), AUTO)
    assert result.transform.kind is result.choice.kind is kind, result.choice.reason
    assert furthest(result.transform, truths[kind]) < 0.5  # mm, an 8th of a voxel
    assert result.stages[-1].kind == str(kind)
    assert [family.kind for family in result.choice.families] == SOLID


@pytest.mark.parametrize("kind", FLAT, ids=str)
@pytest.mark.parametrize("contrast", ["T1", "T2"])
def test_the_family_of_a_slices_motion_is_kept(flat_pair, furthest, kind, contrast):
    fixed, moving, truth = flat_pair(kind, contrast=contrast)
    result = register(fixed, moving, AUTO)
    assert result.transform.kind is result.choice.kind is kind, result.choice.reason
    assert furthest(result.transform, truth) < 0.5  # mm, a 5th of a pixel
    assert [family.kind for family in result.choice.families] == FLAT


def test_an_image_and_itself_are_rigid_though_nothing_is_noise(fixed):
    result = register(fixed, fixed, AUTO)
    assert result.transform.kind is Kind.RIGID, result.choice.reason
    assert result.choice.families[0].misfit < 1e-3


def test_images_that_share_a_few_slices_are_rigid_whatever_is_in_them(fixed, moved_head, truths):
    moving = moved_head(truths[Kind.AFFINE])
    thin = MedImage.on(
        Grid(fixed.grid.size[:2] + (4,), fixed.grid.spacing, fixed.grid.origin[:2] + (20.0,), fixed.grid.direction),
        fixed.data[:, 28:32],
    )
    result = register(thin, moving, AUTO)
    assert result.transform.kind is Kind.RIGID
    assert result.choice.families == ()
    assert "slices: rigid" in result.choice.reason
    assert result.fallback is None  # nobody asked for more


def test_masks_and_one_level_change_nothing_of_it(fixed, moved_head, truths):
    mask = fixed.with_data((fixed.data > 20).to(torch.float32))
    one = Recipe(transform="auto", levels=[{"spacing_mm": 4.0, "samples": 40_000}])
    result = register(fixed, moved_head(truths[Kind.SIMILARITY]), one, fixed_mask=mask)
    assert result.transform.kind is Kind.SIMILARITY, result.choice.reason
    assert [stage.kind for stage in result.stages][-2:] == ["affine", "similarity"]


def half_space(metric: str, symmetric: bool) -> tuple[MedImage, MedImage, Recipe]:
    """One plane, which leaves open how the images slide and turn along it."""
    x = np.indices((32, 32, 32))[2]
    images = (on_grid((x > edge) * 100.0) for edge in (15, 17))
    return *images, Recipe(transform="auto", metric=metric, symmetric=symmetric)


def one_voxel() -> tuple[MedImage, MedImage, Recipe]:
    voxels = np.zeros((2, 32, 32, 32))
    voxels[0, 15, 15, 15] = voxels[1, 15, 15, 17] = 1.0
    return on_grid(voxels[0]), on_grid(voxels[1]), AUTO


def on_grid(voxels: np.ndarray) -> MedImage:
    return MedImage.on(Grid.regular((32, 32, 32), (2.0, 2.0, 2.0)), torch.from_numpy(voxels)[None].float())


@pytest.mark.parametrize("pair", [half_space("mean_squares", True), one_voxel()], ids=["half space", "one voxel"])
def test_images_that_leave_the_way_open_have_the_simplest_family_and_no_trust(pair):
    fixed, moving, asked = pair
    result = register(fixed, moving, asked)
    assert result.transform.kind is Kind.RIGID
    assert result.choice.reason == "rigid, the simplest: the metric cannot be told where affine leads"
    assert result.verdict.standing is Standing.FAILED


def test_in_colour_too(flat_pair):
    fixed, moving, _ = flat_pair(Kind.SIMILARITY)
    colours = [
        image.with_data(torch.cat([image.data * share for share in (0.5, 1.0, 1.5)])) for image in (fixed, moving)
    ]
    result = register(*colours, AUTO)
    assert result.transform.kind is Kind.SIMILARITY, result.choice.reason


# Laws ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SOLID, ids=str)
def test_exchanging_the_images_keeps_the_same_family(fixed, moved_head, truths, kind):
    result = register(moved_head(truths[kind]), fixed, AUTO)
    assert result.transform.kind is kind, result.choice.reason


@pytest.mark.parametrize("kind", SOLID, ids=str)
def test_both_ways_the_same_family_for_the_same_reason(fixed, moved_head, truths, kind):
    moving, asked = moved_head(truths[kind]), Recipe(transform="auto", symmetric=True)
    there, back = register(fixed, moving, asked), register(moving, fixed, asked)
    assert there.transform.kind is kind, there.choice.reason
    assert there.choice.reason == back.choice.reason
    np.testing.assert_allclose(back.transform.matrix @ there.transform.matrix, np.eye(4), atol=1e-9)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("kind", FLAT, ids=str)
def test_the_unit_of_length_does_not_matter(flat_pair, kind, unit):
    fixed, moving, _ = flat_pair(kind)
    scale = np.diag([unit, unit, 1.0])
    scaled = [MedImage.on(Grid.from_affine(image.size, scale @ image.affine), image.data) for image in (fixed, moving)]
    result = register(*scaled, AUTO)
    assert result.transform.kind is kind, result.choice.reason


# The criterion -------------------------------------------------------------------------------------------------------

RADIUS, VOXEL = 50.0, 1.0
RING = RADIUS * np.array([[np.cos(t), np.sin(t)] for t in np.linspace(0, 2 * np.pi, 60, endpoint=False)])


def fitted_at(matrix: np.ndarray, kind: Kind = Kind.AFFINE, deviation: float = 0.2) -> Uncertainty:
    """An answer in 2D whose parameters are independent, each with this standard deviation, mm, of 400 samples."""
    steps = generators(kind, 2, RADIUS)
    count = len(steps)
    enlarged = (2 * count) / (2 * count - count)  # what few blocks do to the covariance
    size = deviation / (2 * enlarged) ** 0.5
    scores = np.vstack([np.eye(count), -np.eye(count)]) * size
    return Uncertainty(matrix, matrix @ steps, scores, np.eye(count) * deviation**2, np.eye(count), 400)


def test_the_made_up_uncertainty_is_what_it_says():
    fitted = fitted_at(np.eye(3))
    np.testing.assert_allclose(fitted.covariance, np.eye(6) * 0.04, atol=1e-12)
    assert fitted.effective == pytest.approx(400)


def test_the_misfit_is_half_the_squared_deviation_over_its_variance():
    """A stretch s of x alone: a similarity takes half of it, and what is left is s/2 in each of two entries."""
    stretch = 0.02
    fitted = fitted_at(np.diag([1 + stretch, 1.0, 1.0]))
    rigid, similarity, affine = choose(fitted, SOLID, (0.0, 0.0), RING, VOXEL).families
    variance = 0.2**2 + (FLOOR * VOXEL) ** 2
    shift = stretch / (1 + stretch) * RADIUS  # of the entry xx, mm
    assert rigid.misfit == pytest.approx(shift**2 / variance / 2, rel=0.02)  # the chart is of first order: 2 % here
    assert similarity.misfit == pytest.approx(2 * (shift / 2) ** 2 / variance / 2, rel=0.02)
    assert affine.misfit == 0
    assert [f.parameters for f in (rigid, similarity, affine)] == [3, 4, 6]
    assert [f.cost for f in (rigid, similarity, affine)] == pytest.approx([n * np.log(400) / 2 for n in (3, 4, 6)])
    assert rigid.furthest == pytest.approx(stretch * RADIUS, rel=0.01)


@pytest.mark.parametrize("more", [0.9, 1.1], ids=["less", "more"])
def test_a_parameter_is_bought_where_it_gains_more_than_it_costs(more):
    """One scale in both directions, s: the gain of the similarity is s^2 r^2 / variance, its price ln(400) / 2."""
    variance = 0.2**2 + (FLOOR * VOXEL) ** 2
    scale = np.sqrt(more * np.log(400) / 2 * variance) / RADIUS
    choice = choose(fitted_at(np.diag([1 + scale, 1 + scale, 1.0])), SOLID, (0.0, 0.0), RING, VOXEL)
    assert choice.kind is (Kind.RIGID if more < 1 else Kind.SIMILARITY)


def test_without_noise_a_tenth_of_a_voxel_buys_nothing_and_half_of_one_does():
    sharp = [fitted_at(np.diag([1 + s, 1 + s, 1.0]), deviation=1e-6) for s in (0.1 / RADIUS, 0.5 / RADIUS)]
    kinds = [choose(fitted, SOLID, (0.0, 0.0), RING, VOXEL).kind for fitted in sharp]
    assert kinds == [Kind.RIGID, Kind.SIMILARITY]


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_nearest_member_is_the_member_itself_where_there_is_one(unit):
    """Far from the world's origin, and in any unit."""
    turn, centre = 0.7, (3e3 * unit, -2e3 * unit)
    cosine, sine = 1.1 * np.cos(turn), 1.1 * np.sin(turn)
    matrix = about(centre, np.array([[cosine, -sine, 5 * unit], [sine, cosine, 2 * unit], [0, 0, 1]]))
    steps = np.stack([about(centre, g) for g in generators(Kind.HOMOGRAPHY, 2, RADIUS * unit)])
    one = fitted_at(matrix, Kind.HOMOGRAPHY)
    fitted = replace(
        one,
        steps=matrix @ steps,
        scores=one.scores * unit,
        naive_score=one.naive_score * unit**2,
    )
    choice = choose(fitted, FLAT, centre, RING * unit + centre, VOXEL * unit)
    assert choice.kind is Kind.SIMILARITY
    assert choice.families[1].misfit < 1e-6
    assert choice.families[1].furthest < 1e-5 * unit
    assert choice.families[0].misfit == pytest.approx((0.1 / 1.1 * RADIUS) ** 2 / (0.2**2 + FLOOR**2), rel=0.02)


def test_the_nearest_member_follows_what_the_images_tell_and_not_what_they_do_not():
    """Where y is not told at all, a rigid motion that fits x alone explains a stretch of y."""
    matrix = np.diag([1.0, 1.1, 1.0])
    sure = fitted_at(matrix)
    blind = sure.scores.copy()
    blind[:, 3] *= 1e4  # the entry yy
    choice = choose(replace(sure, scores=blind), SOLID, (0.0, 0.0), RING, VOXEL)
    assert choice.kind is Kind.RIGID
    np.testing.assert_allclose(choice.families[0].matrix, np.eye(3), atol=1e-3)


def test_of_a_homography_multiples_are_one_map():
    bend = np.eye(3)
    bend[2, :2] = 1e-3, -5e-4
    one, other = (choose(fitted_at(m, Kind.HOMOGRAPHY), FLAT, (0.0, 0.0), RING, VOXEL) for m in (bend, 3 * bend))
    assert [f.misfit for f in one.families] == pytest.approx([f.misfit for f in other.families])
    assert one.kind is Kind.HOMOGRAPHY
    assert one.families[2].furthest > 0.5  # mm


def test_families_hold_those_before_them_and_explain_no_less():
    random = np.random.default_rng(3)
    for _ in range(5):
        step = np.tensordot(random.normal(size=8), generators(Kind.HOMOGRAPHY, 2, RADIUS), 1)
        fitted = fitted_at(exponential(step), Kind.HOMOGRAPHY)
        families = choose(fitted, FLAT, (0.0, 0.0), RING, VOXEL).families
        misfits = [family.misfit for family in families]
        assert misfits == sorted(misfits, reverse=True)
        assert misfits[-1] == 0
        turned = families[0].matrix[:2, :2]
        np.testing.assert_allclose(turned.T @ turned, np.eye(2), atol=1e-9)
        away = np.linalg.norm(map_points(families[2].matrix, RING) - map_points(fitted.matrix, RING), axis=1).max()
        assert families[2].furthest == pytest.approx(away)


def test_what_is_tried_and_when_it_is_decided():
    assert candidates(3) == tuple(SOLID)
    assert candidates(2) == tuple(FLAT)
    assert [decides_at(levels) for levels in (1, 2, 4)] == [0, 0, 2]


# What is asked and told ----------------------------------------------------------------------------------------------


def test_nobody_who_did_not_ask_gets_a_choice(fixed, moved_head, truths):
    result = register(fixed, moved_head(truths[Kind.RIGID]))
    assert Recipe().transform is Kind.AFFINE
    assert result.transform.kind is Kind.AFFINE
    assert result.choice is None


def test_the_reason_weighs_gain_against_cost(fixed, moved_head, truths):
    reason = register(fixed, moved_head(truths[Kind.RIGID]), AUTO).choice.reason
    assert reason.startswith("rigid explains the images: similarity would gain ")
    assert ", its parameters cost " in reason
    reason = register(fixed, moved_head(truths[Kind.AFFINE]), AUTO).choice.reason
    assert reason.startswith("affine gains ")
    assert " and its parameters cost 2" in reason  # six or five more, at 4 to 5 nats each


def test_a_verdict_on_a_matrix_from_elsewhere_takes_auto_too(flat_pair):
    fixed, moving, truth = flat_pair(Kind.HOMOGRAPHY)
    assert assess(fixed, moving, truth, AUTO).standing.value == "ok"


def test_a_recipe_says_which_families_there_are():
    assert job_from({"transform": "auto"}, "a.yaml").recipe.transform == "auto"
    assert Recipe.model_validate(AUTO.model_dump(mode="json")) == AUTO
    with pytest.raises(RecipeError, match=r"a.yaml: transform: Input should be 'auto', .* \(got 'afine'\)"):
        job_from({"transform": "afine"}, "a.yaml")
