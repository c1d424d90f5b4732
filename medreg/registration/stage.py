"""A stage: one family of transforms at one level, run to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from medreg.optimise.loop import Accepted, Stopping, descend
from medreg.optimise.record import Outcome, StageRecord, Step
from medreg.registration import recipe
from medreg.registration.levels import LevelImage
from medreg.registration.measures import measure_for, rule_for
from medreg.registration.problem import SampledProblem
from medreg.registration.samples import Samples
from medreg.transform.kind import Kind
from medreg.types import FloatArray

Watch = Callable[[Step], None]
"""Called with each step as it is taken."""


@dataclass(frozen=True, eq=False)
class PairLevel:
    """Both images at one level.

    Attributes:
        number: position among the levels, 0 is the coarsest.
        settings: spacing, steps, tolerance.
        samples: of the fixed image.
        moving: the moving image.
    """

    number: int
    settings: recipe.Level
    samples: Samples
    moving: LevelImage

    def problem(self, metric: recipe.Metric, kind: Kind) -> SampledProblem:
        """The metric at this level as a function of a matrix."""
        measure = measure_for(metric, self.samples, self.moving.volume)
        return SampledProblem(self.samples, self.moving, measure, kind)


@dataclass(frozen=True)
class StageResult:
    """Where a stage ended, and its record."""

    best: Accepted
    record: StageRecord

    @property
    def matrix(self) -> FloatArray:
        """The best transform that was seen."""
        return self.best.matrix

    @property
    def value(self) -> float:
        """The metric there."""
        return self.best.evaluation.value

    @property
    def overlap(self) -> float:
        """The share of samples inside the moving image there."""
        return self.best.evaluation.overlap


def run_stage(
    level: PairLevel,
    metric: recipe.Metric,
    kind: Kind,
    start: FloatArray,
    optimiser: recipe.Optimiser,
    watch: Watch | None = None,
) -> StageResult:
    """Minimise `metric` over transforms of `kind` from `start`, at one level."""
    begun = time.perf_counter()
    steps: list[Step] = []
    best: Accepted | None = None
    outcome = Outcome.STEPS_SPENT
    stopping = Stopping(level.settings.steps, level.settings.tolerance_mm)
    problem = level.problem(metric, kind)
    for event in descend(problem, start, rule_for(optimiser), stopping):
        if isinstance(event, Outcome):
            outcome = event
            continue
        best = event
        if event.number < len(steps):  # the best of a rule that climbed, seen before
            continue
        step = Step(
            level.number,
            level.settings.spacing_mm,
            str(kind),
            event.number,
            event.evaluation.value,
            event.step_mm,
            event.evaluation.overlap,
        )
        steps.append(step)
        if watch is not None:
            watch(step)
    assert best is not None  # descend always yields the start
    record = StageRecord(
        level.number,
        level.settings.spacing_mm,
        str(kind),
        metric.name,
        len(level.samples),
        tuple(steps),
        outcome,
        problem.evaluations,
        time.perf_counter() - begun,
    )
    return StageResult(best, record)
