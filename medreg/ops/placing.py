"""From the world to voxel indices: the one step between a motion in millimetres and the tensor that is sampled.

These are the operations on tensors below `rotate`, `scale`, `translate`, `affine` and the resampling ones, with
gradients to the voxels, the motion, and every number of both places.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import GeometryError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.background import Beyond, resolved
from medreg.ops.motions import Numbers, as_many, joined, numbers
from medreg.sample import Fill, Interpolation, Linear, Outside, warp

LINEAR = Linear()
ZERO = Fill(0.0)


def placement(spacing: Numbers, origin: Numbers, direction: Tensor | None = None) -> Tensor:
    """(D+1, D+1): voxel index (x, y, z) -> world point (LPS mm), in torch: direction diag(spacing) index + origin.

    Args:
        spacing: D millimetres.
        origin: D millimetres, where voxel (0, 0, 0) lies.
        direction: (D, D), column k the unit vector of index axis k; the world's axes where none is given.

    Raises:
        GeometryError: when the shapes do not fit together.
    """
    start = numbers(origin)
    d = len(start)
    steps = as_many(spacing, d, "spacings").to(start.device)
    axes = torch.eye(d, dtype=start.dtype, device=start.device) if direction is None else numbers(direction)
    if axes.shape != (d, d):
        raise GeometryError(f"an origin of {d} coordinates needs a {d}x{d} direction, got {tuple(axes.shape)}")
    return joined(axes * steps, start)


def warp_in_world(
    volume: Tensor,
    motion: Tensor,
    place: Tensor,
    onto: Tensor,
    shape: Sequence[int],
    interpolation: Interpolation = LINEAR,
    outside: Outside = ZERO,
) -> Tensor:
    """`volume` after its content has moved: out[i] = volume at place^-1 motion^-1 onto i.

    Args:
        volume: (C, z, y, x) or (C, y, x), or a batch (B, C, ...), for which the matrices may be (B, D+1, D+1).
        motion: homogeneous (D+1, D+1), where each world point goes; see `medreg.ops.motions`.
        place: (D+1, D+1) of the volume, voxel index -> world; see `placement`.
        onto: the same of the result.
        shape: of the result, (z, y, x) or (y, x).
        interpolation: the kernel.
        outside: what points outside the volume get.

    Returns:
        (C, *shape) or (B, C, *shape), in one interpolation; differentiable to every tensor.
    """
    matrix = torch.linalg.solve(motion @ place, onto)  # (motion place)^-1 onto
    if volume.ndim == len(shape) + 2 and matrix.ndim == 2:
        matrix = matrix.expand(len(volume), -1, -1)
    return warp(volume, matrix, shape, interpolation, outside)


def moved_onto(image: MedImage, motion: Tensor, grid: Grid, interpolation: Interpolation, outside: Beyond) -> MedImage:
    """`image` on `grid` after its content has moved by `motion`."""
    place, onto = (torch.tensor(g.affine, dtype=motion.dtype, device=motion.device) for g in (image.grid, grid))
    policy = resolved(outside, image.data)
    data = warp_in_world(image.data, motion, place, onto, grid.shape, interpolation, policy)
    return MedImage.on(grid, data, image.leading, image.metadata)
