"""Correlation of voxels with a kernel, where the kernel fits: shifted sums, products with a banded matrix, or FFT.

All are differentiable to voxels and kernel, and their gradients are differentiable again.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

LONG = 12
"""Taps of a kernel along one axis above which a product with a banded matrix is faster than as many shifted sums."""

MANY = {torch.float32: 256, torch.float64: 128}
"""Taps above which the Fourier transform, which is done in float64 for both, is faster. Measured on one core."""

_CHUNK = 32
"""Voxels of a line that one product with the banded matrix gives."""


def correlated(data: Tensor, kernel: Tensor) -> Tensor:
    """out[i] = sum over j of kernel[j] data[i + j], wherever the kernel fits.

    Args:
        data: (..., z, y, x), float32 or float64.
        kernel: of as many axes as there are space axes, in the same dtype, none longer than that of the data.

    Returns:
        (..., z - kz + 1, y - ky + 1, x - kx + 1).
    """
    many = kernel.numel() > MANY[data.dtype] and max(kernel.shape) < kernel.numel()
    if many and data.device.type != "mps" and _all_finite(data):  # Apple's GPUs have no float64
        return _by_fourier(data, kernel)
    correlation: Tensor = _Correlation.apply(data, kernel)  # type: ignore[no-untyped-call]
    return correlation


def correlated_fully(data: Tensor, kernel: Tensor) -> Tensor:
    """The adjoint of `correlated` to its data: out[i + j] += kernel[j] data[i], larger by the kernel's reach."""
    around = [k - 1 for n in reversed(kernel.shape) for k in (n, n)]
    return correlated(torch.nn.functional.pad(data, around), kernel.flip(list(range(kernel.ndim))))


class _Correlation(Function):
    """Sums. By hand, for autograd would keep or fill an image for every tap."""

    @staticmethod
    def forward(data: Tensor, kernel: Tensor) -> Tensor:
        """Shifted sums, or for long kernels along a line a banded matrix."""
        if max(kernel.shape) == kernel.numel() > LONG and _all_finite(data):
            return _banded(data, kernel)
        space = tuple(n - k + 1 for n, k in zip(data.shape[data.ndim - kernel.ndim :], kernel.shape, strict=True))
        total = data.new_zeros((*data.shape[: data.ndim - kernel.ndim], *space))
        for at, weight in zip(product(*map(range, kernel.shape)), kernel.flatten().tolist(), strict=True):
            if weight:
                total.add_(_window(data, at, space), alpha=weight)
        return total

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
    around = [k - 1 for n in reversed(kernel.shape) for k in (n, n)]
    flipped = kernel.flip(list(range(kernel.ndim)))
    spread: Tensor = _Correlation.apply(torch.nn.functional.pad(slope, around), flipped)  # type: ignore[no-untyped-call]
    return spread


def _window(data: Tensor, at: tuple[int, ...], space: tuple[int, ...]) -> Tensor:
    """The part of `data` that starts `at` and is of the size `space`."""
    for axis, (start, n) in enumerate(zip(at, space, strict=True), data.ndim - len(space)):
        data = data.narrow(axis, start, n)
    return data


def _banded(data: Tensor, kernel: Tensor) -> Tensor:
    """A kernel along one axis: pieces of each line times one matrix that holds the kernel on its diagonals."""
    taps = kernel.numel()
    axis = data.ndim - kernel.ndim + int(torch.tensor(kernel.shape).argmax())
    offset = torch.arange(_CHUNK + taps - 1, device=data.device) - torch.arange(_CHUNK, device=data.device)[:, None]
    within = (offset >= 0) & (offset < taps)
    band = torch.where(within, kernel.reshape(-1)[offset.clamp(0, taps - 1)], 0.0)
    count = data.shape[axis] - taps + 1
    lines = data.reshape(-1, data.shape[axis], data.shape[axis + 1 :].numel())
    parts = []
    for start in range(0, count, _CHUNK):
        rows = min(_CHUNK, count - start)
        matrix, piece = band[:rows, : rows + taps - 1], lines[:, start : start + rows + taps - 1]
        if lines.shape[2] == 1:  # the last axis: one product over all lines
            parts.append((piece[..., 0] @ matrix.T)[..., None])
        else:
            parts.append(matrix @ piece)
    return torch.cat(parts, 1).view(*data.shape[:axis], count, *data.shape[axis + 1 :])


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
