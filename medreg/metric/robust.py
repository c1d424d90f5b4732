"""Squared differences that outliers cannot pull: Tukey's biweight of what a linear fit of the fixed image leaves.

Reuter et al. 2010 (doi:10.1016/j.neuroimage.2010.07.020). For images of one contrast of which a part has changed: a
tumour taken out, contrast agent, a tool, another jaw position. Residuals beyond a cutoff cost the same whatever their
size, so what has changed is left out, softly and by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, sqrt

import torch
from torch import Tensor

from medreg.metric.correlation import FLAT, RIDGE, regressors
from medreg.metric.measure import Slope

CUTOFF = 4.685
"""Standard deviations beyond which a residual is an outlier: 95 % efficient where there are none."""

LEAST_SCALE = 1e-3
"""The scale is at least this share of the moving image's standard deviation: most residuals may be exactly 0."""

FIRST, LATER = 100, 3
"""Most rounds of the first fit, and of one that goes on from the last coefficients."""

ENOUGH = 4000
"""About so many samples decide where the first fit starts, which takes a hundred rounds."""

ROUNDING = 300
"""Rounds end with a change of the coefficients below so many units in their last place."""


def tukey(residual: Tensor, cutoff: float) -> Tensor:
    """The biweight loss 1 - (1 - (r / cutoff)^2)^3: about 3 (r / cutoff)^2 near 0, and 1 from the cutoff on."""
    return 1 - (1 - (residual / cutoff) ** 2).clamp(min=0) ** 3


def tukey_weight(residual: Tensor, cutoff: float) -> Tensor:
    """The weight (1 - (r / cutoff)^2)^2 of a residual in least squares: 1 at 0, 0 from the cutoff on."""
    return (1 - (residual / cutoff) ** 2).clamp(min=0) ** 2


def robust_scale(residual: Tensor, weight: Tensor) -> float:
    """1.4826 times the median distance from the median: the standard deviation of normal noise, outliers or not.

    Samples with a weight count once, those without not at all; of two medians it is the lower one.
    """
    counted = residual[weight > 0]
    return 1.4826 * float((counted - counted.median()).abs().median()) if len(counted) else 0.0


def robust_fit(design: Tensor, values: Tensor, weight: Tensor, cutoff: float, start: Tensor, most: int) -> Tensor:
    """(K,) float64: coefficients of the design (N, K) that explain values (N,) with the least biweight loss.

    At most `most` rounds of iteratively reweighted least squares from `start` (K,), which decides among local minima.
    """
    return _reweighted(design, values, weight, start, most, lambda residual: tukey_weight(residual, cutoff))


def absolute_fit(design: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """(K,) float64: coefficients of least absolute differences, nearly: one minimum only, and outliers pull little."""
    least = max(LEAST_SCALE * _deviation(values, weight), 1e-30)
    start = torch.zeros(design.shape[1], dtype=torch.float64)  # on the CPU, where the small systems are solved
    start = _reweighted(design, values, weight, start, 1, torch.ones_like)
    return _reweighted(design, values, weight, start, FIRST, lambda residual: least / residual.abs().clamp(min=least))


def robust_squares(
    fixed: Tensor,
    moving: Tensor,
    weight: Tensor,
    basis: Tensor | None = None,
    cutoff_sigmas: float = CUTOFF,
    scale: float | None = None,
) -> Tensor:
    """Biweight loss of what the fixed image does not explain of the moving one, as a share of what a constant leaves.

    0 (explained) to 1 (not explained). It is a share since otherwise the metric would fall where the moving image is
    flat: a constant is always explained.

    Args:
        fixed: (N,) values.
        moving: (N,) values; differentiable. The fit is at its optimum, so its coefficients add nothing to the slope.
        weight: (N,) non-negative.
        basis: (N, K) that can make a constant, such as `regressors`; by default a constant and the fixed value.
        cutoff_sigmas: where outliers begin, in `scale`s.
        scale: standard deviation of the residual in moving units; by default estimated, not differentiated.
            Values with different scales do not compare: give one to minimise.

    A constant moving image gives 1.
    """
    design = regressors(fixed, fixed.new_zeros(len(fixed), 1), order=0, powers=1) if basis is None else basis
    with torch.no_grad():
        fit = _first_fit(design, moving, weight, cutoff_sigmas, scale) if _deviation(moving, weight) else None
    if fit is None:
        return (0 * moving).sum() + 1
    residual, centred = fit.residuals(design, moving)
    left, whole = ((weight * tukey(r, fit.cutoff)).sum() for r in (residual, centred))
    return torch.where(left < whole, left / whole.clamp(min=1e-30), torch.ones_like(left))


class RobustMeasure:
    """`robust_squares` with its slope in closed form, channel by channel, the mean of all.

    The scale of each channel is estimated at the first call and then kept, so that values compare within a stage. Later
    fits go on from the last one, a few rounds at a time. The curvature is that of the weighted least squares.
    """

    def __init__(self, fixed: Tensor, position: Tensor, order: int, powers: int, cutoff: float = CUTOFF) -> None:
        """Bind to fixed values (C, N) at `position` (N, D); `cutoff` in standard deviations."""
        self.cutoff = cutoff
        self.designs = [regressors(channel, position, order, powers) for channel in fixed]
        self.fits: list[_Fit | None] = [None] * len(fixed)

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        channels = len(self.designs)
        value, slope, curvature = 0.0, torch.zeros_like(moving), torch.zeros_like(moving)
        for k, channel in enumerate(moving):
            if not _deviation(channel, weight):
                value += 1.0
                continue
            fit = self.fits[k] = self._fit(k, channel, weight)
            residual, centred = fit.residuals(self.designs[k], channel)
            left, whole = (float(weight.dot(tukey(r, fit.cutoff))) for r in (residual, centred))
            share = left / whole if left < whole else 1.0
            value += share
            if share < 1:
                norm = 6 / (fit.cutoff**2 * whole * channels)
                trust, drift = (tukey_weight(r, fit.cutoff).mul_(weight).mul_(norm) for r in (residual, centred))
                slope[k] = trust * residual - drift * centred * share
                curvature[k] = trust
        return Slope(value / channels, slope, curvature)

    def _fit(self, k: int, moving: Tensor, weight: Tensor) -> _Fit:
        last, design = self.fits[k], self.designs[k]
        return last.again(design, moving, weight) if last else _first_fit(design, moving, weight, self.cutoff, None)


@dataclass(frozen=True)
class _Fit:
    """Coefficients (K,) of the design and (1,) of the constant alone, float64, and the cutoff in moving units."""

    coefficients: Tensor
    centre: Tensor
    cutoff: float

    def again(self, design: Tensor, moving: Tensor, weight: Tensor, most: int = LATER) -> _Fit:
        """After some more rounds, on these values."""
        coefficients = robust_fit(design, moving, weight, self.cutoff, self.coefficients, most)
        centre = robust_fit(design.new_ones(len(design), 1), moving, weight, self.cutoff, self.centre, most)
        return replace(self, coefficients=coefficients, centre=centre)

    def residuals(self, design: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) what the design, and what the constant alone, leaves."""
        return moving - design @ self.coefficients.to(design), moving - self.centre.to(moving)


def _first_fit(design: Tensor, moving: Tensor, weight: Tensor, sigmas: float, scale: float | None) -> _Fit:
    """From least absolute differences; then the scale and the biweight's fit shrink together while they can."""
    counted = weight.nonzero()[:, 0]
    some = counted[:: max(1, len(counted) // ENOUGH)]
    few = design[some], moving[some], weight[some]
    start, least = absolute_fit(*few), LEAST_SCALE * _deviation(moving, weight)
    settled = scale or inf
    while scale is None:
        found = max(robust_scale(few[1] - few[0] @ start.to(design), few[2]), least)
        if found > 0.99 * settled:
            break
        settled = found
        start = robust_fit(*few, sigmas * settled, start, 1)
    centre = start.new_full((1,), float(few[1].median()))
    return _Fit(start, centre, sigmas * settled).again(design, moving, weight, FIRST)


def _reweighted(
    design: Tensor, values: Tensor, weight: Tensor, start: Tensor, most: int, trust: Callable[[Tensor], Tensor]
) -> Tensor:
    """Rounds of weighted least squares, each solved for the change: the ridge then slows steps and biases nothing."""
    rows, coefficients = design.T, start
    ridge = torch.diag((rows.square() @ weight).double().cpu() * RIDGE + 1e-30)
    for _ in range(most):
        residual = values - design @ coefficients.to(design)
        weighted = rows * (trust(residual) * weight)
        gram = (weighted @ design).double().cpu() + ridge
        change = torch.linalg.solve(gram, (weighted @ residual).double().cpu())
        coefficients = coefficients + change
        if float(change.norm()) <= ROUNDING * torch.finfo(values.dtype).eps * float(coefficients.norm()):
            break
    return coefficients


def _deviation(values: Tensor, weight: Tensor) -> float:
    """Standard deviation; 0 where it is rounding, or no sample counts."""
    count = weight.sum().clamp(min=1e-30)
    variance = float((weight * (values - (weight * values).sum() / count) ** 2).sum() / count)
    return sqrt(variance) if variance > FLAT * float((weight * values * values).sum() / count) else 0.0
