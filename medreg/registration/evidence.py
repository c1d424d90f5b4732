"""What speaks for and against a transform: a few figures without unit, cheap beside the registration.

They ask five things. Do the images fit better here than nearby, and than turned any other way? Is the metric at rest,
or does it still pull? Where would another look at the images lead: mutual information, which serves every contrast, and
the same metric with the images exchanged? How sure are the parameters? And is the transform one that two images of a
thing can have?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
from medreg.registration.levels import Pyramid
from medreg.registration.moments import foreground_points
from medreg.registration.problem import BothWays, OneWay
from medreg.registration.uncertainty import Uncertainty, measured
from medreg.transform.kind import Kind
from medreg.types import FloatArray

GENERAL = recipe.MutualInformation(bins=32)
"""Serves every contrast."""

SAMPLES, STEPS = 8000, 8
"""For another look: how many voxels are compared, and the most steps."""


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
    here: Evaluation,
    spacing_mm: float,
) -> Evidence:
    """The figures of a transform.

    Args:
        seen: both images at a coarse level, where most is looked at; see `looked_at`.
        problem: the metric at the finest level, over the family that the transform was sought in.
        metric: the recipe of it.
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        here: the problem at `matrix`.
        spacing_mm: of the finest level.
    """
    fixed, moving = (side.at(seen.settings.spacing_mm, GENERAL) for side in (seen.fixed, seen.moving))
    points = foreground_points(fixed)
    scales = np.linalg.svd(derivative_at(matrix, np.array(fixed.grid.centre)), compute_uv=False)
    there = map_points(matrix, points)
    sure = measured(problem, metric, matrix, spacing_mm) if usable(here) else None
    if sure is not None and not np.trace(sure.covariance) > 0:  # no slope to tell it by
        sure = None
    features = {
        "agreement": agreement_of(fixed, moving, matrix, seen.seed),
        "lead": lead_of(fixed, moving, matrix, seen.seed),
        "explained": explained_of(fixed, moving, matrix, seen.seed),
        "pull": _pull(problem, here, matrix, points) / problem.radius,
        "other_metric": _led(seen, GENERAL, problem.kind, matrix, points) / problem.radius,
        "exchanged": _led(seen.swapped, metric, problem.kind, invert(matrix), there) / problem.radius,
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


def _apart(one: FloatArray, other: FloatArray, points: FloatArray) -> float:
    return float(np.linalg.norm(map_points(one, points) - map_points(other, points), axis=1).mean())
