"""Images from measurements of them: closed forms of what is least, what gaps and units mean, and clear errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import DeviceError, ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.optimise.record import Outcome
from medreg.optimise.tensors import Look, Method
from medreg.vision.filters import Edge, filter, filter_adjoint, gaussian
from medreg.vision.inverse import (
    LBFGS,
    SGD,
    Adam,
    ClipNorm,
    ClipValue,
    Descent,
    RMSprop,
    Smoothness,
    TotalVariation,
    Within,
    adjoint,
    restore,
    restore_to_noise,
)

OBLIQUE = Grid((9, 7), (2.0, 0.5), (-30.0, 12.0), ((0.6, -0.8), (0.8, 0.6)))
LONG = Descent(evaluations=2000, gain=0.0, window=200)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pictures(side: int = 32) -> Tensor:
    """(1, side, side) two discs and a bar, 0 to 1."""
    y, x = torch.meshgrid(*[torch.arange(side, dtype=torch.float64)] * 2, indexing="ij")
    disc = ((x - 0.35 * side) ** 2 + (y - 0.4 * side) ** 2 < (0.22 * side) ** 2).double()
    small = ((x - 0.7 * side) ** 2 + (y - 0.65 * side) ** 2 < (0.12 * side) ** 2).double()
    bar = ((y > 0.8 * side) & (y < 0.9 * side) & (x > 0.15 * side) & (x < 0.6 * side)).double()
    return (0.6 * disc + small + 0.8 * bar)[None]


def rms(one: Tensor, other: Tensor) -> float:
    return float((one - other).square().mean().sqrt())


@pytest.mark.parametrize("gaps", [False, True])
def test_with_a_quadratic_prior_the_least_is_that_of_the_normal_equations(gaps: bool) -> None:
    kernel = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    line, weight = noise(1, 12), 0.3
    if gaps:
        line[0, [2, 3, 9]] = torch.nan
    found = restore(
        line, lambda x: filter(x, kernel, Edge()), noise(1, 12, seed=1), [Smoothness(weight)], LONG, dimension=1
    )

    matrix = np.stack([filter(row, kernel, Edge()).numpy() for row in torch.eye(12, dtype=torch.float64)[:, None]], 0)[
        :, 0
    ].T
    known = np.isfinite(line[0].numpy())
    slopes = np.diff(np.eye(12), axis=0)
    left = matrix[known].T @ matrix[known] / known.sum() + weight * slopes.T @ slopes / 12
    exact = np.linalg.solve(left, matrix[known].T @ line[0].numpy()[known] / known.sum())
    np.testing.assert_allclose(found.image[0].numpy(), exact, atol=1e-6)
    assert found.misfit == pytest.approx(np.sqrt(np.mean((matrix @ exact - line[0].numpy())[known] ** 2)), rel=1e-5)


def test_total_variation_moves_two_plateaus_towards_each_other_by_what_theory_says() -> None:
    # the least of sum (u - y)^2 + w |step|: each plateau moves by w / 2 over its number of pixels (Rudin 1992)
    line = torch.tensor([[0.0] * 4 + [1.0] * 6], dtype=torch.float64)
    weight = 0.8
    found = restore(line, lambda x: x, line, [TotalVariation(weight, knee=1e-5)], LONG, dimension=1).image[0]
    expected = torch.tensor([weight / 2 / 4] * 4 + [1 - weight / 2 / 6] * 6, dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)  # the knee bends the corner


def test_a_range_pulls_values_in_and_leaves_those_inside_alone() -> None:
    line = torch.tensor([[-1.0, 0.2, 0.9, 4.0]], dtype=torch.float64)
    found = restore(line, lambda x: x, line, [Within(0.1, 1.0, weight=3.0)], LONG, dimension=1).image
    # (u - y)^2 + 3 (u - edge)^2 is least at (y + 3 edge) / 4
    torch.testing.assert_close(found, torch.tensor([[-0.175, 0.2, 0.9, 1.75]], dtype=torch.float64), atol=1e-6, rtol=0)


def test_slopes_of_priors_are_per_millimetre_along_the_axes_of_the_image() -> None:
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    ramp = (3.0 * x + 0.5 * y).double()[None]
    spacing = OBLIQUE.spacing  # 2 mm along x, 0.5 along y: slopes of 1.5 and 1 per mm
    inside = (
        math.hypot(1.5, 1.0) * 6 * 8 + 1.5 * 8 + 1.0 * 6
    )  # the last row and column have one of the two, the corner none
    assert float(TotalVariation(2.0, knee=1e-9)(ramp, spacing)) == pytest.approx(2.0 * inside / 63, rel=1e-6)
    squares = (1.5**2 + 1) * 6 * 8 + 1.5**2 * 8 + 1.0 * 6
    assert float(Smoothness(2.0)(ramp, spacing)) == pytest.approx(2.0 * squares / 63, rel=1e-12)


def test_an_image_is_restored_in_its_place_as_its_tensor_is_with_that_spacing() -> None:
    values = noise(1, 7, 9)
    image = MedImage.on(OBLIQUE, values)
    prior = Smoothness(0.4)
    found = restore(image, lambda x: gaussian(x, 0.7), image, [prior], LONG)
    assert found.image.grid == OBLIQUE
    bare = restore(
        values,
        lambda x: gaussian(MedImage.on(OBLIQUE, x), 0.7).data,
        values,
        [lambda x, _: prior(x, OBLIQUE.spacing)],
        LONG,
        dimension=2,
    )
    torch.testing.assert_close(found.image.data, bare.image, atol=1e-9, rtol=0)


@pytest.mark.parametrize("prior", [TotalVariation(0.7, 0.1), Smoothness(0.7), Within(-0.3, 0.4, 0.7)])
def test_priors_have_the_slopes_of_finite_differences(prior: Callable[..., Tensor]) -> None:
    flat = noise(2, 4, 5)
    flat[0, 1:3] = 0.25  # where nothing changes, too
    assert torch.autograd.gradcheck(lambda x: prior(x, (0.7, 1.3)), flat.requires_grad_())
    assert torch.autograd.gradcheck(lambda x: prior(x, (0.7, 1.3, 2.0)), noise(1, 3, 4, 3).requires_grad_())


@pytest.mark.parametrize("method", [LBFGS(), Adam(0.1), RMSprop(0.01), SGD(900.0)])
def test_every_rule_sharpens_a_blurred_picture(method: Method) -> None:
    truth = pictures()
    seen = gaussian(truth, 1.0, dimension=2)
    found = restore(seen, lambda x: gaussian(x, 1.0, dimension=2), seen, (), Descent(method, gain=0.0), dimension=2)
    assert rms(found.image, truth) < 0.5 * rms(seen, truth)  # 6 dB
    assert found.misfit < 0.05 * rms(seen, gaussian(seen, 1.0, dimension=2))


@pytest.mark.parametrize("clip", [ClipNorm(1e-4), ClipValue(1e-8)])
def test_a_rate_a_hundred_times_too_high_diverges_and_with_a_clip_it_sharpens(clip: ClipNorm | ClipValue) -> None:
    truth = pictures()
    seen = gaussian(truth, 1.0, dimension=2)
    blur = lambda x: gaussian(x, 1.0, dimension=2)  # noqa: E731
    good, wild = SGD(900.0), SGD(90_000.0)
    wanted = restore(seen, blur, seen, (), Descent(good, gain=0.0), dimension=2)
    lost = restore(seen, blur, seen, (), Descent(wild, gain=0.0, window=500), dimension=2)
    assert lost.outcome is Outcome.DIVERGED
    torch.testing.assert_close(lost.image, seen)  # the best that it saw
    found = restore(seen, blur, seen, (), Descent(wild, clip=clip, fade=0.0, gain=0.0, window=500), dimension=2)
    assert found.outcome is Outcome.STEPS_SPENT
    assert rms(found.image, truth) < 1.2 * rms(wanted.image, truth)


def test_the_watch_sees_every_evaluation_and_the_loss_falls() -> None:
    seen: list[Look] = []
    line = noise(1, 8)
    found = restore(line, lambda x: x, torch.zeros_like(line), watch=seen.append, dimension=1)
    assert tuple(seen) == found.looks
    assert seen[0].value == pytest.approx(float(line.square().mean()), rel=1e-12)
    assert min(look.value for look in seen) < 1e-12


def test_inside_no_grad_it_works_too() -> None:
    line = noise(1, 8)
    with torch.no_grad():
        found = restore(line, lambda x: x, torch.zeros_like(line), dimension=1)
    torch.testing.assert_close(found.image, line, atol=1e-6, rtol=0)


def test_the_start_is_not_written_to_and_integers_become_floating_point() -> None:
    start = torch.zeros(1, 8, dtype=torch.int16)
    found = restore(torch.ones(1, 8), lambda x: x, start, dimension=1)
    assert start.abs().sum() == 0
    assert found.image.dtype == torch.float32
    torch.testing.assert_close(found.image, torch.ones(1, 8), atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", [LBFGS(), Adam(0.05)])
def test_small_values_are_restored_as_well_as_large_ones(method: Method) -> None:
    truth, small = pictures(), 1e-5
    seen = gaussian(truth, 1.0, dimension=2) + 0.02 * noise(1, 32, 32)

    def of(unit: float) -> tuple[Tensor, int]:
        how = Descent(Adam(unit * method.rate) if isinstance(method, Adam) else method)
        prior = TotalVariation(unit * 0.01, unit * 0.03)
        found = restore(unit * seen, lambda x: gaussian(x, 1.0, dimension=2), 0 * seen, [prior], how, dimension=2)
        return found.image / unit, len(found.looks)

    (large, count), (little, counted) = of(1.0), of(small)
    torch.testing.assert_close(little, large, atol=0.01, rtol=0)  # of 1: both end a little before the least
    assert counted < 1.3 * count


def test_complex_measurements_serve_as_real_ones() -> None:
    truth = pictures()
    spectrum = torch.fft.fft2(truth) / 32
    frequency = torch.fft.fftfreq(32)
    gaps = (frequency[:, None].square() + frequency.square()).sqrt() > 0.3
    seen = spectrum.masked_fill(gaps, torch.nan)
    found = restore(seen, lambda x: torch.fft.fft2(x) / 32, torch.zeros_like(truth), dimension=2)
    lowpass = torch.fft.ifft2(32 * spectrum.masked_fill(gaps, 0)).real  # nothing tells of the rest: it stays 0
    torch.testing.assert_close(found.image, lowpass, atol=1e-4, rtol=0)
    stuck = restore(seen, lambda x: torch.fft.fft2(0 * x) / 32, torch.zeros_like(truth), dimension=2)
    assert stuck.misfit == pytest.approx(float(spectrum[~gaps.expand_as(spectrum)].abs().square().mean().sqrt()))


def test_a_batch_is_restored_through_what_takes_a_batch() -> None:
    images = [MedImage.on(OBLIQUE, noise(1, 7, 9, seed=seed)) for seed in (0, 1)]
    batch = MedImageBatch.stack(images)
    found = restore(batch, lambda x: gaussian(x, 0.4), batch, [Smoothness(0.4)], LONG).image
    assert found.grids == batch.grids
    for one, image in zip(found, images, strict=True):
        alone = restore(image, lambda x: gaussian(x, 0.4), image, [Smoothness(0.4)], LONG).image
        torch.testing.assert_close(one.data, alone.data, atol=1e-6, rtol=0)


def test_the_adjoint_of_a_filter_is_its_adjoint() -> None:
    kernel, image, given = noise(3, 5), noise(2, 8, 9, seed=1), noise(2, 8, 9, seed=2)
    found = adjoint(lambda x: filter(x, kernel, Edge()), given, image, dimension=2)
    torch.testing.assert_close(found, filter_adjoint(given, kernel, Edge()), atol=1e-12, rtol=0)
    with torch.no_grad():
        again = adjoint(
            lambda x: filter(x, kernel, Edge()), given, MedImage.on(Grid.regular((9, 8), (1.0, 1.0)), image)
        )
    torch.testing.assert_close(again.data, found)


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        (
            {"measured": torch.zeros(1, 5)},
            UsageError,
            r"makes \(1, 6\) of an image of \(1, 6\), but \(1, 5\) was measured",
        ),
        ({"measured": torch.full((1, 6), torch.nan)}, ImageError, "holds no finite value"),
        ({"start": torch.full((1, 6), torch.inf)}, ImageError, "the start holds values that are not finite"),
        ({"through": lambda x: x.detach()}, UsageError, "no gradient to the image"),
        ({"through": lambda x: 3.0}, UsageError, "a tensor or an image, got float 3.0"),
        ({"measured": [1.0]}, UsageError, "a tensor or an image, got list"),
        ({"dimension": 4}, UsageError, "dimension"),
        ({"through": lambda x: x.to("meta")}, DeviceError, r"measured: is on cpu, .* on meta; move one with .to"),
        ({"priors": Smoothness(1.0)}, UsageError, r"priors: takes a list of them, .* got Smoothness"),
        ({"priors": [1.0]}, UsageError, "priors: takes a list of them"),
        ({"priors": [lambda x, _: x.abs()]}, UsageError, r"priors: each gives one number .* of shape \(1, 6\)"),
        ({"descent": Adam()}, UsageError, r"descent: takes Descent\(...\), got Adam"),
    ],
)
def test_what_does_not_fit_is_told(wrong: dict[str, object], error: type[Exception], told: str) -> None:
    right: dict[str, object] = {
        "measured": torch.zeros(1, 6),
        "through": lambda x: x,
        "start": torch.zeros(1, 6),
        "dimension": 1,
    }
    with pytest.raises(error, match=told):
        restore(**{**right, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prior", "told"),
    [
        (lambda: TotalVariation(-1.0, 0.1), "TotalVariation: takes a weight above 0, got -1.0"),
        (lambda: TotalVariation(1.0, 0.0), "a knee above 0"),
        (lambda: Smoothness(math.nan), "Smoothness: takes a weight above 0"),
        (lambda: Within(1.0, 1.0), "low below high"),
        (lambda: Within(0.0, 1.0, 0.0), "Within: takes a weight above 0"),
    ],
)
def test_priors_refuse_numbers_out_of_range(prior: Callable[[], object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        prior()


def lines(steps: int = 4, sigma: float = 0.1) -> tuple[Tensor, Tensor]:
    """A staircase of 200 pixels, and it with noise."""
    truth = torch.repeat_interleave(torch.tensor([0.2, 0.9, 0.4, 0.7], dtype=torch.float64)[:steps], 200 // steps)
    return truth, truth + sigma * noise(200)


@pytest.mark.parametrize("first", [1e-6, 1.0, 1e6])
def test_the_weight_is_found_at_which_the_misfit_is_the_noise(first: float) -> None:
    truth, seen = lines()

    def prior(weight: float) -> TotalVariation:  # in another unit of weight, so that the search starts elsewhere
        return TotalVariation(first * weight, 0.02)

    found, weight = restore_to_noise(seen, lambda x: x, seen, 0.1, prior, dimension=1)
    assert abs(found.misfit - 0.097) < 0.0015  # a hundredth of the noise, and what the last descent goes further
    assert rms(found.image, truth) < 0.4 * rms(seen, truth)
    alone = restore(seen, lambda x: x, seen, [prior(weight)], dimension=1)
    assert alone.misfit == pytest.approx(found.misfit, rel=0.01)  # the weight is that of the image that came back


def test_where_no_weight_explains_the_measurements_the_best_fit_comes_back() -> None:
    _, seen = lines()

    def half(x: Tensor) -> Tensor:  # sees means of two only
        return x.view(-1, 2).mean(1).repeat_interleave(2)

    found, _ = restore_to_noise(seen, half, seen, 0.01, lambda w: TotalVariation(w, 0.02), dimension=1)
    assert found.misfit == pytest.approx(rms(seen, half(seen)), rel=1e-3)


def test_a_noise_that_is_not_above_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="noise: takes a standard deviation above 0, got 0"):
        restore_to_noise(noise(1, 4), lambda x: x, noise(1, 4), 0, Smoothness, dimension=1)


def test_a_prior_whose_weight_is_set_already_is_refused_and_one_outside_a_list() -> None:
    with pytest.raises(UsageError, match="prior: takes a function from a weight to a prior, .* got Smoothness"):
        restore_to_noise(noise(1, 4), lambda x: x, noise(1, 4), 1.0, Smoothness(1.0), dimension=1)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="priors: takes a list of them, .* got Within"):
        restore_to_noise(noise(1, 4), lambda x: x, noise(1, 4), 1.0, Smoothness, Within(0.0), dimension=1)  # type: ignore[arg-type]
