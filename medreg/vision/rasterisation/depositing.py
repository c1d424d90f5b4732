"""The forward kernel: points put on the grid."""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.sample.sharing import shared
from medreg.vision.rasterisation.blocks import PARTS, Block, blocks, of, parts
from medreg.vision.rasterisation.footprint import Sight, corners, footprint, places, posed, sight
from medreg.vision.rasterisation.scene import Arguments, Frame


def deposit(frame: Frame, arguments: Arguments, out: Tensor) -> None:
    """Fills `out` (B, C, V), contiguous: the background, and on it every point's weight.

    On a CPU the images are shared out among threads, each of which adds in the order of the points: the result is the
    same bits every time. A single image is shared out by its points, where they are so many that it pays to add up
    several images; else one thread does it. On a GPU the additions are atomic, in no order, or sorted first where
    `torch.use_deterministic_algorithms` asks for that.
    """
    count, images, voxels = arguments.points.shape[1], len(out), out.shape[2]
    apart = arguments.points.transpose(1, 2).contiguous()  # every coordinate in a row of its own
    todo = parts(images, count, out)
    of_points = images == 1 and len(todo) > 1
    if of_points and PARTS * voxels <= count:
        pieces = [torch.zeros_like(out) for _ in todo]

        def share(k: int) -> None:
            for block in blocks(todo[k], out):
                _deposit(frame, block, pieces[k], apart, arguments)

        shared(share, range(len(todo)), *arguments)
        _fill(out, arguments.background)
        for piece in pieces:
            out += piece
        return

    def work(part: Block) -> None:
        for block in blocks(part, out):
            image = out[block.images]
            if block.points.start == 0:
                _fill(image, of(arguments.background, block.images))
            _deposit(frame, block, image, apart, arguments)

    shared(work, [Block(slice(0, 1), slice(0, count))] if of_points else todo, *arguments)


def _fill(image: Tensor, background: Tensor) -> None:
    if image.device.type != "cpu":
        image.copy_(background[..., None].expand_as(image))
        return
    for channels, values in zip(image, background.expand(image.shape[:2]).tolist(), strict=True):
        for channel, value in zip(channels, values, strict=True):
            channel.fill_(value)


def _deposit(frame: Frame, block: Block, image: Tensor, apart: Tensor, arguments: Arguments) -> None:
    """Adds a block's points to its images (b, C, V)."""
    channels, voxels = image.shape[1:]
    at = places(frame, posed(poses_of(frame, block, arguments), points_of(block, apart)))
    on = footprint(frame, at.voxel, channels * voxels)
    flat = image.view(-1)
    for channel in range(channels):
        weight = weight_of(block, channel, arguments)
        if at.seen is not None:
            weight = weight * at.seen
        for shift, value in corners(on, weight):
            add(flat[channel * voxels + shift :], on.base, value.reshape(-1))


def poses_of(frame: Frame, block: Block, arguments: Arguments) -> Sight:
    """The poses of a block's images."""
    b = block.images.stop - block.images.start
    rotation, translation = (of(t, block.images) for t in (arguments.rotation, arguments.translation))
    return sight(frame, rotation.expand(b, -1, -1), translation.expand(b, -1))


def points_of(block: Block, apart: Tensor) -> Tensor:
    """The points of a block: (n, N) if its images share them, else (b, n, N)."""
    return apart[0][:, block.points] if len(apart) == 1 else apart[block.images, :, block.points]


def weight_of(block: Block, channel: int, arguments: Arguments) -> Tensor:
    """(b or 1, N or 1): what every point of a block weighs."""
    weights = of(arguments.point_weight, block.images)[..., min(channel, arguments.point_weight.shape[2] - 1)]
    some = weights[:, block.points] if weights.shape[1] > 1 else weights
    return of(arguments.out_weight, block.images)[:, None] * some


def add(flat: Tensor, index: Tensor, values: Tensor) -> None:
    """flat[index] += values, where an index may come more than once."""
    if flat.device.type != "cpu" and torch.are_deterministic_algorithms_enabled():
        add_in_order(flat, index, values)
    else:
        flat.scatter_add_(0, index, values)


def add_in_order(flat: Tensor, index: Tensor, values: Tensor) -> None:
    """The same; a GPU sorts the indices first, so that it adds in one order each time."""
    flat.index_put_((index,), values, accumulate=True)
