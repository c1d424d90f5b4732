"""Images filtered with any kernel, and the adjoint of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.ops.arguments import Numbers, numbers
from medreg.ops.voxels import Voxels, revalued
from medreg.vision.filters.borders import REFLECT, Border, extended, filling, folded_back
from medreg.vision.filters.correlating import (
    correlated,
    correlated_fully,
    correlated_fully_in_turn,
    correlated_in_turn,
    is_vast,
)
from medreg.vision.filters.separating import factors
from medreg.vision.filters.spaces import Space, space_of

_EPSILONS = 4
"""Of the working dtype: how much of its norm a kernel may miss when it is factored. Outer products round by one."""


@dataclass(frozen=True, eq=False)
class Part:
    """A kernel that is applied after others.

    Attributes:
        kernel: as many axes as there are space axes, z first; of length 1 along those that it leaves alone.
        centre: which of its taps lies on the voxel that is computed.
    """

    kernel: Tensor
    centre: tuple[int, ...]


def filter(image: Voxels, kernel: Numbers, border: Border = REFLECT) -> Voxels:
    """The image correlated with a kernel: out[i] = sum over j of kernel[j] image[i + j - centre].

    That is `scipy.ndimage.correlate`: the centre is voxel n // 2 of the kernel's n, which for even n is the right one
    of the two in the middle. `convolve` is the same with the kernel turned over.

    A kernel that is an outer product is found to be one (by singular values, to four times the floating-point
    precision) and applied along one axis after another; but not one that wants a gradient. Large ones go by Fourier
    transform.

    Args:
        image: a tensor with the kernel's axes at its end, (..., z, y, x), (..., y, x) or (..., x); each channel and
            each item is filtered alike. Or an image or a batch, whose axes are the kernel's. Integers become floating
            point.
        kernel: 1 to 3 axes, in the order of tensors (z, y, x), of any length, even or odd, also longer than the image:
            a tensor, an array or lists. Its taps are voxels, whatever the spacing.
        border: what lies beyond the image.

    Returns:
        Values in place of the image's. Differentiable, also twice, to the image, the kernel, and the value of a `Fill`.

    Raises:
        UsageError: no kernel of finite numbers with 1 to 3 axes, or no border.
        ImageError: an image with another number of axes.

    Example:
        >>> filter(torch.tensor([1.0, 2.0, 4.0]), [1.0, 0.0, -1.0])
        tensor([-1., -3., -2.])
    """
    part = centred(numbers(kernel, "kernel"))
    space = _space(image, part, border)
    return revalued(image, filtered(space.values, _cheapest(part, space), border))


def convolve(image: Voxels, kernel: Numbers, border: Border = REFLECT) -> Voxels:
    """The image convolved with a kernel, as `scipy.ndimage.convolve`: `filter` with the kernel turned over.

    Arguments, results and errors are those of `filter`. The centre is voxel n // 2 of the kernel as it is given.

    Example:
        >>> convolve(torch.tensor([0.0, 1.0, 0.0, 0.0]), [1.0, 2.0, 3.0])
        tensor([1., 2., 3., 0.])
    """
    given = numbers(kernel, "kernel")
    part = Part(given.flip(list(range(given.ndim))), tuple((n - 1) // 2 for n in given.shape))
    space = _space(image, part, border)
    return revalued(image, filtered(space.values, _cheapest(part, space), border))


def filter_adjoint(image: Voxels, kernel: Numbers, border: Border = REFLECT) -> Voxels:
    """The adjoint A' of `filter` as a linear map A of images: <A x, y> = <x, A' y> for all x and y.

    It is what the gradient of a loss goes through on its way back: A' (A x - y) is the gradient of |A x - y|^2 / 2. It
    is not a filter with the kernel turned over, except far from the border: what was copied beyond the border is added
    up where it came from. The value of a `Fill` plays no part.

    Arguments, results and errors are those of `filter`.

    Example:
        >>> filter_adjoint(torch.tensor([1.0, 1.0, 1.0]), [0.0, 0.0, 1.0])  # the last voxel was read twice
        tensor([0., 1., 2.])
    """
    part = centred(numbers(kernel, "kernel"))
    space = _space(image, part, border)
    return revalued(image, filtered_back(space.values, _cheapest(part, space), border))


def centred(kernel: Tensor) -> Part:
    """A kernel with its centre where scipy has it."""
    return Part(kernel, tuple(n // 2 for n in kernel.shape))


def filtered(data: Tensor, parts: Sequence[Part], border: Border) -> Tensor:
    """`data` (..., z, y, x) under one kernel after another, as if under their outer product at once."""
    if not parts:
        return data
    kernels, margins = [part.kernel.to(data) for part in parts], _margins(parts)
    fill = filling(border, data, len(margins))
    if not _is_learnt(kernels, fill) and not any(map(is_vast, kernels)):
        return correlated_in_turn(data, kernels, margins, border, fill)
    for axis, (before, after) in enumerate(margins, -len(margins)):
        data = extended(data, axis, before, after, border, fill)
    for kernel in kernels:
        data = correlated(data, kernel)
    return data


def filtered_back(data: Tensor, parts: Sequence[Part], border: Border) -> Tensor:
    """The adjoint of `filtered`."""
    kernels, margins = [part.kernel.to(data) for part in parts], _margins(parts)
    if not _is_learnt(kernels, None) and not any(map(is_vast, kernels)):
        data = correlated_fully_in_turn(data, kernels)
    else:
        for kernel in reversed(kernels):
            data = correlated_fully(data, kernel)
    for axis, (before, after) in enumerate(margins, -len(margins)):
        data = folded_back(data, axis, before, after, border)
    return data


def _margins(parts: Sequence[Part]) -> list[tuple[int, int]]:
    """How far the kernels reach together before and after, along each axis."""
    before = [sum(axis) for axis in zip(*(part.centre for part in parts), strict=True)]
    taps = [sum(n - 1 for n in axis) for axis in zip(*(part.kernel.shape for part in parts), strict=True)]
    return [(b, n - b) for b, n in zip(before, taps, strict=True)]


def _is_learnt(kernels: Sequence[Tensor], fill: Tensor | None) -> bool:
    """Whether more than the image wants a gradient."""
    learnt = any(kernel.requires_grad for kernel in kernels) or (fill is not None and fill.requires_grad)
    return learnt and torch.is_grad_enabled()


def _space(image: Voxels, part: Part, border: Border) -> Space:
    return space_of(image, border, part.kernel.ndim, "kernel: number of axes")


def _cheapest(part: Part, space: Space) -> list[Part]:
    """The kernel, or its factors if it has some."""
    if part.kernel.requires_grad and torch.is_grad_enabled():
        return [part]
    tolerance = _EPSILONS * torch.finfo(space.values.dtype).eps
    found = factors(part.kernel.detach(), tolerance)
    return [Part(kernel, _kept(part.centre, kernel)) for kernel in found]


def _kept(centre: tuple[int, ...], kernel: Tensor) -> tuple[int, ...]:
    return tuple(c if n > 1 else 0 for c, n in zip(centre, kernel.shape, strict=True))
