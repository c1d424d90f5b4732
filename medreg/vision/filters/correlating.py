"""Correlation of voxels with kernels: autograd's side of it, and the Fourier transform.

All are differentiable to voxels and kernel, and their gradients are differentiable again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function

from medreg.sample import Fill
from medreg.vision.filters.blocks import Margins, by_blocks
from medreg.vision.filters.borders import Border, folded_back
from medreg.vision.filters.passes import Pass

MANY = {torch.float32: 256, torch.float64: 128}
"""Taps above which the Fourier transform, which is done in float64 for both, is faster. Measured on one core."""

_ZERO = Fill()

_Inside: TypeAlias = tuple[tuple[Tensor, ...], Margins, Border, Tensor | None]


def correlated(data: Tensor, kernel: Tensor) -> Tensor:
    """out[i] = sum over j of kernel[j] data[i + j], wherever the kernel fits.

    Args:
        data: (..., z, y, x), float32 or float64.
        kernel: of as many axes as there are space axes, in the same dtype, none longer than that of the data.

    Returns:
        (..., z - kz + 1, y - ky + 1, x - kx + 1).
    """
    if is_vast(kernel) and data.device.type != "mps" and _all_finite(data):  # Apple's GPUs have no float64
        return _by_fourier(data, kernel)
    correlation: Tensor = _Correlation.apply(data, kernel)  # type: ignore[no-untyped-call]
    return correlation


def correlated_in_turn(
    data: Tensor, kernels: Sequence[Tensor], margins: Margins, border: Border, fill: Tensor | None
) -> Tensor:
    """`data`, continued by its border, correlated with one kernel after another. Differentiable to the data alone.

    Args:
        data: (..., z, y, x), float32 or float64.
        kernels: each of as many axes as there are space axes, in the same dtype; none `is_vast`.
        margins: by how many voxels, before and after, the border continues each space axis.
        border: what lies there.
        fill: the value of a `Fill`, see `borders.filling`.

    Returns:
        (..., z, y, x), each longer by its margins and shorter by the kernels' taps less one each.
    """
    kept = (tuple(kernel.detach() for kernel in kernels), margins, border, fill)
    correlation: Tensor = _InTurn.apply(data, kept)  # type: ignore[no-untyped-call]
    return correlation


def is_vast(kernel: Tensor) -> bool:
    """Whether a kernel goes by the Fourier transform."""
    return kernel.numel() > MANY[kernel.dtype] and max(kernel.shape) < kernel.numel()


class _InTurn(Function):
    """A linear map of the data, whose adjoint is one of its kind."""

    @staticmethod
    def forward(data: Tensor, how: _Inside) -> Tensor:
        """Block after block."""
        kernels, margins, border, fill = how
        return by_blocks(data, [Pass.by(kernel) for kernel in kernels], margins, border, fill)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, _Inside], output: Tensor) -> None:
        """The data are not needed."""
        ctx.how = inputs[1]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, None]:
        """The adjoint."""
        kernels, margins, border, _ = ctx.how
        slope = correlated_fully_in_turn(slopes[0], kernels)
        for axis, (before, after) in enumerate(margins, -len(margins)):
            slope = folded_back(slope, axis, before, after, border)
        return slope, None


def correlated_fully_in_turn(data: Tensor, kernels: Sequence[Tensor]) -> Tensor:
    """The adjoint of `correlated_in_turn` without margins: larger by the reach of all the kernels."""
    d = kernels[0].ndim
    reach = [sum(kernel.shape[k] - 1 for kernel in kernels) for k in range(d)]
    turned = [_turned(kernel) for kernel in reversed(kernels)]
    return correlated_in_turn(data, turned, [(r, r) for r in reach], _ZERO, data.new_zeros([1] * d))


def correlated_fully(data: Tensor, kernel: Tensor) -> Tensor:
    """The adjoint of `correlated` to its data: out[i + j] += kernel[j] data[i], larger by the kernel's reach."""
    return correlated(_widened(data, kernel), _turned(kernel))


class _Correlation(Function):
    """Sums. By hand, for autograd would keep or fill an image for every tap."""

    @staticmethod
    def forward(data: Tensor, kernel: Tensor) -> Tensor:
        """Shifted sums, or for long kernels along a line a banded matrix."""
        return by_blocks(data, [Pass.by(kernel)], [(0, 0)] * kernel.ndim, _ZERO, None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep both."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The adjoints to each."""
        data, kernel = ctx.saved_tensors
        of_data, of_kernel = ctx.needs_input_grad
        return (
            _spread(slopes[0], kernel) if of_data else None,
            _Overlaps.apply(data, slopes[0], kernel.shape) if of_kernel else None,  # type: ignore[no-untyped-call]
        )


class _Overlaps(Function):
    """out[j] = sum over i of slope[i] data[i + j]: the adjoint of a correlation to its kernel."""

    @staticmethod
    def forward(data: Tensor, slope: Tensor, size: tuple[int, ...]) -> Tensor:
        """The products, one for each tap."""
        space = slope.shape[slope.ndim - len(size) :]
        sums = [(_window(data, at, space) * slope).sum() for at in product(*map(range, size))]
        return torch.stack(sums).view(size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, tuple[int, ...]], output: Tensor) -> None:
        """Keep both."""
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Linear in each, too."""
        data, slope = ctx.saved_tensors
        of_data, of_slope, _ = ctx.needs_input_grad
        return (
            _spread(slope, slopes[0]) if of_data else None,
            _Correlation.apply(data, slopes[0]) if of_slope else None,  # type: ignore[no-untyped-call]
            None,
        )


def _spread(slope: Tensor, kernel: Tensor) -> Tensor:
    spread: Tensor = _Correlation.apply(_widened(slope, kernel), _turned(kernel))  # type: ignore[no-untyped-call]
    return spread


def _window(data: Tensor, at: tuple[int, ...], space: tuple[int, ...]) -> Tensor:
    """The part of `data` that starts `at` and is of the size `space`."""
    for axis, (start, n) in enumerate(zip(at, space, strict=True), data.ndim - len(space)):
        data = data if n == data.shape[axis] else data.narrow(axis, start, n)
    return data


def _widened(data: Tensor, kernel: Tensor) -> Tensor:
    """With zeros all around, as far as the kernel reaches."""
    return torch.nn.functional.pad(data, [k - 1 for n in reversed(kernel.shape) for k in (n, n)])


def _turned(kernel: Tensor) -> Tensor:
    return kernel.flip(list(range(kernel.ndim)))


def _all_finite(data: Tensor) -> bool:
    """Else only shifted sums will do: what is not finite stays where it is in them, and would spread otherwise."""
    return bool(torch.isfinite(data.detach()).all())


def _by_fourier(data: Tensor, kernel: Tensor) -> Tensor:
    from scipy.fft import next_fast_len

    axes = list(range(-kernel.ndim, 0))
    space = data.shape[data.ndim - kernel.ndim :]
    size = [next_fast_len(n, real=True) for n in space]
    wave = torch.fft.rfftn(data.double(), size, axes) * torch.fft.rfftn(kernel.double(), size, axes).conj()
    whole = torch.fft.irfftn(wave, size, axes)
    kept = tuple(n - k + 1 for n, k in zip(space, kernel.shape, strict=True))
    return _window(whole, (0,) * kernel.ndim, kept).to(data.dtype)
