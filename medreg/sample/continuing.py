"""A volume that goes on beyond its ends: repeated, or mirrored at the faces or the centres of its outermost voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True)
class Periodic:
    """The image is repeated: a b c | a b c | a b c. scipy's "grid-wrap"; its "wrap" has the period n - 1 instead."""


@dataclass(frozen=True)
class Reflect:
    """The image goes on mirrored at the outer faces of its outermost voxels: c b a | a b c | c b a (scipy's "reflect").

    numpy calls it "symmetric".
    """


@dataclass(frozen=True)
class Mirror:
    """The image goes on mirrored at the centres of its outermost voxels: c b | a b c | b a (scipy's "mirror")."""


Continued: TypeAlias = Periodic | Reflect | Mirror


def folded(x: Tensor, n: int, by: Continued) -> Tensor:
    """Places (N,) along an axis of n voxels, brought back to where they lie in the image. Differentiable.

    That is 0 to n for `Periodic` (n is the first voxel again), -0.5 to n - 0.5 for `Reflect`, 0 to n - 1 for `Mirror`.
    What is not finite goes to 0.
    """
    x = x.nan_to_num(0.0, 0.0, 0.0)
    match by:
        case Periodic():
            return x.remainder(n)
        case Reflect():
            within = (x + 0.5).remainder(2 * n)
            return torch.minimum(within, 2 * n - within) - 0.5
        case Mirror():
            within = x.remainder(max(2 * n - 2, 1))
            return torch.minimum(within, 2 * n - 2 - within) if n > 1 else torch.zeros_like(x)


def extended(volume: Tensor, axis: int, margin: int, by: Continued) -> Tensor:
    """`volume` with `margin` voxels more at both ends of an axis; and after a `Periodic` one the first again."""
    n = volume.shape[axis]
    after = margin + isinstance(by, Periodic)
    places = torch.arange(-margin, n + after, dtype=torch.float64)
    voxels = folded(places, n, by).round().long()
    return volume.index_select(axis, voxels.to(volume.device)) if margin + after else volume


def extents(size: Sequence[int], by: Continued) -> tuple[int, ...]:
    """Voxels along each axis of `size` once `extended` by no margin."""
    return tuple(n + isinstance(by, Periodic) for n in size)
