"""Warping: tensors through matrices of voxel indices, single or in batches. Everything affine that resamples ends here.

A map is taken by the cheapest way that serves it exactly: voxels are copied where centres fall on centres; an axis at a
time where the axes stay apart; plane by plane where one axis does; else tile by tile. With gradients to the map (and
beyond the first two ways, to the voxels), for perspective maps, and for kernels that no shortcut serves, each point is
sampled alone. The ways differ by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.sample.axes import by_axes, one_axis
from medreg.sample.interpolation import (
    LINEAR,
    ZERO,
    Edge,
    Fill,
    Interpolation,
    Linear,
    Nearest,
    Outside,
    Sampler,
    check_fits,
    inside_buffer,
    working_dtype,
)
from medreg.sample.kernels import PiecewisePolynomial
from medreg.sample.planes import Turn, by_planes
from medreg.sample.sharing import points_at_once, shared
from medreg.sample.tiles import by_tiles

Chunk: TypeAlias = Callable[[], Sequence[Tensor]]
"""Makes one tensor (n,) of coordinates an axis, when it is its turn."""

EXACT = 1e-9
"""Voxels by which a map may miss voxel centres, or turn an axis, anywhere in the image, and count as not doing so."""


def warp(
    volume: Tensor,
    matrix: Tensor,
    shape: Sequence[int],
    interpolation: Interpolation = LINEAR,
    outside: Outside = ZERO,
) -> Tensor:
    """`volume` seen through a map of voxel indices: out[i] = volume at matrix i.

    Args:
        volume: (C, z, y, x) or (C, y, x), any dtype; or (B, C, ...) with a matrix for each item.
        matrix: homogeneous (D+1, D+1), or (B, D+1, D+1), floating point: from voxel indices (x, y, z) of the result to
            those of the volume; float64 where the last digits matter. Affine or projective.
        shape: of the result, (z, y, x) or (y, x).
        interpolation: the kernel; `Nearest` keeps the dtype, the others give `working_dtype(volume.dtype)`.
        outside: what points outside the buffer get.

    Returns:
        (C, *shape) or (B, C, *shape); a batch is exactly the loop over its items. Differentiable to volume, matrix and
        fill value; twice, with a kernel that is smooth.

    Raises:
        TransformError: when the shapes of volume, matrix and result do not fit together.
        ImageError: when integer voxels cannot hold the fill value.

    Example:
        >>> half = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> warp(torch.tensor([[[1.0, 3.0, 5.0]]]), half, (1, 3), outside=Edge())
        tensor([[[2., 4., 5.]]])
    """
    d = len(shape)
    if matrix.ndim == 3:
        if volume.ndim != d + 2 or len(volume) != len(matrix):
            raise TransformError(
                f"a batch of {len(matrix)} matrices needs as many volumes (B, C, {'z, ' * (d - 2)}y, x), "
                f"got shape {tuple(volume.shape)}"
            )
        return torch.stack([warp(v, m, shape, interpolation, outside) for v, m in zip(volume, matrix, strict=True)])
    if volume.ndim != d + 1 or matrix.shape != (d + 1, d + 1):
        raise TransformError(
            f"a result {tuple(shape)} needs a volume of {d + 1} axes and a {d + 1}x{d + 1} matrix, "
            f"got shapes {tuple(volume.shape)} and {tuple(matrix.shape)}"
        )
    if not _is_tracked(matrix):
        quick = _shortcut(volume, matrix.detach(), shape, interpolation, outside)
        if quick is not None:
            return quick
    return by_points(volume, matrix, shape, interpolation, outside)


def by_points(
    volume: Tensor, matrix: Tensor, shape: Sequence[int], interpolation: Interpolation, outside: Outside
) -> Tensor:
    """`warp` of one volume in the most general way: every point sampled for itself."""
    sampler = Sampler(volume, interpolation, outside)
    settings = (getattr(outside, "value", None), getattr(interpolation, "coefficients", None))
    involved = [t for t in (volume, matrix, *settings) if isinstance(t, Tensor)]
    chunks = list(mapped_rows(matrix.to(volume.device), shape, points_at_once(prod(shape), *involved)))
    parts = shared(lambda chunk: sampler.at_axes(chunk()), chunks, *involved)
    return torch.cat(parts, 1).view(-1, *shape)


def mapped_rows(matrix: Tensor, shape: Sequence[int], at_once: int) -> Iterator[Chunk]:
    """Where the homogeneous `matrix` takes the voxel indices of a lattice (z, y, x), a chunk of rows at a time.

    A row along x is where its first voxel goes, plus multiples of one step: one addition an element.
    """
    d, nx = len(shape), shape[-1]
    counts = [torch.arange(n, dtype=matrix.dtype, device=matrix.device) for n in shape[:-1]]
    rows = torch.stack(torch.meshgrid(*counts, indexing="ij")[::-1]).flatten(1)
    starts = matrix[:, 1:d] @ rows + matrix[:, d:]
    along = matrix[:, :1] * torch.arange(nx, dtype=matrix.dtype, device=matrix.device)
    bottom = matrix[d].tolist()
    projective = bottom != [0.0] * d + [1.0] or matrix.requires_grad

    def mapped(start: Tensor) -> Sequence[Tensor]:
        axes = [(start[k][:, None] + along[k]).flatten() for k in range(d + projective)]
        return [x / axes[d] for x in axes[:d]] if projective else axes

    yield from (partial(mapped, start) for start in torch.split(starts, max(1, at_once // nx), 1))


def _is_tracked(*inputs: object) -> bool:
    return torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in inputs)


@dataclass(frozen=True)
class _Apart:
    """An affine map whose output axis j takes input axis `source[j]` alone, for the axes `alone`.

    Attributes:
        matrix: (D+1, D+1) float64 with its rows so ordered that an axis alone stands on the diagonal.
        source: for each output axis x, y(, z) the input axis that stands in its row.
        alone: the output axes that meet one input axis, which meets no other.
    """

    matrix: Tensor
    source: tuple[int, ...]
    alone: tuple[int, ...]

    @staticmethod
    def of(matrix: Tensor, shape: Sequence[int]) -> _Apart:
        """The map without what misses by less than `EXACT` anywhere in the result (z, y, x)."""
        d = len(shape)
        reach = torch.tensor([max(n - 1, 1) for n in reversed(shape)], dtype=torch.float64)
        matrix = matrix.clone()
        linear, offset = matrix[:d, :d], matrix[:d, d]
        linear[linear.abs() * reach < EXACT] = 0.0
        whole = (linear - linear.round()).abs() * reach < EXACT
        linear[whole] = linear.round()[whole]
        near = (offset - offset.round()).abs() < EXACT
        offset[near] = offset.round()[near]
        met = linear != 0
        pairs = {
            int(j): i
            for i in range(d)
            for j in met[i].nonzero().flatten()
            if int(met[i].sum()) == 1 and int(met[:, j].sum()) == 1
        }
        rest = iter(sorted(set(range(d)) - set(pairs.values())))
        source = tuple(pairs[j] if j in pairs else next(rest) for j in range(d))
        return _Apart(matrix[[*source, d]], source, tuple(sorted(pairs)))


def _shortcut(
    volume: Tensor, matrix: Tensor, shape: Sequence[int], interpolation: Interpolation, outside: Outside
) -> Tensor | None:
    """The result by a shortcut; None where there is none."""
    if not isinstance(outside, Fill | Edge) or isinstance(interpolation, PiecewisePolynomial):
        return None
    d = len(shape)
    matrix = matrix.cpu().double()
    if matrix[d].tolist() != [0.0] * d + [1.0] or not bool(matrix.isfinite().all()):
        return None
    dtype = volume.dtype if isinstance(interpolation, Nearest) else working_dtype(volume.dtype)
    if isinstance(outside, Fill):
        check_fits(outside.value, dtype)
    apart = _Apart.of(matrix, shape)
    alike = volume.permute(0, *(d - i for i in reversed(apart.source)))
    if len(apart.alone) == d:
        return _axis_by_axis(alike, apart.matrix, shape, interpolation, outside, dtype)
    if isinstance(outside, Edge) or volume.device.type != "cpu" or _is_tracked(volume, outside.value):
        return None
    if d == 3 and len(apart.alone) == 1:
        return _plane_by_plane(alike, apart, shape, interpolation, outside, dtype)
    if isinstance(interpolation, Linear | Nearest):
        out = torch.empty(len(volume), *shape, dtype=dtype)
        by_tiles(volume, matrix, interpolation, _per_channel(outside, out), out)
        return out
    return None


def _per_channel(outside: Fill, out: Tensor) -> Tensor:
    """(C,) what points outside get, in the dtype of `out`."""
    return torch.as_tensor(outside.value, device=out.device).to(out.dtype).reshape(-1).expand(len(out))


def _filled(volume: Tensor, shape: Sequence[int], outside: Fill, dtype: torch.dtype) -> Tensor:
    out = torch.empty(len(volume), *shape, dtype=dtype, device=volume.device)
    return out.copy_(_per_channel(outside, out).view(-1, *[1] * len(shape)))


def _axis_by_axis(
    volume: Tensor,
    matrix: Tensor,
    shape: Sequence[int],
    interpolation: Interpolation,
    outside: Fill | Edge,
    dtype: torch.dtype,
) -> Tensor:
    places, box = [], []
    for k, n in enumerate(reversed(shape)):
        along = matrix[k, -1] + matrix[k, k] * torch.arange(n, dtype=matrix.dtype)
        size = volume.shape[-1 - k]
        if isinstance(outside, Edge):
            along = along.clamp(0, size - 1)
        inside = inside_buffer([along], [size]).nonzero().flatten()
        first, count = (int(inside[0]), len(inside)) if len(inside) else (0, 0)
        places.append(along[first : first + count])
        box.append(slice(first, first + count))
    every = (slice(None), *reversed(box))
    if isinstance(outside, Edge) or all(b == slice(0, n) for b, n in zip(box, reversed(shape), strict=True)):
        out = torch.empty(len(volume), *shape, dtype=dtype, device=volume.device)
    else:
        out = _filled(volume, shape, outside, dtype)
    if all(len(p) for p in places):
        by_axes(volume, places, interpolation, out[every])
    return out


def _plane_by_plane(
    volume: Tensor, apart: _Apart, shape: Sequence[int], interpolation: Interpolation, outside: Fill, dtype: torch.dtype
) -> Tensor:
    (alone,) = apart.alone
    u, v = (k for k in range(3) if k != alone)
    out = torch.empty(len(volume), *shape, dtype=dtype)
    fill = _per_channel(outside, out)
    along = apart.matrix[alone, 3] + apart.matrix[alone, alone] * torch.arange(shape[2 - alone], dtype=torch.float64)
    inside = inside_buffer([along], [volume.shape[3 - alone]]).nonzero().flatten()
    start, count = (int(inside[0]), len(inside)) if len(inside) else (0, 0)
    for first, length in ((0, start), (start + count, len(along) - start - count)):
        out.narrow(3 - alone, first, length).copy_(fill.view(-1, 1, 1, 1))
    if count:
        planes = one_axis(volume, 3 - alone, along[inside], interpolation, dtype)
        turn = Turn(3 - alone, apart.matrix[[u, v]][:, [u, v, 3]], (shape[2 - v], shape[2 - u]))
        by_planes(planes, turn, interpolation, fill, out.narrow(3 - alone, start, count))
    return out
