"""Both images at one level, and the problem that a metric makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from medreg.geometry.affine import derivative_at, invert
from medreg.registration import recipe
from medreg.registration.features import features
from medreg.registration.levels import LevelImage, Pyramid
from medreg.registration.measures import measure_for, placement_for
from medreg.registration.problem import BothWays, OneWay
from medreg.registration.samples import Samples, draw
from medreg.registration.term import Term
from medreg.transform.kind import Kind
from medreg.types import FloatArray


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two images: its pyramid, that of its label map if there is one, and its centre of mass, LPS mm."""

    image: Pyramid
    labels: Pyramid | None
    centre: tuple[float, ...]

    def at(self, spacing_mm: float, metric: recipe.SingleMetric) -> LevelImage:
        """What the metric looks at, filtered as it needs it."""
        if isinstance(metric, recipe.LabelOverlap) and self.labels is not None:
            return self.labels.at(spacing_mm, metric)
        return self.image.at(spacing_mm, metric)


@dataclass(frozen=True, eq=False)
class PairLevel:
    """Both images at one level.

    Attributes:
        number: position among the levels, 0 is the coarsest.
        settings: spacing, samples, steps, tolerance.
        fixed: the fixed image.
        moving: the moving image.
        seed: of the samples.
        symmetric: whether the moving image's samples are compared with the fixed image too.
    """

    number: int
    settings: recipe.Level
    fixed: Side
    moving: Side
    seed: int
    symmetric: bool = False
    _drawn: dict[tuple[object, ...], Samples] = field(default_factory=dict)

    @property
    def swapped(self) -> PairLevel:
        """The same with the images exchanged; what was drawn of either is kept."""
        return replace(self, fixed=self.moving, moving=self.fixed)

    def problem(self, metric: recipe.Metric, kind: Kind, start: FloatArray) -> OneWay | BothWays:
        """The metric at this level as a function of a matrix; some metrics turn their features by that of `start`."""
        forward = self.terms(metric, start)
        if not self.symmetric:
            return OneWay(forward, kind)
        return BothWays(forward, self.swapped.terms(metric, invert(start)), kind)

    def terms(self, metric: recipe.Metric, start: FloatArray) -> list[Term]:
        """Each metric of fixed samples in the moving image."""
        return [self._term(each, start) for each in recipe.weighted(metric)]

    def _term(self, each: recipe.Weighted, start: FloatArray) -> Term:
        metric, spacing = each.metric, self.settings.spacing_mm
        turn = derivative_at(start, np.array(self.fixed.centre))
        moving = features(metric, self.moving.at(spacing, metric), turn, spacing)
        samples = self.samples(metric)
        return Term(samples, moving, measure_for(metric, samples, moving.volume), each.weight)

    def samples(self, metric: recipe.SingleMetric) -> Samples:
        """Those of the fixed image that suit the metric; drawn once."""
        key = (id(self.fixed), metric)
        if key not in self._drawn:
            fixed = self.fixed.at(self.settings.spacing_mm, metric)
            fixed = features(metric, fixed, np.eye(fixed.grid.dimension), self.settings.spacing_mm)
            patch = metric.patch if isinstance(metric, recipe.LocalCorrelation) else 1
            count, place = self.settings.samples, placement_for(metric)
            self._drawn[key] = draw(
                fixed.volume, fixed.grid, count, self.fixed.centre, self.seed, place, fixed.mask, patch
            )
        return self._drawn[key]
