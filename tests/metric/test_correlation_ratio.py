"""Correlation ratio: numpy's variances bin by bin, known relations, gradcheck and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medreg.metric.correlation import correlation
from medreg.metric.correlation_ratio import CorrelationRatioMeasure, correlation_ratio, ranked_bins


@pytest.mark.parametrize("outside", [0.0, 0.4])
def test_it_is_numpys_variance_within_bins_over_the_variance(sampled, outside):
    s = sampled(1000, outside)
    inside = s.weight.numpy() == 1
    fixed, moving = s.fixed.numpy(), s.moving.numpy()[inside]
    ranks = fixed.argsort().argsort()
    index = (ranks * 8 // 1000)[inside]
    within = sum(moving[index == b].var() * (index == b).sum() for b in range(8))
    expected = within / (moving.var() * inside.sum())
    assert float(correlation_ratio(s.fixed, s.moving, s.weight, 8)) == pytest.approx(expected, rel=1e-10)


def test_samples_that_do_not_count_are_as_if_left_out_with_the_same_bins(sampled):
    s = sampled(600, outside=0.3)
    fixed, inside = (s.fixed / 100).round(), s.weight == 1  # few values, so that the bins are the values
    part = correlation_ratio(fixed[inside], s.moving[inside], s.weight[inside], 600)
    assert float(correlation_ratio(fixed, s.moving, s.weight, 600)) == pytest.approx(float(part), rel=1e-10)


def test_any_function_of_a_few_valued_fixed_image_is_explained_whole(sampled):
    s = sampled(500)
    fixed = (s.fixed / 100).round().clamp(1, 5)  # none so rare that it shares a bin
    moving = (fixed - 3).abs() * 100
    assert float(correlation_ratio(fixed, moving, s.weight, 32)) < 1e-12
    assert float(correlation(fixed, moving, s.weight)) > 0.5
    assert CorrelationRatioMeasure(fixed[None], 32)(moving[None], s.weight).value < 1e-12


def test_unrelated_images_are_explained_by_chance_alone(sampled):
    s, other = sampled(8000), sampled(8000, seed=9)
    # the means of 16 bins take away 15 of 8000 degrees of freedom
    assert float(correlation_ratio(s.fixed, other.moving, s.weight, 16)) == pytest.approx(1 - 15 / 8000, abs=0.003)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 300), st.integers(1, 50), st.integers(1, 1000))
def test_bins_are_equally_full_and_never_part_equal_values(seed, count, bins, distinct):
    values = torch.randint(distinct, (count,), generator=torch.Generator().manual_seed(seed)).double()
    index = ranked_bins(values, bins)
    assert int(index.min()) >= 0
    assert int(index.max()) <= bins - 1
    assert all(len(index[values == v].unique()) == 1 for v in values.unique())
    assert (index[values.argsort()].diff() >= 0).all()
    apart = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).double()
    sizes = torch.bincount(ranked_bins(apart, bins), minlength=bins)
    assert int(sizes.max()) <= -(-count // bins)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-2, 1e4), st.floats(-10, 10), st.sampled_from([torch.float32, torch.float64]))
def test_values_lie_between_0_and_1_and_gain_and_offset_do_not_matter(seed, gain, offset, dtype):
    random = torch.Generator().manual_seed(seed)
    fixed, noise = torch.randn(2, 200, generator=random, dtype=dtype)
    weight, moving = torch.ones(200, dtype=dtype), fixed**2 + noise
    value = float(correlation_ratio(fixed, moving, weight, 10))
    assert 0 <= value <= 1
    if dtype == torch.float64:
        assert float(correlation_ratio(fixed, gain * moving + offset, weight, 10)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("outside", [0.0, 0.3])
def test_the_correlation_ratio_passes_gradcheck(sampled, outside):
    s = sampled(80, outside)
    moving = s.moving.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: correlation_ratio(s.fixed, m, s.weight, 6), (moving,))


@pytest.mark.parametrize("outside", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("bins", [4, 32])
def test_the_measure_agrees_with_autograd_of_the_pure_function(sampled, outside, bins):
    s, other = sampled(1500, outside), sampled(1500, seed=5)
    both = torch.stack([s.moving, other.moving]).requires_grad_()
    values = [correlation_ratio(f, m, s.weight, bins) for f, m in zip((s.fixed, other.fixed), both, strict=True)]
    value = torch.stack(values).mean()
    value.backward()
    slope = CorrelationRatioMeasure(torch.stack([s.fixed, other.fixed]), bins)(both.detach(), s.weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(slope.slope, both.grad, rtol=1e-9, atol=1e-12 * float(both.grad.abs().max()))
    assert not slope.slope[:, s.weight == 0].any()
    assert not slope.curvature[:, s.weight == 0].any()


def test_at_a_perfect_fit_the_curvature_is_the_hessian_for_motion_that_no_bin_explains(sampled):
    s = sampled(400)
    index = ranked_bins(s.fixed, 8)
    bases = torch.nn.functional.one_hot(index, 8).double() / 50**0.5
    jacobian = torch.randn(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    jacobian = jacobian - bases @ (bases.T @ jacobian)
    perfect = torch.sin(index.double())

    def value(parameters: torch.Tensor) -> torch.Tensor:
        return correlation_ratio(s.fixed, perfect + jacobian @ parameters, s.weight, 8)

    hessian = torch.autograd.functional.hessian(value, torch.zeros(3, dtype=torch.float64))
    weights = CorrelationRatioMeasure(s.fixed[None], 8)(perfect[None], s.weight).curvature[0]
    torch.testing.assert_close(jacobian.T @ (weights[:, None] * jacobian), hessian, rtol=1e-9, atol=1e-12)


def test_float32_samples_agree_with_float64(sampled):
    s = sampled(20_000, outside=0.1)
    double = CorrelationRatioMeasure(s.fixed[None], 32)(s.moving[None], s.weight)
    single = CorrelationRatioMeasure(s.fixed[None].float(), 32)(s.moving[None].float(), s.weight.float())
    # a few of the 20,000 fixed values round into the next bin
    assert single.value == pytest.approx(double.value, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, -1000.0, 0.1, 1234.5])
def test_a_constant_explains_nothing_and_is_not_explained(sampled, constant, dtype):
    s = sampled(300, outside=0.2)
    flat, fixed, weight = torch.full((300,), constant, dtype=dtype), s.fixed.to(dtype), s.weight.to(dtype)
    for one, other in ((fixed, flat), (flat, fixed), (flat, flat)):
        other = other.clone().requires_grad_()
        value = correlation_ratio(one, other, weight, 16)
        value.backward()
        slope = CorrelationRatioMeasure(one[None], 16)(other.detach()[None], weight)
        assert float(value.detach()) == pytest.approx(1, abs=1e-6)
        assert slope.value == pytest.approx(1, abs=1e-6)
        # one bin takes away the mean, which the variance is about already: up to rounding nothing is left to gain
        assert float(slope.slope.abs().max()) < 1e-6 / float(fixed.std())
        assert torch.isfinite(other.grad).all()


def test_no_sample_inside_gives_the_worst_value(sampled):
    s = sampled(100)
    slope = CorrelationRatioMeasure(s.fixed[None], 16)(s.moving[None], torch.zeros_like(s.weight))
    assert slope.value == 1
    assert not slope.slope.any()


def test_counting_by_products_gives_the_same_sums(sampled):
    from medreg.metric.correlation_ratio import _sums

    s = sampled(500)
    index = ranked_bins(s.fixed, 8)
    expected = np.bincount(index.numpy(), weights=s.moving.numpy(), minlength=8)
    np.testing.assert_allclose(_sums(index, s.moving, 8).numpy(), expected, rtol=1e-12)
