"""The sampler: values and spatial gradients of a volume between its voxels. All of medreg that resamples stands on it.

Index coordinates are fractional voxel indices in x, y, z order with voxel centres at the integers. A point is inside
the buffer iff -0.5 <= index < n - 0.5 on every axis (ITK's rule). In the half voxel beyond the outermost centres the
nearest, linear and sinc kernels take the edge voxel again and the cubic B-spline the mirror image, as ITK does. Where
a volume goes on (`Periodic`, `Reflect`, `Mirror`) no point is outside, and the kernels' taps are those of its
continuation, the spline's coefficients included.

Indices may be float64 over float32 voxels, and should where the last digits matter: only the fraction between two
voxels is rounded to the voxels' precision. float32 indices above 128 are off by up to 8e-6 voxel before any arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.sample.continuing import Mirror, Periodic, Reflect, extended, extents, folded
from medreg.sample.gathering import weighted_gather
from medreg.sample.kernels import PiecewisePolynomial, cubic_weights, lanczos_weights, linear_weights
from medreg.sample.sharing import points_at_once, shared
from medreg.sample.spline import reach_of, spline_coefficients


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


Interpolation: TypeAlias = Nearest | Linear | CubicBSpline | WindowedSinc | PiecewisePolynomial


@dataclass(frozen=True)
class Fill:
    """Points outside the buffer take `value`; a tensor, of one element or (C, 1) for C channels, gets its gradient."""

    value: float | Tensor = 0.0


@dataclass(frozen=True)
class Edge:
    """Points outside take the value at the nearest point between the outermost voxel centres."""


Outside: TypeAlias = Fill | Edge | Periodic | Reflect | Mirror

LINEAR = Linear()
ZERO = Fill(0.0)
OUTSIDE = -2.0
"""Where not-a-number goes."""


class Sampled(NamedTuple):
    """What `sample_with_gradient` returns.

    Attributes:
        values: (C, N); outside the buffer those of the nearest point between the outermost voxel centres.
        gradients: (C, N, D) d value / d index, x, y, z order, per voxel; 0 along an axis on which the point lies beyond
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

    Raises:
        ImageError: when the shapes do not fit together, or integer voxels cannot hold the fill value.

    Example:
        >>> ramp = torch.arange(4.0).expand(1, 3, 4)
        >>> sample(ramp, torch.tensor([[1.25, 1.0], [9.0, 0.0]]), outside=Fill(-1.0))
        tensor([[ 1.2500, -1.0000]])
    """
    if index.ndim == 3:
        if len(volume) != len(index):
            raise ImageError(f"a batch of {len(volume)} volumes needs as many lists of indices, got {len(index)}")
        return torch.stack([sample(v, i, interpolation, outside) for v, i in zip(volume, index, strict=True)])
    _check_index(volume, index)
    sampler = Sampler(volume, interpolation, outside)
    pieces = [sampler.at(piece) for piece in torch.split(index, points_at_once(len(index), volume, index))]
    return torch.cat(pieces, 1) if len(pieces) > 1 else pieces[0]


class Sampler:
    """A volume made ready once (spline prefilter, margins) and sampled many times; `sample` in two steps."""

    def __init__(self, volume: Tensor, interpolation: Interpolation = LINEAR, outside: Outside = ZERO) -> None:
        """Prepare `volume` (C, z, y, x) or (C, y, x)."""
        self.size = tuple(volume.shape[:0:-1])
        self.interpolation = interpolation
        self.outside = outside
        self.dtype = volume.dtype if isinstance(interpolation, Nearest) else working_dtype(volume.dtype)
        self._extents = self.size if isinstance(outside, Fill | Edge) else extents(self.size, outside)
        volume = made_ready(volume, interpolation, range(1, volume.ndim), outside)
        if isinstance(outside, Fill):
            check_fits(outside.value, self.dtype)
        self._shape = volume.shape[1:]
        self._flat = [channel.reshape(-1) for channel in volume]

    def at(self, index: Tensor) -> Tensor:
        """Values (C, N) at fractional voxel indices (N, D), x, y, z order."""
        return self.at_axes(index.unbind(-1))

    def at_axes(self, axes: Sequence[Tensor]) -> Tensor:
        """Values (C, N) at fractional voxel indices, one tensor (N,) for each of x, y(, z)."""
        if isinstance(self.outside, Edge):
            return self._values([x.nan_to_num(0.0).clamp(0, n - 1) for x, n in zip(axes, self.size, strict=True)])
        if not isinstance(self.outside, Fill):
            return self._values([folded(x, n, self.outside) for x, n in zip(axes, self.size, strict=True)])
        inside = inside_buffer(axes, self.size).nonzero().squeeze(1)
        if len(inside) == len(axes[0]):
            return self._values(axes)
        values = self._values([x.index_select(0, inside) for x in axes])
        fill = torch.as_tensor(self.outside.value, device=values.device).to(values.dtype)
        return fill.expand(len(values), len(axes[0])).scatter(1, inside.expand(len(values), -1), values)

    def _values(self, axes: Sequence[Tensor]) -> Tensor:
        """Values (C, N) at points that all lie inside the buffer."""
        if isinstance(self.interpolation, Nearest):
            # halves up: adding 0.5 first, then cutting off the fraction of a number that is not negative
            nearest = [(x.detach() + 0.5).clamp(0, n - 1).int() for x, n in zip(axes, self._extents, strict=True)]
            base = _offsets(nearest, self._shape)
            return torch.stack([flat.index_select(0, base) for flat in self._flat])
        places = zip(axes, self._extents, strict=True)
        each = (weights_along(x, n, self.interpolation, self.dtype) for x, n in places)
        lows, weights = zip(*each, strict=True)
        base, steps = _offsets(lows, self._shape), _steps(self._shape)[::-1]
        return torch.stack([weighted_gather(flat, base, steps, weights[::-1]) for flat in self._flat])


def weights_along(x: Tensor, n: int, interpolation: Interpolation, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """First tap (int) of each place `x` (N,) along an axis of n voxels, counted with the margin, and its taps' weights.

    The margin is `margin_of(interpolation)`; the weights are in `dtype`. Not for `Nearest`, which has no weights.
    """
    if isinstance(interpolation, Linear):
        low, place = pair_of(x, n)
        return low, linear_weights(place.to(dtype).clamp(0, min(n - 1, 1)))
    low = (x.detach() + 1).int()
    fraction = (x + 1 - low.to(x.dtype)).to(dtype)
    if isinstance(interpolation, WindowedSinc):
        return low, lanczos_weights(fraction, interpolation.radius)
    if isinstance(interpolation, PiecewisePolynomial):
        return low, interpolation.weights(fraction)
    return low, cubic_weights(fraction)


def margin_of(interpolation: Interpolation) -> int:
    """Voxels that `made_ready` adds at both ends of every axis."""
    match interpolation:
        case CubicBSpline():
            return 2
        case WindowedSinc() | PiecewisePolynomial():
            return interpolation.radius
    return 0


def made_ready(volume: Tensor, interpolation: Interpolation, axes: Sequence[int], outside: Outside = ZERO) -> Tensor:
    """`volume` (C, z, y, x) or (C, y, x) ready for taps along its `axes` (1 is z in 3D): prefiltered, with margins."""
    if not isinstance(outside, Fill | Edge):
        return _made_ready_on(volume, interpolation, axes, outside)
    if isinstance(interpolation, CubicBSpline):
        volume = spline_coefficients(volume.to(working_dtype(volume.dtype)), axes)
    return _with_margin(volume, margin_of(interpolation), continued(interpolation), axes)


def _made_ready_on(
    volume: Tensor, interpolation: Interpolation, axes: Sequence[int], outside: Periodic | Reflect | Mirror
) -> Tensor:
    """`made_ready` of a volume that goes on; its spline's coefficients are those of so much of it as reaches inside."""
    margin = margin_of(interpolation)
    for axis in axes:
        if isinstance(interpolation, CubicBSpline):
            volume = volume.to(working_dtype(volume.dtype))
            reach = reach_of(volume.dtype)
            wide = spline_coefficients(extended(volume, axis, margin + reach, outside), [axis])
            volume = wide.narrow(axis, reach, wide.shape[axis] - 2 * reach)
        else:
            volume = extended(volume, axis, margin, outside)
    return volume


def continued(interpolation: Interpolation) -> Callable[[Tensor, int], Tensor]:
    """How the axis goes on beyond its ends: the voxel (0 to n - 1) that a place outside takes."""
    return _mirrored if isinstance(interpolation, CubicBSpline) else _replicated


def sample_with_gradient(volume: Tensor, index: Tensor) -> Sampled:
    """Linear values and their spatial gradients in one pass, without an autograd graph: the registration's inner loop.

    Args:
        volume: (C, z, y, x) or (C, y, x), floating point.
        index: (N, D) fractional voxel indices, x, y, z order. Fastest in memory order, and as the transpose of a (D, N)
            tensor.
    """
    with torch.no_grad():
        _check_index(volume, index)
        pieces = shared(
            lambda piece: _with_gradient(volume, piece), torch.split(index, points_at_once(len(index), index)), index
        )
        if len(pieces) == 1:
            return pieces[0]
        values, gradients, inside = zip(*pieces, strict=True)
        return Sampled(torch.cat(values, 1), torch.cat([g.mT for g in gradients], 2).mT, torch.cat(inside))


def _with_gradient(volume: Tensor, index: Tensor) -> Sampled:
    size, steps = volume.shape[:0:-1], _steps(volume.shape[1:])
    axes = [x.nan_to_num(OUTSIDE) for x in index.unbind(-1)]
    pairs = [pair_of(x, n) for x, n in zip(axes, size, strict=True)]
    base = _offsets([low for low, _ in pairs], volume.shape[1:])
    fractions = [place.clamp(0, min(n - 1, 1)) for (_, place), n in zip(pairs, size, strict=True)]
    free = [place == fraction for (_, place), fraction in zip(pairs, fractions, strict=True)]
    values, gradients = [], []
    for channel in volume:
        value, slopes = _value_and_slopes(channel.reshape(-1), base, steps, [f.to(volume.dtype) for f in fractions])
        values.append(value)
        gradients.append(torch.stack([slope * f for slope, f in zip(slopes, free, strict=True)]))
    return Sampled(torch.stack(values), torch.stack(gradients).mT, inside_buffer(axes, size))


def _value_and_slopes(
    flat: Tensor, base: Tensor, steps: Sequence[int], fractions: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Multilinear value (N,) and its derivatives along the axes of `steps`, in their order."""
    if not steps:
        return flat.index_select(0, base), []
    low, low_slopes = _value_and_slopes(flat, base, steps[:-1], fractions[:-1])
    high, high_slopes = _value_and_slopes(flat[steps[-1] :], base, steps[:-1], fractions[:-1])
    slopes = [torch.lerp(a, b, fractions[-1]) for a, b in zip(low_slopes, high_slopes, strict=True)]
    return torch.lerp(low, high, fractions[-1]), [*slopes, high - low]


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that voxels of `dtype` are interpolated in: float32, or float64 where float32 cannot hold them."""
    return torch.float64 if dtype in (torch.float64, torch.int32, torch.int64) else torch.float32


def _check_index(volume: Tensor, index: Tensor) -> None:
    if index.ndim != 2 or index.shape[1] != volume.ndim - 1 or not index.is_floating_point():
        d = volume.ndim - 1
        raise ImageError(
            f"a volume {tuple(volume.shape)} is sampled at floating-point indices (N, {d}) in x, y, z order, "
            f"got {index.dtype} {tuple(index.shape)}"
        )


def check_fits(value: float | Tensor, dtype: torch.dtype) -> None:
    """Raise an ImageError where voxels of `dtype` cannot hold the fill value."""
    if isinstance(value, Tensor) or dtype.is_floating_point:
        return
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    if value != int(value) or not low <= value <= high:
        raise ImageError(f"{dtype} voxels cannot hold the fill value {value}; choose a whole number {low} to {high}")


def inside_buffer(axes: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """(N,) bool: -0.5 <= index < n - 0.5 on every axis. One comparison at the end: each costs as much as five sums."""
    beyond = torch.zeros_like(axes[0])
    for x, n in zip(axes, size, strict=True):
        x = x.detach()
        excess = x - x.clamp(-0.5, _last_before(n - 0.5, x.dtype))
        beyond.addcmul_(excess, excess)
    return beyond == 0


@cache
def _last_before(limit: float, dtype: torch.dtype) -> float:
    """The largest number of `dtype` below `limit`."""
    return torch.nextafter(torch.tensor(limit, dtype=dtype), torch.tensor(0.0, dtype=dtype)).item()


def pair_of(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The lower voxel (int) of the pair around each point that lies within the axis, and the place between the two.

    The place is 0 to 1 between the outermost centres, less or more beyond them. No `floor`: torch hands it to MKL,
    which starts threads for 32,000 numbers; see `points_at_once`.
    """
    low = x.detach().clamp(0, max(n - 2, 0)).int()
    return low, x - low.to(x.dtype)


def _offsets(lows: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """(N,) places in the flat volume (z, y, x) of whole indices, one tensor for each of x, y, z."""
    if prod(shape) >= 2**31:
        lows = [low.long() for low in lows]
    total = lows[0]
    for low, step in zip(lows[1:], _steps(shape)[1:], strict=True):
        total = total.add(low, alpha=step)
    return total


def _steps(shape: Sequence[int]) -> tuple[int, ...]:
    """How far apart in memory two neighbours along x, y(, z) of a flat (z, y, x) are; 0 on an axis of one voxel."""
    return tuple(prod(shape[len(shape) - k :]) if n > 1 else 0 for k, n in enumerate(reversed(shape)))


def _with_margin(volume: Tensor, margin: int, rule: Callable[[Tensor, int], Tensor], along: Sequence[int]) -> Tensor:
    """`volume` with `margin` more voxels at both ends of the axes `along`, copied from where `rule` says."""
    for axis in along if margin else ():
        n = volume.shape[axis]
        places = torch.arange(margin, device=volume.device)
        ends = (volume.index_select(axis, rule(at, n)) for at in (places - margin, places + n))
        volume = torch.cat([next(ends), volume, next(ends)], axis)
    return volume


def _replicated(places: Tensor, n: int) -> Tensor:
    return places.clamp(0, n - 1)


def _mirrored(places: Tensor, n: int) -> Tensor:
    """About the centres of the outermost voxels: -1 is 1, n is n - 2."""
    if n == 1:
        return torch.zeros_like(places)
    folded = places.remainder(2 * (n - 1))
    return torch.minimum(folded, 2 * (n - 1) - folded)
