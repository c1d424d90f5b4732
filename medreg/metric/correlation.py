"""Correlation that allows for a smooth bias field and a smooth change of contrast.

The moving values are explained by least squares from products of two things: polynomials of position (the bias field of
each receiver coil, Van Leemput 1999, doi:10.1109/42.811268, works the same way) and powers of the fixed value. What
cannot be explained, as a share of the moving image's variance, is the metric: 1 - R^2. With order 0 and power 1 it is 1
minus the squared correlation coefficient.

Why: on heads with receive bias, plain correlation is biased (0.035 mm where this gives 0.015 mm), and on two people's
brains it scores anatomy higher than shading.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import torch
from torch import Tensor

from medreg.metric.measure import Slope
from medreg.sample.sharing import shared

RIDGE = 1e-6
"""Directions of the regressors weaker than this share of the strongest are float32 noise, and are left out."""

FLAT = 1e-11
"""A variance below this share of the mean square is rounding: the image is constant."""

SHARE = 16_000
"""Samples whose products are formed at once, so that they stay in the cache."""


def correlation(fixed: Tensor, moving: Tensor, weight: Tensor, basis: Tensor | None = None) -> Tensor:
    """1 - R^2 of the moving values explained by the fixed ones: 0 (fully explained) to 1 (not at all).

    Args:
        fixed: (N,) values.
        moving: (N,) values; differentiable.
        weight: (N,) non-negative.
        basis: (N, K) regressors from `regressors`; by default a constant and the fixed value: 1 - squared correlation.

    A constant moving image gives 1.
    """
    design = regressors(fixed, fixed.new_zeros(len(fixed), 1), order=0, powers=1) if basis is None else basis
    weighted = design * weight[:, None]
    gram = weighted.T @ design
    gram = gram + RIDGE * torch.diag(gram.diagonal())
    mean = (weight * moving).sum() / weight.sum()
    centred = moving - mean
    total = (weight * centred**2).sum()
    residual = centred - design @ torch.linalg.solve(gram, weighted.T @ centred)
    varies = total > FLAT * (weight * moving**2).sum()
    return torch.where(varies, (weight * residual**2).sum() / total.clamp(min=1e-30), torch.ones_like(total))


def regressors(fixed: Tensor, position: Tensor, order: int, powers: int) -> Tensor:
    """(N, K) products of the monomials of `position` (N, D) up to `order` and the fixed values' powers 0 to `powers`.

    Fixed values are standardised; positions should lie within about -1 to 1.
    """
    products = _powers(fixed, powers)[:, None] * _monomials(position, order)[None]
    return products.flatten(0, 1).T


def _monomials(position: Tensor, order: int) -> Tensor:
    """(M, N) all products of up to `order` coordinates, the constant first."""
    axes = position.T.contiguous()
    rows = [torch.ones_like(axes[0])]
    for degree in range(1, order + 1):
        for chosen in combinations_with_replacement(range(len(axes)), degree):
            rows.append(axes[list(chosen)].prod(0))
    return torch.stack(rows)


def _powers(fixed: Tensor, powers: int) -> Tensor:
    """(powers + 1, N) powers of the standardised fixed values, each scaled to a root mean square of about 1."""
    standard = (fixed - fixed.mean()) / fixed.std(correction=0).clamp(min=1e-30)
    rows = torch.stack([standard**power for power in range(powers + 1)])
    return rows / rows.square().mean(1, keepdim=True).sqrt().clamp(min=1e-30)


class CorrelationMeasure:
    """`correlation` with its normal equations solved once; samples outside are taken out of them.

    Of several channels (colour), each moving one is explained by all fixed ones; the metric is the share of the
    variance of all that is left. The K regressors are never formed: a product of M monomials and Q powers needs M rows
    in memory, not M Q.
    """

    def __init__(self, fixed: Tensor, position: Tensor, order: int, powers: int) -> None:
        """Bind to fixed values (C, N) at `position` (N, D)."""
        self.monomials = _monomials(position, order)
        rows = [_powers(channel, powers) for channel in fixed]
        self.powers = torch.cat([rows[0], *(r[1:] for r in rows[1:])])  # the constant once
        strength, directions = torch.linalg.eigh(_gram(self.monomials, self.powers))
        kept = strength > RIDGE * strength[-1]  # a two-valued image's square says nothing that its values do not
        self.whiten = directions[:, kept] / strength[kept].sqrt()

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        count = float(weight.sum().clamp(min=1.0))
        outside = (weight == 0).nonzero()[:, 0]
        left = None
        if len(outside):  # `index_select` takes a third of the time of a mask
            lost = _gram(self.monomials.index_select(1, outside), self.powers.index_select(1, outside))
            left = (
                torch.eye(self.whiten.shape[1], dtype=torch.float64) * (1 + RIDGE) - self.whiten.T @ lost @ self.whiten
            )
        centred, residual = torch.empty_like(moving), torch.empty_like(moving)
        for k, channel in enumerate(moving):
            mean = float((weight * channel).sum()) / count
            torch.mul(channel - mean, weight, out=centred[k])
            share = self.whiten.T @ self._project(centred[k])
            share = share if left is None else torch.linalg.solve(left, share)
            torch.sub(centred[k], self._combine(self.whiten @ share) * weight, out=residual[k])
        total = _square(centred)
        if total <= FLAT * float((moving * moving * weight).sum()):
            return Slope(1.0, torch.zeros_like(moving), torch.zeros_like(moving))
        value = _square(residual) / total
        return Slope(value, (residual - value * centred) * (2 / total), (weight * (2 / total)).expand_as(moving))

    def _project(self, values: Tensor) -> Tensor:
        """(K,) float64: the sum over samples of each regressor times the values (N,)."""
        return ((self.powers * values) @ self.monomials.T).cpu().double().flatten()

    def _combine(self, coefficients: Tensor) -> Tensor:
        """(N,) the regressors' sum with these (K,) coefficients."""
        table = coefficients.view(len(self.powers), -1).to(self.powers.dtype).to(self.powers.device)
        return (self.powers * (table @ self.monomials)).sum(0)


def _gram(monomials: Tensor, powers: Tensor) -> Tensor:
    """(K, K) float64: the sum over samples of the products of every two regressors, of (M, N) and (Q, N)."""
    parts = list(zip(torch.split(monomials, SHARE, 1), torch.split(powers, SHARE, 1), strict=True))
    return torch.stack(shared(_products, parts, monomials)).sum(0)


def _square(values: Tensor) -> float:
    flat = values.flatten()
    return float(flat.dot(flat))


def _products(part: tuple[Tensor, Tensor]) -> Tensor:
    """(K, K) float64: the products of every two regressors, summed over a share of the samples."""
    monomials, powers = part
    count = len(powers)
    upper = {(a, b): (monomials * (powers[a] * powers[b])) @ monomials.T for a in range(count) for b in range(a, count)}
    rows = [torch.cat([upper[min(a, b), max(a, b)] for b in range(count)], 1) for a in range(count)]
    return torch.cat(rows).cpu().double()
