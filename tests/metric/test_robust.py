"""Robust squares: SciPy's scale and minimiser, what outliers do to the fit and to a shift, gradcheck and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.stats import median_abs_deviation, norm

from medreg.metric.correlation import CorrelationMeasure, regressors
from medreg.metric.robust import (
    CUTOFF,
    RobustMeasure,
    absolute_fit,
    robust_fit,
    robust_scale,
    robust_squares,
    tukey,
    tukey_weight,
)


def with_outliers(s) -> torch.Tensor:
    """The moving values with a fifth of them far too bright."""
    return s.moving + 60 * (torch.arange(len(s.moving)) % 5 == 0)


def test_the_loss_is_the_integral_of_residual_times_weight_scaled_to_1_at_the_cutoff():
    residual = torch.linspace(-5, 5, 41, dtype=torch.float64)
    whole = quad(lambda r: r * (1 - (r / 3) ** 2) ** 2, 0, 3)[0]
    expected = [quad(lambda r: r * (1 - (r / 3) ** 2) ** 2, 0, min(abs(r), 3))[0] / whole for r in residual.tolist()]
    np.testing.assert_allclose(tukey(residual, 3.0).numpy(), expected, atol=1e-12)
    slope = torch.func.vmap(torch.func.grad(lambda r: tukey(r, 3.0)))(residual)
    torch.testing.assert_close(slope, 6 * residual / 9 * tukey_weight(residual, 3.0))


def test_the_loss_passes_gradcheck():
    residual = torch.linspace(-5, 5, 20, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: tukey(r, 3.3), (residual,))
    assert torch.autograd.gradcheck(lambda r: tukey_weight(r, 3.3), (residual,))


def test_the_scale_is_scipys_and_samples_that_do_not_count_are_as_if_left_out(sampled):
    s = sampled(1001, outside=0.3)
    s.weight[:20] = 0
    inside = s.weight == 1
    if int(inside.sum()) % 2 == 0:  # of two medians scipy takes the mean
        s.weight[inside.nonzero()[0]] = 0
    inside = s.weight == 1
    expected = median_abs_deviation(s.moving[inside].numpy()) * 1.4826
    assert robust_scale(s.moving, s.weight) == pytest.approx(expected, rel=1e-12)
    assert robust_scale(s.moving, torch.zeros_like(s.weight)) == 0


def test_the_scale_of_normal_noise_is_its_standard_deviation_with_outliers_or_without(sampled):
    s = sampled(40_000)
    residual = s.moving - 40 - 0.2 * s.fixed
    assert robust_scale(residual, s.weight) == pytest.approx(10, rel=0.02)
    residual[:2000] += 1e6
    assert robust_scale(residual, s.weight) == pytest.approx(10, rel=0.1)


def test_the_fit_of_least_absolute_differences_is_scipys(sampled):
    s = sampled(301, outside=0.2)
    design, moving = regressors(s.fixed, s.position, 0, 1), with_outliers(s)

    def loss(c: np.ndarray) -> float:
        return float((s.weight * (moving - design @ torch.from_numpy(c)).abs()).sum())

    found = absolute_fit(design, moving, s.weight)
    best = minimize(loss, found.numpy() + [2.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    # some rounds of reweighting come close; it is a start
    assert loss(found.numpy()) == pytest.approx(best.fun, rel=1e-3)


def test_the_fit_and_the_metric_are_those_of_scipys_minimiser(sampled):
    s = sampled(301, outside=0.2)
    design, moving = regressors(s.fixed, s.position, 0, 1), with_outliers(s)
    cutoff = CUTOFF * 10

    def least(columns: torch.Tensor, start: list[float]) -> tuple[np.ndarray, float]:
        def loss(c: np.ndarray) -> float:
            return float((s.weight * tukey(moving - columns @ torch.from_numpy(c), cutoff)).sum())

        best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 10_000})
        return best.x, best.fun

    coefficients, left = least(design, [100.0, 20.0])
    _, whole = least(design[:, :1], [100.0])
    found = robust_fit(design, moving, s.weight, cutoff, torch.tensor([100.0, 20.0], dtype=torch.float64), 100)
    np.testing.assert_allclose(found.numpy(), coefficients, rtol=1e-6)
    value = robust_squares(s.fixed, moving, s.weight, scale=10.0)
    assert float(value) == pytest.approx(left / whole, rel=1e-8)


def test_with_a_fifth_of_the_samples_spoilt_gain_and_offset_stay_where_least_squares_moves_them(sampled):
    s = sampled(5000)
    noise = 0.1 * (s.moving - 40 - 0.2 * s.fixed)
    clean = 40 + 0.2 * s.fixed + noise
    spoilt = torch.where(s.fixed > torch.quantile(s.fixed, 0.8), 300 - 0.4 * s.fixed, clean)  # the brightest, inverted
    design = torch.stack([torch.ones_like(s.fixed), s.fixed], 1)
    start = absolute_fit(design, spoilt, s.weight)
    scale = robust_scale(spoilt - design @ start, s.weight)
    robust = robust_fit(design, spoilt, s.weight, CUTOFF * scale, start, 100)
    truth = torch.linalg.lstsq(design, clean).solution
    squares = torch.linalg.lstsq(design, spoilt).solution
    assert float(((robust - truth) / truth).abs().max()) < 0.01
    assert float(((squares - truth) / truth).abs().min()) > 0.1


def test_with_a_fifth_of_the_samples_spoilt_a_shift_is_found_within_a_hundredth_where_correlation_misses_it():
    place = torch.linspace(0, 1, 2000, dtype=torch.float64)
    noise = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def anatomy(x: torch.Tensor) -> torch.Tensor:
        return 100 * torch.sin(29 * x) + 40 * torch.sin(67 * x + 1)

    fixed = anatomy(place) + 0.5 * noise

    def moving(shift: float, lesion: float) -> torch.Tensor:
        """The moving image, moved by 0.02, read at `place + shift`; a fifth of it bears a lesion."""
        at = place + shift
        own = lesion * torch.sigmoid((at - 0.4) / 0.003) * torch.sigmoid((0.6 - at) / 0.003)
        return 2 * anatomy(at - 0.02) + 30 + own * (1 + (at - 0.4) * 5)

    def best(kind: type, lesion: float) -> float:
        """Found in two stages, of which the second estimates the scale at what the first found."""
        weight, found = torch.ones_like(place), 0.0
        for _ in range(2):
            measure = kind(fixed[None], place[:, None], 0, 1)
            measure(moving(found, lesion)[None], weight)
            found = minimize_scalar(
                lambda d, measure=measure: measure(moving(d, lesion)[None], weight).value,
                bounds=(0.0, 0.04),
                method="bounded",
                options={"xatol": 1e-7},
            ).x
        return float(found)

    assert best(RobustMeasure, 0.0) == pytest.approx(0.02, rel=0.01)
    assert best(CorrelationMeasure, 0.0) == pytest.approx(0.02, rel=0.01)
    assert best(RobustMeasure, 400.0) == pytest.approx(best(RobustMeasure, 0.0), rel=0.01)
    assert abs(best(CorrelationMeasure, 400.0) - 0.02) > 0.05 * 0.02


def test_the_scale_is_that_of_the_samples_that_fit(sampled):
    s = sampled(8000)
    spoilt = torch.where(s.fixed > torch.quantile(s.fixed, 0.8), 3000 - 4 * s.fixed, s.moving)
    measure = RobustMeasure(s.fixed[None], s.position, 0, 1)
    measure(spoilt[None], s.weight)
    # noise of 10; where a fifth lies far above, the medians of all are the 5/8 quantiles of the others
    centre = norm.ppf(5 / 8)
    half = brentq(lambda a: norm.cdf(centre + a) - norm.cdf(centre - a) - 5 / 8, 0, 3)
    assert measure.fits[0].cutoff / CUTOFF == pytest.approx(10 * 1.4826 * half, rel=0.04)


def test_samples_that_do_not_count_are_as_if_left_out(sampled):
    s = sampled(400, outside=0.3)
    design, inside, moving = regressors(s.fixed, s.position, 1, 1), s.weight == 1, with_outliers(s)
    part = robust_squares(s.fixed[inside], moving[inside], s.weight[inside], design[inside])
    assert float(robust_squares(s.fixed, moving, s.weight, design)) == pytest.approx(float(part), rel=1e-8)


def test_a_linear_relation_is_explained_whole_and_a_share_of_outliers_costs_its_share(sampled):
    s = sampled(1000)
    exact = 300 - 0.5 * s.fixed
    assert float(robust_squares(s.fixed, exact, s.weight)) < 1e-9
    spoilt = exact + 1e4 * (torch.arange(1000) % 10 == 0)
    # with an exact fit the scale is so small that without the fixed image all samples are outliers, but for a few
    assert float(robust_squares(s.fixed, spoilt, s.weight)) == pytest.approx(0.1, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.floats(0, 2), st.sampled_from([torch.float32, torch.float64]))
def test_values_lie_between_0_and_1_whatever_the_unit(seed, unit, level, dtype):
    random = torch.Generator().manual_seed(seed)
    fixed, noise, position = torch.randn(3, 200, generator=random, dtype=dtype)
    weight = (position > -1).to(dtype)
    moving = unit * (fixed * level + noise**3)
    measure = RobustMeasure(fixed[None], position[:, None].tanh(), 1, 2)
    for _ in range(3):
        slope = measure(moving[None], weight)
        assert 0 <= slope.value <= 1
        assert torch.isfinite(slope.slope).all() and (slope.curvature >= 0).all()
        moving = moving + 0.1 * unit
    assert 0 <= float(robust_squares(fixed, moving, weight)) <= 1


@pytest.mark.parametrize("outside", [0.0, 0.3])
@pytest.mark.parametrize(("order", "powers"), [(0, 1), (1, 2)])
def test_robust_squares_pass_gradcheck_with_a_given_scale(sampled, outside, order, powers):
    s = sampled(60, outside)
    design = regressors(s.fixed, s.position, order, powers)
    moving = with_outliers(s).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: robust_squares(s.fixed, m, s.weight, design, scale=10.0), (moving,))


@pytest.mark.parametrize("outside", [0.0, 0.3, 0.6])
@pytest.mark.parametrize(("order", "powers"), [(0, 1), (1, 1), (0, 3)])
def test_the_measure_agrees_with_autograd_of_the_pure_function(sampled, outside, order, powers):
    s, other = sampled(900, outside), sampled(900, seed=5)
    both = torch.stack([with_outliers(s), other.moving]).requires_grad_()
    fixed = torch.stack([s.fixed, other.fixed])
    values = [
        robust_squares(f, m, s.weight, regressors(f, s.position, order, powers))
        for f, m in zip(fixed, both, strict=True)
    ]
    value = torch.stack(values).mean()
    value.backward()
    slope = RobustMeasure(fixed, s.position, order, powers)(both.detach(), s.weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-10)
    torch.testing.assert_close(slope.slope, both.grad, rtol=1e-8, atol=1e-10 * float(both.grad.abs().max()))
    assert not slope.slope[:, s.weight == 0].any()
    assert not slope.curvature[:, s.weight == 0].any()


def test_later_calls_keep_the_scale_and_come_near_a_full_fit(sampled):
    s = sampled(2000, outside=0.1)
    moving, random = with_outliers(s), torch.Generator().manual_seed(7)
    measure = RobustMeasure(s.fixed[None], s.position, 1, 1)
    measure(moving[None], s.weight)
    design = regressors(s.fixed, s.position, 1, 1)
    start = absolute_fit(design, moving, s.weight)
    scale = robust_scale(moving - design @ start, s.weight)
    later = (1.02 * moving + 2 * torch.randn(2000, generator=random, dtype=torch.float64)).requires_grad_()
    value = robust_squares(s.fixed, later, s.weight, design, scale=scale)
    value.backward()
    slope = measure(later.detach()[None], s.weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-4)
    # three rounds end near the optimum, where the loss is flat and the slope is not
    largest = float(later.grad.abs().max())
    torch.testing.assert_close(slope.slope[0], later.grad, rtol=0, atol=0.02 * largest)


def test_outliers_have_no_curvature_and_a_perfect_fit_has_that_of_least_squares(sampled):
    s = sampled(500)
    moving = s.moving + 1000 * (torch.arange(500) % 5 == 0)
    slope = RobustMeasure(s.fixed[None], s.position, 0, 1)(moving[None], s.weight)
    spoilt = torch.arange(500) % 5 == 0
    assert not slope.curvature[0, spoilt].any()
    assert slope.curvature[0, ~spoilt].all()
    jacobian = torch.randn(500, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    basis = torch.linalg.qr(regressors(s.fixed, s.position, 0, 1))[0]
    jacobian = jacobian - basis @ (basis.T @ jacobian)
    perfect = 3 * s.fixed + 20

    def value(parameters: torch.Tensor) -> torch.Tensor:
        return robust_squares(s.fixed, perfect + jacobian @ parameters, s.weight, scale=30.0)

    hessian = torch.autograd.functional.hessian(value, torch.zeros(3, dtype=torch.float64))
    measure = RobustMeasure(s.fixed[None], s.position, 0, 1)
    measure((perfect + 30 * torch.randn(500, generator=torch.Generator().manual_seed(2)))[None], s.weight)
    fit = measure.fits[0]
    weights = measure(perfect[None], s.weight).curvature[0] * (fit.cutoff / (30 * CUTOFF)) ** 2
    weights = weights * float(tukey(perfect - measure.fits[0].centre, fit.cutoff).sum())
    whole = float(tukey(perfect - perfect.mean(), 30 * CUTOFF).sum())
    ours = jacobian.T @ (weights[:, None] * jacobian) / whole
    # the centre of the values is that of the biweight, not their mean
    torch.testing.assert_close(ours, hessian, rtol=0.01, atol=1e-12)


def test_float32_samples_agree_with_float64(sampled):
    s = sampled(20_000, outside=0.1)
    moving = with_outliers(s)
    double = RobustMeasure(s.fixed[None], s.position, 2, 1)(moving[None], s.weight)
    measure = RobustMeasure(s.fixed[None].float(), s.position.float(), 2, 1)
    single = measure(moving[None].float(), s.weight.float())
    assert single.value == pytest.approx(double.value, rel=1e-4)
    torch.testing.assert_close(single.slope.double(), double.slope, rtol=0, atol=1e-3 * float(double.slope.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, -1000.0, 0.1, 1234.5])
def test_constant_images_are_not_explained(sampled, constant, dtype):
    s = sampled(300, outside=0.2)
    flat, fixed, weight = torch.full((300,), constant, dtype=dtype), s.fixed.to(dtype), s.weight.to(dtype)
    position = s.position.to(dtype)
    for one, other in ((fixed, flat), (flat, fixed), (flat, flat)):
        other = other.clone().requires_grad_()
        value = robust_squares(one, other, weight)
        value.backward()
        slope = RobustMeasure(one[None], position, 0, 1)(other.detach()[None], weight)
        assert float(value.detach()) == pytest.approx(1, abs=1e-6)
        assert slope.value == pytest.approx(1, abs=1e-6)
        assert float(slope.slope.abs().max()) < 1e-6 / float(fixed.std())
        assert torch.isfinite(other.grad).all()


def test_an_image_that_varies_by_rounding_alone_is_a_constant(sampled):
    s = sampled(300)
    fixed, weight = s.fixed.float(), s.weight.float()
    moving = torch.where(fixed > 300, 1234.5, 1234.501)  # eight units in the last place
    assert float(robust_squares(fixed, moving, weight)) == 1
    assert RobustMeasure(fixed[None], s.position.float(), 0, 1)(moving[None], weight).value == 1


def test_a_constant_between_other_images_does_not_spoil_the_fit(sampled):
    s = sampled(300)
    measure = RobustMeasure(s.fixed[None], s.position, 0, 1)
    value = measure(s.moving[None], s.weight).value
    assert measure(torch.full_like(s.moving, 5.0)[None], s.weight).value == 1
    assert measure(s.moving[None], torch.zeros_like(s.weight)).value == 1
    assert measure(s.moving[None], s.weight).value == pytest.approx(value, rel=1e-9)
