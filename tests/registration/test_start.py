"""Starts: headers or centres, the better by the metric; and what a stage records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medreg.errors import RegistrationError
from medreg.image import MedImage
from medreg.optimise.record import Outcome
from medreg.registration import recipe
from medreg.registration.levels import Pyramid
from medreg.registration.pairwise import register
from medreg.registration.problem import SampledProblem
from medreg.registration.recipe import Level, Recipe, Start
from medreg.registration.samples import Placement, draw
from medreg.registration.stage import PairLevel, run_stage
from medreg.registration.start import candidates_for, choose, shift
from medreg.transform.kind import Kind

CENTRES = [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)], [(10.0, 0.0, -3.0), (7.0, 7.0, 7.0)]
FAR = np.array([400.0, -300.0, 250.0])


def shoved(image: MedImage, offset: np.ndarray) -> MedImage:
    """The same voxels with another origin."""
    return replace(image, origin=tuple(np.add(image.origin, offset).tolist()))


def coarse_level(fixed: MedImage, moving: MedImage, steps: int = 30, tolerance_mm: float = 0.05) -> PairLevel:
    """Both images at 8 mm, for mutual information."""
    images = [Pyramid(i.data, None, i.grid).at(8.0, recipe.MutualInformation()) for i in (fixed, moving)]
    samples = draw(images[0].volume, images[0].grid, 5000, fixed.grid.centre, 0, Placement.SCATTERED)
    return PairLevel(0, Level(spacing_mm=8.0, steps=steps, tolerance_mm=tolerance_mm), samples, images[1])


def test_a_shift_carries_one_point_to_the_other():
    matrix = shift((1.0, 2.0, 3.0), (10.0, 0.0, -3.0))
    np.testing.assert_allclose(matrix @ [1, 2, 3, 1], [10, 0, -3, 1])
    assert np.array_equal(matrix[:3, :3], np.eye(3))


def test_the_recipe_says_which_starts_are_tried():
    assert list(candidates_for(Start.HEADER, *CENTRES)) == ["header"]
    assert list(candidates_for(Start.CENTRE, *CENTRES)) == ["centre of mass"]
    both = candidates_for(Start.AUTO, *CENTRES)
    assert set(both) == {"header", "centre of mass", "centre of view"}
    assert np.array_equal(both["header"], np.eye(4))
    np.testing.assert_allclose(both["centre of mass"][:3, 3], [9, -2, -6])
    np.testing.assert_allclose(both["centre of view"][:3, 3], [3, 2, 1])


def test_the_better_start_wins_and_all_scores_are_kept(fixed, moved_head, truths):
    level = coarse_level(fixed, moved_head(truths[Kind.RIGID]))
    candidates = {"wrong": shift((0, 0, 0), (90, 0, 0)), "right": np.eye(4), "nowhere": shift((0, 0, 0), (2000, 0, 0))}
    name, result, scores = choose(candidates, level, Kind.AFFINE)
    assert name == "right"
    assert {s.name for s in scores} == {"wrong", "right"}
    assert min(scores, key=lambda s: s.value).name == "right"
    assert result.record.kind == "rigid"


def test_translations_start_by_translating(fixed, moved_head, truths):
    level = coarse_level(fixed, moved_head(truths[Kind.TRANSLATION]))
    _, result, _ = choose({"header": np.eye(4)}, level, Kind.TRANSLATION)
    assert np.array_equal(result.matrix[:3, :3], np.eye(3))


def test_no_start_that_overlaps_is_an_error_that_says_what_to_do(fixed, moved_head, truths):
    level = coarse_level(fixed, shoved(moved_head(truths[Kind.RIGID]), FAR * 3))
    with pytest.raises(
        RegistrationError, match=r"do not overlap from any start that was tried \(header\).*--start centre"
    ):
        choose({"header": np.eye(4)}, level, Kind.RIGID)


def test_centres_are_chosen_when_the_headers_lie_far_apart(fixed, moved_head, truths, furthest):
    truth = truths[Kind.RIGID].copy()
    truth[:3, 3] += FAR
    moving = shoved(moved_head(truths[Kind.RIGID]), FAR)
    result = register(fixed, moving, Recipe(transform="rigid"))
    assert result.start.startswith("centre of")
    assert furthest(result.transform, truth) < 0.25  # mm, 1/16 of a voxel
    with pytest.raises(RegistrationError, match="do not overlap"):
        register(fixed, moving, Recipe(transform="rigid", start="header"))
    by_mass = register(fixed, moving, Recipe(transform="rigid", start="centre"))
    assert by_mass.start == "centre of mass"
    assert furthest(by_mass.transform, truth) < 0.25


def test_a_stage_records_every_step_and_evaluation(fixed, moved_head, truths, monkeypatch):
    evaluations, watched = [], []
    plain = SampledProblem.evaluate
    monkeypatch.setattr(SampledProblem, "evaluate", lambda self, matrix: evaluations.append(1) or plain(self, matrix))
    level = coarse_level(fixed, moved_head(truths[Kind.RIGID]))
    result = run_stage(level, recipe.MutualInformation(), Kind.RIGID, np.eye(4), recipe.GaussNewton(), watched.append)
    record = result.record
    assert list(record.steps) == watched
    assert [s.number for s in record.steps] == list(range(len(watched)))
    assert record.steps[0].step_mm == 0
    assert {(s.level, s.spacing_mm, s.kind) for s in record.steps} == {(0, 8.0, "rigid")}
    assert (record.samples, record.kind) == (len(level.samples), "rigid")
    assert result.value == record.steps[-1].value < record.steps[0].value
    assert record.evaluations == len(evaluations)


def test_rejected_trials_are_counted(fixed, moved_head, truths, monkeypatch):
    evaluations = []
    plain = SampledProblem.evaluate
    monkeypatch.setattr(SampledProblem, "evaluate", lambda self, matrix: evaluations.append(1) or plain(self, matrix))
    level = coarse_level(fixed, moved_head(truths[Kind.RIGID]), steps=100, tolerance_mm=1e-9)  # ends in refusals
    record = run_stage(level, recipe.MutualInformation(), Kind.RIGID, np.eye(4), recipe.LBFGS()).record
    assert record.outcome is Outcome.FLAT
    assert record.evaluations == len(evaluations)
    evaluations.clear()
    level = replace(level, settings=Level(spacing_mm=8.0, steps=15))
    record = run_stage(level, recipe.MutualInformation(), Kind.RIGID, np.eye(4), recipe.SGD(learning_rate_mm=60)).record
    assert record.evaluations == len(evaluations)
