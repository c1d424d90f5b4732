"""The loop, written once: evaluate, propose, accept or shrink, stop. It yields; the caller watches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from medreg.optimise.problem import Evaluation, Problem
from medreg.optimise.record import Outcome
from medreg.optimise.rules import Rule
from medreg.types import FloatArray

LEAST_OVERLAP = 0.05
"""A transform that leaves fewer of the samples inside the moving image is no candidate."""

LEAST_KEPT = 0.5
"""Of the overlap that a descent begins with."""

NOISE = 3e-7
"""A change of the metric by less than this share of (1 + its size) is float32 noise, neither better nor worse."""


@dataclass(frozen=True)
class Stopping:
    """When to stop.

    Attributes:
        steps: most accepted steps.
        tolerance_mm: a step whose largest parameter is below this ends the loop.
        window: first-order rules stop when this many steps brought no gain above `NOISE`.
        least_overlap: a transform that leaves a smaller share of the samples inside the moving image is no candidate,
            however good its metric: sliding out of view never pays. A start below it may still keep most of its own.
    """

    steps: int
    tolerance_mm: float
    window: int = 20
    least_overlap: float = LEAST_OVERLAP


@dataclass(frozen=True)
class Accepted:
    """An accepted step: the matrix after it, the evaluation there, the step's length, and how many came before."""

    matrix: FloatArray
    evaluation: Evaluation
    step_mm: float
    number: int


def descend(problem: Problem, start: FloatArray, rule: Rule, stopping: Stopping) -> Iterator[Accepted | Outcome]:
    """Yield the start (step 0), each accepted step, and last the outcome.

    The last `Accepted` before the outcome is the best one seen: a rule that climbed has its best step yielded again.
    """
    here = problem.evaluate(start)
    best = current = Accepted(start, here, 0.0, 0)
    yield current
    if not usable(here):
        yield _fault(here, LEAST_OVERLAP)
        return
    kept = min(stopping.least_overlap, LEAST_KEPT * here.overlap)
    stopping = replace(stopping, least_overlap=max(LEAST_OVERLAP, kept))
    outcome = Outcome.STEPS_SPENT
    since_best = 0
    for _ in range(stopping.steps):
        taken, outcome = _step(problem, current, rule, stopping)
        if taken is None:
            break
        current = taken
        gained = best.evaluation.value - current.evaluation.value
        since_best = 0 if gained > noise(best.evaluation) else since_best + 1
        if gained >= 0 or rule.monotone:
            best = current
        yield current
        if outcome is Outcome.CONVERGED:
            break
        if not rule.monotone and since_best >= stopping.window:
            outcome = Outcome.FLAT
            break
    if best is not current:
        yield best
    yield outcome


def _step(problem: Problem, here: Accepted, rule: Rule, stopping: Stopping) -> tuple[Accepted | None, Outcome]:
    """One accepted step and what it means, or None and why there is none."""
    for _ in range(8):
        step = rule.propose(here.evaluation)
        if not np.isfinite(step).all():
            return None, Outcome.DIVERGED
        matrix = problem.move(here.matrix, step)
        there = problem.evaluate(matrix)
        length = float(np.abs(step).max())
        rise = there.value - here.evaluation.value
        if usable(there, stopping.least_overlap) and (not rule.monotone or rise <= noise(here.evaluation)):
            rule.learn(step, here.evaluation, there)
            outcome = Outcome.CONVERGED if length < stopping.tolerance_mm else Outcome.STEPS_SPENT
            return Accepted(matrix, there, length, here.number + 1), outcome
        if not rule.monotone:
            return None, _fault(there, stopping.least_overlap)
        if length < 4 * stopping.tolerance_mm:
            return None, Outcome.FLAT
        rule.shrink()
    return None, Outcome.FLAT


def _fault(evaluation: Evaluation, least_overlap: float) -> Outcome:
    """What is wrong with an evaluation that is not usable."""
    return Outcome.NO_OVERLAP if evaluation.overlap < least_overlap else Outcome.DIVERGED


def noise(evaluation: Evaluation) -> float:
    """Changes of the value below this mean nothing."""
    return NOISE * (1 + abs(evaluation.value))


def usable(evaluation: Evaluation, least_overlap: float = LEAST_OVERLAP) -> bool:
    """Whether a value can be trusted: finite, and enough of the images in view of each other."""
    finite = np.isfinite(evaluation.value) and bool(np.isfinite(evaluation.gradient).all())
    return finite and evaluation.overlap >= least_overlap
