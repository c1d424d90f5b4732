"""How much work is done at once, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

ON_CPU = 1 << 17
"""Points times images of one step: more leave the caches, and of fewer the calls themselves are felt."""

VOXELS = 1 << 23
"""Of the images of one step. Fewer would stay in a core's cache, but few points at once leave threads waiting for each
other's Python: of 64 images of 1024 x 1024 with 10,000 points each, eight at once take half the time of one."""

ELSEWHERE = 1 << 22
PARTS = 8
"""Shares of the work, whatever the number of threads: so the order of the additions does not depend on it."""


class Block(NamedTuple):
    """Some images, and some of the points of each."""

    images: slice
    points: slice


def parts(images: int, points: int, like: Tensor) -> list[Block]:
    """At most `PARTS` equal shares: of the images, or of the points where there is one image."""
    if like.device.type != "cpu" or images == 0:
        return [Block(slice(0, images), slice(0, points))]
    if images > 1 or points <= ON_CPU:
        return [Block(piece, slice(0, points)) for piece in _pieces(images, -(-images // PARTS))]
    return [Block(slice(0, 1), piece) for piece in _pieces(points, -(-points // PARTS))]


def blocks(part: Block, like: Tensor) -> Iterator[Block]:
    """What is done at once of a part, of images like (B, C, V)."""
    on_cpu = like.device.type == "cpu"
    most = ON_CPU if on_cpu else ELSEWHERE
    points = part.points.stop - part.points.start
    images = max(1, most // max(1, points))
    if on_cpu:
        images = max(1, min(images, VOXELS // (like.shape[1] * like.shape[2])))
    for some in _pieces(part.images.stop - part.images.start, images):
        for of_them in _pieces(points, most) or [slice(0, 0)]:
            yield Block(_moved(some, part.images.start), _moved(of_them, part.points.start))


def _pieces(count: int, most: int) -> list[slice]:
    """0 to `count` in slices of at most `most`."""
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]


def _moved(piece: slice, by: int) -> slice:
    return slice(piece.start + by, piece.stop + by)


def of(tensor: Tensor, images: slice) -> Tensor:
    """Those images of a tensor (B or 1, ...)."""
    return tensor if len(tensor) == 1 else tensor[images]
