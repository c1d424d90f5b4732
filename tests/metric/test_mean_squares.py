"""Mean squared difference: numpy, gradcheck, and the Hessian that autograd gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.metric.mean_squares import MeanSquaresMeasure, mean_squares


def test_mean_squares_is_numpys_weighted_mean(sampled):
    s = sampled(500, outside=0.3)
    expected = np.average((s.moving - s.fixed).numpy() ** 2, weights=s.weight.numpy())
    assert float(mean_squares(s.fixed, s.moving, s.weight)) == pytest.approx(expected, rel=1e-12)


def test_equal_images_differ_by_nothing(sampled):
    s = sampled(50)
    assert float(mean_squares(s.fixed, s.fixed, s.weight)) == 0
    assert MeanSquaresMeasure(s.fixed[None])(s.fixed[None], s.weight).value == 0


def test_mean_squares_passes_gradcheck(sampled):
    s = sampled(30, outside=0.3)
    moving = s.moving.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: mean_squares(s.fixed, m, s.weight), (moving,))


@pytest.mark.parametrize("outside", [0.0, 0.4])
def test_the_measure_is_the_pure_function_over_the_fixed_variance(sampled, outside):
    s = sampled(400, outside)
    moving = s.moving.clone().requires_grad_()
    value = mean_squares(s.fixed, moving, s.weight) / s.fixed.var(correction=0)
    value.backward()
    slope = MeanSquaresMeasure(s.fixed[None])(s.moving[None], s.weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(slope.slope, moving.grad[None], rtol=1e-12, atol=0)
    assert not slope.slope[:, s.weight == 0].any()
    assert not slope.curvature[:, s.weight == 0].any()


def test_channels_add_up_and_their_variances_too(sampled):
    s, other = sampled(400, outside=0.3), sampled(400, seed=5)
    fixed, moving = (torch.stack(v) for v in ((s.fixed, 3 * other.fixed), (s.moving, 2 * other.moving)))
    variables = moving.clone().requires_grad_()
    squares = sum(mean_squares(f, m, s.weight) for f, m in zip(fixed, variables, strict=True))
    value = squares / np.cov(fixed.numpy(), bias=True).trace()
    value.backward()
    slope = MeanSquaresMeasure(fixed)(moving, s.weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(slope.slope, variables.grad, rtol=1e-12, atol=0)
    assert slope.curvature.shape == (2, 400)


def test_the_curvature_is_the_true_hessian(sampled):
    s = sampled(300, outside=0.2)
    jacobian = torch.randn(300, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def value(parameters: torch.Tensor) -> torch.Tensor:
        return mean_squares(s.fixed, s.moving + jacobian @ parameters, s.weight) / s.fixed.var(correction=0)

    hessian = torch.autograd.functional.hessian(value, torch.zeros(4, dtype=torch.float64))
    weights = MeanSquaresMeasure(s.fixed[None])(s.moving[None], s.weight).curvature[0]
    torch.testing.assert_close(jacobian.T @ (weights[:, None] * jacobian), hessian, rtol=1e-10, atol=1e-12)


def test_the_value_has_no_unit(sampled):
    s = sampled(200)
    fixed, moving = s.fixed[None], s.moving[None]
    value = MeanSquaresMeasure(fixed)(moving, s.weight).value
    assert MeanSquaresMeasure(fixed * 1000)(moving * 1000, s.weight).value == pytest.approx(value, rel=1e-12)


def test_a_constant_fixed_image_or_no_sample_inside_gives_numbers(sampled):
    s = sampled(50)
    fixed, flat = s.fixed[None], torch.full_like(s.fixed, 7.0)[None]
    for slope in (
        MeanSquaresMeasure(flat)(flat, s.weight),
        MeanSquaresMeasure(fixed)(s.moving[None], torch.zeros_like(s.weight)),
    ):
        assert slope.value == 0
        assert torch.isfinite(slope.slope).all()
        assert torch.isfinite(slope.curvature).all()
