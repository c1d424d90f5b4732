"""Tells images of one contrast from images of different contrasts, from the data: what `metric: auto` stands on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 24
"""Classes of fixed intensity in which the mean moving intensity is taken."""

SAME = 0.8
"""Share of the explained variance that a rising straight line must reach for the contrasts to count as the same."""

LEAST = 0.5
"""Share of the moving variance that the line must explain at all; below it the safe choice is mutual information."""


@dataclass(frozen=True)
class Contrast:
    """How the moving intensities depend on the fixed ones.

    Attributes:
        explained: share of the moving variance that the class means of the fixed intensity explain (correlation ratio),
            0 to 1.
        linear: share that the best rising straight line explains (0 if the best line falls), 0 to 1.
    """

    explained: float
    linear: float

    @property
    def is_same(self) -> bool:
        """Whether a rising line does nearly as well as any function would."""
        return self.linear >= SAME * self.explained and self.linear >= LEAST

    @property
    def reason(self) -> str:
        """One sentence for a person."""
        relation = f"a rising line explains {self.linear:.0%} of the moving intensities, any curve {self.explained:.0%}"
        return ("same contrast: " if self.is_same else "different contrasts: ") + relation


def compare(fixed: Tensor, moving: Tensor, inside: Tensor) -> Contrast:
    """Compare values (N,) at roughly aligned samples, within what is foreground in both images.

    Background is left out, since that both images are dark outside the body says nothing about their contrasts.
    """
    if not bool(inside.any()):
        return Contrast(0.0, 0.0)
    used = inside & (fixed > threshold(fixed)) & (moving > threshold(moving[inside]))
    f, m = fixed[used].cpu().double(), moving[used].cpu().double()
    if len(f) < BINS * 4 or float(m.var()) == 0 or float(f.var()) == 0:
        return Contrast(0.0, 0.0)
    rank = torch.empty(len(f), dtype=torch.int64)
    rank[f.argsort(stable=True)] = torch.arange(len(f))
    classes = rank * BINS // len(f)
    count = torch.zeros(BINS, dtype=f.dtype).index_add(0, classes, torch.ones_like(f)).clamp(min=1)
    means = torch.zeros_like(count).index_add(0, classes, m) / count
    total = float((m - m.mean()).square().sum())
    explained = float((count * (means - m.mean()).square()).sum()) / total
    centred = f - f.mean()
    slope = float((centred * m).sum()) / float(centred.square().sum())
    linear = slope**2 * float(centred.square().sum()) / total if slope > 0 else 0.0
    return Contrast(max(explained, linear), linear)


def threshold(values: Tensor) -> float:
    """Otsu's threshold (doi:10.1109/TSMC.1979.4310076) of values (N,): what splits background from foreground best."""
    low, high = (float(v) for v in torch.aminmax(values))
    if high <= low:
        return low
    histogram = torch.histc(values.float().cpu(), 128, low, high).double()
    levels = low + (torch.arange(128, dtype=torch.float64) + 0.5) * ((high - low) / 128)
    below, mass = histogram.cumsum(0), (histogram * levels).cumsum(0)
    above = below[-1] - below
    between = (mass[-1] * below / below[-1] - mass).square() / (below * above).clamp(min=1e-12)
    return float(levels[int(between[:-1].argmax())]) + (high - low) / 256
