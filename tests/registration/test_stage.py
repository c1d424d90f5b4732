"""Stages: what one records of its steps and evaluations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medreg.image import MedImage
from medreg.optimise.record import Outcome
from medreg.registration import recipe
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import Pyramid
from medreg.registration.problem import OneWay
from medreg.registration.recipe import Level
from medreg.registration.stage import run_stage
from medreg.transform.kind import Kind


def coarse_level(fixed: MedImage, moving: MedImage, steps: int = 30, tolerance_mm: float = 0.05) -> PairLevel:
    """Both images at 8 mm."""
    sides = [Side(Pyramid(i.data, None, i.grid), None, i.grid.centre) for i in (fixed, moving)]
    settings = Level(spacing_mm=8.0, samples=5000, steps=steps, tolerance_mm=tolerance_mm)
    return PairLevel(0, settings, *sides, 0)


def counted(monkeypatch) -> list[int]:
    """Grows with each evaluation."""
    evaluations: list[int] = []
    plain = OneWay.evaluate
    monkeypatch.setattr(OneWay, "evaluate", lambda self, matrix: evaluations.append(1) or plain(self, matrix))
    return evaluations


def test_a_stage_records_every_step_and_evaluation(fixed, moved_head, truths, monkeypatch):
    evaluations, watched = counted(monkeypatch), []
    level = coarse_level(fixed, moved_head(truths[Kind.RIGID]))
    result = run_stage(level, recipe.MutualInformation(), Kind.RIGID, np.eye(4), recipe.GaussNewton(), watched.append)
    record = result.record
    assert list(record.steps) == watched
    assert [s.number for s in record.steps] == list(range(len(watched)))
    assert record.steps[0].step_mm == 0
    assert {(s.level, s.spacing_mm, s.kind) for s in record.steps} == {(0, 8.0, "rigid")}
    assert (record.samples, record.kind) == (5000, "rigid")
    assert result.best.evaluation.value == record.steps[-1].value < record.steps[0].value
    assert result.best.evaluation.overlap == record.steps[-1].overlap
    assert record.evaluations == len(evaluations)


def test_a_stage_both_ways_counts_the_samples_of_both(fixed, moved_head, truths):
    level = replace(coarse_level(fixed, moved_head(truths[Kind.RIGID])), symmetric=True)
    record = run_stage(level, recipe.MutualInformation(), Kind.RIGID, np.eye(4), recipe.GaussNewton()).record
    assert record.samples == 10_000


def test_rejected_trials_are_counted(fixed, moved_head, truths, monkeypatch):
    evaluations = counted(monkeypatch)
    level = coarse_level(fixed, moved_head(truths[Kind.RIGID]), steps=100, tolerance_mm=1e-9)  # ends in refusals
    record = run_stage(level, recipe.MutualInformation(), Kind.RIGID, np.eye(4), recipe.LBFGS()).record
    assert record.outcome is Outcome.FLAT
    assert record.evaluations == len(evaluations)
    evaluations.clear()
    level = replace(level, settings=Level(spacing_mm=8.0, steps=15))
    record = run_stage(level, recipe.MutualInformation(), Kind.RIGID, np.eye(4), recipe.SGD(learning_rate_mm=60)).record
    assert record.evaluations == len(evaluations)


def test_what_the_answer_is_worth_is_known_but_for_a_fit_that_goes_on(fixed, moved_head, truths, monkeypatch):
    level = coarse_level(fixed, moved_head(truths[Kind.RIGID]), steps=2)
    plain, robust = (
        run_stage(level, metric, Kind.RIGID, np.eye(4), recipe.GaussNewton())
        for metric in (recipe.Correlation(), recipe.RobustCorrelation())
    )
    evaluations = counted(monkeypatch)
    assert plain.evaluation is plain.best.evaluation
    assert not evaluations
    assert robust.evaluation is robust.evaluation
    assert len(evaluations) == 1
    assert (
        abs(robust.evaluation.value - robust.best.evaluation.value) < 1e-3
    )  # of a share: the fit is nearly at its end
