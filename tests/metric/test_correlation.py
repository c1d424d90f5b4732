"""Correlation that allows for a bias field: numpy's least squares, gradcheck, and autograd's Hessian."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.metric.correlation import CorrelationMeasure, correlation, regressors

ORDERS = pytest.mark.parametrize(("order", "powers"), [(0, 1), (1, 1), (3, 2), (0, 3)])


def test_order_0_and_power_1_is_one_minus_numpys_squared_correlation(sampled):
    s = sampled(500)
    expected = 1 - np.corrcoef(s.fixed, s.moving)[0, 1] ** 2
    # the ridge of 1e-7 on the normal equations is all that differs
    assert float(correlation(s.fixed, s.moving, s.weight)) == pytest.approx(expected, abs=1e-6)
    measure = CorrelationMeasure(s.fixed[None], s.position, 0, 1)
    assert measure(s.moving[None], s.weight).value == pytest.approx(expected, abs=1e-6)


def test_weights_are_those_of_numpys_weighted_covariance(sampled):
    s = sampled(500)
    weight = torch.rand(500, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    covariance = np.cov(s.fixed, s.moving, aweights=weight.numpy())
    expected = 1 - covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1])
    assert float(correlation(s.fixed, s.moving, weight)) == pytest.approx(expected, abs=1e-6)


@ORDERS
def test_the_value_is_the_residual_of_numpys_least_squares(sampled, order, powers):
    s = sampled(600, outside=0.3)
    design = regressors(s.fixed, s.position, order, powers)
    inside = s.weight.numpy() == 1
    moving, rows = s.moving.numpy()[inside], design.numpy()[inside]
    residual = moving - rows @ np.linalg.lstsq(rows, moving, rcond=None)[0]
    expected = (residual**2).sum() / ((moving - moving.mean()) ** 2).sum()
    assert float(correlation(s.fixed, s.moving, s.weight, design)) == pytest.approx(expected, abs=1e-6)
    assert CorrelationMeasure(s.fixed[None], s.position, order, powers)(
        s.moving[None], s.weight
    ).value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("dimension", "order", "monomials"), [(3, 0, 1), (3, 1, 4), (3, 2, 10), (3, 3, 20), (2, 3, 10)]
)
@pytest.mark.parametrize("powers", [1, 2])
def test_there_is_a_regressor_for_each_monomial_and_power(sampled, dimension, order, monomials, powers):
    s = sampled(100)
    basis = regressors(s.fixed, s.position[:, :dimension], order, powers)
    assert basis.shape == (100, monomials * (powers + 1))
    assert torch.linalg.matrix_rank(basis) == basis.shape[1]
    assert (basis[:, 0] == 1).all()


def test_a_smooth_bias_field_costs_nothing_where_plain_correlation_pays(sampled):
    s = sampled(800)
    x, y, z = s.position.T
    biased = (2 * s.fixed + 50) * (1 + 0.3 * x - 0.2 * y * z + 0.1 * z**2)
    allowed = regressors(s.fixed, s.position, order=2, powers=1)
    assert float(correlation(s.fixed, biased, s.weight, allowed)) < 1e-6
    assert CorrelationMeasure(s.fixed[None], s.position, 2, 1)(biased[None], s.weight).value < 1e-6
    assert float(correlation(s.fixed, biased, s.weight)) > 0.1


def test_a_curved_relation_costs_nothing_with_as_many_powers(sampled):
    s = sampled(800)
    curved = 5 - (s.fixed - 250) ** 2 / 100
    assert CorrelationMeasure(s.fixed[None], s.position, 0, 2)(curved[None], s.weight).value < 1e-6
    assert CorrelationMeasure(s.fixed[None], s.position, 0, 1)(curved[None], s.weight).value > 0.1


@ORDERS
def test_gain_and_offset_of_the_moving_image_do_not_matter(sampled, order, powers):
    s = sampled(400, outside=0.2)
    measure = CorrelationMeasure(s.fixed[None], s.position, order, powers)
    value = measure(s.moving[None], s.weight).value
    assert measure(-3 * s.moving[None] + 1000, s.weight).value == pytest.approx(value, rel=1e-8)


def test_unrelated_images_are_not_explained(sampled):
    s = sampled(4000)
    other = sampled(4000, seed=9).moving
    # chance explains about (regressors - 1) / N of the variance
    assert float(correlation(s.fixed, other, s.weight)) == pytest.approx(1, abs=0.005)


@ORDERS
@pytest.mark.parametrize("outside", [0.0, 0.25])
def test_correlation_passes_gradcheck(sampled, order, powers, outside):
    s = sampled(150, outside)
    basis = regressors(s.fixed, s.position, order, powers)
    moving = s.moving.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: correlation(s.fixed, m, s.weight, basis), (moving,))


@ORDERS
@pytest.mark.parametrize("outside", [0.0, 0.1, 0.6])
def test_the_measure_agrees_with_autograd_of_the_pure_function(sampled, order, powers, outside):
    s = sampled(1500, outside)
    moving = s.moving.clone().requires_grad_()
    value = correlation(s.fixed, moving, s.weight, regressors(s.fixed, s.position, order, powers))
    value.backward()
    slope = CorrelationMeasure(s.fixed[None], s.position, order, powers)(s.moving[None], s.weight)
    # ridges of 1e-7 and, with samples outside, 1e-6
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-5)
    torch.testing.assert_close(slope.slope[0], moving.grad, rtol=1e-4, atol=1e-5 * float(moving.grad.abs().max()))
    assert not slope.slope[:, s.weight == 0].any()
    assert not slope.curvature[:, s.weight == 0].any()


def test_float32_samples_agree_with_float64(sampled):
    s = sampled(20_000, outside=0.1)
    double = CorrelationMeasure(s.fixed[None], s.position, 3, 2)(s.moving[None], s.weight)
    single = CorrelationMeasure(s.fixed[None].float(), s.position.float(), 3, 2)(
        s.moving[None].float(), s.weight.float()
    )
    assert single.value == pytest.approx(double.value, rel=1e-4)
    largest = float(double.slope.abs().max())
    torch.testing.assert_close(single.slope.double(), double.slope, rtol=0, atol=1e-4 * largest)


def hessian_and_curvature(s, order: int, jacobian: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """At a perfect fit: autograd's Hessian of the pure function by parameters, and what the measure's weights give."""
    design = regressors(s.fixed, s.position, order, 1)
    perfect = 3 * s.fixed + 20

    def value(parameters: torch.Tensor) -> torch.Tensor:
        return correlation(s.fixed, perfect + jacobian @ parameters, s.weight, design)

    hessian = torch.autograd.functional.hessian(value, torch.zeros(jacobian.shape[1], dtype=torch.float64))
    weights = CorrelationMeasure(s.fixed[None], s.position, order, 1)(perfect[None], s.weight).curvature[0]
    return hessian, jacobian.T @ (weights[:, None] * jacobian)


@pytest.mark.parametrize("order", [0, 2])
def test_near_a_perfect_fit_the_curvature_is_the_hessian_for_motion_that_no_regressor_explains(sampled, order):
    s = sampled(400)
    jacobian = torch.randn(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    basis = torch.linalg.qr(regressors(s.fixed, s.position, order, 1))[0]
    hessian, curvature = hessian_and_curvature(s, order, jacobian - basis @ (basis.T @ jacobian))
    torch.testing.assert_close(curvature, hessian, rtol=1e-4, atol=1e-4 * float(hessian.abs().max()))


def test_the_curvature_is_never_below_the_hessian_near_a_perfect_fit(sampled):
    s = sampled(400)
    jacobian = torch.randn(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.4
    hessian, curvature = hessian_and_curvature(s, 2, jacobian)
    excess = torch.linalg.eigvalsh(curvature - hessian)
    assert float(excess.min()) > -1e-6 * float(curvature.diagonal().max())
    assert float(excess.max()) < 0.6 * float(torch.linalg.eigvalsh(curvature).max())


CONSTANTS = pytest.mark.parametrize(
    ("constant", "dtype"), [(c, d) for c in (0.0, -1000.0, 0.1, 1234.5) for d in (torch.float32, torch.float64)]
)


@CONSTANTS
def test_a_constant_moving_image_is_explained_by_nothing(sampled, constant, dtype):
    s = sampled(3001)
    moving = torch.full((3001,), constant, dtype=dtype).requires_grad_()
    value = correlation(s.fixed.to(dtype), moving, s.weight.to(dtype))
    value.backward()
    assert float(value.detach()) == 1
    assert torch.isfinite(moving.grad).all()


@CONSTANTS
def test_the_measure_finds_nothing_to_explain_in_a_constant_moving_image_either(sampled, constant, dtype):
    s = sampled(3001, outside=0.3)
    measure = CorrelationMeasure(s.fixed[None].to(dtype), s.position.to(dtype), 3, 2)
    slope = measure(torch.full((1, 3001), constant, dtype=dtype), s.weight.to(dtype))
    assert slope.value == 1
    assert not slope.slope.any()


def test_a_constant_fixed_image_explains_nothing(sampled):
    s = sampled(200)
    slope = CorrelationMeasure(torch.full_like(s.fixed, 5.0)[None], s.position, 0, 1)(s.moving[None], s.weight)
    assert slope.value == pytest.approx(1, abs=1e-6)
    assert torch.isfinite(slope.slope).all()


def test_a_two_valued_fixed_image_bears_more_powers_than_it_has_values(sampled):
    s = sampled(400)
    binary = (s.fixed > 300).double()
    measure = CorrelationMeasure(binary[None], s.position, 0, 3)
    expected = 1 - np.corrcoef(binary, s.moving)[0, 1] ** 2
    assert measure(s.moving[None], s.weight).value == pytest.approx(expected, abs=1e-4)


def test_no_sample_inside_gives_the_worst_value(sampled):
    s = sampled(100)
    slope = CorrelationMeasure(s.fixed[None], s.position, 0, 1)(s.moving[None], torch.zeros_like(s.weight))
    assert slope.value == 1
    assert not slope.slope.any()
