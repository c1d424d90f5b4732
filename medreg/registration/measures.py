"""From a recipe's metric and optimiser to the objects that do the work."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from medreg.metric.correlation import CorrelationMeasure
from medreg.metric.correlation_ratio import CorrelationRatioMeasure
from medreg.metric.gradient_fields import GradientFieldsMeasure
from medreg.metric.label_overlap import LabelOverlapMeasure
from medreg.metric.local_correlation import LocalCorrelationMeasure
from medreg.metric.mean_squares import MeanSquaresMeasure
from medreg.metric.measure import Measure, Slope
from medreg.metric.mutual_information import MutualInformationMeasure, NormalisedMutualInformationMeasure
from medreg.metric.robust import RobustMeasure
from medreg.optimise import rules
from medreg.registration import recipe
from medreg.registration.samples import Placement, Samples


def measure_for(metric: recipe.SingleMetric, samples: Samples, moving: Tensor) -> Measure:
    """The metric bound to the samples of a level and, for histograms, to the moving volume's range, (C, z, y, x)."""
    values = samples.values
    match metric:
        case recipe.MeanSquares() | recipe.SelfSimilarity():
            return MeanSquaresMeasure(values)
        case recipe.Correlation(bias_order=order, powers=powers):
            return CorrelationMeasure(values, samples.position, order, powers)
        case recipe.RobustCorrelation(bias_order=order, powers=powers, cutoff=cutoff):
            return RobustMeasure(values, samples.position, order, powers, cutoff)
        case recipe.LocalCorrelation(patch=patch):
            return LocalCorrelationMeasure(values, patch ** samples.position.shape[1])
        case recipe.CorrelationRatio(bins=bins):
            return CorrelationRatioMeasure(values, _bins(bins, samples))
        case recipe.NormalisedMutualInformation(bins=bins):
            return _by_channel(NormalisedMutualInformationMeasure, values, moving, _bins(bins, samples))
        case recipe.MutualInformation(bins=bins):
            return _by_channel(MutualInformationMeasure, values, moving, _bins(bins, samples))
        case recipe.GradientFields():
            return GradientFieldsMeasure(values)
        case recipe.LabelOverlap():
            return LabelOverlapMeasure(values)


def placement_for(metric: recipe.SingleMetric) -> Placement:
    """Where within their voxels a metric's samples lie, and whether they come in patches."""
    if isinstance(metric, recipe.LocalCorrelation):
        return Placement.PATCHES
    return Placement.SCATTERED if is_histogram(metric) else Placement.CENTRES


def is_histogram(metric: recipe.SingleMetric) -> bool:
    """Whether a metric is read off a joint histogram: then samples are scattered within their voxels, not smoothed."""
    return isinstance(metric, recipe.MutualInformation | recipe.NormalisedMutualInformation)


def goes_on(metric: recipe.Metric) -> bool:
    """Whether a metric's own fit goes on from call to call, so that a second look at one transform tells it better."""
    return any(isinstance(each.metric, recipe.RobustCorrelation) for each in recipe.weighted(metric))


def rule_for(optimiser: recipe.Optimiser, radius: float) -> rules.Rule:
    """A fresh rule for one stage; second-order steps are at most a share of the samples' radius, mm, long."""
    match optimiser:
        case recipe.GaussNewton():
            return rules.GaussNewton(longest_mm=radius / 4)
        case recipe.LBFGS(history=history):
            return rules.LBFGS(history, longest_mm=radius / 16)
        case recipe.Adam(learning_rate_mm=rate, clip_norm=clip):
            return rules.FirstOrder.adam(rate, clip)
        case recipe.RMSprop(learning_rate_mm=rate, clip_norm=clip):
            return rules.FirstOrder.rmsprop(rate, clip)
        case recipe.SGD(learning_rate_mm=rate, momentum=momentum, clip_norm=clip):
            return rules.FirstOrder.sgd(rate, momentum, clip)


class ByChannel:
    """Channel against channel: the mean of a one-channel metric over all of them."""

    def __init__(self, measures: list[Callable[[Tensor, Tensor], Slope]]) -> None:
        self.measures = measures

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        slopes = [measure(channel, weight) for measure, channel in zip(self.measures, moving, strict=True)]
        share = 1 / len(slopes)
        if len(slopes) == 1:
            return Slope(slopes[0].value, slopes[0].slope[None], slopes[0].curvature[None])
        return Slope(
            sum(s.value for s in slopes) * share,
            torch.stack([s.slope for s in slopes]) * share,
            torch.stack([s.curvature for s in slopes]) * share,
        )


def _by_channel(kind: type[MutualInformationMeasure], fixed: Tensor, moving: Tensor, bins: int) -> ByChannel:
    return ByChannel([kind(f, _range(m), bins) for f, m in zip(fixed, moving, strict=True)])


def _bins(most: int, samples: Samples) -> int:
    """Bins an axis: at most `most`, and at least about four samples a cell."""
    return max(min(8, most), min(most, int(len(samples) ** 0.5 / 2)))


def _range(volume: Tensor) -> tuple[float, float]:
    low, high = torch.aminmax(volume)
    return float(low), float(high)
