"""Levels as problems: every metric's gradient, one way and both ways; what is drawn, and how features are turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from medreg.geometry.affine import homogeneous, invert, map_points, rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.registration import level as level_module
from medreg.registration import recipe
from medreg.registration.features import features
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import LevelImage, Pyramid
from medreg.registration.problem import BothWays, OneWay
from medreg.registration.recipe import Level
from medreg.transform.kind import Kind

METRICS = [
    recipe.MeanSquares(),
    recipe.Correlation(),
    recipe.MutualInformation(bins=24),
    recipe.NormalisedMutualInformation(bins=24),
    recipe.RobustCorrelation(bias_order=1),
    recipe.LocalCorrelation(patch=3),
    recipe.CorrelationRatio(bins=16),
    recipe.GradientFields(),
    recipe.SelfSimilarity(),
    recipe.LabelOverlap(),
]
EVERY_METRIC = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
FAMILIES = pytest.mark.parametrize(
    ("dimension", "kind"), [(2, Kind.HOMOGRAPHY), (3, Kind.RIGID), (3, Kind.AFFINE)], ids=str
)


def side(image: MedImage, masked: bool = False) -> Side:
    """An image in float64, with its three brightest quarters as labels, and a mask without a corner."""
    mask = None
    if masked:
        mask = torch.ones_like(image.data[:1])
        mask[..., : image.size[1] // 3, : image.size[0] // 3] = 0
    cuts = torch.quantile(image.data[0].flatten(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    number = torch.bucketize(image.data[0], cuts)
    labels = torch.stack([number == k for k in (1, 2, 3)]).double()
    return Side(Pyramid(image.data, mask, image.grid), Pyramid(labels, mask, image.grid), image.grid.centre)


def level(fixed: MedImage, moving: MedImage, symmetric: bool = False, masked: bool = False) -> PairLevel:
    """Both at 2.5 mm, where some axes are pooled and some are not."""
    settings = Level(spacing_mm=2.5, samples=2000)
    return PairLevel(0, settings, side(fixed, masked), side(moving, masked), 3, symmetric)


def somewhere(dimension: int, kind: Kind) -> np.ndarray:
    """A matrix of the family that no optimum would have, about 15 degrees from the identity."""
    matrix = np.eye(dimension + 1)
    turn = rotation_exp(np.radians([0, 0, 15]) if dimension == 2 else np.radians([8, -9, 9]))[:dimension, :dimension]
    if kind in (Kind.AFFINE, Kind.HOMOGRAPHY):
        turn = turn @ np.diag([1.06, 0.97, 1.02][:dimension])
        turn[0, 1] += 0.05
    matrix = homogeneous(turn, np.array([1.3, -2.1, 0.7])[:dimension])
    if kind is Kind.HOMOGRAPHY:
        matrix[-1, :-1] = np.array([2e-3, -3e-3, 1e-3])[:dimension]
    return matrix


def differences(problem: OneWay | BothWays, matrix: np.ndarray, count: int, width_mm: float = 1e-6) -> np.ndarray:
    """(P,) central differences of the value along the problem's own steps."""
    steps = np.eye(count) * width_mm
    values = [[problem.evaluate(problem.move(matrix, s)).value for s in (step, -step)] for step in steps]
    return np.array([(up - down) / (2 * width_mm) for up, down in values])


@EVERY_METRIC
@FAMILIES
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("symmetric", [False, True], ids=["one way", "both ways"])
def test_the_gradient_is_that_of_finite_differences(texture, metric, dimension, kind, masked, symmetric):
    pair = level(texture(dimension, seed=0), texture(dimension, seed=1), symmetric, masked)
    matrix = somewhere(dimension, kind)
    problem = pair.problem(metric, kind, matrix)
    assert isinstance(problem, BothWays if symmetric else OneWay)
    here = problem.evaluate(matrix)
    assert 0.3 < here.overlap < 1
    numeric = differences(problem, matrix, len(here.gradient))
    np.testing.assert_allclose(here.gradient, numeric, rtol=2e-3, atol=2e-3 * np.abs(numeric).max())
    assert np.linalg.eigvalsh(here.curvature).min() > -1e-9 * np.abs(here.curvature).max()
    assert np.abs(here.curvature).max() > 0


# Both ways ----------------------------------------------------------------------------------------------------------


def exchanged(texture, metric, dimension, kind, masked=False) -> tuple[BothWays, BothWays, np.ndarray]:
    """The problem of two images, that of the exchanged ones, and a matrix of the first."""
    pair = level(texture(dimension, seed=0), texture(dimension, 26, seed=1), True, masked)
    swapped = replace(pair, fixed=pair.moving, moving=pair.fixed, _drawn={})
    matrix = somewhere(dimension, kind)
    return pair.problem(metric, kind, matrix), swapped.problem(metric, kind, invert(matrix)), matrix


@EVERY_METRIC
@pytest.mark.parametrize(
    ("dimension", "kind"), [(d, k) for d in (2, 3) for k in Kind if k is not Kind.HOMOGRAPHY], ids=str
)
def test_exchanging_the_images_negates_the_gradient_and_nothing_else(texture, metric, dimension, kind):
    forward, backward, matrix = exchanged(texture, metric, dimension, kind, masked=dimension == 2)
    here, there = forward.evaluate(matrix), backward.evaluate(invert(matrix))
    assert there.value == pytest.approx(here.value, rel=1e-9)
    assert there.overlap == pytest.approx(here.overlap)
    np.testing.assert_allclose(there.gradient, -here.gradient, atol=1e-6 * np.abs(here.gradient).max())
    np.testing.assert_allclose(there.curvature, here.curvature, atol=1e-6 * np.abs(here.curvature).max())


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", [k for k in Kind if k is not Kind.HOMOGRAPHY], ids=str)
def test_the_negated_step_moves_the_exchanged_images_to_the_inverse(texture, dimension, kind):
    forward, backward, matrix = exchanged(texture, METRICS[0], dimension, kind)
    count = len(forward.evaluate(matrix).gradient)
    step = np.random.default_rng(0).uniform(-5, 5, count)
    there, back = forward.move(matrix, step), backward.move(invert(matrix), -step)
    np.testing.assert_allclose(back @ there, np.eye(dimension + 1), atol=1e-10)
    assert np.abs(there - matrix).max() > 0.1


@pytest.mark.parametrize("dimension", [2, 3])
def test_exchanging_the_images_keeps_a_homographys_value(texture, dimension):
    forward, backward, matrix = exchanged(texture, METRICS[0], dimension, Kind.HOMOGRAPHY)
    assert backward.evaluate(invert(matrix)).value == pytest.approx(forward.evaluate(matrix).value, rel=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_exchanging_the_images_negates_a_homographys_gradient(texture, dimension):
    forward, backward, matrix = exchanged(texture, METRICS[0], dimension, Kind.HOMOGRAPHY)
    here, there = forward.evaluate(matrix), backward.evaluate(invert(matrix))
    np.testing.assert_allclose(there.gradient, -here.gradient, atol=1e-6 * np.abs(here.gradient).max())
    np.testing.assert_allclose(there.curvature, here.curvature, atol=1e-6 * np.abs(here.curvature).max())


@EVERY_METRIC
def test_both_ways_are_the_mean_of_each_way(texture, metric):
    pair = level(texture(3, seed=0), texture(3, seed=1), True)
    matrix = somewhere(3, Kind.AFFINE)
    both = pair.problem(metric, Kind.AFFINE, matrix)
    there = replace(pair, symmetric=False).problem(metric, Kind.AFFINE, matrix)
    swapped = replace(pair, fixed=pair.moving, moving=pair.fixed, symmetric=False)
    back = swapped.problem(metric, Kind.AFFINE, invert(matrix))
    here, one, other = both.evaluate(matrix), there.evaluate(matrix), back.evaluate(invert(matrix))
    assert here.value == pytest.approx((one.value + other.value) / 2, rel=1e-12)
    assert here.overlap == max(one.overlap, other.overlap)
    assert one.overlap != other.overlap
    assert both.samples == there.samples + back.samples


def test_steps_of_both_ways_stay_in_the_family(texture):
    pair = level(texture(3, seed=0), texture(3, seed=1), True)
    matrix = somewhere(3, Kind.RIGID)
    problem = pair.problem(METRICS[0], Kind.RIGID, matrix)
    moved = problem.move(matrix, np.random.default_rng(1).uniform(-8, 8, 6))
    np.testing.assert_allclose(moved[:3, :3].T @ moved[:3, :3], np.eye(3), atol=1e-12)
    assert moved[3].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE, Kind.HOMOGRAPHY], ids=str)
def test_a_step_of_one_both_ways_moves_the_samples_by_about_a_millimetre(texture, kind):
    pair = level(texture(3, seed=0), texture(3, seed=1), True)
    matrix = somewhere(3, Kind.RIGID)
    problem = pair.problem(METRICS[0], kind, matrix)
    samples = problem.forward[0].samples
    points = samples.homogeneous[:, :-1].numpy() + samples.centre
    for step in np.eye(len(problem.evaluate(matrix).gradient)):
        moved = map_points(problem.move(matrix, step), points) - map_points(matrix, points)
        assert 0.4 < np.sqrt((moved**2).sum(1).mean()) < 1.4


# What a metric looks at ---------------------------------------------------------------------------------------------


FEATURES = pytest.mark.parametrize(
    ("metric", "reach"), [(recipe.GradientFields(), 1), (recipe.SelfSimilarity(), 3)], ids=["gradients", "similarity"]
)


@FEATURES
@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("sheared", [False, True])
def test_features_of_a_turned_image_are_those_of_the_image(texture, metric, reach, dimension, sheared):
    """The same voxels on a grid that was turned in the world: taken along the turned directions they are the same."""
    fixed = texture(dimension, sheared=sheared)
    turn = rotation_exp(np.array([0.0, 0.0, 2.5]) if dimension == 2 else np.array([1.0, -2.0, 0.7]))
    motion = homogeneous(turn[:dimension, :dimension], np.array([30.0, -20.0, 10.0])[:dimension])
    one = features(metric, LevelImage(fixed.data, None, fixed.grid), np.eye(dimension), 2.0)
    moving = LevelImage(fixed.data, None, Grid.from_affine(fixed.size, motion @ fixed.affine))
    other = features(metric, moving, motion[:-1, :-1], 2.0)
    torch.testing.assert_close(one.volume, other.volume, atol=1e-9, rtol=0)
    unturned = features(metric, moving, np.eye(dimension), 2.0)
    assert float((unturned.volume - one.volume).abs().max()) > 0.05


@FEATURES
@pytest.mark.parametrize("dimension", [2, 3])
def test_features_that_reach_out_of_the_mask_do_not_count(texture, metric, reach, dimension):
    image = texture(dimension)
    mask = torch.rand(image.data.shape, generator=torch.Generator().manual_seed(0)) > 0.001
    mask[..., :9, :9] = False
    found = features(metric, LevelImage(image.data, mask, image.grid), np.eye(dimension), 2.0).mask
    cube = np.ones((3,) * dimension)
    expected = binary_erosion(mask[0].numpy(), cube, reach, border_value=1)  # out of the view nothing is lost
    assert 0 < expected.sum() < mask.sum()
    assert np.array_equal(found[0].numpy(), expected)


@pytest.mark.parametrize("dimension", [2, 3])
def test_gradient_fields_of_a_ramp_point_up_it_in_the_world(texture, dimension):
    grid = texture(dimension, sheared=True).grid
    slope = np.array([1.0, -2.0, 0.5])[:dimension]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")[::-1], -1)
    values = (grid.to_world(index.reshape(-1, dimension)) @ slope).reshape(1, *grid.shape)
    field = features(recipe.GradientFields(), LevelImage(torch.from_numpy(values), None, grid), np.eye(dimension), 2.0)
    found = field.volume.flatten(1).T.numpy()
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.broadcast_to(slope / np.linalg.norm(slope), found.shape), atol=1e-9)


def test_colours_give_one_mean_field_and_the_descriptors_of_each(texture):
    image, other = texture(3, seed=0), texture(3, seed=1)
    both = torch.cat([image.data, other.data])
    for metric, channels in ((recipe.GradientFields(), 3), (recipe.SelfSimilarity(), 24)):
        whole, one, two = (
            features(metric, LevelImage(data, None, image.grid), np.eye(3), 2.0).volume
            for data in (both, image.data, other.data)
        )
        assert len(whole) == channels
        expected = (one + two) / 2 if channels == 3 else torch.cat([one, two])
        torch.testing.assert_close(whole, expected)


def test_other_metrics_see_the_voxels(texture):
    image = LevelImage(texture(3).data, None, texture(3).grid)
    for metric in METRICS:
        if not isinstance(metric, recipe.GradientFields | recipe.SelfSimilarity):
            assert features(metric, image, np.eye(3), 2.0) is image


# Samples ------------------------------------------------------------------------------------------------------------


def test_samples_are_drawn_once_a_metric_and_an_image(texture, monkeypatch):
    drawn = []
    plain = level_module.draw
    monkeypatch.setattr(level_module, "draw", lambda *given: drawn.append(given) or plain(*given))
    pair = level(texture(3, seed=0), texture(3, seed=1), True)
    for _ in range(2):
        for metric in METRICS[:2]:
            pair.problem(metric, Kind.RIGID, np.eye(4))
    assert len(drawn) == 4  # two metrics, two images


def test_labels_are_compared_for_label_overlap_and_nothing_else(texture):
    pair = level(texture(3, seed=0), texture(3, seed=1))
    several = recipe.Several(terms=tuple(recipe.Weighted(metric=m, weight=2) for m in METRICS))
    terms = pair.problem(several, Kind.RIGID, np.eye(4)).terms
    channels = {m.name: len(t.samples.values) for m, t in zip(METRICS, terms, strict=True)}
    assert channels.pop("label_overlap") == 3
    assert channels.pop("gradient_fields") == 3
    assert channels.pop("self_similarity") == 12
    assert set(channels.values()) == {1}
    assert {t.weight for t in terms} == {2}
    values = terms[-1].samples.values
    assert float(values.min()) >= 0
    assert float(values.max()) <= 1


def test_an_image_without_a_label_map_is_its_own(texture):
    pair = level(texture(3, seed=0), texture(3, seed=1))
    bare = replace(pair, fixed=replace(pair.fixed, labels=None), moving=replace(pair.moving, labels=None))
    (one,) = bare.terms(recipe.LabelOverlap(), np.eye(4))
    assert len(one.samples.values) == 1
    assert float(one.samples.values.max()) > 100
