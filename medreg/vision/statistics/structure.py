"""Structural similarity."""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.ops.arguments import number
from medreg.ops.voxels import Given
from medreg.vision.filters.correlating import correlated
from medreg.vision.filters.spaces import along
from medreg.vision.statistics.counting import compared, range_of

TRUNCATE = 3.5
"""Standard deviations after which the window ends: with 1.5 voxels it is 11 wide, as in the paper."""

STEADY = (0.01, 0.03)
"""K1 and K2 of the paper, which steady quotients of small numbers; of the data range."""


def ssim(
    image: Given,
    other: Given,
    mask: Given | None = None,
    *,
    data_range: float,
    sigma_voxels: float = 1.5,
    dimension: int = 3,
) -> Tensor:
    """The mean structural similarity: 1 where two images are equal, 0 where they have nothing in common.

    In a Gaussian window around each voxel, with means m, variances v and covariance c of the two images there,

        (2 m1 m2 + C1) (2 c + C2) / ((m1^2 + m2^2 + C1) (v1 + v2 + C2)),   Ci = (Ki data_range)^2,

    averaged over all voxels whose window lies inside the image. Wang et al. 2004 (doi:10.1109/TIP.2003.819861), with
    their window of 11 voxels, K1 = 0.01 and K2 = 0.03; `skimage.metrics.structural_similarity` with Gaussian weights
    and `use_sample_covariance=False` gives the same. In 3D the window is 11 voxels across, too.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x).
        other: the same, of the same shape and place.
        mask: nonzero at the voxels that are averaged over; their windows may reach beyond it. All by default. Voxels
            whose windows hold something that is not finite do not count.
        data_range: the distance from the lowest to the highest value that such images can have: 255 of 8 bits. It is
            never guessed.
        sigma_voxels: standard deviation of the window, which ends at 3.5 of them.
        dimension: space axes at the end of tensors, 2 or 3; images know their own. With 2, a tensor of slices gives one
            number for each.

    Returns:
        One number for each channel, -1 to 1: an image gives (C,), a batch (B, C), a tensor its leading shape.
        Differentiable to both images.

    Raises:
        UsageError: a data range or a sigma that is not above 0.
        ImageError: as `mean_absolute_difference`; also images that are smaller than the window.

    Example:
        >>> ramp = torch.linspace(0, 1, 20).expand(20, 20)
        >>> ssim(ramp, ramp, data_range=1.0, dimension=2)
        tensor(1.)
        >>> float(ssim(ramp, ramp.flip(1), data_range=1.0, dimension=2)) < 0
        True
    """
    peak, sigma = range_of(data_range), number(sigma_voxels, "sigma_voxels")
    if sigma <= 0:
        raise UsageError(f"sigma_voxels: takes the width of a window, above 0, got {sigma:g}")
    found = compared(image, other, mask, dimension)
    window = _window(sigma, found.values)
    space = found.given.shape[len(found.given.leading) :]
    if min(space) < len(window):
        raise ImageError(
            f"{found.given.name}: a window of {len(window)} voxels does not fit into {space}; choose a smaller "
            "sigma_voxels, or dimension=2 for tensors of few slices"
        )
    maps = []
    for row, (finite, counts) in enumerate(zip(found.finite, found.counts, strict=True)):
        one, two = found.values[:, row].view(2, *space).to(window)
        kept = counts.view(space)[_middles(space, window)] & _whole(finite.view(space), window)
        if not bool(kept.any()):
            raise ImageError(
                f"{found.given.place(row)}: no window around a voxel of the mask is finite and inside the image; there "
                "is nothing to measure"
            )
        maps.append(_similarity(one, two, window, peak)[kept].mean())
    return found.gathered(maps)


def _similarity(one: Tensor, two: Tensor, window: Tensor, peak: float) -> Tensor:
    """The map over the voxels whose windows lie inside."""
    first, second = ((k * peak) ** 2 for k in STEADY)
    m1, m2 = _windowed(one, window), _windowed(two, window)
    v1, v2 = _windowed(one.square(), window) - m1.square(), _windowed(two.square(), window) - m2.square()
    covariance = _windowed(one * two, window) - m1 * m2
    return ((2 * m1 * m2 + first) * (2 * covariance + second)) / (
        (m1.square() + m2.square() + first) * (v1 + v2 + second)
    )


def _window(sigma: float, like: Tensor) -> Tensor:
    """(n,) in the precision in which variances are taken: float64 where there is one."""
    reach = int(TRUNCATE * sigma + 0.5)
    dtype = like.dtype if like.device.type == "mps" else torch.float64
    x = torch.arange(-reach, reach + 1, dtype=dtype, device=like.device)
    return torch.softmax(-0.5 * (x / sigma) ** 2, 0)


def _windowed(values: Tensor, window: Tensor) -> Tensor:
    for axis in range(values.ndim):
        values = correlated(values, window.view(along(axis, len(window), values.ndim)))
    return values


def _middles(space: tuple[int, ...], window: Tensor) -> tuple[slice, ...]:
    reach = len(window) // 2
    return tuple(slice(reach, n - reach) for n in space)


def _whole(finite: Tensor, window: Tensor) -> Tensor:
    """Where all of a window is finite."""
    if bool(finite.all()):
        return finite[_middles(tuple(finite.shape), window)]
    return _windowed((~finite).to(window), torch.ones_like(window)) < 0.5
