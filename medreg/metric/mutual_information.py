"""Mutual information of two images from a smoothed joint histogram, plain and normalised: for any pair of contrasts.

Mattes et al. 2003 (doi:10.1109/TMI.2003.809072): fixed values in hard bins, moving values spread over four bins by a
cubic B-spline, which makes the histogram, and so the metric, differentiable in the moving values. Normalised form:
Studholme et al. 1999 (doi:10.1016/S0031-3203(98)00091-0).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from medreg.metric.measure import Slope
from medreg.sample.sharing import points_at_once, shared

MARGIN = 2
"""Empty bins at each end of the moving axis, so that the spline's support stays inside."""

TINY = 1e-12
"""Added to probabilities under a logarithm."""


class Binning:
    """How values become histogram coordinates: `bins` bins from `low` to `high`; values beyond are clamped."""

    def __init__(self, low: float, high: float, bins: int) -> None:
        self.low, self.bins = low, bins
        self.scale = (bins - 2 * MARGIN) / (high - low) if high > low else 0.0  # a constant: one bin, no slope

    @staticmethod
    def of(values: Tensor, bins: int) -> Binning:
        """From the smallest to the largest value."""
        low, high = torch.aminmax(values)
        return Binning(float(low), float(high), bins)

    def coordinate(self, values: Tensor) -> Tensor:
        """Continuous bin coordinate, MARGIN - 1/2 at `low`; its integer part plus -1, 0, 1, 2 are the bins touched."""
        top = self.bins - 2 * MARGIN
        return ((values - self.low) * self.scale).clamp(0, top) * (1 - 1e-6) + (MARGIN - 0.5)

    def hard(self, values: Tensor) -> Tensor:
        """(N,) int64 bin of each value, 0 to bins - 1, over the whole range."""
        share = (values - self.low) * (self.scale * self.bins / (self.bins - 2 * MARGIN))
        return share.floor().long().clamp(0, self.bins - 1)


def mutual_information(fixed: Tensor, moving: Tensor, weight: Tensor, bins: int = 32) -> Tensor:
    """Minus the mutual information in nats: 0 for independent images, lower for related ones.

    Args:
        fixed: (N,) values, not differentiated.
        moving: (N,) values; differentiable.
        weight: (N,) non-negative.
        bins: histogram bins an axis.
    """
    entropies = _entropies(_histogram(fixed, moving, weight, bins))
    return entropies[2] - entropies[0] - entropies[1]


def normalised_mutual_information(fixed: Tensor, moving: Tensor, weight: Tensor, bins: int = 32) -> Tensor:
    """Minus (H(fixed) + H(moving)) / H(fixed, moving): -1 for independent images, -2 for a one-to-one relation."""
    entropies = _entropies(_histogram(fixed, moving, weight, bins))
    return -(entropies[0] + entropies[1]) / entropies[2].clamp(min=TINY)


def _histogram(fixed: Tensor, moving: Tensor, weight: Tensor, bins: int) -> Tensor:
    """(bins, bins) joint probabilities, fixed down, moving across; differentiable to the moving values."""
    coordinate = Binning.of(moving.detach(), bins).coordinate(moving)
    rows = Binning.of(fixed, bins).hard(fixed)
    left = coordinate.detach().floor()
    flat = rows * bins + left.long() - 1
    counts = moving.new_zeros(bins * bins)
    for k, w in enumerate(_spline(coordinate - left)):
        counts = counts.index_add(0, flat + k, w * weight)
    return counts.view(bins, bins) / weight.sum()


def _entropies(joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the fixed, the moving and the joint distribution, nats."""
    parts = joint.sum(1), joint.sum(0), joint
    first, second, both = (-(p * (p + TINY).log()).sum() for p in parts)
    return first, second, both


def _spline(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cubic B-spline weights of the bins at -1, 0, 1, 2 for a coordinate `t` in 0 to 1 past bin 0."""
    s = 1 - t
    return s**3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (3 * s**3 - 6 * s**2 + 4) / 6, t**3 / 6


def _spline_slope(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Derivatives of `_spline` by `t`."""
    s = 1 - t
    return -(s**2) / 2, (3 * t**2 - 4 * t) / 2, -(3 * s**2 - 4 * s) / 2, t**2 / 2


class MutualInformationMeasure:
    """Mutual information with the closed form of its slope; the curvature is the empirical Fisher matrix.

    The slope of sample i is sum_k b'(i, k) T[fixed bin i, k] with T = log p(f, m) - log p(m) (and its like for the
    normalised form); N times its square is the expected curvature where the histogram is the right model of the images.
    """

    def __init__(self, fixed: Tensor, moving_range: tuple[float, float], bins: int) -> None:
        self.bins = bins
        self.rows = Binning.of(fixed, bins).hard(fixed) * bins
        self.binning = Binning(*moving_range, bins)

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        bins, share = self.bins, points_at_once(len(moving), moving)
        parts = list(zip(*(torch.split(t, share) for t in (moving, weight, self.rows)), strict=True))
        spread = shared(self._spread, parts, moving)
        total = float(weight.sum().clamp(min=1.0))
        counts = torch.stack([part.counts for part in spread]).sum(0)
        value, table = self._value_and_table((counts / total).view(bins, bins))
        lookup = table.to(moving.dtype).to(moving.device).flatten() * (self.binning.scale / total)
        slope = torch.cat(shared(lambda part: part.slope(lookup), spread, moving)) * weight
        return Slope(value, slope, total * slope**2)

    def _spread(self, part: tuple[Tensor, Tensor, Tensor]) -> _Spread:
        """A share of the samples over the bins."""
        moving, weight, rows = part
        coordinate = self.binning.coordinate(moving)
        left = coordinate.int()
        t = coordinate - left
        first = rows + left - 1
        counts = sum(_count(first + k, w * weight, self.bins) for k, w in enumerate(_spline(t)))
        return _Spread(first, t, torch.as_tensor(counts))

    def _value_and_table(self, joint: Tensor) -> tuple[float, Tensor]:
        """The metric, and its derivative by each joint probability up to what cancels."""
        first, second, both = _entropies(joint)
        return float(both - first - second), -((joint + TINY).log() - (joint.sum(0, keepdim=True) + TINY).log())


class NormalisedMutualInformationMeasure(MutualInformationMeasure):
    """The same for the normalised form."""

    def _value_and_table(self, joint: Tensor) -> tuple[float, Tensor]:
        first, second, both = _entropies(joint)
        ratio = (first + second) / both.clamp(min=TINY)
        marginal = (joint.sum(0, keepdim=True) + TINY).log()
        return -float(ratio), -(ratio * (joint + TINY).log() - marginal) / both.clamp(min=TINY)


class _Spread(NamedTuple):
    """A share of the samples: the first cell that each touches, its place past it, and what they add to all cells."""

    first: Tensor
    t: Tensor
    counts: Tensor

    def slope(self, lookup: Tensor) -> Tensor:
        """(N,) the sum over the bins that each sample touches of the spline's slope times the table."""
        return torch.stack([w * lookup[self.first + k] for k, w in enumerate(_spline_slope(self.t))]).sum(0)


def _count(index: Tensor, weight: Tensor, bins: int) -> Tensor:
    """(bins^2,) weighted histogram of `index`, float64 on the CPU; adds in a fixed order on every device."""
    if index.device.type == "cpu":
        return torch.bincount(index, weights=weight.double(), minlength=bins * bins)
    return count_by_products(index, weight, bins)


def count_by_products(index: Tensor, weight: Tensor, bins: int) -> Tensor:
    """The same as a product of one-hot matrices: on a GPU, bincount and index_add add in no fixed order."""
    rows = torch.nn.functional.one_hot(index // bins, bins).to(weight.dtype) * weight[:, None]
    columns = torch.nn.functional.one_hot(index % bins, bins).to(weight.dtype)
    return (rows.T @ columns).flatten().cpu().double()
