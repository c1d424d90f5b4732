"""The backward kernel: from the slopes by the grid's voxels to those by everything that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.sample.sharing import shared
from medreg.vision.rasterisation.blocks import Block, blocks, of, parts
from medreg.vision.rasterisation.cameras import Perspective, middle, scales
from medreg.vision.rasterisation.depositing import points_of, poses_of
from medreg.vision.rasterisation.footprint import Footprint, Places, footprint, places, posed, slopes
from medreg.vision.rasterisation.scene import Arguments, Frame


@dataclass
class _Sums:
    """What a part of the work adds up; None where nobody asked.

    Attributes:
        part: images and points.
        matrix: (b, k, n) by the scaled rotations, and
        offset: (b, k) by the scaled translations.
        points: (N, n) summed over the images, or (b, N, n).
        out_weight: (b,).
        point_weight: (1 or b, N or 1, C).
    """

    part: Block
    matrix: Tensor | None
    offset: Tensor | None
    points: Tensor | None
    out_weight: Tensor | None
    point_weight: Tensor | None


def pull(frame: Frame, arguments: Arguments, d_out: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
    """The slopes by each of the six arguments, in their shapes; None where not wanted.

    Nothing of the forward pass is kept: where points fall is found again, which is quicker than to read it from memory.
    On a CPU the images (or the points of a single one) are shared out among threads in parts that do not depend on how
    many there are, and these parts are added in their order: the same bits every time.

    Args:
        frame: where points go.
        arguments: as they went forward.
        d_out: (B, C, V), contiguous: slopes of a number by each voxel.
        wanted: for each argument whether its slopes are.
    """
    points, rotation, translation, background, out_weight, point_weight = arguments
    results = [torch.zeros_like(t) if w else None for t, w in zip(arguments, wanted, strict=True)]
    if wanted[3]:
        results[3] = d_out.sum(-1).sum_to_size(background.shape)
    if not points.shape[1] or not any(w for k, w in enumerate(wanted) if k != 3):
        return results
    apart = points.transpose(1, 2).contiguous()
    todo = parts(len(d_out), points.shape[1], d_out)
    scale = rotation.new_tensor(scales(frame.camera, frame.size))
    for sums in shared(lambda part: _pulled(frame, part, arguments, apart, d_out, wanted), todo, *arguments, d_out):
        images, some = sums.part
        if results[0] is not None and sums.points is not None:
            results[0][images if len(points) > 1 else slice(0, 1), some] += sums.points
        if results[1] is not None and sums.matrix is not None:
            _gather(results[1], images, sums.matrix * scale[:, None])
        if results[2] is not None and sums.offset is not None:
            _gather(results[2], images, sums.offset * scale)
        if results[4] is not None and sums.out_weight is not None:
            _gather(results[4], images, sums.out_weight)
        if results[5] is not None and sums.point_weight is not None:
            where = results[5][:, some] if point_weight.shape[1] > 1 else results[5]
            _gather(where, images, sums.point_weight)
    return results


def _gather(total: Tensor, images: slice, by_image: Tensor) -> None:
    """Adds (b or 1, ...) to those images of a total (B or 1, ...)."""
    if len(total) == 1:
        total += by_image.sum(0, keepdim=True)
    else:
        total[images] += by_image


def _pulled(
    frame: Frame, part: Block, arguments: Arguments, apart: Tensor, d_out: Tensor, wanted: Sequence[bool]
) -> _Sums:
    """The sums of one part."""
    b = part.images.stop - part.images.start
    points, rotation, translation, _, out_weight, point_weight = arguments
    count, n = part.points.stop - part.points.start, points.shape[2]
    k = rotation.shape[1]
    own = (b if len(points) > 1 else 1, n, count)
    weights = (b if len(point_weight) > 1 else 1, count if point_weight.shape[1] > 1 else 1, point_weight.shape[2])
    sums = _Sums(
        part,
        points.new_zeros(b, k, n) if wanted[1] else None,
        points.new_zeros(b, k) if wanted[2] else None,
        points.new_zeros(own) if wanted[0] else None,
        points.new_zeros(b) if wanted[4] else None,
        points.new_zeros(weights) if wanted[5] else None,
    )
    for block in blocks(part, d_out):
        _pull(frame, block, arguments, apart, d_out[block.images], sums)
    if sums.points is not None:
        sums.points = sums.points.transpose(1, 2)
    return sums


def _pull(frame: Frame, block: Block, arguments: Arguments, apart: Tensor, d_out: Tensor, sums: _Sums) -> None:
    """Adds what the block's points give."""
    channels, voxels = d_out.shape[1:]
    b, count = len(d_out), block.points.stop - block.points.start
    images = slice(block.images.start - sums.part.images.start, block.images.stop - sums.part.images.start)
    here = slice(block.points.start - sums.part.points.start, block.points.stop - sums.part.points.start)
    some, poses = points_of(block, apart), poses_of(frame, block, arguments)
    q = posed(poses, some)
    at = places(frame, q)
    on = footprint(frame, at.voxel, channels * voxels)
    moving = any(t is not None for t in (sums.points, sums.matrix, sums.offset))
    steep = slopes(frame, at.voxel, on) if moving else None
    flat = d_out.view(-1)
    out_weight = of(arguments.out_weight, block.images)[:, None]
    by_place: list[Tensor] | None = None
    for channel in range(channels):
        values = _gathered(flat[channel * voxels :], on, (b, count))
        value, moved = _contracted(values, on, steep)
        mine = min(channel, arguments.point_weight.shape[2] - 1)
        point_weight = of(arguments.point_weight, block.images)[..., mine]
        if point_weight.shape[1] > 1:
            point_weight = point_weight[:, block.points]
        if at.seen is not None:
            value = value * at.seen
        if sums.out_weight is not None:
            sums.out_weight[images] += (value * point_weight).sum(1)
        if sums.point_weight is not None:
            weighted = value * out_weight
            target = sums.point_weight[..., mine]
            target = target[:, here] if target.shape[1] > 1 else target
            _gather(target, images, weighted if target.shape[1] > 1 else weighted.sum(1, keepdim=True))
        weight = out_weight * point_weight
        if moving:
            moved = [m.mul_(weight) for m in moved]
            by_place = moved if by_place is None else [a.add_(m) for a, m in zip(by_place, moved, strict=True)]
    if by_place is not None:
        slope = _by_posed(frame, q, at, by_place)
        _add_geometry(slope, some, poses.matrix, images, here, sums)


def _gathered(flat: Tensor, on: Footprint, shape: tuple[int, int]) -> list[Tensor]:
    """The numbers at the 2^m voxels, the first axis the quickest; those beyond a single voxel are left out."""
    shifts = [0]
    for step, upper in zip(on.steps, on.upper, strict=True):
        if upper is not None:
            shifts += [shift + step for shift in shifts]
    return [flat[shift:].index_select(0, on.base).view(shape) for shift in shifts]


def _contracted(
    values: list[Tensor], on: Footprint, steep: list[tuple[Tensor, Tensor | None]] | None
) -> tuple[Tensor, list[Tensor]]:
    """The weighted sum of the 2^m numbers, and its slopes along each axis: axis by axis, each halving what is left."""
    moved: list[list[Tensor]] = []
    for axis, (lower, upper) in enumerate(zip(on.lower, on.upper, strict=True)):
        moved = [_paired(m, lower, upper) for m in moved]
        if steep is not None:
            moved.append(_paired(values, *steep[axis]))
        values = _paired(values, lower, upper)
    return values[0], [m[0] for m in moved]


def _paired(values: list[Tensor], lower: Tensor, upper: Tensor | None) -> list[Tensor]:
    """Neighbours along the first axis that is left, summed with their weights."""
    if upper is None:
        return [v * lower for v in values]
    return [(a * lower).addcmul_(b, upper) for a, b in zip(values[0::2], values[1::2], strict=True)]


def _by_posed(frame: Frame, q: Tensor, at: Places, by_place: list[Tensor]) -> Tensor:
    """(k, b, N): from slopes by the place on the grid, in voxels, to those by the posed points."""
    if at.seen is not None:
        by_place = [s.mul_(at.seen) for s in by_place]
    if not isinstance(frame.camera, Perspective) or at.depth is None:
        return torch.stack(by_place)
    across = [s / at.depth for s in by_place]
    ahead = middle(frame.camera, frame.size)
    deeper = sum(s * (c - x) for s, x, c in zip(across, at.voxel, ahead, strict=True))
    return torch.stack([*across, torch.as_tensor(deeper)])


def _add_geometry(slope: Tensor, some: Tensor, matrix: Tensor, images: slice, here: slice, sums: _Sums) -> None:
    """From slopes (k, b, N) by posed points to those by points, matrices and offsets."""
    k, b, count = slope.shape
    if sums.offset is not None:
        sums.offset[images] += slope.sum(2).t()
    if some.ndim == 2:
        rows = slope.view(k * b, count)
        if sums.matrix is not None:
            sums.matrix[images] += (rows @ some.t()).view(k, b, -1).transpose(0, 1)
        if sums.points is not None:
            sums.points[0, :, here].addmm_(matrix.transpose(0, 1).reshape(k * b, -1).t(), rows)
        return
    by_image = slope.transpose(0, 1)
    if sums.matrix is not None:
        sums.matrix[images] += by_image @ some.transpose(1, 2)
    if sums.points is not None:
        sums.points[images, :, here] += matrix.transpose(1, 2) @ by_image
