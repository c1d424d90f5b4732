"""From a recipe's choice to what does the work: each metric's samples, range and bins; channel against channel."""

from __future__ import annotations

import pytest
import torch

from medreg.metric.mutual_information import MutualInformationMeasure, NormalisedMutualInformationMeasure
from medreg.registration import recipe
from medreg.registration.measures import ByChannel, is_histogram, measure_for, placement_for
from medreg.registration.samples import Placement, draw

METRICS = [
    recipe.MeanSquares(),
    recipe.Correlation(),
    recipe.RobustCorrelation(),
    recipe.LocalCorrelation(patch=3),
    recipe.CorrelationRatio(),
    recipe.MutualInformation(),
    recipe.NormalisedMutualInformation(),
    recipe.GradientFields(),
    recipe.SelfSimilarity(),
    recipe.LabelOverlap(),
]


def values(channels: int, count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(channels, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_every_metric_gives_a_slope_of_the_channels_shape(texture, metric):
    image = texture(3)
    volume = torch.cat([image.data] * 3)
    samples = draw(volume, image.grid, 1000, image.grid.centre, 0, placement_for(metric), patch=3)
    moving = samples.values + 20 * values(3, len(samples))
    weight = (values(1, len(samples), 1)[0] > -1).double()
    slope = measure_for(metric, samples, volume)(moving, weight)
    assert isinstance(slope.value, float)
    assert slope.slope.shape == slope.curvature.shape == moving.shape
    assert float(slope.curvature.min()) >= 0
    assert not slope.slope[:, weight == 0].any()
    assert not slope.curvature[:, weight == 0].any()


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_histograms_scatter_their_samples_and_local_correlation_takes_patches(metric):
    joint = metric.name in ("mutual_information", "normalised_mutual_information")
    assert is_histogram(metric) == joint
    expected = Placement.SCATTERED if joint else Placement.CENTRES
    assert placement_for(metric) is (Placement.PATCHES if metric.name == "local_correlation" else expected)


@pytest.mark.parametrize("kind", [MutualInformationMeasure, NormalisedMutualInformationMeasure])
@pytest.mark.parametrize("channels", [1, 3])
def test_channel_against_channel_is_the_mean_of_each(kind, channels):
    fixed, moving = values(channels, 500), values(channels, 500, 1)
    weight = (values(1, 500, 2)[0] > -1).double()
    measures = [kind(f, (-5.0, 5.0), 16) for f in fixed]
    each = [measure(m, weight) for measure, m in zip(measures, moving, strict=True)]
    found = ByChannel(measures)(moving, weight)
    assert found.value == pytest.approx(sum(s.value for s in each) / channels, rel=1e-12)
    torch.testing.assert_close(found.slope, torch.stack([s.slope for s in each]) / channels)
    torch.testing.assert_close(found.curvature, torch.stack([s.curvature for s in each]) / channels)


@pytest.mark.parametrize(("count", "bins"), [(100, 8), (1000, 15), (4000, 31), (100_000, 48)])
def test_few_samples_get_few_bins(texture, count, bins):
    image = texture(3, 50)
    samples = draw(image.data, image.grid, count, image.grid.centre, 0, Placement.SCATTERED)
    assert measure_for(recipe.MutualInformation(bins=48), samples, image.data).measures[0].bins == bins
    assert measure_for(recipe.CorrelationRatio(bins=4), samples, image.data).bins == 4


def test_each_channel_has_the_range_of_its_own_volume(texture):
    image = texture(3)
    volume = torch.cat([image.data, 1000 * image.data])
    samples = draw(volume, image.grid, 1000, image.grid.centre, 0, Placement.SCATTERED)
    one, other = measure_for(recipe.MutualInformation(), samples, volume).measures
    assert one.binning.low == float(image.data.min())
    assert one.binning.scale == pytest.approx(1000 * other.binning.scale)
