"""A stage: one family of transforms at one level, run to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from medreg.optimise.loop import LEAST_OVERLAP, Accepted, Stopping, descend
from medreg.optimise.problem import Evaluation
from medreg.optimise.record import Outcome, StageRecord, Step
from medreg.registration import recipe
from medreg.registration.level import PairLevel
from medreg.registration.measures import goes_on, rule_for
from medreg.registration.problem import BothWays, OneWay
from medreg.transform.kind import Kind
from medreg.types import FloatArray

Watch = Callable[[Step], None]
"""Called with each step as it is taken."""


@dataclass(frozen=True)
class StageResult:
    """Where a stage ended, its record, and what it minimised: a metric, as a problem over a family."""

    best: Accepted
    record: StageRecord
    metric: recipe.Metric
    problem: OneWay | BothWays

    @property
    def matrix(self) -> FloatArray:
        """The best transform that was seen."""
        return self.best.matrix

    @cached_property
    def evaluation(self) -> Evaluation:
        """The problem there: it is known, but of a metric whose fit goes on, which is looked at once more."""
        return self.problem.evaluate(self.matrix) if goes_on(self.metric) else self.best.evaluation


def run_stage(
    level: PairLevel,
    metric: recipe.Metric,
    kind: Kind,
    start: FloatArray,
    optimiser: recipe.Optimiser,
    watch: Watch | None = None,
    least_overlap: float = LEAST_OVERLAP,
) -> StageResult:
    """Minimise `metric` over transforms of `kind` from `start`, at one level; `least_overlap` as in `Stopping`."""
    begun = time.perf_counter()
    stage = level.number, level.settings.spacing_mm, str(kind)
    steps: list[Step] = []
    best: Accepted | None = None
    outcome = Outcome.STEPS_SPENT
    stopping = Stopping(level.settings.steps, level.settings.tolerance_mm, least_overlap=least_overlap)
    problem = level.problem(metric, kind, start)
    for event in descend(problem, start, rule_for(optimiser, problem.radius), stopping):
        if isinstance(event, Outcome):
            outcome = event
            continue
        best = event
        if event.number < len(steps):  # the best of a rule that climbed, seen before
            continue
        step = Step(*stage, event.number, event.evaluation.value, event.step_mm, event.evaluation.overlap)
        steps.append(step)
        if watch is not None:
            watch(step)
    assert best is not None  # descend always yields the start
    seconds = time.perf_counter() - begun
    record = StageRecord(*stage, metric.name, problem.samples, tuple(steps), outcome, problem.evaluations, seconds)
    return StageResult(best, record, metric, problem)
