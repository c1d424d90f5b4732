"""The loop for tensors: each rule finds a minimum that is known, clips tame it, and the best is kept."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.optimise.record import Outcome
from medreg.optimise.tensors import LBFGS, SGD, Adam, ClipNorm, ClipValue, Descent, Look, Method, RMSprop, descend

MATRIX = torch.tensor([[3.0, 1.0], [1.0, 0.6]], dtype=torch.float64)  # curvatures 3.36 and 0.24
RIGHT = torch.tensor([1.0, -2.0], dtype=torch.float64)
MINIMUM = torch.linalg.solve(MATRIX, RIGHT)


def bowl(x: Tensor) -> Tensor:
    return 0.5 * x @ MATRIX @ x - RIGHT @ x


def run(
    how: Descent, loss: Callable[[Tensor], Tensor] = bowl, start: tuple[float, ...] = (4.0, 3.0)
) -> tuple[Tensor, list[Look], Outcome]:
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)

    def evaluate() -> float:
        value = loss(x)
        value.backward()
        return float(value.detach())

    *looks, outcome = descend([x], evaluate, how)
    assert isinstance(outcome, Outcome)
    return x.detach(), [look for look in looks if isinstance(look, Look)], outcome


@pytest.mark.parametrize("method", [Adam(0.5), RMSprop(0.3), SGD(0.2), SGD(0.5, momentum=0.0), LBFGS()])
def test_every_rule_finds_the_minimum_of_a_bowl(method: Method) -> None:
    found, looks, _ = run(Descent(method, evaluations=400, gain=0.0, window=100))
    least = float(bowl(MINIMUM))
    assert float(bowl(found)) - least < 1e-4 * (looks[0].value - least)
    torch.testing.assert_close(found, MINIMUM, atol=0.05, rtol=0)


def test_lbfgs_finds_the_end_of_a_bent_valley() -> None:
    def banana(x: Tensor) -> Tensor:  # Rosenbrock's: the minimum is at (1, 1)
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    found, looks, _ = run(Descent(gain=0.0), banana, (-1.2, 1.0))
    torch.testing.assert_close(found, torch.ones(2, dtype=torch.float64), atol=1e-6, rtol=0)
    assert len(looks) < 100


@pytest.mark.parametrize("method", [LBFGS(), Adam(0.5), RMSprop(0.3)])
@pytest.mark.parametrize("unit", [1e-12, 1e8])
def test_the_unit_of_the_loss_does_not_matter(method: Method, unit: float) -> None:
    how = Descent(method, evaluations=100, gain=1e-9)
    found, looks, outcome = run(how)
    again, others, ended = run(how, lambda x: unit * bowl(x))
    torch.testing.assert_close(again, found, atol=1e-5, rtol=0)  # of numbers near 1; what eps and rounding make
    assert (len(others), ended) == (len(looks), outcome)
    assert others[0].slope == pytest.approx(unit * looks[0].slope, rel=1e-12)


@pytest.mark.parametrize("unit", [1e-6, 1e3])
def test_lbfgs_needs_no_more_evaluations_where_numbers_are_small(unit: float) -> None:
    how = Descent(gain=1e-9)
    found, looks, _ = run(how)
    again, others, _ = run(how, lambda x: unit**2 * bowl(x / unit), (4.0 * unit, 3.0 * unit))
    torch.testing.assert_close(again / unit, found, atol=1e-3, rtol=0)  # of numbers near 1
    assert len(others) < len(looks) + 10  # the first line search goes a longer way


@pytest.mark.parametrize("clip", [ClipNorm(0.05), ClipValue(0.05)])
def test_a_rate_a_hundred_times_too_high_diverges_and_a_clip_brings_it_home(clip: ClipNorm | ClipValue) -> None:
    good, wild = SGD(0.2, momentum=0.0), SGD(20.0, momentum=0.0)
    fine, looks, _ = run(Descent(good, evaluations=300, gain=0.0, window=300))
    start, seen, outcome = run(Descent(wild, evaluations=300, gain=0.0, window=300))
    assert outcome is Outcome.DIVERGED
    assert seen[-1].value > 1e100
    assert start.tolist() == [4.0, 3.0]  # nothing better was seen
    found, _, _ = run(Descent(wild, evaluations=300, clip=clip, fade=0.0, gain=0.0, window=300))
    least = float(bowl(MINIMUM))
    assert float(bowl(found)) - least < 0.01 * (looks[0].value - least)
    torch.testing.assert_close(fine, MINIMUM, atol=0.01, rtol=0)  # the clipped run is no worse by much


def test_a_look_tells_the_loss_and_the_length_of_the_slope_before_the_clip() -> None:
    _, looks, _ = run(Descent(SGD(0.1), evaluations=3, clip=ClipNorm(1e-3)))
    x = torch.tensor([4.0, 3.0], dtype=torch.float64)
    assert [look.number for look in looks] == [0, 1, 2, 3]
    assert looks[0].value == pytest.approx(float(bowl(x)), rel=1e-14)
    assert looks[0].slope == pytest.approx(float((MATRIX @ x - RIGHT).norm()), rel=1e-14)


@pytest.mark.parametrize(
    ("clip", "step"),
    [
        (ClipNorm(0.5), (-0.3, 0.4)),
        (ClipValue(0.5), (-0.5, 0.5)),
        (ClipNorm(6.0), (-3.0, 4.0)),
        (None, (-3.0, 4.0)),
    ],
)
def test_a_clip_shortens_the_slope_or_cuts_its_numbers(
    clip: ClipNorm | ClipValue | None, step: tuple[float, float]
) -> None:
    slope = torch.tensor([3.0, -4.0], dtype=torch.float64)
    found, _, _ = run(Descent(SGD(1.0, momentum=0.0), evaluations=1, clip=clip), lambda x: x @ slope, (0.0, 0.0))
    assert found.tolist() == pytest.approx(step)


def test_the_rate_fades_along_half_a_cosine() -> None:
    found, _, _ = run(Descent(SGD(1.0, momentum=0.0), evaluations=10, fade=0.2), lambda x: x.sum(), (0.0,))
    rates = [0.2 + 0.8 * (1 + math.cos(math.pi * k / 10)) / 2 for k in range(10)]
    assert float(found) == pytest.approx(-sum(rates), rel=1e-12)


def test_the_best_that_was_seen_is_left() -> None:
    found, looks, _ = run(Descent(SGD(0.55, momentum=0.9), evaluations=7, fade=1.0, gain=0.0))
    values = [look.value for look in looks]
    assert values[-1] > min(values)  # it overshot
    assert float(bowl(found)) == min(values)


def test_it_ends_when_a_window_brings_too_little() -> None:
    creeping = Descent(SGD(1e-9, momentum=0.0), evaluations=100, window=5, gain=1e-3)
    _, looks, outcome = run(creeping)
    assert outcome is Outcome.FLAT
    assert len(looks) == 6
    any_gain = Descent(SGD(1e-9, momentum=0.0), evaluations=100, window=5, gain=0.0)
    _, looks, outcome = run(any_gain)
    assert outcome is Outcome.STEPS_SPENT
    assert len(looks) == 101


@pytest.mark.parametrize("method", [Adam(), LBFGS()])
def test_it_ends_where_the_evaluation_says_so(method: Method) -> None:
    x = torch.zeros(2, requires_grad=True)

    def evaluate() -> float | Outcome:
        if float(x.detach().abs().max()) > 0:
            return Outcome.NO_OVERLAP
        x.grad = torch.ones(2)
        return 1.0

    look, outcome = descend([x], evaluate, Descent(method))
    assert isinstance(look, Look)
    assert (look.number, look.value, outcome) == (0, 1.0, Outcome.NO_OVERLAP)
    assert look.slope == pytest.approx(math.sqrt(2), rel=1e-6)  # float32
    assert x.tolist() == [0.0, 0.0]


def test_a_slope_that_is_not_finite_ends_it_though_the_loss_is() -> None:
    _, looks, outcome = run(Descent(SGD(1.0)), lambda x: (x - 4.0).clamp(min=0).sqrt().sum(), (4.0,))
    assert outcome is Outcome.DIVERGED
    assert looks == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"method": Adam(0.0)}, "rate: takes a number above 0, got 0.0"),
        ({"method": SGD(math.nan)}, "rate"),
        ({"method": Adam(), "clip": ClipNorm(0.0)}, "clip: takes a limit above 0, got 0.0"),
        ({"clip": ClipNorm(1.0)}, "clip: serves Adam, RMSprop and SGD"),
        ({"method": Adam}, r"method: takes LBFGS\(\), .*, got <class"),
        ({"method": "adam"}, r"method: takes LBFGS\(\), Adam\(rate\), .*, got 'adam'"),
        ({"method": Adam(), "clip": 1.0}, r"clip: takes ClipNorm\(limit\), .*, got 1.0"),
        ({"method": SGD(1.0, momentum=1.0)}, "momentum: takes a number from 0 to below 1, got 1.0"),
        ({"method": LBFGS(0)}, "memory: takes a whole number, 1 or more, got 0"),
        ({"evaluations": 0}, "evaluations=0"),
        ({"fade": 1.5}, "fade=1.5"),
        ({"window": 0}, "window=0"),
        ({"gain": -1.0}, "gain=-1.0"),
    ],
)
def test_numbers_out_of_range_are_told(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Descent(**wrong)  # type: ignore[arg-type]
