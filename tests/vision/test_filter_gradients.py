"""Gradients of filters, once and twice, to all that they take; adjoints; a kernel and a width learnt back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import filter_cases as cases
import learn_kernel
import pytest
import torch
from filter_cases import DIFFERENCES, cut_small
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import medreg
from medreg.sample import Fill
from medreg.vision.filters import (
    Border,
    Forward,
    GaussianSlope,
    Periodic,
    Slope,
    box,
    convolve,
    derivative,
    derivative_adjoint,
    filter,
    filter_adjoint,
    gaussian,
    gradient_magnitude,
    laplacian,
    laplacian_of_gaussian,
    median,
)

BORDERS = [border for name, (border, _) in cases.BORDERS.items() if name != "constant"]
SLOPES: list[Slope] = [*DIFFERENCES, GaussianSlope((0.7, 1.1))]
every_border = pytest.mark.parametrize("border", BORDERS, ids=lambda border: type(border).__name__)
every_slope = pytest.mark.parametrize("by", SLOPES, ids=lambda by: type(by).__name__)
drawn = partial(cases.drawn, learnt=True)


@every_border
@pytest.mark.parametrize(
    ("shape", "size"),
    [((5,), (3,)), ((4,), (14,)), ((3, 4), (3, 2)), ((13, 12), (12, 11)), ((3, 2, 3), (2, 3, 3))],
    ids=["1D", "banded", "2D", "Fourier", "3D"],
)
def test_slopes_to_image_and_kernel_are_those_of_differences(
    border: Border, shape: tuple[int, ...], size: tuple[int, ...]
) -> None:
    fast = len(size) == 2 and size[0] > 10  # 132 taps: along random directions only
    for function in (filter, convolve):
        assert gradcheck(lambda x, k, f=function: f(x, k, border), (drawn(*shape), drawn(*size)), fast_mode=fast)
    assert gradcheck(lambda x: filter(x, drawn(*size, learnt=False), border), drawn(*shape), fast_mode=fast)
    assert gradgradcheck(lambda x, k: filter(x, k, border), (drawn(*shape), drawn(*size)), fast_mode=True)


@every_border
def test_slopes_know_no_blocks(border: Border, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch)
    calls: list[Callable[[Tensor], Tensor]] = [
        lambda x: gaussian(x.square(), 0.8, border=border, dimension=2),
        lambda x: gaussian(x.square(), 1.7, border=border, dimension=2),
        lambda x: box(x.square(), 70, border=border, dimension=2),
        lambda x: filter(x.square(), drawn(3, 4, learnt=False), border),
    ]
    for call in calls:
        assert gradcheck(call, drawn(2, 8, 9), fast_mode=True)
        assert gradgradcheck(call, drawn(2, 8, 9), fast_mode=True)
    assert gradcheck(lambda x, k: filter(x, k, border), (drawn(8, 9), drawn(3, 4)), fast_mode=True)
    check_adjoint(lambda x: box(x, [5, 3], border=border, dimension=2), lambda y: _box_back(y, border), (8, 9))


def _box_back(image: Tensor, border: Border) -> Tensor:
    return filter_adjoint(image, torch.full((3, 5), 1 / 15, dtype=torch.float64), border)


def test_a_fill_gets_its_slope() -> None:
    value = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    separable = torch.tensor([[1.0, 2.0, 1.0]] * 3, dtype=torch.float64)
    for kernel in (drawn(3, 2), separable):
        assert gradcheck(lambda x, k, v: filter(x, k, Fill(v)), (drawn(2, 3, 4), kernel, value))
    assert gradcheck(lambda x, v: gaussian(x, 1.0, border=Fill(v), dimension=1), (drawn(2, 4), value))
    assert gradcheck(lambda x, v: median(x, 3, border=Fill(v), dimension=1), (drawn(2, 4), value))


@every_border
def test_slopes_to_image_and_width_are_those_of_differences(border: Border) -> None:
    sigma = torch.tensor([0.8, 1.3], dtype=torch.float64, requires_grad=True)  # far from where the length jumps
    calls: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda x, s: gaussian(x, s, border=border, dimension=2),
        lambda x, s: gaussian(x, s, order=[1, 2], border=border, dimension=2),
        lambda x, s: laplacian_of_gaussian(x, s, border=border, dimension=2),
        lambda x, s: gradient_magnitude(x, GaussianSlope(s), border=border, dimension=2),
        lambda x, s: derivative(x, 1, GaussianSlope(s), border=border, dimension=2),
    ]
    for call in calls:
        assert gradcheck(call, (drawn(4, 5), sigma))


@every_border
def test_slopes_to_the_image_are_those_of_differences(border: Border) -> None:
    for by in SLOPES:
        assert gradcheck(lambda x, b=by: derivative(x, 0, b, border=border, dimension=2), drawn(4, 5))
    calls: list[Callable[[Tensor], Tensor]] = [
        lambda x: box(x, [2, 3], border=border, dimension=2),
        lambda x: median(x, 3, border=border, dimension=2),
        lambda x: laplacian(x, border=border, dimension=2),
        lambda x: gradient_magnitude(x, border=border, dimension=2),
    ]
    for call in calls:
        assert gradcheck(call, drawn(4, 5))


def test_a_median_sends_its_slope_to_the_voxel_that_it_chose() -> None:
    image = torch.tensor([5.0, 1.0, 3.0, 9.0, 2.0], requires_grad=True)
    median(image, 5, dimension=1)[2].backward()
    assert image.grad is not None
    assert image.grad.tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_flat_images_have_a_slope_of_0_through_the_magnitude() -> None:
    image = torch.ones(4, 5, requires_grad=True)
    gradient_magnitude(image, dimension=2).sum().backward()
    assert image.grad is not None
    assert torch.equal(image.grad, torch.zeros(4, 5))


def check_adjoint(
    forward: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    """<A x, y> = <x, A' y> to rounding, and A' is what autograd takes."""
    x, y = drawn(*shape), drawn(*shape, seed=9, learnt=False)
    out = forward(x)
    (slope,) = torch.autograd.grad((out * y).sum(), x)
    x, out, found = x.detach(), out.detach(), back(y)
    scale = float(out.norm() * y.norm())
    assert abs(float((out * y).sum() - (x * found).sum())) <= 1e-14 * scale
    assert float((found - slope).abs().max()) <= 1e-13 * float(slope.abs().max())


@every_border
@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(
    ("shape", "size"),
    [((7,), (4,)), ((3,), (11,)), ((6, 7), (4, 3)), ((20, 21), (16, 15)), ((4, 5, 6), (3, 4, 5))],
    ids=str,
)
def test_the_adjoint_of_a_filter_is_its_adjoint(
    border: Border, separable: bool, shape: tuple[int, ...], size: tuple[int, ...]
) -> None:
    kernel = drawn(*size, seed=1, learnt=False)
    if separable:
        kernel = torch.stack([n * drawn(*size[1:], seed=2, learnt=False) for n in drawn(size[0], learnt=False)])
    check_adjoint(lambda x: filter(x, kernel, border), lambda y: filter_adjoint(y, kernel, border), shape)
    assert gradcheck(lambda y, k: filter_adjoint(y, k, border), (drawn(*shape), drawn(*size)), fast_mode=True)


@every_border
@every_slope
@pytest.mark.parametrize("axis", [0, 1])
def test_the_adjoint_of_a_difference_is_its_adjoint(border: Border, by: Slope, axis: int) -> None:
    check_adjoint(
        lambda x: derivative(x, axis, by, border=border, dimension=2),
        lambda y: derivative_adjoint(y, axis, by, border=border, dimension=2),
        (2, 6, 5),
    )


def test_the_adjoint_of_a_forward_difference_is_no_constant() -> None:
    # DiffImages.jl's rule for `fdiff` returned the incoming slope, unchanged and everywhere
    slope = torch.tensor([1.0, 1.0, 1.0, 1.0])
    found = derivative_adjoint(slope, 0, Forward(), border=Periodic(), dimension=1)
    assert found.tolist() == [0.0, 0.0, 0.0, 0.0]
    uneven = torch.tensor([1.0, 2.0, 4.0, 8.0])
    found = derivative_adjoint(uneven, 0, Forward(), border=Periodic(), dimension=1)
    assert found.tolist() == [7.0, -1.0, -2.0, -4.0]


@pytest.mark.parametrize("border", [*BORDERS, Fill(0.7)], ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_kernel_is_learnt_back_from_what_it_gave(border: Border, seed: int) -> None:
    image, truth = drawn(32, 32, seed=seed, learnt=False), drawn(5, 5, seed=seed + 10, learnt=False)
    seen, kernel = filter(image, truth, border), torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([kernel], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = (filter(image, kernel, border) - seen).square().mean()
        value.backward()
        return value

    descent.step(loss)
    assert float((kernel.detach() - truth).abs().max()) < 1e-3


def test_a_width_is_learnt_back_from_what_it_gave() -> None:
    image = drawn(1, 24, 24, 24, learnt=False)
    seen = gaussian(image, [1.1, 2.0, 0.7])
    log_sigma = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.Adam([log_sigma], lr=0.05)
    for _ in range(150):
        descent.zero_grad()
        (gaussian(image, log_sigma.exp()) - seen).square().mean().backward()
        descent.step()
    assert log_sigma.exp().tolist() == pytest.approx([1.1, 2.0, 0.7], abs=0.01)  # voxels


def test_the_example_learns_a_kernel_and_shows_it(
    tmp_path: Path, told: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = learn_kernel.learn()
    assert learnt.worst < 1e-3
    assert learnt.losses[-1] < 1e-6 * learnt.losses[0]
    printed = told(learn_kernel, "--out", tmp_path / "picture.png")
    assert "largest error of a tap" in printed
    picture = medreg.read_image(tmp_path / "picture.png").data[0].float()
    side, gap = learn_kernel.SIDE * learn_kernel.ENLARGED, learn_kernel.GAP
    tiles = [picture[:, k * (side + gap) :][:, :side] for k in range(4)]
    assert picture.shape == (side, 4 * side + 3 * gap)
    given, seen, truth, found = tiles
    assert float((given - seen).abs().mean()) > 10  # grey values: the filter did something
    assert float((truth - found).abs().max()) <= 1
    assert float(truth.std()) > 20
