"""The shift between two pictures by masked normalised cross-correlation: every whole-pixel shift at once, by FFT.

D. Padfield, "Masked Object Registration in the Fourier Domain", IEEE Transactions on Image Processing 21(5), 2012,
doi:10.1109/TIP.2011.2181402. Means and variances are those of the overlap at each shift, so neither a picture's frame
nor its black corners count.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

FLAT = 1e-9
"""An overlap with a variance below this share of the picture's own has no correlation: it counts as 0."""


class Shift(NamedTuple):
    """A shift and what speaks for it.

    Attributes:
        shift: whole pixels along x, y: the fixed pixel p lies on the moving pixel p + shift.
        correlation: over the overlap, -1 to 1.
        overlap: pixels that both pictures have there.
        evidence: atanh(correlation) sqrt(overlap): standard deviations above chance, were the pixels independent.
    """

    shift: tuple[int, int]
    correlation: float
    overlap: int
    evidence: float


def translation_by_correlation(
    fixed: Tensor,
    moving: Tensor,
    least_overlap: float,
    fixed_mask: Tensor | None = None,
    moving_mask: Tensor | None = None,
    *,
    best: int = 1,
    apart: int = 4,
) -> list[Shift]:
    """The shifts of most evidence, the best first.

    The plain maximum of a correlation falls for the smallest overlaps, where chance is greatest. Fisher's z = atanh(r)
    has the standard deviation 1 / sqrt(n) over n pixels, so z sqrt(n) weighs both.

    Args:
        fixed: (y, x).
        moving: (y, x), of any other size.
        least_overlap: share, 0 to 1, of the smaller picture's pixels in its mask that must lie in the other one.
        fixed_mask: (y, x) bool, where the fixed picture counts; None is everywhere.
        moving_mask: the same for the moving one.
        best: how many to give; fewer where there are not as many.
        apart: pixels along x or y by which they differ at least.

    Example:
        >>> picture = torch.rand(40, 50, generator=torch.Generator().manual_seed(0))
        >>> translation_by_correlation(picture[:, :30], picture[5:, 20:], 0.2)[0].shift
        (-20, -5)
    """
    correlation, overlap = correlations(fixed, moving, fixed_mask, moving_mask)
    areas = [p.numel() if m is None else int(m.sum()) for p, m in ((fixed, fixed_mask), (moving, moving_mask))]
    allowed = overlap >= max(2.0, least_overlap * min(areas))
    evidence = torch.atanh(correlation.clamp(-0.999, 0.999)) * overlap.clamp(min=0).sqrt()
    evidence = torch.where(allowed, evidence, -torch.inf)
    found = []
    for _ in range(best):
        at = int(evidence.argmax())
        row, column = divmod(at, evidence.shape[1])
        value = float(evidence[row, column])
        if value == -float("inf"):
            break
        shift = (column - fixed.shape[1] + 1, row - fixed.shape[0] + 1)
        found.append(Shift(shift, float(correlation[row, column]), round(float(overlap[row, column])), value))
        rows, columns = (slice(max(0, k - apart + 1), k + apart) for k in (row, column))
        evidence[rows, columns] = -torch.inf
    return found


def correlations(
    fixed: Tensor, moving: Tensor, fixed_mask: Tensor | None = None, moving_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The correlation at every shift, and how many pixels overlap there.

    Args:
        fixed: (y, x).
        moving: (y, x).
        fixed_mask: (y, x) bool, or None for everywhere.
        moving_mask: the same for the moving picture.

    Returns:
        Two tensors (fixed y + moving y - 1, fixed x + moving x - 1), float64; element (j, i) is the shift
        (i - fixed x + 1, j - fixed y + 1). Where nothing or only flat pixels overlap the correlation is 0.
    """
    shape = [n + m - 1 for n, m in zip(fixed.shape, moving.shape, strict=True)]
    padded = [_fast(n) for n in shape]
    first, first_mask = _masked(fixed, fixed_mask)
    second, second_mask = _masked(moving, moving_mask)

    def transformed(picture: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.rfft2(picture, s=padded)
        return spectrum

    of_first = [transformed(p).conj() for p in (first_mask, first, first.square())]
    of_second = [transformed(p) for p in (second_mask, second, second.square())]
    products = [of_first[i] * of_second[j] for i, j in ((0, 0), (1, 1), (1, 0), (0, 1), (2, 0), (0, 2))]
    sums = torch.fft.irfft2(torch.stack(products), s=padded)
    sums = sums.roll((fixed.shape[0] - 1, fixed.shape[1] - 1), (1, 2))[:, : shape[0], : shape[1]]
    overlap, both, of_fixed, of_moving, squares_fixed, squares_moving = sums
    overlap = overlap.round()
    count = overlap.clamp(min=1)
    variances = []
    for total, squares, picture, mask in (
        (of_fixed, squares_fixed, first, first_mask),
        (of_moving, squares_moving, second, second_mask),
    ):
        own = float(picture.square().sum() / mask.sum().clamp(min=1))
        variance = squares / count - (total / count).square()
        variances.append(torch.where(variance > FLAT * own, variance, torch.inf))
    covariance = both / count - of_fixed * of_moving / count.square()
    correlation = covariance / (variances[0] * variances[1]).sqrt()
    return torch.where(overlap > 0, correlation, 0.0).clamp(-1, 1), overlap


def _masked(picture: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The picture about its mean, 0 out of its mask, and the mask as numbers; float64, since squares are subtracted."""
    weight = torch.ones_like(picture, dtype=torch.float64) if mask is None else (mask != 0).double()
    values = picture.double()
    mean = (values * weight).sum() / weight.sum().clamp(min=1)
    return (values - mean) * weight, weight


def _fast(n: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5: primes take an FFT several times as long."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
