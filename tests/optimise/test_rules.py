"""Rules that turn gradients into steps: textbook formulas, torch's optimisers, quadratics that they must minimise."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch

from medreg.optimise.problem import Evaluation
from medreg.optimise.record import Outcome
from medreg.optimise.rules import LBFGS, FirstOrder, GaussNewton, clipped, remember, shortened, two_loop

RULES = {
    "gauss_newton": GaussNewton,
    "lbfgs": LBFGS,
    "adam": lambda: FirstOrder.adam(0.3),
    "rmsprop": lambda: FirstOrder.rmsprop(0.1),
    "sgd": lambda: FirstOrder.sgd(5.0, 0.9),
}
"""Each with the recipe's default settings."""


def evaluation(gradient: np.ndarray, curvature: np.ndarray | None = None) -> Evaluation:
    """At some value, wholly inside."""
    return Evaluation(1.0, gradient, np.eye(len(gradient)) if curvature is None else curvature, 1.0)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_two_loop_is_the_explicit_bfgs_update_of_the_inverse(count):
    random = np.random.default_rng(0)
    factor = random.standard_normal((5, 5))
    hessian = factor @ factor.T + np.eye(5)
    pairs = [(s, hessian @ s) for s in random.standard_normal((count, 5))]
    first = np.diag(random.uniform(0.5, 2, 5))
    inverse = first
    for s, y in pairs:  # Nocedal and Wright 2006, eq. 6.17
        left = np.eye(5) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    gradient = random.standard_normal(5)
    np.testing.assert_allclose(two_loop(gradient, pairs, first), inverse @ gradient, rtol=1e-10)


def test_two_loop_leaves_the_gradient_alone():
    gradient = np.ones(2)
    two_loop(gradient, [(np.array([1.0, 0.5]), np.array([2.0, 1.0]))], np.eye(2))
    assert np.array_equal(gradient, np.ones(2))


@pytest.mark.parametrize("bends", [[1.0] * 6, [1.0, 2.0, 3.0, 5.0, 8.0, 10.0], [1.0, 1.0, 1.0, 30.0, 100.0, 100.0]])
@pytest.mark.parametrize("name", RULES)
def test_every_rule_brings_a_quadratic_below_one_percent_of_its_start(quadratic, run, name, bends):
    accepted, _ = run(quadratic(bends), [0.0, 4, -2, 5, 3.5, 1], RULES[name](), steps=400)
    assert accepted[-1].evaluation.value < 0.01 * accepted[0].evaluation.value


@pytest.mark.parametrize("name", ["gauss_newton", "lbfgs"])
def test_second_order_rules_reach_the_minimum_of_a_very_ill_conditioned_quadratic(quadratic, run, name):
    accepted, outcome = run(quadratic([1.0, 10.0, 1e3, 1e5]), [0.0, 4, -2, 5], RULES[name](), tolerance_mm=1e-4)
    assert outcome is Outcome.CONVERGED
    np.testing.assert_allclose(accepted[-1].matrix, 3, atol=1e-2)  # mm


def test_gauss_newton_needs_three_steps_where_its_curvature_is_true(quadratic, run):
    accepted, outcome = run(quadratic([1.0, 10.0, 1000.0]), [0.0, 4, 5], GaussNewton(), tolerance_mm=1e-2)
    assert outcome is Outcome.CONVERGED
    assert len(accepted) <= 4  # with the start


def test_past_steps_correct_a_curvature_that_bends_too_sharply(quadratic, run):
    bends = [1.0, 2.0, 5.0]
    problem = quadratic(bends, curvature=30 * np.diag(bends[::-1]))
    corrected, _ = run(problem, [0.0, 4, 5], GaussNewton(), steps=16)
    creeping, _ = run(problem, [0.0, 4, 5], GaussNewton(memory=0), steps=16)
    assert corrected[-1].evaluation.value < 1e-3 * corrected[0].evaluation.value
    assert creeping[-1].evaluation.value > 0.05 * creeping[0].evaluation.value


def test_gauss_newton_forgets_a_correction_that_would_climb():
    rule = GaussNewton()
    rule.pairs.append((np.array([1.0, 0.0]), np.array([-1.0, 0.0])))  # a fold: no such pair is remembered by itself
    step = rule.propose(evaluation(np.array([1.0, 0.0])))
    assert step[0] < 0
    assert not rule.pairs


def test_gauss_newton_damps_more_after_each_refusal():
    rule = GaussNewton()
    lengths = []
    for _ in range(4):
        lengths.append(np.linalg.norm(rule.propose(evaluation(np.array([1.0, -2.0])))))
        rule.shrink()
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < 0.6 * lengths[0]


def test_gauss_newton_bears_parameters_that_change_nothing():
    step = GaussNewton().propose(evaluation(np.array([1.0, 0.0]), np.diag([2.0, 0.0])))
    np.testing.assert_allclose(step, [-0.5, 0], rtol=0.01)
    assert np.array_equal(GaussNewton().propose(evaluation(np.zeros(2), np.zeros((2, 2)))), np.zeros(2))


@pytest.mark.parametrize("rule", [GaussNewton(longest_mm=2.0), LBFGS(longest_mm=0.5)], ids=["gauss_newton", "lbfgs"])
def test_no_step_is_longer_than_the_longest(rule):
    step = rule.propose(evaluation(np.array([1e6, -1e5, 3.0])))
    assert np.abs(step).max() == pytest.approx(rule.longest_mm)
    assert step[0] / step[1] == pytest.approx(-10)


def test_lbfgs_starts_with_a_millimetre_and_quarters_refused_steps():
    rule = LBFGS()
    here = evaluation(np.array([300.0, 400.0]))
    np.testing.assert_allclose(rule.propose(here), [-0.6, -0.8])
    rule.shrink()
    np.testing.assert_allclose(rule.propose(here), [-0.15, -0.2])
    rule.learn(np.array([-0.15, -0.2]), here, evaluation(np.array([150.0, 200.0])))
    assert rule.share == 1


def torch_steps(optimiser: str, count: int, **settings: float) -> np.ndarray:
    """(count, 3) steps that torch's optimiser takes from (1, -2, 0.5), its gradient divided by its first norm."""
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    rule = getattr(torch.optim, optimiser)([x], **settings)
    steps, scale = [], None
    for _ in range(count):
        before = x.detach().clone()
        x.grad = torch.from_numpy(slope(before.numpy()))
        scale = scale or 1 / float(x.grad.norm())
        x.grad *= scale
        rule.step()
        steps.append((x.detach() - before).numpy())
    return np.array(steps)


def slope(x: np.ndarray) -> np.ndarray:
    """A gradient that changes along the way."""
    return np.array([4.0, 1.0, 9.0]) * x + 0.1 * x**3


def our_steps(rule: FirstOrder, count: int) -> np.ndarray:
    """The same by our rule."""
    x, steps = np.array([1.0, -2.0, 0.5]), []
    for _ in range(count):
        steps.append(rule.propose(evaluation(slope(x))))
        x = x + steps[-1]
    return np.array(steps)


def test_adam_steps_as_torchs():
    np.testing.assert_allclose(our_steps(FirstOrder.adam(0.1), 30), torch_steps("Adam", 30, lr=0.1), atol=1e-10)


def test_sgd_steps_as_torchs_with_as_much_dampening_as_momentum():
    for momentum in (0.0, 0.8):
        theirs = torch_steps("SGD", 30, lr=0.4, momentum=momentum)
        # torch adds up what we average, so the same path takes a rate of lr / (1 - momentum)
        np.testing.assert_allclose(our_steps(FirstOrder.sgd(0.4 / (1 - momentum), momentum), 30), theirs, atol=1e-10)


def test_rmsprop_steps_as_torchs_once_the_start_at_zero_is_corrected():
    ours = our_steps(FirstOrder.rmsprop(0.05), 1)
    np.testing.assert_allclose(np.abs(ours), 0.05, rtol=1e-6)  # each parameter moves by the rate at first
    x, square, steps = np.array([1.0, -2.0, 0.5]), 0.0, []
    scale = 1 / np.linalg.norm(slope(x))
    for k in range(1, 20):
        square = 0.99 * square + 0.01 * (slope(x) * scale) ** 2
        steps.append(-0.05 * slope(x) * scale / np.sqrt(square / (1 - 0.99**k)))
        x = x + steps[-1]
    np.testing.assert_allclose(our_steps(FirstOrder.rmsprop(0.05), 19), steps, rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_the_unit_of_the_metric_does_not_matter_to_first_order_rules(quadratic, run, name):
    small, _ = run(quadratic([1e-6, 3e-6]), [0.0, 5.0], RULES[name](), steps=5)
    large, _ = run(quadratic([1e6, 3e6]), [0.0, 5.0], RULES[name](), steps=5)
    np.testing.assert_allclose(small[3].matrix, large[3].matrix, rtol=1e-5)


def test_clipping_shortens_only_what_is_longer():
    gradient = np.array([3.0, -4.0])
    np.testing.assert_allclose(clipped(gradient, 1.0), [0.6, -0.8])
    assert clipped(gradient, 5.0) is gradient
    assert clipped(gradient, None) is gradient
    assert not clipped(np.zeros(2), 1.0).any()


def test_shortening_keeps_the_direction():
    np.testing.assert_allclose(shortened(np.array([30.0, -40.0]), 20.0), [15, -20])
    step = np.array([1.0, -20.0])
    assert shortened(step, 20.0) is step


def test_only_pairs_along_which_the_metric_curves_upwards_are_remembered():
    pairs: deque = deque(maxlen=2)
    step = np.array([1.0, 1.0])
    remember(pairs, step, evaluation(np.array([-1.0, 0.0])), evaluation(np.array([-2.0, 0.0])))
    remember(pairs, step, evaluation(np.array([-1.0, 0.0])), evaluation(np.array([-1.0, 0.0])))
    assert not pairs
    remember(pairs, step, evaluation(np.array([-1.0, 0.0])), evaluation(np.array([0.5, 0.0])))
    assert pairs[0][0] is step
    assert pairs[0][1].tolist() == [1.5, 0]


def cliff(known):
    """cosh(x) - 1 + cosh(y) - 1: its gradient grows as fast as a function does; overflows beyond 710."""
    return known(lambda x: (np.cosh(x) - 1).sum(), np.sinh, np.eye(2))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_rate_a_hundred_times_too_high_diverges_unless_it_is_clipped(known, run, momentum):
    start, rate = [5.0, 2.0], 0.5
    fine, _ = run(cliff(known), start, FirstOrder.sgd(rate, momentum), steps=300)
    assert fine[-1].evaluation.value < 0.01 * fine[0].evaluation.value
    wild, outcome = run(cliff(known), start, FirstOrder.sgd(100 * rate, momentum), steps=300)
    assert outcome is Outcome.DIVERGED
    assert wild[-1].evaluation.value > 0.01 * wild[0].evaluation.value
    held, outcome = run(cliff(known), start, FirstOrder.sgd(100 * rate, momentum, clip_norm=0.01), steps=300)
    assert outcome is not Outcome.DIVERGED
    assert held[-1].evaluation.value < 0.01 * held[0].evaluation.value
    assert max(a.step_mm for a in held) <= 100 * rate * 0.01 * (1 + 1e-12)
