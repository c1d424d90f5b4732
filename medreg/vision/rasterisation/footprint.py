"""The 2^m voxels that a point falls on, with their weights, and how these change as it moves.

The weight of voxel v along one axis is the tent max(0, 1 - |c - v|) of a point at index c. The two voxels are always
taken inside the grid, so that those of a point near the edge or beyond come out with the weight that they should have,
which may be 0, without any mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medreg.vision.rasterisation.cameras import Perspective, middle, scales
from medreg.vision.rasterisation.edges import Edges
from medreg.vision.rasterisation.scene import Frame


class Sight(NamedTuple):
    """The poses of some images, in voxels.

    Attributes:
        matrix: (b, k, n) and
        offset: (b, k): q = matrix p + offset.
    """

    matrix: Tensor
    offset: Tensor


def sight(frame: Frame, rotation: Tensor, translation: Tensor) -> Sight:
    """The poses (b, k, n) and (b, k) scaled so that a unit is a voxel."""
    scale = rotation.new_tensor(scales(frame.camera, frame.size))
    offset = translation * scale
    if not isinstance(frame.camera, Perspective):
        offset = offset + offset.new_tensor(middle(frame.camera, frame.size))
    return Sight(rotation * scale[:, None], offset)


def posed(poses: Sight, points: Tensor) -> Tensor:
    """The q (k, b, N) of points (n, N) that all images share, or (b, n, N)."""
    if points.ndim == 3:
        return torch.baddbmm(poses.offset[..., None], poses.matrix, points).transpose(0, 1)
    (b, k, n), count = poses.matrix.shape, points.shape[1]
    rows = poses.matrix.transpose(0, 1).reshape(k * b, n)
    return torch.addmm(poses.offset.t().reshape(k * b, 1), rows, points).view(k, b, count)


class Places(NamedTuple):
    """Where points fall.

    Attributes:
        voxel: for each axis (b, N), fractional, voxel centres at whole numbers.
        depth: (b, N) of a perspective camera, 1 where nothing is seen.
        seen: (b, N) 1 or 0; None where all are.
    """

    voxel: list[Tensor]
    depth: Tensor | None
    seen: Tensor | None


def places(frame: Frame, q: Tensor) -> Places:
    """Of posed points (k, b, N)."""
    if not isinstance(frame.camera, Perspective):
        return _edged(frame, Places(list(q.unbind(0)), None, None))
    near = frame.camera.near
    before = q[-1] > near
    depth = torch.where(before, q[-1], 1.0)
    index = [(x / depth).add_(c) for x, c in zip(q[:-1], middle(frame.camera, frame.size), strict=True)]
    return _edged(frame, Places(index, depth, before.to(q.dtype)))


def _edged(frame: Frame, at: Places) -> Places:
    """Without what `Edges.DROP` drops."""
    if frame.edges is not Edges.DROP:
        return at
    inside = torch.stack([(x >= -0.5) & (x <= n - 0.5) for x, n in zip(at.voxel, frame.size, strict=True)]).all(0)
    seen = inside.to(at.voxel[0].dtype)
    return at._replace(seen=seen if at.seen is None else seen * at.seen)


class Footprint(NamedTuple):
    """The voxels that points fall on.

    Attributes:
        base: (b N,) int64, the lower one of each along all axes, in a flat tensor of the b images.
        steps: from the lower to the upper one along each axis; 0 where there is only one voxel.
        lower: for each axis the weight (b, N) of the lower voxel, and
        upper: of the upper one; None where there is only one voxel.
        drift: for each axis how far (b, N) the point is above the lower voxel, -1 to 2; only for `slopes`.
    """

    base: Tensor
    steps: tuple[int, ...]
    lower: list[Tensor]
    upper: list[Tensor | None]
    drift: list[Tensor]


def footprint(frame: Frame, index: Sequence[Tensor], stride: int) -> Footprint:
    """Of points at `index`, where an image takes `stride` numbers of the flat tensor."""
    lows, lower, upper, drift, steps = [], [], [], [], []
    step = 1
    for at, n in zip(index, frame.size, strict=True):
        held = at.nan_to_num(-1.0)  # infinity - infinity, of numbers near the largest
        held = held.clamp_(0, n - 1) if frame.edges is Edges.CLAMP else held.clamp_(-1, n)
        low = held.clamp(0, max(n - 2, 0)).floor_()
        away = held.sub_(low)
        lows.append(low)
        lower.append(away.abs().neg_().add_(1).clamp_(min=0))
        upper.append((away - 1).abs_().neg_().add_(1).clamp_(min=0) if n > 1 else None)
        drift.append(away)
        steps.append(step if n > 1 else 0)
        step *= n
    return Footprint(_flat(lows, frame.size, stride), tuple(steps), lower, upper, drift)


def _flat(lows: Sequence[Tensor], size: Sequence[int], stride: int) -> Tensor:
    """(b N,) int64: in floating numbers as long as they are exact, which is quicker."""
    first = lows[0]
    if stride * len(first) > (2**24 if first.dtype == torch.float32 else 2**53):
        lows = [low.long() for low in lows]
    base, step = lows[0], 1
    for low, n in zip(lows[1:], size, strict=False):
        step *= n
        base = torch.add(base, low, alpha=step)
    if len(first) > 1:
        base = base + torch.arange(len(first), dtype=base.dtype, device=base.device)[:, None] * stride
    return base.reshape(-1).long()


def slopes(frame: Frame, index: Sequence[Tensor], print_: Footprint) -> list[tuple[Tensor, Tensor | None]]:
    """How the lower and the upper weight of each axis change by the voxel: 1, 0 or -1, each (b, N).

    At the centre of a voxel, where the tents bend, the slope to the upper side.
    """
    result: list[tuple[Tensor, Tensor | None]] = []
    for at, n, away, upper in zip(index, frame.size, print_.drift, print_.upper, strict=True):
        if frame.edges is Edges.CLAMP:
            free = ((at >= 0) & (at < n - 1)).to(away.dtype)
            result.append((-free, free if upper is not None else None))
            continue
        whole = away.floor()
        from_nothing = away.ceil().clamp_(-1, 0)  # steps up by 1 just above -1
        from_lower = whole.clamp(-1, 0)  # steps up at 0
        from_upper = whole.clamp(0, 1)  # at 1
        lower = from_nothing.sub_(from_lower, alpha=2).add_(from_upper).sub_(1)
        if upper is None:
            result.append((lower, None))
            continue
        to_nothing = whole.clamp_(1, 2)  # at 2
        result.append((lower, from_lower.sub_(from_upper, alpha=2).add_(to_nothing)))
    return result


def corners(print_: Footprint, first: Tensor | None) -> Iterator[tuple[int, Tensor]]:
    """Each of the 2^m voxels: its distance from the lowest, and the product of its weights and of `first`, (b, N)."""

    def descend(axis: int, shift: int, product: Tensor | None) -> Iterator[tuple[int, Tensor]]:
        if axis == len(print_.steps):
            assert product is not None  # a grid has an axis
            yield shift, product
            return
        for k, weight in enumerate((print_.lower[axis], print_.upper[axis])):
            if weight is not None:
                part = weight if product is None else product * weight
                yield from descend(axis + 1, shift + k * print_.steps[axis], part)

    return descend(0, 0, first)
