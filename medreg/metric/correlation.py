"""Correlation that allows for a smooth bias field and a smooth change of contrast.

The moving values are explained by least squares from products of two things: polynomials of position (the bias field of
each receiver coil, Van Leemput 1999, doi:10.1109/42.811268, works the same way) and powers of the fixed value. What
cannot be explained, as a share of the moving image's variance, is the metric: 1 - R^2. With order 0 and power 1 it is 1
minus the squared correlation coefficient.

Why: on heads with receive bias, plain correlation is biased (0.035 mm where this gives 0.02 mm), and on two people's
brains it scores anatomy higher than shading.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import torch
from torch import Tensor

from medreg.metric.measure import Slope

RIDGE = 1e-6
"""Directions of the regressors weaker than this share of the strongest are float32 noise, and are left out."""


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
    return torch.where(total > 0, (weight * residual**2).sum() / total.clamp(min=1e-30), torch.ones_like(total))


def regressors(fixed: Tensor, position: Tensor, order: int, powers: int) -> Tensor:
    """(N, K) products of the monomials of `position` (N, D) up to `order` and the fixed values' powers 0 to `powers`.

    Fixed values are standardised; positions should lie within about -1 to 1.
    """
    columns = [torch.ones_like(fixed)]
    for degree in range(1, order + 1):
        for axes in combinations_with_replacement(range(position.shape[1]), degree):
            columns.append(position[:, list(axes)].prod(1))
    monomials = torch.stack(columns, 1)
    standard = (fixed - fixed.mean()) / fixed.std(correction=0).clamp(min=1e-30)
    return torch.cat([monomials * (standard**power)[:, None] for power in range(powers + 1)], 1)


class CorrelationMeasure:
    """`correlation` with its regressors made orthonormal once; samples outside are taken out of the equations."""

    def __init__(self, fixed: Tensor, position: Tensor, order: int, powers: int) -> None:
        design = regressors(fixed, position, order, powers)
        design /= design.square().mean(0).sqrt().clamp(min=1e-30)
        strength, directions = torch.linalg.eigh((design.T @ design).double().cpu())
        kept = strength > RIDGE * strength[-1]  # a two-valued image's square says nothing that its values do not
        whiten = directions[:, kept] / strength[kept].sqrt()
        self.basis = design @ whiten.to(design)

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        count = float(weight.sum().clamp(min=1.0))
        mean = float((weight * moving).sum()) / count
        centred = (moving - mean) * weight
        share = (self.basis.T @ centred).double()
        outside = weight == 0
        if bool(outside.any()):
            dropped = self.basis[outside]
            gram = torch.eye(len(share), dtype=torch.float64, device=share.device) * (1 + 1e-6)
            share = torch.linalg.solve(gram - (dropped.T @ dropped).double(), share)
        residual = (centred - self.basis @ share.to(centred)) * weight
        total = float(centred.dot(centred))
        if total <= 0:
            return Slope(1.0, torch.zeros_like(moving), torch.zeros_like(moving))
        value = float(residual.dot(residual)) / total
        return Slope(value, (residual - value * centred) * (2 / total), weight * (2 / total))
