"""How differently pictures were exposed, from what they show where they overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from medreg.types import FloatArray

BETTER = 0.8
"""A model with more parameters is taken where it leaves less than this share of the difference."""


def exposures(
    shared: Sequence[tuple[int, int, Tensor, Tensor]], count: int, reference: int, limits: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Gains and offsets (K, C) that make overlaps agree: none, gains, or both, the simplest that does.

    From the means and the standard deviations in the overlaps and not from pixel against pixel: so neither noise nor a
    slight misplacement draws a gain towards 0. A simpler model stays unless the next one takes a fifth off what is
    left, so pictures that agree are not touched.

    Args:
        shared: (first, second, values (C, N) of the first, of the second) of each overlap.
        count: of all pictures.
        reference: its gain is 1, its offset 0.
        limits: values at or beyond these are not trusted: a sensor's black and white.
    """
    channels = shared[0][2].shape[0] if shared else 1
    sound = [s for s in (_sound(*each, limits) for each in shared) if s[2].shape[1] > 100]
    models = [(np.ones((count, channels)), np.zeros((count, channels)))]
    if sound:
        models += list(_models(sound, count, reference))
    best = models[0]
    for model in models[1:]:
        if _left(sound, *model) < BETTER * _left(sound, *best):
            best = model
    return torch.from_numpy(best[0]).float(), torch.from_numpy(best[1]).float()


def _models(
    sound: Sequence[tuple[int, int, Tensor, Tensor]], count: int, reference: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Gains alone, from the means; then gains from the standard deviations, and offsets."""
    means = [np.stack([v.double().mean(1).cpu().numpy() for v in s[2:]]) for s in sound]
    spreads = [np.stack([v.double().std(1).cpu().numpy() for v in s[2:]]) + 1e-9 for s in sound]
    ends = [s[:2] for s in sound]
    weights = np.sqrt(np.array([s[2].shape[1] for s in sound], dtype=np.float64))
    if all((m > 0).all() for m in means):
        logs = [np.log(m[1] / m[0]) for m in means]  # log gain of the first less that of the second
        gains = np.exp(_shared_out(ends, logs, weights, count, reference))
        yield gains, np.zeros_like(gains)
    gains = np.exp(_shared_out(ends, [np.log(s[1] / s[0]) for s in spreads], weights, count, reference))
    gaps = [gains[j] * m[1] - gains[i] * m[0] for (i, j), m in zip(ends, means, strict=True)]
    yield gains, _shared_out(ends, gaps, weights, count, reference)


def _shared_out(
    ends: Sequence[tuple[int, ...]], gaps: Sequence[FloatArray], weights: FloatArray, count: int, reference: int
) -> FloatArray:
    """(K, C) values whose differences, first less second, fit the gaps best; that of the reference is 0."""
    rows = np.zeros((len(ends) + 1, count))
    for row, (i, j) in zip(rows, ends, strict=False):
        row[i], row[j] = 1, -1
    rows[:-1] *= weights[:, None]
    rows[-1, reference] = 1.0
    wanted = np.vstack([np.stack(gaps) * weights[:, None], np.zeros_like(gaps[0])])
    found = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return np.asarray(found - found[reference], dtype=np.float64)


def _sound(
    first: int, second: int, one: Tensor, other: Tensor, limits: tuple[float, float]
) -> tuple[int, int, Tensor, Tensor]:
    """An overlap without the pixels that either picture shows black or white."""
    low, high = limits
    kept = ((one > low) & (one < high) & (other > low) & (other < high)).all(0)
    return first, second, one[:, kept], other[:, kept]


def _left(sound: Sequence[tuple[int, int, Tensor, Tensor]], gains: FloatArray, offsets: FloatArray) -> float:
    """Root mean square difference in the overlaps under a model."""
    total, count = 0.0, 0
    for i, j, one, other in sound:
        g, o = torch.from_numpy(gains).to(one), torch.from_numpy(offsets).to(one)
        gap = (one * g[i][:, None] + o[i][:, None]) - (other * g[j][:, None] + o[j][:, None])
        total, count = total + float(gap.double().square().sum()), count + gap.numel()
    return math.sqrt(total / max(count, 1))


def psnr_of(first: int, second: int, one: Tensor, other: Tensor, gains: Tensor, offsets: Tensor, peak: float) -> float:
    """Decibels by which two pictures (C, N) agree, exposures accounted for: at most 100; 0 where there is nothing."""
    if not one.numel():
        return 0.0
    gap = one * gains[first][:, None] + offsets[first][:, None] - other * gains[second][:, None]
    mean = float((gap - offsets[second][:, None]).double().square().mean())
    return min(100.0, 10 * math.log10(peak**2 / max(mean, 1e-30)))
