"""The course of one registration: start, contrast, then coarse to fine, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import derivative_at
from medreg.optimise.loop import LEAST_KEPT, usable
from medreg.optimise.record import Outcome, StageRecord
from medreg.registration import contrast, recipe
from medreg.registration.evidence import evidence_of, looked_at
from medreg.registration.freedom import affordable
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import Pyramid, default_levels
from medreg.registration.model_choice import Choice, candidates, compare, decides_at
from medreg.registration.moments import centre_of_mass, foreground_points, has_bright_border
from medreg.registration.recipe import Recipe
from medreg.registration.result import Result
from medreg.registration.stage import StageResult, Watch, run_stage
from medreg.registration.start import Started, find_start
from medreg.registration.verdict import Verdict, judge
from medreg.transform.families import nearest
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform
from medreg.types import FloatArray

GENERAL = recipe.MutualInformation()
"""Serves every contrast: used until the contrast is known, and where it differs."""


class Pair:
    """The state of one registration: both images, their levels, and the centre that steps turn about.

    Args:
        fixed: the image that stays.
        moving: the image that is brought onto it.
        labels: their label maps, if the metric compares some.
        asked: the recipe.
    """

    def __init__(self, fixed: Pyramid, moving: Pyramid, labels: tuple[Pyramid, Pyramid] | None, asked: Recipe) -> None:
        self.recipe = asked
        self.widest = candidates(fixed.grid.dimension)[-1] if asked.transform == "auto" else asked.transform
        self.settings = asked.levels or default_levels(fixed.grid, moving.grid)
        coarsest = self.settings[0].spacing_mm
        self.fixed, self.moving = self.sides = tuple(
            Side(image, label, centre_of_mass(image.at(coarsest, GENERAL)))
            for image, label in zip((fixed, moving), labels or (None, None), strict=True)
        )

    def run(self, initial: FloatArray | None, watch: Watch | None) -> Result:
        """Registered, from a given start or the best that is found, and judged."""
        clock = [time.perf_counter()]
        started = self._start(initial)
        clock.append(time.perf_counter())
        found = self._found(started.matrix, watch)
        last, metric, kind = found.last, found.last.metric, found.last.problem.kind
        clock.append(time.perf_counter())
        spacing = self.settings[-1].spacing_mm
        evidence = evidence_of(found.seen, last.problem, metric, last.matrix, last.evaluation, spacing)
        verdict = judge(evidence, last.record.outcome, kind, metric.name, self.recipe.seed)
        clock.append(time.perf_counter())
        return Result(
            transform=_transform(last.matrix, kind, self.fixed.centre),
            metric=metric.name,
            metric_reason=found.reason,
            start=started.name,
            candidates=started.candidates,
            stages=found.stages,
            outcome=last.record.outcome,
            verdict=verdict,
            fallback=found.fallback,
            choice=found.choice,
            recipe=self.recipe,
            seconds=dict(zip(("start", "optimise", "verdict"), np.diff(clock).tolist(), strict=True)),
        )

    def assess(self, matrix: FloatArray) -> Verdict:
        """The verdict on a matrix as it is."""
        asked, last, matrix = self.recipe, len(self.settings) - 1, _checked(matrix, self.fixed.centre)
        kind = Kind.AFFINE if asked.transform == "auto" and not matrix[-1, :-1].any() else self.widest
        level = self.level(min(1, last))
        metric: recipe.Metric = asked.metric
        if isinstance(metric, recipe.AutoMetric):
            metric = self._metric(level, matrix)[0]
        seen, finest = looked_at(level), self.level(last) if last > 1 else level
        problem = finest.problem(metric, kind, matrix)
        here = problem.evaluate(matrix)
        evidence = evidence_of(seen, problem, metric, matrix, here, finest.settings.spacing_mm)
        outcome = Outcome.CONVERGED if usable(here) else Outcome.NO_OVERLAP
        return judge(evidence, outcome, kind, metric.name, asked.seed)

    def level(self, number: int) -> PairLevel:
        """Both images at one level."""
        seed = self.recipe.seed + number
        return PairLevel(number, self.settings[number], self.fixed, self.moving, seed, self.recipe.symmetric)

    def _start(self, initial: FloatArray | None) -> Started:
        if initial is not None:
            return Started("given", _checked(initial, self.fixed.centre), ())
        return find_start(self.recipe.start, self.fixed, self.moving, self.widest, self.recipe.seed)

    def _found(self, matrix: FloatArray, watch: Watch | None) -> _Found:
        """Where the levels lead from the start."""
        asked, finest = self.recipe, len(self.settings) - 1
        records: list[StageRecord] = []
        level = self.level(0)
        kind, fallback = affordable(self.widest, level.terms(GENERAL, matrix)[0], matrix, self.fixed.image.grid)
        choice = None
        if asked.transform == "auto" and fallback is not None:  # nothing to choose from
            choice, fallback = Choice(kind, fallback), None
        matrix = nearest(kind, matrix, self.fixed.centre)
        least = LEAST_KEPT * level.problem(GENERAL, kind, matrix).evaluate(matrix).overlap
        stages = partial(_through, optimiser=asked.optimiser, watch=watch, records=records, least_overlap=least)
        metric, reason = asked.metric, "asked for"
        if isinstance(metric, recipe.AutoMetric):
            matrix = stages(level, GENERAL, _kinds(kind), matrix).matrix
            metric, reason = self._metric(level, matrix)
        for number in range(finest + 1):
            level = self.level(number) if number else level
            last = stages(level, metric, (kind,) if number else _kinds(kind), matrix)
            matrix = last.matrix
            if asked.transform == "auto" and choice is None and number == decides_at(finest + 1):
                choice, matrix = self._choice(level, last)
                kind = choice.kind
                if number == finest:
                    last = stages(level, metric, (kind,), matrix)
            if number == min(1, finest):
                seen = looked_at(level)
        return _Found(last, tuple(records), reason, fallback, choice, seen)

    def _metric(self, level: PairLevel, matrix: FloatArray) -> tuple[recipe.Metric, str]:
        """The metric that suits the contrasts, as they show at a coarse level that is aligned, and why."""
        term = level.terms(GENERAL, matrix)[0]
        if len(term.samples.values) > 1:
            return GENERAL, "colour: every channel may have a contrast of its own"
        moving, inside = term.values(matrix)
        signs = [-1 if has_bright_border(side.at(level.settings.spacing_mm, GENERAL)) else 1 for side in self.sides]
        found = contrast.compare(term.samples.values[0] * signs[0], moving[0] * signs[1], inside)
        return (recipe.Correlation() if found.is_same else GENERAL), found.reason

    def _choice(self, level: PairLevel, last: StageResult) -> tuple[Choice, FloatArray]:
        """The family to go on with, and where from; `last` is the widest one's answer at this level."""
        spacing = level.settings.spacing_mm
        points = foreground_points(self.fixed.at(spacing, GENERAL))
        return compare(last, self.fixed.centre, points, spacing)


class _Found(NamedTuple):
    """The last stage's answer and how it was come by; `seen` is the level that a verdict looks at."""

    last: StageResult
    stages: tuple[StageRecord, ...]
    reason: str
    fallback: str | None
    choice: Choice | None
    seen: PairLevel


def _checked(initial: FloatArray, centre: tuple[float, ...]) -> FloatArray:
    """The given start, with w = 1 at the centre.

    Raises:
        TransformError: of another dimension, singular or mirroring there.
    """
    n = len(centre) + 1
    if initial.shape == (n, n) and (w := float(initial[-1] @ [*centre, 1.0])) != 0:
        scaled: FloatArray = initial / w
        if np.linalg.det(derivative_at(scaled, np.array(centre))) > 0:
            return scaled
    raise TransformError(
        f"a registration in {n - 1}D starts from a {n}x{n} matrix that does not mirror, got {initial.tolist()}"
    )


def _through(
    level: PairLevel,
    metric: recipe.Metric,
    kinds: Sequence[Kind],
    matrix: FloatArray,
    *,
    optimiser: recipe.Optimiser,
    watch: Watch | None,
    records: list[StageRecord],
    least_overlap: float,
) -> StageResult:
    """Where one family after the other leads at a level; their records are appended."""
    for kind in kinds:
        state = run_stage(level, metric, kind, matrix, optimiser, watch, least_overlap)
        matrix = state.matrix
        records.append(state.record)
    return state


def _transform(matrix: FloatArray, kind: Kind, centre: tuple[float, ...]) -> LinearTransform | Homography:
    return Homography(matrix, centre) if kind is Kind.HOMOGRAPHY else LinearTransform(matrix, kind, centre)


def _kinds(kind: Kind) -> tuple[Kind, ...]:
    """What the coarsest level goes through, from few parameters to many."""
    if kind in (Kind.SIMILARITY, Kind.AFFINE):
        return (Kind.RIGID, kind)
    if kind is Kind.HOMOGRAPHY:
        return (Kind.RIGID, Kind.AFFINE, kind)
    return (kind,)
