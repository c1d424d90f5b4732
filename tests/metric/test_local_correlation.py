"""Local correlation: numpy patch by patch, SimpleITK's neighbourhood correlation, gradcheck and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from medreg.errors import UsageError
from medreg.metric.correlation import correlation
from medreg.metric.local_correlation import LocalCorrelationMeasure, local_correlation

PATCH = 9


def with_flat_patches(s, moving_too: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """The sampled images with a patch of noise in the fixed one and another in the moving one."""
    fixed, moving = s.fixed.clone(), s.moving.clone()
    fixed[:PATCH] = 200 + 1e-3 * fixed[:PATCH]
    if moving_too:
        moving[PATCH : 2 * PATCH] = 50 + 1e-3 * moving[PATCH : 2 * PATCH]
    return fixed, moving


def test_it_is_one_minus_the_mean_of_numpys_squared_correlations(sampled):
    s = sampled(50 * PATCH)
    pairs = zip(s.fixed.view(-1, PATCH).numpy(), s.moving.view(-1, PATCH).numpy(), strict=True)
    expected = 1 - np.mean([np.corrcoef(f, m)[0, 1] ** 2 for f, m in pairs])
    # every patch has about the variance of the whole, so counts 1 but for (0.001)^2
    assert float(local_correlation(s.fixed, s.moving, s.weight, PATCH)) == pytest.approx(expected, abs=1e-5)


def test_samples_that_do_not_count_are_as_if_left_out(sampled):
    s = sampled(60 * PATCH, outside=0.4)
    scores, counts = [], []
    for f, m, w in zip(*(v.view(-1, PATCH).numpy() for v in (s.fixed, s.moving, s.weight)), strict=True):
        if w.sum() >= PATCH / 2:
            scores.append(np.corrcoef(f[w == 1], m[w == 1])[0, 1] ** 2)
            counts.append(w.sum())
    assert 0 < len(scores) < 60
    expected = 1 - np.average(scores, weights=counts)
    assert float(local_correlation(s.fixed, s.moving, s.weight, PATCH)) == pytest.approx(expected, abs=1e-4)


def test_of_every_window_it_is_simpleitks_neighbourhood_correlation():
    random = np.random.default_rng(0)
    fixed = gaussian_filter(random.standard_normal((40, 50)), 2)
    moving = 3 * fixed + gaussian_filter(random.standard_normal((40, 50)), 1) + 7
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsANTSNeighborhoodCorrelation(2)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkNearestNeighbor)
    method.SetInitialTransform(sitk.TranslationTransform(2))
    theirs = method.MetricEvaluate(sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving))
    padded = [np.pad(v, 2) for v in (fixed, moving, np.ones_like(fixed))]  # windows are cut at the border
    windows = [np.lib.stride_tricks.sliding_window_view(v, (5, 5)).reshape(-1) for v in padded]
    ours = local_correlation(*(torch.from_numpy(w.copy()) for w in windows), patch=25)
    # the windows with fewer than half of their voxels (4 x 3 at the corners, of 2000) count in SimpleITK only
    assert 1 - float(ours) == pytest.approx(-theirs, abs=2e-3)
    assert 0.2 < float(ours) < 0.8


def test_each_patch_has_a_gain_and_an_offset_of_its_own(sampled):
    s = sampled(50 * PATCH)
    random = torch.Generator().manual_seed(1)
    gain, offset = torch.randn(2, 50, 1, generator=random, dtype=torch.float64)
    moving = (gain * s.fixed.view(50, PATCH) + 300 * offset).flatten()
    assert float(correlation(s.fixed, moving, s.weight)) > 0.5
    # patches of a gain near 0 are flat beside the offsets
    strong = (gain.abs() > 0.3).expand(50, PATCH).flatten().double()
    assert float(local_correlation(s.fixed, moving, strong, PATCH)) < 1e-6


def test_a_flat_fixed_patch_does_not_count_and_a_flat_moving_one_counts_as_unexplained(sampled):
    s = sampled(20 * PATCH)
    without = s.weight.clone()
    without[:PATCH] = 0
    fixed, moving = with_flat_patches(s, moving_too=False)
    left_out = float(local_correlation(fixed, s.moving, without, PATCH))
    assert float(local_correlation(fixed, s.moving, s.weight, PATCH)) == pytest.approx(left_out, abs=1e-5)
    moved_to_air = s.moving.clone()
    moved_to_air[:PATCH] = 0
    perfect = float(local_correlation(s.fixed, s.fixed, s.weight, PATCH))
    flat = s.fixed.clone()
    flat[:PATCH] = 0
    assert perfect == pytest.approx(0, abs=1e-9)
    assert float(local_correlation(s.fixed, flat, s.weight, PATCH)) == pytest.approx(1 / 20, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.floats(0, 1), st.sampled_from([torch.float32, torch.float64]))
def test_values_lie_between_0_and_1_whatever_the_unit(seed, unit, outside, dtype):
    random = torch.Generator().manual_seed(seed)
    fixed, noise, level = torch.randn(3, 20 * PATCH, generator=random, dtype=dtype)
    weight = (torch.rand(20 * PATCH, generator=random, dtype=dtype) >= outside).to(dtype)
    moving = unit * (fixed * level + noise)
    value = float(local_correlation(fixed, moving, weight, PATCH))
    assert -1e-6 <= value <= 1
    slope = LocalCorrelationMeasure(fixed[None], PATCH)(moving[None], weight)
    assert slope.value == pytest.approx(value, abs=1e-4)
    assert torch.isfinite(slope.slope).all() and (slope.curvature >= 0).all()


@pytest.mark.parametrize("outside", [0.0, 0.3])
def test_local_correlation_passes_gradcheck(sampled, outside):
    s = sampled(8 * PATCH, outside)
    fixed, moving = with_flat_patches(s)
    moving.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: local_correlation(fixed, m, s.weight, PATCH), (moving,))


@pytest.mark.parametrize("outside", [0.0, 0.2, 0.5])
def test_the_measure_agrees_with_autograd_of_the_pure_function(sampled, outside):
    s, other = sampled(100 * PATCH, outside), sampled(100 * PATCH, seed=5)
    fixed, moving = with_flat_patches(s)
    both = torch.stack([moving, other.moving]).requires_grad_()
    values = [local_correlation(f, m, s.weight, PATCH) for f, m in zip((fixed, other.fixed), both, strict=True)]
    value = torch.stack(values).mean()
    value.backward()
    slope = LocalCorrelationMeasure(torch.stack([fixed, other.fixed]), PATCH)(both.detach(), s.weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(slope.slope, both.grad, rtol=1e-9, atol=1e-12 * float(both.grad.abs().max()))
    assert not slope.slope[:, s.weight == 0].any()
    assert not slope.curvature[:, s.weight == 0].any()


def test_at_a_perfect_fit_the_curvature_is_the_hessian_for_motion_that_no_patch_explains(sampled):
    s = sampled(30 * PATCH)
    jacobian = torch.randn(30, PATCH, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    basis = torch.linalg.qr(torch.stack([s.fixed, torch.ones_like(s.fixed)], 1).view(30, PATCH, 2))[0]
    jacobian = (jacobian - basis @ (basis.mT @ jacobian)).flatten(0, 1)

    def value(parameters: torch.Tensor) -> torch.Tensor:
        return local_correlation(s.fixed, 3 * s.fixed + jacobian @ parameters, s.weight, PATCH)

    hessian = torch.autograd.functional.hessian(value, torch.zeros(3, dtype=torch.float64))
    weights = LocalCorrelationMeasure(s.fixed[None], PATCH)(3 * s.fixed[None], s.weight).curvature[0]
    torch.testing.assert_close(jacobian.T @ (weights[:, None] * jacobian), hessian, rtol=1e-9, atol=1e-12)


def test_float32_samples_agree_with_float64(sampled):
    s = sampled(2000 * PATCH, outside=0.1)
    double = LocalCorrelationMeasure(s.fixed[None], PATCH)(s.moving[None], s.weight)
    single = LocalCorrelationMeasure(s.fixed[None].float(), PATCH)(s.moving[None].float(), s.weight.float())
    assert single.value == pytest.approx(double.value, rel=1e-5)
    largest = float(double.slope.abs().max())
    torch.testing.assert_close(single.slope.double(), double.slope, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, -1000.0, 0.1, 1234.5])
def test_constant_images_explain_nothing_and_are_not_explained(sampled, constant, dtype):
    s = sampled(30 * PATCH, outside=0.2)
    flat, fixed, weight = torch.full((30 * PATCH,), constant, dtype=dtype), s.fixed.to(dtype), s.weight.to(dtype)
    for one, other in ((fixed, flat), (flat, fixed), (flat, flat)):
        other = other.clone().requires_grad_()
        value = local_correlation(one, other, weight, PATCH)
        value.backward()
        slope = LocalCorrelationMeasure(one[None], PATCH)(other.detach()[None], weight)
        assert float(value.detach()) == slope.value == 1
        assert not other.grad.any()
        assert not slope.slope.any()
        assert not slope.curvature.any()


def test_no_sample_inside_gives_the_worst_value(sampled):
    s = sampled(5 * PATCH)
    slope = LocalCorrelationMeasure(s.fixed[None], PATCH)(s.moving[None], torch.zeros_like(s.weight))
    assert slope.value == 1
    assert not slope.slope.any()


@pytest.mark.parametrize("patch", [2, 7])
def test_patches_must_be_whole_and_of_three_samples_or_more(sampled, patch):
    s = sampled(24)
    with pytest.raises(UsageError, match=f"patches of {patch}"):
        local_correlation(s.fixed, s.moving, s.weight, patch)
