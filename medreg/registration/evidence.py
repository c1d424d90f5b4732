"""What speaks for and against a transform: a few figures without unit, cheap beside the registration.

They ask five things. Do the images fit better here than nearby, and than turned any other way? Is the metric at rest,
or does it still pull? Where would another look at the images lead: mutual information, which serves every contrast, and
the same metric with the images exchanged? How sure are the parameters? And is the transform one that two images of a
thing can have?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from medreg.errors import MedregError
from medreg.geometry.affine import derivative_at, invert, map_points
from medreg.optimise.loop import Stopping, descend, usable
from medreg.optimise.problem import Evaluation
from medreg.optimise.record import Outcome
from medreg.optimise.rules import GaussNewton
from medreg.registration import recipe
from medreg.registration.agreement import agreement_of, explained_of, lead_of
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import LevelImage, Pyramid
from medreg.registration.measures import measure_for
from medreg.registration.moments import mass
from medreg.registration.problem import BothWays, OneWay
from medreg.registration.samples import LEAST, Samples
from medreg.registration.term import Term
from medreg.registration.uncertainty import NUDGE, Uncertainty, curvature_at, uncertainty
from medreg.transform.kind import Kind
from medreg.types import FloatArray

GENERAL = recipe.MutualInformation(bins=32)
"""Serves every contrast."""

SAMPLES, POINTS, STEPS = 8000, 500, 8
"""For another look: how many voxels are compared, at how many points of the foreground its steps are taken, and the
most steps."""

ENOUGH = 12_000
"""So many samples tell the curvature of all."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """The figures that a verdict is made of.

    Attributes:
        features: by name, without unit; NaN for what could not be told. Distances are shares of the samples' radius.
            agreement: see `agreement_of`.
            lead: see `lead_of`.
            explained: see `explained_of`.
            pull: how far one Gauss-Newton step of the metric itself would go.
            other_metric: how far mutual information leads away at a coarse level.
            exchanged: how far the metric leads away with the images exchanged.
            uncertainty: the root mean square error over the foreground by the parameters' covariance.
            overlap: share of what could be seen of both images that is.
            stretch: the largest factor by which the transform enlarges or shrinks.
        uncertainty: the covariance behind it; None where it could not be told.
        points: (N, D) of the foreground, LPS mm.
        radius_mm: of the samples.
        spacing_mm: of the finest level.
    """

    features: Mapping[str, float]
    uncertainty: Uncertainty | None
    points: FloatArray
    radius_mm: float
    spacing_mm: float


def evidence_of(
    seen: PairLevel,
    problem: OneWay | BothWays,
    metric: recipe.Metric,
    matrix: FloatArray,
    kind: Kind,
    spacing_mm: float,
) -> Evidence:
    """The figures of a transform.

    Args:
        seen: both images at a coarse level, where most is looked at; see `looked_at`.
        problem: the metric at the finest level.
        metric: the recipe of it.
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        kind: the family that the transform was sought in.
        spacing_mm: of the finest level.
    """
    fixed, moving = (side.at(seen.settings.spacing_mm, GENERAL) for side in (seen.fixed, seen.moving))
    points = foreground_points(fixed)
    here = problem.evaluate(matrix)
    scales = np.linalg.svd(derivative_at(matrix, np.array(fixed.grid.centre)), compute_uv=False)
    swapped = replace(seen, fixed=seen.moving, moving=seen.fixed, _drawn={})
    there = map_points(matrix, points)
    sure = _sure(problem, metric, matrix, spacing_mm) if usable(here) else None
    features = {
        "agreement": agreement_of(fixed, moving, matrix, seen.seed),
        "lead": lead_of(fixed, moving, matrix, seen.seed),
        "explained": explained_of(fixed, moving, matrix, seen.seed),
        "pull": _pull(problem, here, matrix, points) / problem.radius,
        "other_metric": _led(seen, GENERAL, kind, matrix, points) / problem.radius,
        "exchanged": _led(swapped, metric, kind, invert(matrix), there) / problem.radius,
        "uncertainty": float("nan") if sure is None else float(sure.at(points).mean()) / problem.radius,
        "overlap": here.overlap,
        "stretch": float(max(scales[0], 1 / max(scales[-1], 1e-12))),
    }
    return Evidence(features, sure, points, problem.radius, spacing_mm)


def looked_at(level: PairLevel) -> PairLevel:
    """A level with its images kept as they are there, few samples, and one way: what `evidence_of` sees."""

    def kept(pyramid: Pyramid, metric: recipe.SingleMetric) -> Pyramid:
        image = pyramid.at(level.settings.spacing_mm, metric)
        return Pyramid(image.volume, None if image.mask is None else image.mask.float(), image.grid)

    fixed, moving = (
        Side(
            kept(side.image, GENERAL),
            None if side.labels is None else kept(side.labels, recipe.LabelOverlap()),
            side.centre,
        )
        for side in (level.fixed, level.moving)
    )
    settings = level.settings.model_copy(update={"samples": SAMPLES, "steps": STEPS})
    return PairLevel(level.number, settings, fixed, moving, level.seed)


def foreground_points(image: LevelImage) -> FloatArray:
    """About `POINTS` world points (N, D) that stand out from the background; of a constant image, its corners."""
    index = (mass(image) > 0).nonzero().flip(1).double().numpy()
    if not len(index):
        return image.grid.corners
    return image.grid.to_world(index[:: max(1, len(index) // POINTS)])


def _pull(problem: OneWay | BothWays, here: Evaluation, matrix: FloatArray, points: FloatArray) -> float:
    """Mean distance, mm, by which one damped Gauss-Newton step moves the points; infinite where there is none."""
    if not np.isfinite(here.value):
        return float("inf")
    return _apart(problem.move(matrix, GaussNewton(longest_mm=problem.radius / 4).propose(here)), matrix, points)


def _led(level: PairLevel, metric: recipe.Metric, kind: Kind, matrix: FloatArray, points: FloatArray) -> float:
    """Mean distance, mm, by which a metric's descent at a coarse level carries the points away; NaN without one."""
    try:
        problem = level.problem(metric, kind, matrix)
        last = matrix
        rule = GaussNewton(longest_mm=problem.radius / 8)
        for event in descend(problem, matrix, rule, Stopping(STEPS, level.settings.spacing_mm / 20)):
            if not isinstance(event, Outcome):
                last = event.matrix
    except MedregError:
        return float("nan")
    return _apart(last, matrix, points)


def _sure(
    problem: OneWay | BothWays, metric: recipe.Metric, matrix: FloatArray, spacing_mm: float
) -> Uncertainty | None:
    """The covariance, its curvature from a part of the samples; None where the metric has no slope to tell it by."""
    try:
        curvature = curvature_at(thinned(problem, metric, ENOUGH), matrix, NUDGE * spacing_mm)
        sure = uncertainty(problem, matrix, curvature=curvature)
        return sure if np.trace(sure.covariance) > 0 else None
    except np.linalg.LinAlgError:
        return None


def thinned(problem: OneWay | BothWays, metric: recipe.Metric, count: int) -> OneWay | BothWays:
    """The same problem with about `count` of the samples of each term."""
    each = recipe.weighted(metric)

    def fewer(terms: list[Term]) -> list[Term]:
        return [_fewer(term, one.metric, count) for term, one in zip(terms, each, strict=True)]

    if isinstance(problem, OneWay):
        return OneWay(fewer(list(problem.terms)), problem.kind)
    return BothWays(fewer(list(problem.forward)), fewer(list(problem.backward)), problem.kind)


def _fewer(term: Term, metric: recipe.SingleMetric, count: int) -> Term:
    samples = term.samples
    run = metric.patch ** (samples.homogeneous.shape[1] - 1) if isinstance(metric, recipe.LocalCorrelation) else 1
    stride = max(1, min(len(samples) // max(count, run), len(samples) // (run * LEAST)))
    if stride == 1:
        return term
    whole = len(samples) // run * run
    values = samples.values[:, :whole].reshape(len(samples.values), -1, run)[:, ::stride].flatten(1).contiguous()
    homogeneous = samples.homogeneous[:whole].reshape(whole // run, run, -1)[::stride].flatten(0, 1).contiguous()
    few: Samples = replace(samples, values=values, homogeneous=homogeneous)
    return Term(few, term.moving, measure_for(metric, few, term.moving.volume), term.weight)


def _apart(one: FloatArray, other: FloatArray, points: FloatArray) -> float:
    return float(np.linalg.norm(map_points(one, points) - map_points(other, points), axis=1).mean())
