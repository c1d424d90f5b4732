"""Interpolation kernels: weights of the voxels around a point along one axis, by its place between two of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.errors import ImageError


def linear_weights(fraction: Tensor) -> list[Tensor]:
    """Of the voxels at 0 and 1, for a point at `fraction` (N,), 0 to 1."""
    return [1 - fraction, fraction]


def cubic_weights(fraction: Tensor) -> list[Tensor]:
    """Of the coefficients at -1, 0, 1, 2: the cubic B-spline (Unser 1999, doi:10.1109/79.799930)."""
    rest = 1 - fraction
    first, last = rest**3 / 6, fraction**3 / 6
    return [first, 2 / 3 - fraction**2 * (2 - fraction) / 2, 2 / 3 - rest**2 * (2 - rest) / 2, last]


def lanczos_weights(fraction: Tensor, radius: int) -> list[Tensor]:
    """Of the voxels at 1 - radius, ..., radius: sinc(x) sinc(x / radius), scaled to sum 1.

    Meijering, Niessen, Viergever, "Quantitative evaluation of convolution-based methods for medical image
    interpolation", 2001, doi:10.1016/S1361-8415(00)00040-2.
    """
    distances = [fraction - k for k in range(1 - radius, radius + 1)]
    weights = [torch.sinc(x) * torch.sinc(x / radius) for x in distances]
    total = torch.stack(weights).sum(0)
    return [w / total for w in weights]


@dataclass(frozen=True, eq=False)
class PiecewisePolynomial:
    """A kernel whose taps are polynomials of a point's place between two voxels; they can be learnt.

    Linear interpolation, cubic convolution and B-splines are such kernels, and each of K taps of degree P has P + 1
    coefficients that get their gradient. Nothing holds the weights to a sum of 1: a kernel learnt from images finds it.

    Attributes:
        coefficients: (2 radius, degree + 1) floating point. Row k is of the voxel at k + 1 - radius, counted from the
            lower of the two; its weight for a point at `fraction`, 0 to 1, is sum_p coefficients[k, p] fraction^p.

    Raises:
        ImageError: coefficients of another shape.

    Example:
        >>> from medreg.sample import sample
        >>> line = torch.tensor([[[0.0, 0.0, 1.0, 0.0, 0.0]] * 4])
        >>> sample(line, torch.tensor([[1.5, 1.0]]), cubic_convolution())
        tensor([[0.5625]])
    """

    coefficients: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.coefficients.shape)
        floating = self.coefficients.is_floating_point()
        if len(shape) != 2 or shape[0] % 2 or not 2 <= shape[0] <= 32 or shape[1] < 1 or not floating:
            raise ImageError(
                "a kernel of polynomials takes floating-point coefficients (2 radius, degree + 1), radius 1 to 16, got "
                f"{self.coefficients.dtype} {shape}"
            )

    @property
    def radius(self) -> int:
        """Voxels to each side of a point."""
        return len(self.coefficients) // 2

    def weights(self, fraction: Tensor) -> list[Tensor]:
        """Of the voxels at 1 - radius, ..., radius, for points at `fraction` (N,)."""
        highest, *others = self.coefficients.to(fraction).T.flip(0).unbind(0)
        total = highest[:, None].expand(-1, len(fraction))
        for coefficient in others:
            total = total * fraction + coefficient[:, None]
        return list(total.unbind(0))


def cubic_convolution(sharpness: float = -0.5) -> PiecewisePolynomial:
    """Keys' cubic convolution (1981, doi:10.1109/TASSP.1981.1163711): needs no prefilter and passes through the voxels.

    Args:
        sharpness: the slope of the kernel at 1. At -0.5, Keys' choice, it repeats parabolas exactly; image programs
            often have -0.75 or -1.
    """
    a = sharpness
    rows = [[0, a, -2 * a, a], [1, 0, -a - 3, a + 2], [0, -a, 2 * a + 3, -a - 2], [0, 0, a, -a]]
    return PiecewisePolynomial(torch.tensor(rows, dtype=torch.float64))
