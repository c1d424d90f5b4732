"""The arguments of `raster`, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.ops.arguments import numbers, one_of, whole_numbers
from medreg.ops.room import check_room
from medreg.vision.rasterisation.cameras import Camera, Perspective, rows
from medreg.vision.rasterisation.edges import Edges

Value: TypeAlias = Tensor | float
"""A tensor, which gets its gradient, or a number."""

NAMES = ("points", "rotation", "translation", "background", "out_weight", "point_weight")


@dataclass(frozen=True)
class Frame:
    """Where points go.

    Attributes:
        size: voxels along x, y(, z, ...), the order of the coordinates.
        edges: what becomes of mass beyond the grid.
        camera: how the posed points become places.
    """

    size: tuple[int, ...]
    edges: Edges
    camera: Camera

    @property
    def shape(self) -> tuple[int, ...]:
        """The size in tensor order: (..., z, y, x)."""
        return self.size[::-1]

    @property
    def voxels(self) -> int:
        """How many there are."""
        return prod(self.size)


class Arguments(NamedTuple):
    """The six tensors, all with their axes of batch (B, or 1 if it is shared) and of channels.

    Attributes:
        points: (B or 1, N, n).
        rotation: (B or 1, k, n); k is m, or m + 1 under perspective.
        translation: (B or 1, k).
        background: (B or 1, C or 1).
        out_weight: (B or 1,).
        point_weight: (B or 1, N or 1, C).
    """

    points: Tensor
    rotation: Tensor
    translation: Tensor
    background: Tensor
    out_weight: Tensor
    point_weight: Tensor

    @property
    def images(self) -> int:
        """B."""
        return max(len(t) for t in self)

    @property
    def channels(self) -> int:
        """C."""
        return max(self.background.shape[1], self.point_weight.shape[2])


@dataclass(frozen=True)
class Scene:
    """Arguments as they were given, and in one form.

    Attributes:
        frame: where points go.
        arguments: in the dtype that is computed in, with the graph of what was given.
        given: the six as tensors, before.
        dtype: of the result.
        leading: its axes before (..., z, y, x): of the batch and of the channels, where there are any.
    """

    frame: Frame
    arguments: Arguments
    given: tuple[Tensor, ...]
    dtype: torch.dtype
    leading: tuple[int, ...]


def scene(grid_size: Sequence[int], values: Sequence[Value], edges: Edges, camera: Camera) -> Scene:
    """See `raster` for the values.

    Raises:
        UsageError: when shapes, devices or batches do not fit together, a number other than a point's place is not
            finite, or the result is larger than the memory.
    """
    one_of(edges, Edges, "edges")
    one_of(camera, Camera, "camera")
    frame = Frame(tuple(whole_numbers(grid_size, "grid_size", error=UsageError)), edges, camera)
    if not frame.size or min(frame.size) < 1:
        raise UsageError(f"a grid has one or more axes of at least 1 voxel each, got grid_size {frame.size}")
    given, dtype = _tensors(values)
    working = torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
    shaped = Arguments(*(t.to(working) for t in _shaped(frame, given)))
    _check_batches(shaped)
    whole = _without_gaps(shaped)
    _check_finite(whole)
    channels = (shaped.channels,) if given[5].ndim > 1 or given[3].ndim == 2 else ()
    batched = (shaped.images,) if any(t.ndim > n for t, n in zip(given, _LONE, strict=True)) else ()
    leading = (*batched, *channels)
    check_room(shaped.points.new_empty(1), (*leading, *frame.shape), "points", f"a grid_size of {frame.size}")
    return Scene(frame, whole, given, dtype, leading)


_LONE = (2, 2, 1, 0, 0, 2)
"""Axes of each argument that is not a batch."""


def _tensors(values: Sequence[Value]) -> tuple[tuple[Tensor, ...], torch.dtype]:
    """All as tensors on one device, and the dtype of the result: the widest of the tensors, but a floating one."""
    if not isinstance(values[0], Tensor):
        raise UsageError(f"points must be a tensor (N, n) or (B, N, n), got {type(values[0]).__name__}")
    tensors = [v for v in values if isinstance(v, Tensor)]
    device = values[0].device
    for name, value in zip(NAMES, values, strict=True):
        if isinstance(value, Tensor) and value.ndim and value.device != device:
            raise UsageError(f"points are on {device} but {name} is on {value.device}; move them to one device")
        if isinstance(value, Tensor) and value.is_complex():
            raise UsageError(f"{name} must be real, got {value.dtype}")
    dtype = torch.float32 if not tensors[0].is_floating_point() else tensors[0].dtype
    for tensor in tensors:
        if tensor.is_floating_point():
            dtype = torch.promote_types(dtype, tensor.dtype)

    def on_device(name: str, value: Value) -> Tensor:
        if isinstance(value, Tensor):
            return value.to(device)
        if isinstance(value, float | int):
            return torch.tensor(value, dtype=dtype, device=device)
        return numbers(value, name).to(device, dtype)

    return tuple(map(on_device, NAMES, values)), dtype


def _shaped(frame: Frame, given: Sequence[Tensor]) -> Arguments:
    """With axes of batch and channels, and everything else checked."""
    points, rotation, translation, background, out_weight, point_weight = given
    m = len(frame.size)
    k = rows(frame.camera, m)
    if isinstance(frame.camera, Perspective) and len(frame.camera.centre) not in (0, m):
        raise UsageError(f"the camera's centre has {len(frame.camera.centre)} coordinates, the grid {m} axes")
    if points.ndim not in (2, 3):
        raise UsageError(f"points must be (N, n) or (B, N, n), got {tuple(points.shape)}")
    count, n = points.shape[-2:]
    if rotation.ndim not in (2, 3) or rotation.shape[-2:] != (k, n):
        raise UsageError(
            f"{n}D points to a {m}D grid, with {type(frame.camera).__name__}, need a rotation of ({k}, {n}) or "
            f"(B, {k}, {n}), got {tuple(rotation.shape)}"
        )
    if translation.ndim not in (1, 2) or translation.shape[-1] != k:
        raise UsageError(f"the translation must be ({k},) or (B, {k}), got {tuple(translation.shape)}")
    if m > n:
        raise UsageError(f"points of {n} coordinates fill no grid of {m} axes; append coordinates to them")
    if background.ndim > 2:
        raise UsageError(f"the background is one number, (B,) or (B, C), got {tuple(background.shape)}")
    if out_weight.ndim > 1:
        raise UsageError(f"out_weight is one number or (B,), got {tuple(out_weight.shape)}")
    if point_weight.ndim > 3 or (point_weight.ndim and point_weight.shape[-2 if point_weight.ndim > 1 else 0] != count):
        raise UsageError(
            f"point_weight of {count} points is one number, ({count},), ({count}, C) or (B, {count}, C), "
            f"got {tuple(point_weight.shape)}"
        )
    ranks = (3, 3, 2, 2, 1, 3)
    spread = background.reshape(-1, 1) if background.ndim < 2 else background
    weights = point_weight if point_weight.ndim > 1 else point_weight.reshape(-1, 1)
    whole = (points, rotation, translation, spread, out_weight, weights)
    return Arguments(*(t if t.ndim == rank else t[None] for t, rank in zip(whole, ranks, strict=True)))


def _check_batches(shaped: Arguments) -> None:
    """Raises unless all batches are of one size, and all channels."""
    sizes = {name: len(t) for name, t in zip(NAMES, shaped, strict=True) if len(t) != 1}
    if 0 in sizes.values():
        empty = ", ".join(name for name, size in sizes.items() if not size)
        raise UsageError(f"a batch holds one image or more, got none of {empty}")
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{size} of {name}" for name, size in sizes.items())
        raise UsageError(f"the batches differ: {told}; give as many of each, or one without an axis of batch")
    if len({shaped.background.shape[1], shaped.point_weight.shape[2]} - {1}) > 1:
        raise UsageError(
            f"the background has {shaped.background.shape[1]} channels, point_weight {shaped.point_weight.shape[2]}"
        )


def _check_finite(arguments: Arguments) -> None:
    """Raises for a number that is not finite."""
    finite = torch.stack([tensor.detach().isfinite().all() for tensor in arguments[1:]])  # a GPU is waited for once
    for name, fine in zip(NAMES[1:], finite.tolist(), strict=True):
        if not fine:
            raise UsageError(
                f"{name} holds numbers that are not finite; a descent that diverges makes such: lower its rate"
            )


def _without_gaps(shaped: Arguments) -> Arguments:
    """Points that are not finite at 0 and with weight 0: they put nothing anywhere, and get no gradient."""
    whole = shaped.points.isfinite().all(-1)
    if bool(whole.all()):
        return shaped
    points = torch.where(whole[..., None], shaped.points, 0.0)
    return shaped._replace(points=points, point_weight=torch.where(whole[..., None], shaped.point_weight, 0.0))
