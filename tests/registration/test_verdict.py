"""The verdict: the head at its pose, away from it, other things; what each figure does to it, and what is advised."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

import medreg
from medreg.errors import RecipeError, TransformError
from medreg.geometry.affine import homogeneous, map_points
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.optimise.record import Outcome
from medreg.registration import recipe
from medreg.registration.calibration import FILE, Model, model_of
from medreg.registration.evidence import Evidence
from medreg.registration.pairwise import assess, register
from medreg.registration.predicted_error import PredictedError
from medreg.registration.problem import OneWay
from medreg.registration.verdict import STRETCH, Standing, judge
from medreg.transform.kind import Kind

RIGID = recipe.Recipe(transform="rigid")
FINE = {
    "agreement": 4.0,
    "lead": 2.5,
    "explained": 0.9,
    "pull": 1e-5,
    "other_metric": 1e-3,
    "exchanged": 1e-3,
    "uncertainty": 1e-3,
    "overlap": 1.0,
    "stretch": 1.02,
}


def turned(degrees: float) -> np.ndarray:
    """About the head's middle, in an oblique direction."""
    return homogeneous(
        Rotation.from_rotvec(np.radians(degrees) * np.array([0.6, -0.48, 0.64])).as_matrix(), np.zeros(3)
    )


def with_figures(**figures: float) -> Evidence:
    return Evidence({**FINE, **figures}, None, np.zeros((1, 3)), 100.0, 1.0)


def verdict_with(outcome: Outcome = Outcome.CONVERGED, **figures: float):
    return judge(with_figures(**figures), outcome, Kind.AFFINE, "correlation")


# Of images -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def assessed(fixed, moved_head, truths) -> Callable:
    """assessed(after): the verdict on a rigidly moved head, with a matrix before the true one."""

    def assessed(before: np.ndarray, contrast: str = "T1"):
        truth = truths[Kind.RIGID]
        return assess(fixed, moved_head(truth, contrast=contrast), truth @ before, RIGID)

    return assessed


@pytest.mark.parametrize("contrast", ["T1", "T2"])
def test_a_registration_of_the_head_is_ok(fixed, moved_head, truths, furthest, contrast: str) -> None:
    truth = truths[Kind.RIGID]
    result = register(fixed, moved_head(truth, contrast=contrast), RIGID)
    verdict = result.verdict
    assert verdict.standing is Standing.OK
    assert verdict.next == ()
    assert verdict.probability_of_failure < 0.1
    assert verdict.reasons == (
        f"inside their outlines the images share {verdict.agreement:.2f} times the information of nearby poses",
    )
    error = verdict.predicted_error
    assert error is not None
    assert error.interval_mm[0] < error.mean_mm < error.interval_mm[1]
    assert error.mean_mm <= error.p95_mm
    assert 0.1 < error.mean_mm / furthest(truth, result.transform) < 10  # the furthest is not the mean


def test_a_half_turned_head_is_failed_and_advised(assessed) -> None:
    verdict = assessed(turned(180))
    assert verdict.standing is Standing.FAILED
    assert "medreg register FIXED MOVING -t rigid --start search" in verdict.next
    assert "inside their outlines" in " ".join(verdict.reasons)


@pytest.mark.parametrize("degrees", [8, 25])
def test_an_answer_that_the_metric_would_leave_is_not_ok(assessed, degrees: float) -> None:
    assert assessed(turned(degrees)).standing is not Standing.OK


@pytest.mark.parametrize("seed", range(3))
def test_two_things_that_have_nothing_in_common_are_not_ok(seed: int) -> None:
    def smooth(seed: int) -> MedImage:
        voxels = gaussian_filter(np.random.default_rng(seed).standard_normal((32, 36, 34)), 2.5)
        return MedImage.on(Grid.regular((34, 36, 32), (6.0, 6.0, 6.0)), torch.from_numpy(voxels)[None].float())

    assert assess(smooth(seed), smooth(seed + 100), np.eye(4), RIGID).standing is not Standing.OK


def test_an_image_without_structure_is_suspect() -> None:
    """A single smooth ball tells where it is, but not how it is turned."""
    grid = Grid.regular((32, 32, 32), (6.0, 6.0, 6.0))
    z, y, x = np.indices((32, 32, 32)) - 15.5
    ball = torch.from_numpy(np.exp(-(x**2 + y**2 + z**2) / 60))[None].float()
    image = MedImage.on(grid, ball)
    assert assess(image, image, np.eye(4), RIGID).standing is not Standing.OK


def test_exchanged_images_have_the_same_verdict_nearly(fixed, moved_head, truths) -> None:
    """The samples and blocks are others': a third of the error."""
    truth, other = truths[Kind.RIGID], moved_head(truths[Kind.RIGID])
    there = assess(fixed, other, truth, RIGID)
    back = assess(other, fixed, np.linalg.inv(truth), RIGID)
    assert there.standing is back.standing is Standing.OK
    assert there.predicted_error.mean_mm == pytest.approx(back.predicted_error.mean_mm, rel=0.34)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_units_do_not_matter(fixed, moved_head, truths, factor: float) -> None:
    """Metres, micrometres or pixels: the same figures, and the error in that unit."""
    truth = truths[Kind.RIGID]
    stretch = np.diag([factor] * 3 + [1.0])

    def in_unit(image: MedImage) -> MedImage:
        return MedImage.on(Grid.from_affine(image.grid.size, stretch @ image.grid.affine), image.data)

    one = assess(fixed, moved_head(truth), truth, RIGID)
    other = assess(in_unit(fixed), in_unit(moved_head(truth)), stretch @ truth @ np.linalg.inv(stretch), RIGID)
    assert other.standing is one.standing
    for name in ("agreement", "lead", "uncertainty", "stretch", "overlap"):
        assert other.features[name] == pytest.approx(one.features[name], rel=0.05), name
    assert other.predicted_error.mean_mm / factor == pytest.approx(one.predicted_error.mean_mm, rel=0.05)
    assert other.probability_of_failure == pytest.approx(one.probability_of_failure, abs=0.02)


def test_brightness_does_not_matter(fixed, moved_head, truths) -> None:
    moving = moved_head(truths[Kind.RIGID])
    other = moving.with_data(1e4 * moving.data - 3e3)
    one, two = (assess(fixed, image, truths[Kind.RIGID], RIGID) for image in (moving, other))
    assert two.standing is one.standing
    assert two.predicted_error.mean_mm == pytest.approx(one.predicted_error.mean_mm, rel=0.05)


@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.HOMOGRAPHY], ids=str)
def test_slices_are_judged_too(flat_pair, kind: Kind) -> None:
    still, moving, truth = flat_pair(kind)
    verdict = assess(still, moving, truth, recipe.Recipe(transform=kind))
    assert verdict.standing is Standing.OK
    assert verdict.predicted_error.at(np.zeros((2, 2))).shape == (2,)


def test_what_cannot_be_a_transform_is_refused(fixed) -> None:
    with pytest.raises(TransformError, match="4x4 matrix that does not mirror"):
        assess(fixed, fixed, np.diag([-1.0, 1, 1, 1]), RIGID)


def test_images_that_do_not_meet_are_failed(fixed) -> None:
    away = homogeneous(np.eye(3), np.array([5000.0, 0, 0]))
    verdict = assess(fixed, fixed, away, RIGID)
    assert verdict.standing is Standing.FAILED
    assert verdict.reasons[0] == Outcome.NO_OVERLAP.advice


def test_the_finest_problem_is_not_evaluated_again(fixed, moved_head, truths, monkeypatch) -> None:
    """What the last stage knows of its answer is handed on; figures that want another look take fewer samples."""
    evaluated: list[int] = []
    plain = OneWay.evaluate
    monkeypatch.setattr(OneWay, "evaluate", lambda self, m: evaluated.append(self.samples) or plain(self, m))
    levels = [{"spacing_mm": 8.0, "samples": 6000}, {"spacing_mm": 4.0, "samples": 40_000}]
    result = register(fixed, moved_head(truths[Kind.RIGID]), recipe.Recipe(transform="rigid", levels=levels))
    assert result.stages[-1].samples == 40_000
    assert evaluated.count(40_000) == result.stages[-1].evaluations


# Of figures ----------------------------------------------------------------------------------------------------------


def test_fine_figures_are_ok() -> None:
    assert verdict_with().standing is Standing.OK


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.NO_OVERLAP])
def test_an_end_in_failure_is_failed_with_its_advice_first(outcome: Outcome) -> None:
    verdict = verdict_with(outcome)
    assert verdict.standing is Standing.FAILED
    assert verdict.reasons[0] == outcome.advice


@pytest.mark.parametrize("outcome", [Outcome.FLAT, Outcome.STEPS_SPENT])
def test_other_ends_do_not_make_it_worse(outcome: Outcome) -> None:
    assert verdict_with(outcome).standing is Standing.OK


def test_what_is_stretched_out_of_all_proportion_is_suspect_at_best() -> None:
    verdict = verdict_with(stretch=1.1 * STRETCH)
    assert verdict.standing is Standing.SUSPECT
    assert verdict.reasons[0] == "the transform scales by a factor of 2.20"
    assert verdict.next == ("medreg info FIXED MOVING", "medreg register FIXED MOVING -t rigid")
    assert verdict_with(stretch=0.95 * STRETCH).standing is Standing.OK


def test_nothing_to_judge_by_is_suspect() -> None:
    verdict = verdict_with(agreement=math.nan)
    assert verdict.standing is not Standing.OK
    assert "inside their outlines the images show no structure to judge by" in verdict.reasons
    assert verdict_with(agreement=math.nan, lead=math.nan).standing is not Standing.OK


def test_a_large_predicted_error_is_never_ok() -> None:
    verdict = verdict_with(uncertainty=0.05)
    assert verdict.standing is not Standing.OK
    assert "noise and differences of the images leave an error of about 5 mm" in verdict.reasons
    assert verdict.next == ("medreg register FIXED MOVING -t rigid",)


@pytest.mark.parametrize("name", list(model_of().features))
def test_nothing_worse_makes_a_verdict_better(name: str) -> None:
    feature = model_of().features[name]
    towards = np.geomspace(feature.good / 3, feature.good * 3, 5), np.geomspace(feature.good, feature.bad, 9)
    values = sorted({*towards[0], *towards[1], feature.bad * 2, feature.bad / 2}, reverse=feature.good > feature.bad)
    for others in product(FINE["lead"] * np.array([1.0, 0.4]), FINE["uncertainty"] * np.array([1.0, 20.0])):
        rest = {"lead": others[0], "uncertainty": others[1]}
        p = [model_of().probability({**FINE, **rest, name: value}) for value in values]
        assert (np.diff(p) >= 0).all()


def test_the_reasons_are_those_that_weigh_most_in_the_units_of_the_image() -> None:
    verdict = verdict_with(agreement=1.0, lead=0.5, other_metric=0.3)
    assert verdict.standing is Standing.FAILED
    assert any("would move the answer by 30 mm" in reason for reason in verdict.reasons) or len(verdict.reasons) >= 2
    assert any("turned elsewhere the images share 2.00 times" in reason for reason in verdict.reasons)


def test_a_transform_that_is_not_ok_says_what_to_do() -> None:
    assert verdict_with(agreement=1.0, lead=0.5).next[:2] == (
        "medreg info FIXED MOVING",
        "medreg register FIXED MOVING -t affine --start search",
    )
    assert "medreg register FIXED MOVING -t affine --start transform.tfm" in verdict_with(pull=1.0, lead=1.0).next


# The model -----------------------------------------------------------------------------------------------------------


def changed(path, **to) -> Model:
    value = json.loads(FILE.read_text())
    for key, new in to.items():
        holder, (*inner, last) = value, key.split("__")
        for name in inner:
            holder = holder[name]
        holder[last] = new
    path.write_text(json.dumps(value))
    return model_of(path)


def test_the_models_file_is_read_and_keeps_its_values(tmp_path) -> None:
    assert changed(tmp_path / "m.json", intercept=-3.25).intercept == -3.25


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"features__lead__weight": -1.0}, "features.lead.weight"),
        ({"features__lead__good": 0.0}, "features.lead.good"),
        ({"features__lead__bad": 1.5, "features__lead__good": 1.5}, "good and bad must differ"),
        ({"limits__ok": 0.9, "limits__failed": 0.5}, "ok must be below failed"),
        ({"limits__ok": 1.2}, "limits.ok"),
        ({"error__factor": 0.0}, "error.factor"),
        ({"unknown": 1}, "unknown"),
        ({"features__beauty": {"good": 1, "bad": 2, "unknown": 1, "weight": 1, "meaning": ""}}, "no feature is called"),
    ],
    ids=str,
)
def test_a_file_that_is_no_model_is_refused_by_what_is_wrong(tmp_path, fault, said: str) -> None:
    with pytest.raises(RecipeError, match="is no model of a verdict") as error:
        changed(tmp_path / "m.json", **fault)
    assert said in str(error.value)


def test_a_figure_counts_between_its_ends() -> None:
    lead = replace_feature(good=2.0, bad=0.5)
    assert [lead.badness(v) for v in (4.0, 2.0, 1.0, 0.5, 0.1)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert lead.badness(0.0) == 1.0
    pull = replace_feature(good=0.001, bad=0.1)
    assert [pull.badness(v) for v in (0.0, 0.001, 0.01, 0.1, math.inf)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert pull.badness(math.nan) == pull.unknown


def replace_feature(**ends: float):
    return next(iter(model_of().features.values())).model_copy(update=ends)


# The predicted error -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def predicted(fixed, moved_head, truths) -> PredictedError:
    truth = truths[Kind.AFFINE]
    return assess(fixed, moved_head(truth), truth, recipe.Recipe(transform="affine")).predicted_error


def test_the_map_covers_the_image_and_holds_the_error_at_its_voxels(predicted: PredictedError, fixed) -> None:
    error, grid = predicted.over(fixed.grid)
    assert error.shape == grid.shape
    assert grid.extent == pytest.approx(fixed.grid.extent)
    assert grid.centre == pytest.approx(fixed.grid.centre)
    assert min(grid.spacing) > 6  # mm: coarse
    index = np.array([[2.0, 5.0, 9.0]])
    assert error[9, 5, 2] == pytest.approx(predicted.at(grid.to_world(index))[0])


def test_far_from_the_head_the_error_is_larger(predicted: PredictedError) -> None:
    centre = predicted.points.mean(0)
    near, far = predicted.at(np.stack([centre, centre + (300, 0, 0)]))
    assert far > 2 * near


def test_there_is_a_floor(predicted: PredictedError) -> None:
    still = replace(predicted.uncertainty, scores=predicted.uncertainty.scores * 1e-9)
    told = PredictedError.of(still, predicted.points, predicted.scale, 2.0, 0)
    assert told.mean_mm == pytest.approx(2.0 * predicted.scale.floor_voxels)


def test_the_inverse_has_the_error_that_is_sent_back(predicted: PredictedError) -> None:
    matrix = predicted.uncertainty.matrix
    there = map_points(matrix, predicted.points)
    sent_back = -np.linalg.inv(matrix[:3, :3]) @ predicted.uncertainty.jacobian(predicted.points)
    assert predicted.inverse().uncertainty.jacobian(there) == pytest.approx(sent_back, abs=1e-9)
    assert predicted.inverse().inverse().at(predicted.points) == pytest.approx(predicted.at(predicted.points), rel=1e-6)


def test_the_interval_holds_95_of_100_drawn_errors(predicted: PredictedError) -> None:
    """With another seed and no spread beside the covariance: 95 % to within 2 %."""
    scale = predicted.scale.model_copy(update={"spread": 0.0, "floor_voxels": 0.0})
    told = PredictedError.of(predicted.uncertainty, predicted.points, scale, 1.0, 0)
    covariance = predicted.uncertainty.covariance * scale.factor**2
    drawn = np.random.default_rng(9).multivariate_normal(np.zeros(12), covariance, 4000)
    moved = np.einsum("ndp,kp->knd", predicted.uncertainty.jacobian(predicted.points[::3]), drawn)
    means = np.linalg.norm(moved, axis=2).mean(1)
    held = (means >= told.interval_mm[0]) & (means <= told.interval_mm[1])
    assert held.mean() == pytest.approx(0.95, abs=0.02)


def test_it_is_reached_from_the_package(fixed, moved_head, truths) -> None:
    result = medreg.register(fixed, moved_head(truths[Kind.RIGID]), RIGID)
    errors = result.verdict.predicted_error.at(np.array([[0.0, 0, 0], [10.0, -20, 30]]))
    assert errors.shape == (2,)
    assert (errors > 0).all()
