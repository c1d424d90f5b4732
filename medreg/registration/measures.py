"""From a recipe's metric and optimiser to the objects that do the work."""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.metric.correlation import CorrelationMeasure
from medreg.metric.mean_squares import MeanSquaresMeasure
from medreg.metric.measure import Measure
from medreg.metric.mutual_information import MutualInformationMeasure, NormalisedMutualInformationMeasure
from medreg.optimise import rules
from medreg.registration import recipe
from medreg.registration.samples import Samples


def measure_for(metric: recipe.Metric, samples: Samples, moving: Tensor) -> Measure:
    """The metric bound to the samples of a level and, for histograms, to the range of the moving volume."""
    match metric:
        case recipe.MeanSquares():
            return MeanSquaresMeasure(samples.values)
        case recipe.Correlation(bias_order=order, powers=powers):
            return CorrelationMeasure(samples.values, samples.position, order, powers)
        case recipe.NormalisedMutualInformation(bins=bins):
            return NormalisedMutualInformationMeasure(samples.values, _range(moving), _bins(bins, samples))
        case recipe.MutualInformation(bins=bins):
            return MutualInformationMeasure(samples.values, _range(moving), _bins(bins, samples))
        case recipe.AutoMetric():
            raise TypeError("metric 'auto' is resolved before a level is built")


def is_histogram(metric: recipe.Metric) -> bool:
    """Whether a metric is read off a joint histogram: then samples are scattered within their voxels, not smoothed."""
    return isinstance(metric, (recipe.MutualInformation, recipe.NormalisedMutualInformation))


def rule_for(optimiser: recipe.Optimiser) -> rules.Rule:
    """A fresh rule for one stage."""
    match optimiser:
        case recipe.GaussNewton():
            return rules.GaussNewton()
        case recipe.LBFGS(history=history):
            return rules.LBFGS(history)
        case recipe.Adam(learning_rate_mm=rate, clip_norm=clip):
            return rules.FirstOrder.adam(rate, clip)
        case recipe.RMSprop(learning_rate_mm=rate, clip_norm=clip):
            return rules.FirstOrder.rmsprop(rate, clip)
        case recipe.SGD(learning_rate_mm=rate, momentum=momentum, clip_norm=clip):
            return rules.FirstOrder.sgd(rate, momentum, clip)


def _bins(most: int, samples: Samples) -> int:
    """Bins an axis: at most `most`, and at least about four samples a cell."""
    return max(8, min(most, int(len(samples) ** 0.5 / 2)))


def _range(volume: Tensor) -> tuple[float, float]:
    low, high = torch.aminmax(volume)
    return float(low), float(high)
