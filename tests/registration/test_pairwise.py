"""Registration end to end on scans of the digital head: the known motion is the oracle.

Errors are the largest over 200 points of the head. Voxels are 4 mm with 2 % noise: 0.25 mm is a 16th of a voxel,
0.5 mm an 8th.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.errors import ImageError, MedregError, RegistrationError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.optimise.record import Outcome
from medreg.registration.pairwise import register
from medreg.registration.recipe import Recipe
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform

KINDS = pytest.mark.parametrize("kind", Kind, ids=str)


@KINDS
def test_the_motion_of_a_head_is_found(fixed, moved_head, truths, furthest, kind):
    result = register(fixed, moved_head(truths[kind]), Recipe(transform=kind))
    assert furthest(result.transform, truths[kind]) < 0.25  # mm
    assert result.metric == "correlation"
    assert result.metric_reason.startswith("same contrast")
    assert result.outcome in (Outcome.CONVERGED, Outcome.FLAT)
    assert result.transform.kind is kind


@KINDS
def test_the_motion_of_a_slice_is_found(flat_pair, furthest, kind):
    fixed, moving, truth = flat_pair(kind)
    result = register(fixed, moving, Recipe(transform=kind))
    assert result.transform.dimension == 2
    assert furthest(result.transform, truth) < 0.25  # mm, a 10th of a voxel of 2.5 mm


@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE], ids=str)
def test_the_motion_is_found_in_another_contrast(fixed, moved_head, truths, furthest, kind):
    result = register(fixed, moved_head(truths[kind], contrast="T2"), Recipe(transform=kind))
    assert furthest(result.transform, truths[kind]) < 0.5  # mm
    assert result.metric == "mutual_information"
    assert result.metric_reason.startswith("different contrasts")


def test_the_motion_of_a_slice_is_found_in_another_contrast(flat_pair, furthest):
    fixed, moving, truth = flat_pair(Kind.RIGID, contrast="T2")
    assert furthest(register(fixed, moving, Recipe(transform="rigid")).transform, truth) < 0.5  # mm


FEW = [{"spacing_mm": 8.0, "samples": 6000, "tolerance_mm": 0.02}, {"spacing_mm": 4.0, "samples": 15_000}]
"""Levels for what costs more a sample: labels have 20 channels, and a robust fit is done in rounds."""

METRICS = {
    "mean_squares": 0.5,
    "correlation": 0.5,
    "mutual_information": 0.5,
    "normalised_mutual_information": 0.5,
    "local_correlation": 0.25,
    "correlation_ratio": 0.25,
    # edges and patches are themselves read off voxels of 4 mm, which lie differently in both images: a 5th of a voxel
    "gradient_fields": 0.8,
    "self_similarity": 0.8,
}
"""The error that each is allowed, mm; label maps and the slow robust fit have claims of their own."""


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("symmetric", [False, True], ids=["one way", "both ways"])
def test_every_metric_finds_the_motion(fixed, moved_head, truths, furthest, metric, symmetric):
    asked = Recipe(transform="rigid", metric=metric, symmetric=symmetric)
    result = register(fixed, moved_head(truths[Kind.RIGID]), asked)
    assert furthest(result.transform, truths[Kind.RIGID]) < METRICS[metric]
    assert (result.metric, result.metric_reason) == (metric, "asked for")


def test_robust_correlation_finds_the_motion_beside_a_wound_of_one_image(fixed, moved_head, truths, furthest):
    moving = moved_head(truths[Kind.RIGID])
    torn = moving.data.clone()
    torn[:, 25:38, 20:36, 8:20] = 400  # twice as bright as anything
    asked = {"transform": "rigid", "levels": FEW}
    robust = register(fixed, moving.with_data(torn), Recipe(**asked, metric="robust_correlation"))
    plain = register(fixed, moving.with_data(torn), Recipe(**asked, metric="correlation"))
    assert furthest(robust.transform, truths[Kind.RIGID]) < 0.5  # mm, an 8th of a voxel
    assert furthest(plain.transform, truths[Kind.RIGID]) > 3 * furthest(robust.transform, truths[Kind.RIGID])


@pytest.mark.parametrize("symmetric", [False, True], ids=["one way", "both ways"])
def test_label_maps_find_the_motion_whatever_the_contrast(fixed, moved_head, truths, furthest, label_maps, symmetric):
    moving = moved_head(truths[Kind.RIGID], contrast="T2")
    labels = dict(zip(("fixed_labels", "moving_labels"), label_maps(truths[Kind.RIGID]), strict=True))
    asked = Recipe(transform="rigid", metric="label_overlap", symmetric=symmetric, levels=FEW)
    result = register(fixed, moving, asked, **labels)
    # a label says of a voxel of 4 mm only that its middle bears it: 0.7 mm with all samples, 1.1 mm with these few
    assert furthest(result.transform, truths[Kind.RIGID]) < 1.5


@pytest.mark.parametrize(
    ("metric", "least_mm"), [("normalised_mutual_information", 0.5), ("gradient_fields", 1.5), ("self_similarity", 4.0)]
)
def test_metrics_for_any_contrast_find_the_motion_in_another(fixed, moved_head, truths, furthest, metric, least_mm):
    """Within an 8th of a voxel from histograms; edges, and the patches of voxels as large as folds, know less of it."""
    result = register(fixed, moved_head(truths[Kind.RIGID], "T2"), Recipe(transform="rigid", metric=metric))
    assert furthest(result.transform, truths[Kind.RIGID]) < least_mm


def test_several_metrics_find_the_motion_together(fixed, moved_head, truths, furthest, label_maps):
    labels = dict(zip(("fixed_labels", "moving_labels"), label_maps(truths[Kind.RIGID]), strict=True))
    asked = [{"name": "correlation", "weight": 3}, "mutual_information", {"name": "label_overlap", "weight": 0.2}]
    asked = Recipe(transform="rigid", metric=asked, levels=FEW)
    result = register(fixed, moved_head(truths[Kind.RIGID]), asked, **labels)
    assert furthest(result.transform, truths[Kind.RIGID]) < 0.5  # mm
    assert result.metric == "several"


@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE], ids=str)
@pytest.mark.parametrize("metric", ["auto", "correlation", "mutual_information"])
def test_both_ways_there_and_back_is_nothing_at_all(fixed, moved_head, truths, furthest, kind, metric):
    moving = moved_head(truths[kind])
    asked = Recipe(transform=kind, metric=metric, symmetric=True)
    there, back = register(fixed, moving, asked), register(moving, fixed, asked)
    assert furthest(there.transform, truths[kind]) < 0.5  # mm
    np.testing.assert_allclose(back.transform.matrix @ there.transform.matrix, np.eye(4), atol=1e-9)
    assert there.stages == back.stages or [s.steps for s in there.stages] == [s.steps for s in back.stages]


@pytest.mark.parametrize("contrast", ["T1", "T2"])
def test_a_bias_field_does_not_lead_astray(fixed, moved_head, truths, furthest, contrast):
    shaded = moved_head(truths[Kind.RIGID], contrast=contrast, bias=0.3)
    result = register(fixed, shaded, Recipe(transform="rigid"))
    assert furthest(result.transform, truths[Kind.RIGID]) < (0.25 if contrast == "T1" else 0.5)  # mm


def test_a_rigid_answer_is_rigid_in_float64(fixed, moved_head, truths):
    matrix = register(fixed, moved_head(truths[Kind.RIGID]), Recipe(transform="rigid")).transform.matrix
    assert matrix.dtype == np.float64
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1, abs=1e-12)
    assert matrix[3].tolist() == [0, 0, 0, 1]


def test_a_similarity_answer_has_one_scale_and_a_translation_none(fixed, moved_head, truths):
    similar = register(fixed, moved_head(truths[Kind.SIMILARITY]), Recipe(transform="similarity")).transform.matrix
    np.testing.assert_allclose(np.linalg.svd(similar[:3, :3])[1], 1.05, atol=0.003)
    assert np.ptp(np.linalg.svd(similar[:3, :3])[1]) < 1e-12
    moved = register(fixed, moved_head(truths[Kind.TRANSLATION]), Recipe(transform="translation")).transform.matrix
    assert np.array_equal(moved[:3, :3], np.eye(3))


def test_two_runs_give_the_same_bytes(fixed, moved_head, truths):
    moving = moved_head(truths[Kind.AFFINE])
    one, other = (register(fixed, moving) for _ in range(2))
    assert one.transform.matrix.tobytes() == other.transform.matrix.tobytes()
    assert [s.steps for s in one.stages] == [s.steps for s in other.stages]


def test_another_seed_gives_nearly_the_same(fixed, moved_head, truths, furthest):
    moving = moved_head(truths[Kind.RIGID])
    levels = [{"spacing_mm": 8.0, "samples": 5000}, {"spacing_mm": 4.0, "samples": 30_000}]
    one, other = (register(fixed, moving, Recipe(transform="rigid", levels=levels, seed=s)) for s in (0, 100))
    assert 0 < furthest(one.transform, other.transform) < 0.2  # mm


@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE], ids=str)
def test_there_and_back_is_nearly_nothing(fixed, moved_head, truths, furthest, kind):
    moving = moved_head(truths[kind])
    there, back = register(fixed, moving, Recipe(transform=kind)), register(moving, fixed, Recipe(transform=kind))
    assert furthest(back.transform.compose(there.transform), np.eye(4)) < 0.4  # mm; each way has its own error


@pytest.mark.parametrize(
    "optimiser",
    [
        {"name": "adam", "learning_rate_mm": 0.3},
        {"name": "rmsprop", "learning_rate_mm": 0.1},
        {"name": "sgd", "learning_rate_mm": 5.0, "clip_norm": 2.0},
        {"name": "lbfgs"},
    ],
    ids=lambda o: o["name"],
)
def test_every_optimiser_comes_within_half_a_millimetre_of_gauss_newton(fixed, moved_head, truths, furthest, optimiser):
    moving = moved_head(truths[Kind.RIGID])
    levels = [
        {"spacing_mm": 8.0, "samples": 10_000, "steps": 60, "tolerance_mm": 0.02},
        {"spacing_mm": 4.0, "samples": 20_000, "steps": 60, "tolerance_mm": 0.01},
    ]
    asked = {"transform": "rigid", "metric": "correlation", "levels": levels}
    wanted = register(fixed, moving, Recipe(**asked))
    got = register(fixed, moving, Recipe(**asked, optimiser=optimiser))
    assert furthest(got.transform, wanted.transform) < 0.5  # mm
    assert furthest(got.transform, truths[Kind.RIGID]) < 0.5


def test_levels_and_steps_are_those_asked_for(fixed, moved_head, truths):
    levels = [{"spacing_mm": 12.0, "steps": 2, "samples": 1000}, {"spacing_mm": 6.0, "steps": 1, "samples": 2000}]
    seen = []
    asked = Recipe(transform="affine", metric="mean_squares", levels=levels)
    result = register(fixed, moved_head(truths[Kind.AFFINE]), asked, watch=seen.append)
    assert [(s.level, s.kind, s.spacing_mm) for s in result.stages] == [
        (0, "rigid", 12.0),
        (0, "affine", 12.0),
        (1, "affine", 6.0),
    ]
    assert [len(s.steps) - 1 for s in result.stages] == [2, 2, 1]
    assert [step for stage in result.stages for step in stage.steps] == seen
    assert result.outcome is Outcome.STEPS_SPENT
    assert result.recipe == asked
    assert [s.samples for s in result.stages][1:] == [1000, 2000]


def test_the_transform_turns_about_the_middle_of_the_fixed_head(fixed, moved_head, truths):
    result = register(fixed, moved_head(truths[Kind.RIGID]), Recipe(transform="rigid"))
    np.testing.assert_allclose(result.transform.centre, (0, 4, -3), atol=25)  # mm
    assert all(isinstance(c, float) for c in result.transform.centre)
    assert set(result.seconds) == {"start", "optimise", "verdict"}
    assert result.start in {c.name for c in result.candidates}


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint8, torch.float64])
def test_any_voxel_type_will_do(flat_pair, furthest, dtype):
    fixed, moving, truth = flat_pair(Kind.RIGID)
    typed = [image.with_data(image.data.clamp(0, 255).to(dtype)) for image in (fixed, moving)]
    assert furthest(register(*typed, Recipe(transform="rigid")).transform, truth) < 0.25  # mm


def test_of_colours_each_counts(flat_pair, furthest):
    """Each channel shows one half of the slice alone; channels are compared each with its like, in any order."""
    fixed, moving, truth = flat_pair(Kind.RIGID)
    halves = []
    for image in (fixed, moving):
        left = image.data.clone()
        left[..., : image.size[0] // 2] = 0
        halves.append(image.with_data(torch.cat([left, image.data - left])))
    for metric in ("correlation", "mutual_information", "mean_squares", "local_correlation"):
        asked = Recipe(transform="rigid", metric=metric)
        one = register(*halves, asked).transform
        other = register(*(image.with_data(image.data.flip(0)) for image in halves), asked).transform
        assert furthest(one, other) < 1e-3
        assert furthest(one, truth) < 3  # mm, of pixels of 2.5 mm: the halves' edges lie where no anatomy does


def test_unlike_numbers_of_channels_are_averaged(flat_pair):
    fixed, moving, _ = flat_pair(Kind.RIGID)
    colour = fixed.with_data(torch.cat([fixed.data * share for share in (0.5, 1.0, 1.5)]))
    plain = register(fixed, moving, Recipe(transform="rigid")).transform
    np.testing.assert_allclose(
        register(colour, moving, Recipe(transform="rigid")).transform.matrix, plain.matrix, atol=1e-4
    )


def test_the_images_are_left_alone(flat_pair):
    fixed, moving, _ = flat_pair(Kind.RIGID)
    before = fixed.data.clone(), moving.data.clone()
    register(fixed, moving)
    assert torch.equal(fixed.data, before[0])
    assert torch.equal(moving.data, before[1])


def test_the_units_of_intensity_do_not_matter(flat_pair, furthest):
    fixed, moving, truth = flat_pair(Kind.RIGID)
    dim = moving.with_data(moving.data * 1e-6 - 3e-6)
    assert furthest(register(fixed, dim, Recipe(transform="rigid")).transform, truth) < 0.25  # mm


def test_the_place_of_the_world_does_not_matter(flat_pair, furthest):
    fixed, moving, truth = flat_pair(Kind.RIGID)
    offset = np.array([3000.0, -5000.0])
    far = [MedImage(i.data, i.spacing, tuple(np.add(i.origin, offset)), i.direction) for i in (fixed, moving)]
    shift = np.eye(3)
    shift[:2, 2] = offset
    found = LinearTransform(np.linalg.inv(shift) @ register(*far, Recipe(transform="rigid")).transform.matrix @ shift)
    assert furthest(found, truth) < 0.25  # mm


# What cannot be registered ------------------------------------------------------------------------------------------


def test_images_of_different_dimension_are_refused(fixed, flat_pair):
    with pytest.raises(ImageError, match="3D and .* is 2D; both must have the same dimension"):
        register(fixed, flat_pair(Kind.RIGID)[0])


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_series_is_refused(fixed, which):
    data = torch.cat([fixed.data, fixed.data])
    series = MedImage.on(fixed.grid, data, Leading.FRAMES, {"path": "series.nii"})
    with pytest.raises(ImageError, match="series.nii holds 2 volumes; choose one with --volume"):
        register(*((series, fixed) if which == "fixed" else (fixed, series)))


@pytest.mark.parametrize("which", ["fixed", "moving"])
@pytest.mark.parametrize("case", ["empty", "other size", "other place"])
def test_a_mask_that_does_not_fit_is_refused(fixed, which, case):
    mask = fixed.with_data(torch.ones_like(fixed.data)).with_metadata(path="mask.nii")
    said = "mask mask.nii does not lie on the grid"
    if case == "empty":
        mask, said = mask.with_data(torch.zeros_like(fixed.data)), "mask mask.nii is empty"
    elif case == "other size":
        mask = MedImage(mask.data[:, 1:], mask.spacing, mask.origin, mask.direction, metadata=mask.metadata)
    else:
        mask = MedImage(mask.data, mask.spacing, (0.0, 0.0, 0.0), mask.direction, metadata=mask.metadata)
    with pytest.raises(ImageError, match=said):
        register(fixed, fixed, **{f"{which}_mask": mask})


def test_an_image_of_a_few_voxels_is_refused():
    tiny = MedImage.on(Grid.regular((3, 3, 3), (1.0, 1.0, 1.0)), torch.rand(1, 3, 3, 3))
    with pytest.raises(RegistrationError, match="only 27 voxels"):
        register(tiny, tiny)


def test_images_without_overlap_are_refused_when_headers_must_be_kept(flat_pair):
    fixed, moving, _ = flat_pair(Kind.RIGID)
    away = MedImage(moving.data, moving.spacing, (5000.0, 0.0), moving.direction)
    with pytest.raises(RegistrationError, match="the images do not overlap"):
        register(fixed, away, Recipe(start="header"))


@pytest.mark.parametrize("which", ["fixed", "moving", "both"])
def test_a_constant_image_ends_in_words_or_in_a_transform_of_numbers(flat_pair, which):
    fixed, moving, _ = flat_pair(Kind.RIGID)
    flat = [i.with_data(torch.full_like(i.data, 5.0)) for i in (fixed, moving)]
    images = {"fixed": (flat[0], moving), "moving": (fixed, flat[1]), "both": tuple(flat)}[which]
    try:
        result = register(*images, Recipe(transform="rigid"))
    except MedregError:
        return
    assert np.isfinite(result.transform.matrix).all()
