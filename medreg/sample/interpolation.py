"""The sampler: values and spatial gradients of a volume between its voxels. All of medreg that resamples stands on it.

Index coordinates are fractional voxel indices in x, y, z order with voxel centres at the integers. A point is inside the
buffer iff -0.5 <= index < n - 0.5 on every axis (ITK's rule). In the half voxel beyond the outermost centres the nearest,
linear and sinc kernels take the edge voxel again and the cubic B-spline the mirror image, as ITK does.

Indices may be float64 over float32 voxels, and should where the last digits matter: only the fraction between two voxels
is rounded to the voxels' precision. float32 indices above 128 carry an error of 1e-5 voxel before any arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.sample.gathering import weighted_gather
from medreg.sample.kernels import cubic_weights, lanczos_weights, linear_weights
from medreg.sample.spline import spline_coefficients


@dataclass(frozen=True)
class Nearest:
    """The value of the nearest voxel, halves rounded up (ITK's rule); the dtype stays. Zero gradient to the index."""


@dataclass(frozen=True)
class Linear:
    """Multilinear between the 2^D voxels around a point."""


@dataclass(frozen=True)
class CubicBSpline:
    """The cubic spline that passes through every voxel (Unser 1999, doi:10.1109/79.799930): smooth, may overshoot."""


@dataclass(frozen=True)
class WindowedSinc:
    """Sinc under a Lanczos window, its weights scaled to sum 1, so that a constant stays one (ITK's do not).

    Attributes:
        radius: voxels to each side of a point, 1 to 16; the cost grows with (2 radius)^D.
    """

    radius: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.radius <= 16:
            raise ImageError(f"a windowed sinc needs a radius of 1 to 16 voxels, got {self.radius}; 3 to 5 are usual")


Interpolation: TypeAlias = Nearest | Linear | CubicBSpline | WindowedSinc


@dataclass(frozen=True)
class Fill:
    """Points outside the buffer take `value`; a tensor of one element gets its gradient."""

    value: float | Tensor = 0.0


@dataclass(frozen=True)
class Edge:
    """Points outside take the value at the nearest point between the outermost voxel centres."""


Outside: TypeAlias = Fill | Edge

LINEAR = Linear()
ZERO = Fill(0.0)


class Sampled(NamedTuple):
    """What `sample_with_gradient` returns.

    Attributes:
        values: (C, N); outside the buffer those of the nearest point between the outermost voxel centres.
        gradients: (C, N, D) d value / d index, x, y, z order, per voxel; 0 along an axis on which the point lies outside
            the outermost centres.
        inside: (N,) bool, by ITK's half-voxel rule.
    """

    values: Tensor
    gradients: Tensor
    inside: Tensor


def sample(volume: Tensor, index: Tensor, interpolation: Interpolation = LINEAR, outside: Outside = ZERO) -> Tensor:
    """Values of a volume between its voxels.

    Args:
        volume: (C, z, y, x) or (C, y, x), any dtype; with a leading batch axis if `index` has one.
        index: (N, D) or (B, N, D) fractional voxel indices, x, y, z order, floating point. Not-a-number is outside.
        interpolation: the kernel.
        outside: what points outside the buffer get.

    Returns:
        (C, N) or (B, C, N) in `working_dtype(volume.dtype)`, or in the volume's own dtype for `Nearest`. Differentiable
        (once) to the volume, the index and the fill value.

    Example:
        >>> ramp = torch.arange(4.0).expand(1, 3, 4)
        >>> sample(ramp, torch.tensor([[1.25, 1.0], [9.0, 0.0]]), outside=Fill(-1.0))
        tensor([[ 1.2500, -1.0000]])
    """
    if index.ndim == 3:
        return torch.stack([sample(v, i, interpolation, outside) for v, i in zip(volume, index, strict=True)])
    return Sampler(volume, interpolation, outside).at(index)


class Sampler:
    """A volume made ready once (spline prefilter, margins) for many calls."""

    def __init__(self, volume: Tensor, interpolation: Interpolation = LINEAR, outside: Outside = ZERO) -> None:
        """Prepare `volume` (C, z, y, x) or (C, y, x); see `sample`."""
        self.size = tuple(volume.shape[:0:-1])
        self.interpolation = interpolation
        self.outside = outside
        self.dtype = volume.dtype if isinstance(interpolation, Nearest) else working_dtype(volume.dtype)
        self.margin = 0
        if isinstance(interpolation, CubicBSpline):
            self.margin = 2
            volume = _with_margin(spline_coefficients(volume.to(self.dtype)), 2, _mirrored)
        elif isinstance(interpolation, WindowedSinc):
            self.margin = interpolation.radius
            volume = _with_margin(volume, self.margin, _replicated)
        self.flat = [channel.reshape(-1) for channel in volume]
        self.steps = _steps(volume.shape[1:])

    def at(self, index: Tensor) -> Tensor:
        """Values (C, N) at fractional voxel indices (N, D), x, y, z order."""
        axes = [x.nan_to_num(-2.0) for x in index.unbind(-1)]
        if isinstance(self.outside, Edge):
            axes = [x.clamp(0, n - 1) for x, n in zip(axes, self.size, strict=True)]
        values = self._inside(axes)
        if isinstance(self.outside, Fill):
            fill = torch.as_tensor(self.outside.value, dtype=values.dtype, device=values.device)
            values = torch.where(_inside(axes, self.size), values, fill)
        return values

    def _inside(self, axes: Sequence[Tensor]) -> Tensor:
        """Values that are right inside the buffer, and finite outside."""
        if isinstance(self.interpolation, Nearest):
            nearest = [torch.floor(x.detach() + 0.5).clamp(0, n - 1) for x, n in zip(axes, self.size, strict=True)]
            base = _offsets(nearest, self.steps)
            return torch.stack([flat.index_select(0, base) for flat in self.flat])
        lows, weights = [], []
        for x, n in zip(axes, self.size, strict=True):
            low, fraction = _split(x, n, self.margin)
            fraction = fraction.to(self.dtype)
            lows.append(low)
            if isinstance(self.interpolation, Linear):
                weights.append(linear_weights(fraction))
            elif isinstance(self.interpolation, CubicBSpline):
                weights.append(cubic_weights(fraction))
            else:
                weights.append(lanczos_weights(fraction, self.interpolation.radius))
        base = _offsets(lows, self.steps)
        return torch.stack([weighted_gather(flat, base, self.steps[::-1], weights[::-1]) for flat in self.flat])


def sample_with_gradient(volume: Tensor, index: Tensor) -> Sampled:
    """Linear values and their spatial gradients in one pass, without an autograd graph: the registration's inner loop.

    Args:
        volume: (C, z, y, x) or (C, y, x), floating point.
        index: (N, D) fractional voxel indices, x, y, z order. Points in memory order and a transposed (D, N) tensor are
            fastest.
    """
    with torch.no_grad():
        size = tuple(volume.shape[:0:-1])
        steps = _steps(volume.shape[1:])
        axes = [x.nan_to_num(-2.0) for x in index.unbind(-1)]
        lows, fractions = zip(*(_split(x, n, 0) for x, n in zip(axes, size, strict=True)), strict=True)
        base = _offsets(lows, steps)
        fractions = [f.to(volume.dtype) for f in fractions]
        values, gradients = zip(*(_value_and_slopes(v.reshape(-1), base, steps, fractions) for v in volume), strict=True)
        within = [((x > 0) & (x < n - 1)) for x, n in zip(axes, size, strict=True)]
        slopes = torch.stack([torch.stack([g * w for g, w in zip(gs, within, strict=True)], -1) for gs in gradients])
        return Sampled(torch.stack(values), slopes, _inside(axes, size))


def _value_and_slopes(
    flat: Tensor, base: Tensor, steps: Sequence[int], fractions: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Multilinear value (N,) and its derivatives along the axes of `steps`, slowest axis last."""
    if not steps:
        return flat.index_select(0, base), []
    low, low_slopes = _value_and_slopes(flat, base, steps[:-1], fractions[:-1])
    high, high_slopes = _value_and_slopes(flat[steps[-1] :], base, steps[:-1], fractions[:-1])
    slopes = [torch.lerp(a, b, fractions[-1]) for a, b in zip(low_slopes, high_slopes, strict=True)]
    return torch.lerp(low, high, fractions[-1]), [*slopes, high - low]


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that voxels of `dtype` are interpolated in: float32, or float64 where float32 cannot hold them."""
    return torch.float64 if dtype in (torch.float64, torch.int32, torch.int64) else torch.float32


def _inside(axes: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """(N,) bool: -0.5 <= index < n - 0.5 on every axis."""
    inside = torch.ones_like(axes[0], dtype=torch.bool)
    for x, n in zip(axes, size, strict=True):
        inside &= (x >= -0.5) & (x < n - 0.5)
    return inside


def _split(x: Tensor, n: int, margin: int) -> tuple[Tensor, Tensor]:
    """The first tap of each point, counted in the volume with its margin, and the fraction 0 to 1 between its two voxels.

    Without a margin the pair stays within the volume and the fraction stops at its ends, which is the edge clamped.
    """
    if margin == 0:
        low = x.detach().clamp(0, max(n - 2, 0)).floor()
        return low, (x - low).clamp(0, min(n - 1, 1))
    x = x.clamp(-0.5, n - 0.5)
    low = x.detach().floor()
    return low + 1, x - low


def _offsets(lows: Sequence[Tensor], steps: Sequence[int]) -> Tensor:
    """(N,) places in the flat volume of whole indices (one tensor an axis)."""
    total = lows[0].int()
    for low, step in zip(lows[1:], steps[1:], strict=True):
        total = total.add(low.int(), alpha=step)
    return total


def _steps(shape: Sequence[int]) -> tuple[int, ...]:
    """How far apart in memory two neighbours are along x, y(, z)."""
    steps = [1]
    for n in reversed(shape[1:]):
        steps.append(steps[-1] * n)
    return tuple(steps)


def _with_margin(volume: Tensor, margin: int, rule: object) -> Tensor:
    """`volume` with `margin` more voxels at both ends of every axis, copied from where `rule` says."""
    for axis in range(1, volume.ndim):
        n = volume.shape[axis]
        places = torch.arange(-margin, n + margin, device=volume.device)
        volume = volume.index_select(axis, rule(places, n))
    return volume


def _replicated(places: Tensor, n: int) -> Tensor:
    return places.clamp(0, n - 1)


def _mirrored(places: Tensor, n: int) -> Tensor:
    """About the centres of the outermost voxels: -1 is 1, n is n - 2."""
    if n == 1:
        return torch.zeros_like(places)
    folded = places.remainder(2 * (n - 1))
    return torch.minimum(folded, 2 * (n - 1) - folded)
