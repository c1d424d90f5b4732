"""The loop: how runs end, and that what they leave is the best that they saw."""

from __future__ import annotations

import numpy as np
import pytest

from medreg.optimise.loop import LEAST_OVERLAP, NOISE, Stopping, descend
from medreg.optimise.record import Outcome
from medreg.optimise.rules import LBFGS, FirstOrder, GaussNewton

MONOTONE = pytest.mark.parametrize("rule", [GaussNewton, LBFGS])
CLIMBING = pytest.mark.parametrize(
    "rule", [FirstOrder.adam, FirstOrder.rmsprop, lambda rate: FirstOrder.sgd(rate, 0.5)]
)


def values(accepted) -> list[float]:
    """The metric after each accepted step."""
    return [a.evaluation.value for a in accepted]


def bowl(known, *, finite_within: float = np.inf, seen_within: float = np.inf):
    """x^2 in two parameters; not a number, or out of view, beyond a distance from the minimum."""

    def value(x):
        return x @ x if np.linalg.norm(x) <= finite_within else np.nan

    def overlap(x):
        return 1.0 if np.linalg.norm(x) <= seen_within else 0.0

    return known(value, lambda x: 2 * x, 2 * np.eye(2), overlap)


@MONOTONE
def test_a_short_step_means_converged(known, run, rule):
    accepted, outcome = run(bowl(known), [4.0, 1.0], rule(), tolerance_mm=1e-3)
    assert outcome is Outcome.CONVERGED
    assert accepted[-1].step_mm < 1e-3
    assert all(a.step_mm >= 1e-3 for a in accepted[1:-1])
    np.testing.assert_allclose(accepted[-1].matrix, 0, atol=1e-2)


def test_a_first_order_rule_converges_too(known, run):
    accepted, outcome = run(bowl(known), [4.0, 1.0], FirstOrder.sgd(1.0, 0.0), tolerance_mm=1e-3)
    assert outcome is Outcome.CONVERGED
    assert values(accepted)[-1] < 1e-4 * values(accepted)[0]


@MONOTONE
def test_no_step_that_helps_means_flat(known, run, rule):
    wrong = known(lambda x: x @ x, lambda x: -2 * x, 2 * np.eye(2))  # its gradient points downhill
    accepted, outcome = run(wrong, [4.0, 1.0], rule(), tolerance_mm=1e-6)
    assert outcome is Outcome.FLAT
    assert len(accepted) == 1


@MONOTONE
def test_sliding_out_of_view_never_pays(known, rule):
    sliding = known(lambda x: x @ x, lambda x: 2 * x, 2 * np.eye(1), lambda x: x[0] / 10)  # better and better unseen
    for asked, kept in ((0.3, 0.3), (0.9, 0.4)):  # a start with less than asked may lose half of what it has
        stopping = Stopping(steps=50, tolerance_mm=1e-3, least_overlap=asked)
        *accepted, _ = descend(sliding, np.array([8.0]), rule(), stopping)
        assert all(a.evaluation.overlap >= kept for a in accepted)
        assert accepted[-1].evaluation.overlap == pytest.approx(kept, abs=0.1)  # it went as far as it may


@CLIMBING
def test_a_window_without_gain_means_flat(known, run, rule):
    ripple = known(lambda x: 1.0, lambda x: np.array([1.0, -1.0]), np.eye(2))
    accepted, outcome = run(ripple, [4.0, 1.0], rule(0.5), window=7)
    assert outcome is Outcome.FLAT
    assert len(accepted) in (8, 9)  # the start, seven steps, and perhaps the best again
    assert values(accepted)[-1] == 1.0


@pytest.mark.parametrize("rule", [GaussNewton, LBFGS, lambda: FirstOrder.adam(0.1)])
def test_steps_can_be_spent(quadratic, run, rule):
    problem = quadratic([1.0, 5.0], curvature=100 * np.eye(2))
    accepted, outcome = run(problem, [100.0, -40.0], rule(), steps=3)
    assert outcome is Outcome.STEPS_SPENT
    assert len(accepted) == 4


@CLIMBING
def test_a_metric_that_stops_being_finite_means_diverged_and_the_best_is_kept(known, run, rule):
    accepted, outcome = run(bowl(known, finite_within=9.0), [4.0, 1.0], rule(30.0))
    assert outcome is Outcome.DIVERGED
    assert np.isfinite(values(accepted)).all()
    assert accepted[-1].matrix.tolist() == [4.0, 1.0]


@CLIMBING
def test_images_that_lose_each_other_mean_no_overlap_and_the_best_is_kept(known, run, rule):
    accepted, outcome = run(bowl(known, seen_within=9.0), [4.0, 1.0], rule(30.0))
    assert outcome is Outcome.NO_OVERLAP
    assert accepted[-1].matrix.tolist() == [4.0, 1.0]


@MONOTONE
@pytest.mark.parametrize("edge", ["finite_within", "seen_within"])
def test_monotone_rules_step_shorter_instead_of_leaving(known, run, rule, edge):
    problem = bowl(known, **{edge: 4.2})
    problem.curvature = 0.2 * np.eye(2)  # so that the first Gauss-Newton steps overshoot tenfold
    accepted, outcome = run(problem, [4.0, 1.0], rule())
    assert outcome in (Outcome.CONVERGED, Outcome.FLAT)
    assert values(accepted)[-1] < 1e-3 * values(accepted)[0]


@pytest.mark.parametrize("rule", [GaussNewton, LBFGS, lambda: FirstOrder.adam(0.1)])
@pytest.mark.parametrize(
    ("edge", "expected"), [("finite_within", Outcome.DIVERGED), ("seen_within", Outcome.NO_OVERLAP)]
)
def test_a_start_that_is_no_candidate_ends_at_once(known, run, rule, edge, expected):
    problem = bowl(known, **{edge: 3.0})
    accepted, outcome = run(problem, [4.0, 1.0], rule())
    assert outcome is expected
    assert len(accepted) == problem.evaluations == 1
    assert accepted[0].matrix.tolist() == [4.0, 1.0]


@pytest.mark.parametrize("rule", [GaussNewton, LBFGS, lambda: FirstOrder.adam(0.1)])
def test_a_gradient_that_is_no_number_means_diverged(known, run, rule):
    broken = known(lambda x: 1.0, lambda x: np.array([np.nan, 0.0]), np.eye(2))
    accepted, outcome = run(broken, [4.0, 1.0], rule())
    assert outcome is Outcome.DIVERGED
    assert len(accepted) == 1


def test_a_curvature_that_is_no_number_means_diverged(known, run):
    broken = known(lambda x: x @ x, lambda x: 2 * x, np.full((2, 2), np.nan))
    assert run(broken, [4.0, 1.0], GaussNewton())[1] is Outcome.DIVERGED


@CLIMBING
def test_the_last_accepted_is_the_best_seen(known, run, rule):
    start = np.array([0.3, 0.1])
    accepted, _ = run(bowl(known), start, rule(5.0), steps=9)
    assert values(accepted)[-1] == min(values(accepted))
    assert max(values(accepted)) > values(accepted)[0]  # it did climb on its way


@MONOTONE
def test_monotone_rules_never_rise_above_the_noise(known, run, rule):
    valley = known(
        lambda x: (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2,
        lambda x: np.array([2 * (x[0] - 1) - 40 * x[0] * (x[1] - x[0] ** 2), 20 * (x[1] - x[0] ** 2)]),
        np.diag([20.0, 20.0]),
    )
    accepted, _ = run(valley, [-1.2, 1.0], rule(), steps=100)
    seen = np.array(values(accepted))
    assert (np.diff(seen) <= NOISE * (1 + seen[:-1])).all()
    assert seen[-1] < 0.01 * seen[0]


def test_just_enough_overlap_is_enough(known, run):
    problem = known(lambda x: x @ x, lambda x: 2 * x, 2 * np.eye(2), lambda _: LEAST_OVERLAP)
    assert run(problem, [4.0, 1.0], GaussNewton())[1] is Outcome.CONVERGED


def test_every_outcome_advises():
    for outcome in Outcome:
        assert outcome.advice.endswith(".")
        assert len(outcome.advice) > 20
