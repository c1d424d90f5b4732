"""Correlation within small patches: for images whose contrast or shading changes from place to place.

Avants et al. 2008 (doi:10.1016/j.media.2007.06.004). Where they slide a window over every voxel, here the samples come
in patches, so the metric stays one of scattered samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.metric.correlation import FLAT
from medreg.metric.measure import Slope

FLOOR = 1e-3
"""A patch whose variance is below this share of the whole image's (3 % of its standard deviation) shows noise."""

LEAST_SHARE, LEAST_COUNT = 0.5, 3
"""A patch is left out with fewer counted samples than this share of it or this count: two points always correlate."""


def local_correlation(fixed: Tensor, moving: Tensor, weight: Tensor, patch: int) -> Tensor:
    """1 minus the mean squared correlation of a patch: 0 (each patch explained by gain and offset of its own) to 1.

    Fixed patches with little variance count little, since their correlation is that of noise. Flat moving patches do
    count, as unexplained: otherwise the metric would fall where structure is moved onto air.

    Args:
        fixed: (N,) values, N = K patches of `patch` samples, those of a patch in a row; not differentiated.
        moving: (N,) values; differentiable.
        weight: (N,) non-negative; samples with weight 0 do not count.
        patch: samples of one patch, 3 or more.

    A constant image on either side gives 1.

    Raises:
        UsageError: if N is no multiple of `patch`, or `patch` is below 3.
    """
    f, m = _patches(fixed, patch), _patches(moving, patch)
    w = _counted(weight, patch)
    count = w.sum(1)
    safe, total = count.clamp(min=1e-30), w.sum().clamp(min=1e-30)
    f_mean, m_mean = ((w * v).sum(1, keepdim=True) / safe[:, None] for v in (f, m))
    f_all, m_all = ((w * (v - (w * v).sum() / total) ** 2).sum() / total for v in (f, m))
    share = (w * (f - f_mean) ** 2).sum(1) / safe / f_all.clamp(min=1e-30)
    squared = ((w * (f - f_mean) * (m - m_mean)).sum(1) / safe) ** 2 / f_all.clamp(min=1e-30)
    bend = torch.maximum((w * (m - m_mean) ** 2).sum(1) / safe, FLOOR * m_all).clamp(min=1e-30)
    explained = (count * _gain(share) * squared / bend).sum() / (count * _gain(share) * share).sum().clamp(min=1e-30)
    varies = torch.stack([v > FLAT * (w * x**2).sum() / total for v, x in ((f_all, f), (m_all, m))]).all()
    return torch.where(varies, 1 - explained, torch.ones_like(explained))


class LocalCorrelationMeasure:
    """`local_correlation` with its slope in closed form, the mean of all channels."""

    def __init__(self, fixed: Tensor, patch: int) -> None:
        """Bind to fixed values (C, N), N = K patches of `patch` samples, those of a patch in a row."""
        centred = fixed - fixed.mean(1, keepdim=True)
        self.flat = centred.square().mean(1) <= FLAT * fixed.square().mean(1)
        self.fixed = [_patches(channel, patch) for channel in centred]
        self.patch = patch

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        w = _counted(weight, self.patch)
        count = w.sum(1)
        value, slope, curvature = 0.0, torch.zeros_like(moving), torch.zeros_like(moving)
        for k, fixed in enumerate(self.fixed):
            part = None if self.flat[k] else _slope(fixed, moving[k].view_as(w), w, count)
            value += 1.0 if part is None else part.value
            if part is not None:
                slope[k], curvature[k] = part.slope.flatten(), part.curvature.flatten()
        channels = len(self.fixed)
        return Slope(value / channels, slope.div_(channels), curvature.div_(channels))


def _slope(fixed: Tensor, moving: Tensor, w: Tensor, count: Tensor) -> Slope | None:
    """Of one channel as patches (K, P), with weights `w` and their sums (K,); None where an image is constant."""
    total = float(count.sum())
    safe = count.clamp(min=1e-30)
    f, f_all = _centred(fixed, w, safe, total)
    m, m_all = _centred(moving, w, safe, total)
    if any(v <= FLAT * _mean_square(x, w, total) for v, x in ((f_all, fixed), (m_all, moving))):
        return None
    share = (f * f).sum(1) / safe / f_all  # f and m are weighted, and weights are 0 or 1 here
    product, variance = (f * m).sum(1) / safe, (m * m).sum(1) / safe
    bend = variance.clamp(min=FLOOR * m_all)
    gain = _gain(share)
    counts = gain * share
    norm = float((count * counts).sum())
    explained = product**2 * gain / (bend * f_all)
    own = variance > FLOOR * m_all  # elsewhere the whole image's variance divides
    toward = product * gain / (bend * f_all)
    slope = m * (torch.where(own, explained / bend, 0.0) * (2 / norm))[:, None] - f * (toward * (2 / norm))[:, None]
    lent = FLOOR * float(torch.where(own, 0.0, count * explained / bend).sum()) / norm
    if lent:
        centre = float((w * moving).sum()) / total
        slope += (w * (moving - centre)) * (2 * lent / total)
    curvature = w * (counts / bend * (2 / norm))[:, None]
    return Slope(1 - float((count * explained).sum()) / norm, slope, curvature)


def _centred(values: Tensor, w: Tensor, count: Tensor, total: float) -> tuple[Tensor, float]:
    """Patches (K, P) about their own means, 0 where not counted; and the variance about the mean of all."""
    mean = (w * values).sum(1) / count
    centred = (values - mean[:, None]) * w
    between = mean - float((count * mean).sum()) / max(total, 1e-30)
    flat = centred.flatten()
    return centred, (float(flat.dot(flat)) + float((count * between**2).sum())) / max(total, 1e-30)


def _mean_square(values: Tensor, w: Tensor, total: float) -> float:
    return float((w * values).flatten().dot(values.flatten())) / max(total, 1e-30)


def _gain(share: Tensor) -> Tensor:
    """(K,) how much a patch counts, 0 to 1, over its variance as a share of the image's: no division by a small one."""
    return share / (share**2 + FLOOR**2)


def _counted(weight: Tensor, patch: int) -> Tensor:
    """(K, P) weights, 0 in patches with few counted samples."""
    w = _patches(weight, patch)
    enough = (w > 0).sum(1) >= max(LEAST_COUNT, LEAST_SHARE * patch)
    return w * enough[:, None]


def _patches(values: Tensor, patch: int) -> Tensor:
    if patch < LEAST_COUNT or len(values) % patch:
        raise UsageError(
            f"local correlation needs patches of {LEAST_COUNT} samples or more, all of one size; "
            f"got {len(values)} samples for patches of {patch}"
        )
    return values.reshape(-1, patch)
