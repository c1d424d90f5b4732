"""The same problem with fewer samples: how many, which ones, and that they tell nearly the same."""

from __future__ import annotations

import numpy as np
import pytest

from medreg.registration import recipe
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import Pyramid
from medreg.registration.thinning import thinned
from medreg.transform.kind import Kind

PAIR = recipe.Several(
    terms=(
        recipe.Weighted(metric=recipe.MeanSquares()),
        recipe.Weighted(metric=recipe.MutualInformation(bins=16), weight=2.0),
    )
)


@pytest.fixture(scope="session")
def level(fixed, moved_head, truths) -> PairLevel:
    """Both heads at 4 mm, 40,000 samples."""
    sides = [Side(Pyramid(i.data, None, i.grid), None, i.grid.centre) for i in (fixed, moved_head(truths[Kind.RIGID]))]
    return PairLevel(0, recipe.Level(spacing_mm=4.0, samples=40_000), *sides, 0, symmetric=True)


@pytest.mark.parametrize("metric", [recipe.Correlation(), recipe.MutualInformation(), PAIR], ids=lambda m: m.name)
def test_each_term_keeps_about_as_many_samples_as_are_asked_for(level, truths, metric) -> None:
    problem = level.problem(metric, Kind.RIGID, truths[Kind.RIGID])
    few = thinned(problem, metric, 5000)
    assert few.kind is problem.kind
    for side in ("forward", "backward"):
        for many, term in zip(getattr(problem, side), getattr(few, side), strict=True):
            assert 5000 <= len(term.samples) < 10_000
            assert (term.weight, term.samples.centre) == (many.weight, many.samples.centre)


def test_the_samples_are_evenly_among_those_that_there_were(level, truths) -> None:
    problem = level.problem(recipe.MeanSquares(), Kind.RIGID, truths[Kind.RIGID])
    many = problem.forward[0].samples
    few = thinned(problem, recipe.MeanSquares(), 5000).forward[0].samples
    assert few.values.equal(many.values[:, ::8])
    assert few.homogeneous.equal(many.homogeneous[::8])


def test_patches_stay_whole(level, truths) -> None:
    metric = recipe.LocalCorrelation(patch=3)
    problem = level.problem(metric, Kind.RIGID, truths[Kind.RIGID])
    few = thinned(problem, metric, 5000).forward[0].samples
    corners = few.homogeneous[:, :3].view(-1, 27, 3)
    extent = (corners.amax(1) - corners.amin(1)).numpy()
    assert extent == pytest.approx(np.full_like(extent, 8.0), abs=1e-3)  # mm: three voxels of 4 mm, centre to centre


def test_what_has_no_more_is_taken_as_it_is(level, truths) -> None:
    problem = level.problem(recipe.Correlation(), Kind.RIGID, truths[Kind.RIGID])
    same = thinned(problem, recipe.Correlation(), 30_000)
    assert same.forward[0] is problem.forward[0]
    assert same.backward[0] is problem.backward[0]


def test_the_curvature_is_nearly_that_of_all(level, truths) -> None:
    """A quarter of the samples: within a fifth of it in every direction."""
    truth = truths[Kind.RIGID]
    problem = level.problem(recipe.MeanSquares(), Kind.RIGID, truth)
    all_of_it, part = (p.evaluate(truth).curvature for p in (problem, thinned(problem, recipe.MeanSquares(), 10_000)))
    ratio = np.linalg.eigvals(np.linalg.solve(all_of_it, part)).real
    assert ratio.min() > 0.8
    assert ratio.max() < 1.25
