"""How bright each of several regions is, without the bias field that a coil lays over a magnetic resonance image."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.image import MedImage
from medreg.ops.arguments import one_of, whole_number
from medreg.ops.voxels import Rows, check_same_grid, ordered, rows_of

HUBER = 1.345
"""Standard deviations beyond which a voxel pulls no harder: 95 % as efficient as least squares on normal noise."""

MAD_TO_SIGMA = 1.4826
"""Of normal noise: standard deviation over median absolute deviation."""

MOST_FITTED = 100_000
"""Voxels of a mask that the field is fitted to, evenly spaced in memory order; the statistics are of all of them."""

_STEPS = 50
_SETTLED = 1e-8
"""Change of the log field at which the fit ends."""
_LEAST_SIGMA = 1e-9
"""In log intensity: where a fit is perfect the weights still need a scale."""


@dataclass(frozen=True, eq=False)
class MaskStatistics:
    """Intensities inside L masks, after division by the field. Leading axes are those of the image.

    Attributes:
        count: (..., L) voxels that counted: in the mask, and above zero.
        median: (..., L), float64.
        spread: (..., L) 1.4826 times the median absolute deviation, the standard deviation of normal noise.
        mean: (..., L).
        std: (..., L) of the population.
        field: (..., z, y, x) float64, the smooth factor, geometric mean 1 over all masks; it goes on outside them.
    """

    count: Tensor
    median: Tensor
    spread: Tensor
    mean: Tensor
    std: Tensor
    field: Tensor


def bias_free_statistics(
    image: Tensor | MedImage, masks: Tensor | MedImage, *, order: int = 2, dimension: int = 3
) -> MaskStatistics:
    """Statistics of the intensities in each mask that a smooth multiplicative bias field does not disturb.

    The image is taken as v(x) = t_l exp(p(x)) e: a brightness t_l of each mask l, one field exp(p) over all of them,
    and errors e. So in the logarithm, at the voxels of all masks together,

        log v(x) = c_l + p(x) + noise,    p a polynomial of total degree <= `order` without constant,

    where c_l takes up how bright the region is: anatomy does not pass for bias as long as each mask holds one tissue.
    c and p minimise Huber's loss (doi:10.1214/aoms/1177703732) by reweighted least squares; a residual counts as an
    outlier beyond 1.345 standard deviations of its own mask, estimated as 1.4826 times its median absolute residual.
    The field is exp(p), scaled to geometric mean 1 over the masks, and the statistics are those of v / field. The
    polynomials of one degree are the same on every grid, so that flips, turns and spacing change nothing. A mask of
    more than 100,000 voxels takes part in the fit with every second or n-th of them.

    What it cannot know: brightness that truly varies inside a tissue as a polynomial does, and, between masks that each
    cover a small part of the image, the field in between.

    Args:
        image: one channel (1, z, y, x) or a batch (N, 1, z, y, x), positive inside the masks. Voxels of zero and below
            have no logarithm and do not count.
        masks: (L, z, y, x), nonzero inside, such as `one_hot` of a segmentation; or a batch (N, L, z, y, x).
        order: total degree of the polynomial: 0 removes nothing, 2 suits a head, 3 or 4 a body coil.
        dimension: space axes at the end of a tensor; an image knows its own.

    Returns:
        Values without gradients.

    Raises:
        ImageError: a mask without a voxel that counts, several channels, or shapes that do not fit.
        UsageError: an order that is not 0 to 6.

    Example:
        >>> x = torch.linspace(-1, 1, 32)
        >>> image = torch.where(x > 0, 300.0, 100.0) * torch.exp(0.4 * x + 0.2 * x**2)
        >>> masks = torch.stack([x <= 0, x > 0]).view(2, 1, 32)
        >>> found = bias_free_statistics(image.view(1, 1, 32), masks, dimension=2)
        >>> round(float(found.median[1] / found.median[0]), 3), round(float(found.spread[0] / found.median[0]), 3)
        (3.0, 0.0)
    """
    whole_number(order, "order", 0, 6)
    one_of(image, Tensor | MedImage, "image")
    one_of(masks, Tensor | MedImage, "masks")
    given, inside = rows_of(image, None, dimension), rows_of(masks, None, _dimension(image, dimension))
    if isinstance(image, MedImage) and isinstance(masks, MedImage):
        check_same_grid(masks, image, "masks")
    leading, space = given.leading, given.shape[len(given.leading) :]
    labels = inside.leading[-1] if inside.leading else 0
    shared = len(inside) == labels
    if not labels or leading[-1:] != (1,) or inside.shape[len(inside.leading) :] != space:
        raise ImageError(
            f"{given.name}: statistics need one channel and masks (L, z, y, x) of its size, got {given.shape} and "
            f"{inside.shape}"
        )
    if not shared and inside.leading[:-1] != leading[:-1]:
        raise ImageError(f"{given.name}: a batch {given.shape} needs one set of masks or as many, got {inside.shape}")
    with torch.no_grad():
        basis = _Polynomials(space, order, given.rows.device)
        sets = inside.rows.view(-1, labels, prod(space)) != 0
        items = [_of_item(given, k, sets[0 if shared else k], basis) for k in range(len(given))]
    count, median, spread, mean, std, field = (torch.stack(one) for one in zip(*items, strict=True))
    shape = (*leading[:-1], labels)
    median, spread, mean, std = (one.view(shape) for one in (median, spread, mean, std))
    return MaskStatistics(count.view(shape), median, spread, mean, std, field.view(*leading[:-1], *space))


def _dimension(image: Tensor | MedImage, dimension: int) -> int:
    return dimension if isinstance(image, Tensor) else image.dimension


def _of_item(given: Rows, row: int, masks: Tensor, basis: _Polynomials) -> tuple[Tensor, ...]:
    """Count, median, spread, mean and standard deviation (L,) of one image, and its field (V,)."""
    values = given.rows[row].double()
    picked = []
    for label, mask in enumerate(masks):
        inside = mask.nonzero()[:, 0]
        if not bool(torch.isfinite(values[inside]).all()):
            raise ImageError(f"{given.place(row)}: mask {label} holds values that are not finite; mask them out")
        inside = inside[values[inside] > 0]
        if not len(inside):
            raise ImageError(f"{given.place(row)}: mask {label} holds no voxel above zero; leave it out")
        picked.append(inside)
    some = [one[:: -(-len(one) // MOST_FITTED)] for one in picked]
    log_field = _log_field([values[one].log() for one in some], [basis.at(one) for one in some])
    whole = basis.everywhere(log_field)
    field = (whole - torch.cat([whole[one] for one in picked]).mean()).exp()
    found = [_summary(values[one] / field[one]) for one in picked]
    counts = torch.tensor([len(one) for one in picked], device=values.device)
    return (counts, *torch.stack(found, 1), field)


def _summary(values: Tensor) -> Tensor:
    """Median, spread, mean and standard deviation."""
    median, mean = _median(values), values.mean()
    spread = MAD_TO_SIGMA * _median((values - median).abs())
    return torch.stack([median, spread, mean, (values - mean).square().mean().sqrt()])


def _log_field(logs: list[Tensor], bases: list[Tensor]) -> Tensor:
    """(P,): the coefficients of p. The constant of each mask is eliminated by taking its weighted mean off."""
    terms = bases[0].shape[1]
    found = logs[0].new_zeros(terms)
    if not terms:
        return found
    residuals = [log - _median(log) for log in logs]
    for _ in range(_STEPS):
        matrix, right = found.new_zeros(terms, terms), found.new_zeros(terms)
        for log, basis, residual in zip(logs, bases, residuals, strict=True):
            sigma = MAD_TO_SIGMA * float(_median(residual.abs())) + _LEAST_SIGMA
            weight = (HUBER * sigma / residual.abs().clamp(min=1e-300)).clamp(max=1)
            share = weight / weight.sum()
            apart = basis - share @ basis
            weighted = apart * weight[:, None]
            matrix += weighted.T @ apart
            right += weighted.T @ (log - share @ log)
        before, found = found, torch.linalg.pinv(matrix, hermitian=True, rtol=1e-10) @ right
        residuals = [log - basis @ found for log, basis in zip(logs, bases, strict=True)]
        residuals = [residual - _median(residual) for residual in residuals]
        if max(float((basis @ (found - before)).abs().max()) for basis in bases) < _SETTLED:
            break
    return found


def _median(values: Tensor) -> Tensor:
    """The mean of the two in the middle, where torch's own takes the lower."""
    rising = ordered(values)
    return (rising[(len(rising) - 1) // 2] + rising[len(rising) // 2]) / 2


class _Polynomials:
    """Products of Legendre polynomials on -1 to 1 along each axis, of total degree 1 to `order`, float64."""

    def __init__(self, space: tuple[int, ...], order: int, device: torch.device) -> None:
        self.space, self.order = space, order
        self.degrees = [one for one in product(range(order + 1), repeat=len(space)) if 1 <= sum(one) <= order]
        self.tables = [_legendre(n, order).to(device) for n in space]

    def at(self, voxels: Tensor) -> Tensor:
        """(n, P): every term at voxels, given by their places in memory order."""
        index = torch.unravel_index(voxels, self.space)
        along = [table[:, k] for table, k in zip(self.tables, index, strict=True)]
        terms = [
            torch.stack([one[n] for one, n in zip(along, degrees, strict=True)]).prod(0) for degrees in self.degrees
        ]
        return torch.stack(terms, 1) if terms else self.tables[0].new_zeros(len(voxels), 0)

    def everywhere(self, coefficients: Tensor) -> Tensor:
        """(V,): the sum of the terms at all voxels."""
        cube = coefficients.new_zeros([self.order + 1] * len(self.space))
        for degrees, coefficient in zip(self.degrees, coefficients, strict=True):
            cube[degrees] = coefficient
        for table in self.tables:
            cube = torch.tensordot(cube, table, dims=([0], [0]))
        return cube.reshape(-1)


def _legendre(n: int, order: int) -> Tensor:
    """(order + 1, n): by Bonnet's recursion."""
    x = torch.linspace(-1, 1, n, dtype=torch.float64) if n > 1 else torch.zeros(1, dtype=torch.float64)
    rising = [torch.ones_like(x), x]
    for k in range(2, order + 1):
        rising.append(((2 * k - 1) * x * rising[-1] - (k - 1) * rising[-2]) / k)
    return torch.stack(rising[: order + 1])
