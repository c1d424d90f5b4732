"""Mutual information: closed forms for discrete images, SimpleITK's Mattes metric, gradcheck and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter

from medreg.metric.mutual_information import (
    Binning,
    MutualInformationMeasure,
    NormalisedMutualInformationMeasure,
    mutual_information,
    normalised_mutual_information,
)

BOTH = pytest.mark.parametrize(
    ("pure", "measure"),
    [
        (mutual_information, MutualInformationMeasure),
        (normalised_mutual_information, NormalisedMutualInformationMeasure),
    ],
    ids=["plain", "normalised"],
)
JOINT = np.array([[4, 1, 0], [1, 6, 2], [0, 3, 3]]) * 10
"""How often each pair of three fixed and three moving values occurs."""


def entropy(p: np.ndarray) -> float:
    """Nats."""
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def discrete(counts: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fixed and moving values 0, 1, 2 that occur together as often as `counts` says, and weights."""
    fixed, moving = np.repeat(np.stack(np.nonzero(counts)), counts[counts > 0], axis=1).astype(float)
    return torch.from_numpy(fixed), torch.from_numpy(moving), torch.ones(len(fixed), dtype=torch.float64)


def spread(values: np.ndarray, bins: int) -> np.ndarray:
    """(N, bins) weights of the cubic B-spline by scipy: the smallest value at bin 1.5, the largest at bins - 2.5."""
    kernel = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
    place = 1.5 + (values - values.min()) / (values.max() - values.min()) * (bins - 4)
    return np.nan_to_num(kernel(np.arange(bins) - place[:, None]))


def test_mutual_information_of_discrete_images_is_the_closed_form():
    fixed, moving, weight = discrete(JOINT)
    p = JOINT / JOINT.sum()
    # with 16 bins the three moving values lie 6 bins apart, so their splines do not meet and spreading loses nothing
    expected = entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p)
    assert float(mutual_information(fixed, moving, weight, bins=16)) == pytest.approx(-expected, abs=1e-5)


def test_the_weights_count_as_repetitions():
    fixed, moving, _ = discrete(np.ones((3, 3), int))
    once = mutual_information(fixed, moving, torch.from_numpy(JOINT.ravel().astype(float)), bins=16)
    assert float(once) == pytest.approx(float(mutual_information(*discrete(JOINT), bins=16)), abs=1e-12)


@pytest.mark.parametrize("bins", [8, 32])
@BOTH
def test_the_histogram_is_the_one_made_with_scipys_spline(sampled, pure, measure, bins):
    s = sampled(300)
    fixed, moving = s.fixed.numpy(), s.moving.numpy()
    rows = np.floor((fixed - fixed.min()) / (fixed.max() - fixed.min()) * bins).clip(max=bins - 1).astype(int)
    p = np.zeros((bins, bins))
    np.add.at(p, rows, spread(moving, bins))
    p /= p.sum()
    parts = entropy(p.sum(1)) + entropy(p.sum(0))
    expected = entropy(p) - parts if pure is mutual_information else -parts / entropy(p)
    # the largest value is drawn in by 1e-6 of the range
    assert float(pure(s.fixed, s.moving, s.weight, bins)) == pytest.approx(expected, abs=1e-5)


def itk_mattes(fixed: np.ndarray, moving: np.ndarray, bins: int) -> float:
    """SimpleITK's metric of two images as they lie, over every voxel."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(bins)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkNearestNeighbor)
    method.SetInitialTransform(sitk.TranslationTransform(2))
    return method.MetricEvaluate(sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving))


@pytest.mark.parametrize("relation", ["rising", "folded"])
def test_mutual_information_is_near_simpleitks(relation):
    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.standard_normal((120, 130)), 4)
    fixed = np.digitize(smooth, np.quantile(smooth, np.linspace(0, 1, 7)[1:-1])).astype(np.float64)  # six values
    moving = smooth if relation == "rising" else np.abs(smooth)
    moving = moving + 0.02 * random.standard_normal(moving.shape)
    ours = mutual_information(
        torch.from_numpy(fixed.ravel()), torch.from_numpy(moving.ravel()), torch.ones(fixed.size), bins=32
    )
    # ITK lays its moving bins half a bin further; of six fixed values each has its own bin in both
    assert float(ours) == pytest.approx(itk_mattes(fixed, moving, 32), rel=0.01)


def test_independent_images_share_nothing(sampled):
    s, other = sampled(20_000), sampled(20_000, seed=9)
    value = float(mutual_information(s.fixed, other.moving, s.weight, bins=16))
    # chance alone gives about (bins - 1)^2 / 2N = 0.006 nats
    assert -0.01 < value <= 0
    normalised = float(normalised_mutual_information(s.fixed, other.moving, s.weight, bins=16))
    assert -1.01 < normalised <= -1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(60, 400), st.floats(0, 100), st.sampled_from([8, 16, 40]))
def test_values_stay_in_their_ranges(seed, count, noise, bins):
    random = torch.Generator().manual_seed(seed)
    fixed = torch.randn(count, generator=random, dtype=torch.float64)
    moving = fixed**2 + noise * torch.randn(count, generator=random, dtype=torch.float64)
    weight = torch.rand(count, generator=random, dtype=torch.float64)
    assert -np.log(bins) <= float(mutual_information(fixed, moving, weight, bins)) <= 1e-9
    assert -2 <= float(normalised_mutual_information(fixed, moving, weight, bins)) <= -1 + 1e-9


@BOTH
def test_a_closer_relation_scores_lower_whatever_its_form(sampled, pure, measure):
    s = sampled(3000)
    noise = sampled(3000, seed=4).fixed - 300
    values = [float(pure(s.fixed, (s.fixed - 300).abs() + share * noise, s.weight, 24)) for share in (0.05, 0.3, 2.0)]
    assert values == sorted(values)


@BOTH
@pytest.mark.parametrize("outside", [0.0, 0.3])
def test_the_pure_functions_pass_gradcheck(sampled, pure, measure, outside):
    s = sampled(60, outside)
    ends = torch.tensor([-50.0, 250.0], dtype=torch.float64)  # fixes the bins, which are laid from smallest to largest
    fixed, weight = torch.cat([s.fixed, s.fixed[:2]]), torch.cat([s.weight, torch.zeros(2, dtype=torch.float64)])
    moving = s.moving.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: pure(fixed, torch.cat([m, ends]), weight, 12), (moving,))


@BOTH
@pytest.mark.parametrize("outside", [0.0, 0.3])
@pytest.mark.parametrize("bins", [12, 48])
def test_the_measure_agrees_with_autograd_of_the_pure_function(sampled, pure, measure, outside, bins):
    s = sampled(2000, outside)
    ends = torch.tensor([-50.0, 250.0], dtype=torch.float64)
    fixed, weight = torch.cat([s.fixed, s.fixed[:2]]), torch.cat([s.weight, torch.zeros(2, dtype=torch.float64)])
    moving = s.moving.clone().requires_grad_()
    value = pure(fixed, torch.cat([moving, ends]), weight, bins)
    value.backward()
    slope = measure(s.fixed, (-50.0, 250.0), bins)(s.moving, s.weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-10)
    # what cancels in the closed form does so up to 1e-12 in the probabilities, and 1e-6 in the coordinate
    torch.testing.assert_close(slope.slope, moving.grad, rtol=1e-5, atol=1e-6 * float(moving.grad.abs().max()))
    assert not slope.slope[s.weight == 0].any()


@BOTH
def test_the_curvature_is_the_empirical_fisher_matrix(sampled, pure, measure):
    s = sampled(500, outside=0.2)
    slope = measure(s.fixed, (-50.0, 250.0), 16)(s.moving, s.weight)
    torch.testing.assert_close(slope.curvature, s.weight.sum() * slope.slope**2)
    assert slope.curvature.max() > 0


@BOTH
def test_float32_samples_agree_with_float64(sampled, pure, measure):
    s = sampled(20_000, outside=0.1)
    double = measure(s.fixed, (-50.0, 250.0), 32)(s.moving, s.weight)
    single = measure(s.fixed.float(), (-50.0, 250.0), 32)(s.moving.float(), s.weight.float())
    # a few of the 20,000 fixed values round into the next bin
    assert single.value == pytest.approx(double.value, rel=1e-4)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_images_give_numbers(sampled, pure, measure, dtype):
    s = sampled(100)
    fixed, moving, weight = s.fixed.to(dtype), s.moving.to(dtype), s.weight.to(dtype)
    flat = torch.full_like(fixed, 0.1)
    nothing = 0.0 if pure is mutual_information else -1.0
    for one, other in ((fixed, flat), (flat, moving), (flat, flat)):
        other = other.clone().requires_grad_()
        value = pure(one, other, weight, 16)
        value.backward()
        assert float(value.detach()) == pytest.approx(nothing, abs=1e-5)
        assert torch.isfinite(other.grad).all()
        other = other.detach()
        slope = measure(one, (float(other.min()), float(other.max())), 16)(other, weight)
        assert slope.value == pytest.approx(nothing, abs=1e-5)
        assert torch.isfinite(slope.slope).all()
        assert torch.isfinite(slope.curvature).all()


@BOTH
def test_no_sample_inside_gives_numbers(sampled, pure, measure):
    s = sampled(100)
    slope = measure(s.fixed, (0.0, 200.0), 16)(s.moving, torch.zeros_like(s.weight))
    assert np.isfinite(slope.value)
    assert not slope.slope.any()


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(8, 64), st.sampled_from([torch.float32, torch.float64]))
def test_every_value_of_the_range_and_beyond_lands_in_a_bin(low, width, bins, dtype):
    binning = Binning(low, low + width, bins)
    values = torch.linspace(low - width, low + 2 * width, 301, dtype=torch.float64).to(dtype)
    hard = binning.hard(values)
    assert int(hard.min()) == 0
    assert int(hard.max()) == bins - 1
    left = binning.coordinate(values).floor()
    assert int(left.min()) - 1 >= 0
    assert int(left.max()) + 2 <= bins - 1
