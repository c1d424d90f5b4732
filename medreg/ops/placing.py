"""From the world to voxel indices: the one step between a motion in millimetres and the tensor that is sampled.

These are the operations on tensors below `rotate`, `scale`, `translate`, `affine` and the resampling ones, with
gradients to the voxels, the motion, and every number of both places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from medreg.errors import GeometryError, TransformError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.arguments import Numbers, as_many, described, numbers, one_of, whole_numbers
from medreg.ops.background import Between, Beyond, resolved
from medreg.ops.batching import of_item
from medreg.ops.label_likeness import warn_of_mixing
from medreg.ops.motions import joined
from medreg.ops.room import check_room
from medreg.sample import Fill, Interpolation, Label, Linear, Nearest, Outside, resample, warp
from medreg.sample.resampling import Through

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
    start = numbers(origin, "origin").reshape(-1)
    d = len(start)
    if d not in (2, 3):
        raise GeometryError(f"origin: images have 2 or 3 axes, got {start.tolist()}")
    steps = as_many(spacing, d, "spacing", "spacings", error=GeometryError).to(start.device)
    if not bool((steps.detach() > 0).all()):
        raise GeometryError(f"spacing: takes millimetres above 0, got {steps.tolist()}")
    axes = torch.eye(d, dtype=start.dtype, device=start.device)
    if direction is not None:
        axes = numbers(direction, "direction").to(start.device)
    if axes.shape != (d, d):
        raise GeometryError(f"direction: an origin of {d} coordinates needs a {d}x{d} matrix, got {tuple(axes.shape)}")
    return joined(axes * steps, start)


def warp_in_world(
    volume: Tensor,
    motion: Tensor,
    place: Tensor,
    onto: Tensor,
    shape: Sequence[int],
    interpolation: Interpolation = LINEAR,
    outside: Beyond = ZERO,
) -> Tensor:
    """`volume` after its content has moved: out[i] = volume at place^-1 motion^-1 onto i.

    Args:
        volume: (C, z, y, x) or (C, y, x), or a batch (B, C, ...), for which the matrices may be (B, D+1, D+1).
        motion: homogeneous (D+1, D+1), where each world point goes; see `medreg.ops.motions`.
        place: (D+1, D+1) of the volume, voxel index -> world; see `placement`.
        onto: the same of the result.
        shape: of the result, (z, y, x) or (y, x).
        interpolation: the kernel.
        outside: what points outside the volume get; in a batch, `each` gives one for each item, as in
            `Fill(each(values))`.

    Returns:
        (C, *shape) or (B, C, *shape), in one interpolation; differentiable to every tensor.

    Raises:
        TransformError: shapes that do not fit together, or matrices that are singular or not finite.
        UsageError: what is no tensor, kernel or policy.
    """
    if not isinstance(volume, Tensor):
        raise UsageError(f"volume: takes a tensor (C, z, y, x), (C, y, x) or a batch of such, got {described(volume)}")
    size = whole_numbers(shape, "shape", error=TransformError)
    d = len(size)
    batched = volume.ndim == d + 2
    if d not in (2, 3) or min(size) < 1 or not (batched or volume.ndim == d + 1):
        raise TransformError(
            f"shape: of a volume {tuple(volume.shape)} comes one of (z, y, x) or (y, x) voxels, 1 or more, got {size}"
        )
    motion, place, onto = (
        _homogeneous(matrix, name, d, len(volume) if batched else None)
        for matrix, name in ((motion, "motion"), (place, "place"), (onto, "onto"))
    )
    one_of(interpolation, Interpolation, "interpolation")
    moved = motion @ place
    if bool((torch.linalg.det(moved.detach()) == 0).any()):
        raise TransformError(f"motion: has no inverse, it flattens the image: {motion.tolist()}")
    matrix = torch.linalg.solve(moved, onto)  # (motion place)^-1 onto
    if not batched:
        return warp(volume, matrix, size, interpolation, resolved(outside, volume, interpolation))
    matrices = matrix.expand(len(volume), -1, -1)
    policies = [resolved(of_item(outside, k, len(volume)), item, interpolation) for k, item in enumerate(volume)]
    items = zip(volume, matrices, policies, strict=True)
    return torch.stack([warp(item, one, size, interpolation, policy) for item, one, policy in items])


def _homogeneous(matrix: Tensor, name: str, dimension: int, count: int | None) -> Tensor:
    """The matrix, or a batch of `count` of them, checked."""
    if not isinstance(matrix, Tensor) or not matrix.is_floating_point():
        raise UsageError(f"{name}: takes a floating-point tensor (D+1, D+1), got {described(matrix)}")
    n = dimension + 1
    if matrix.shape != (n, n) and (count is None or matrix.shape != (count, n, n)):
        batch = "" if count is None else f", or ({count}, {n}, {n}),"
        raise TransformError(f"{name}: takes a {n}x{n} matrix{batch} in {dimension}D, got shape {tuple(matrix.shape)}")
    if not bool(matrix.detach().isfinite().all()):
        raise TransformError(f"{name}: takes finite numbers, got {matrix.tolist()}")
    return matrix


def moved_onto(image: MedImage, motion: Tensor, grid: Grid, interpolation: Between, outside: Beyond) -> MedImage:
    """`image` on `grid` after its content has moved by `motion`.

    A label map that is taken for an image of grey values draws a warning.
    """
    policy = resolved(outside, image.data, interpolation)
    warn_of_mixing(image, interpolation)
    keeps_dtype = isinstance(interpolation, Nearest | Label)
    check_room(image.data, grid.shape, image.name, "a grid that holds all that has moved", keeps_dtype=keeps_dtype)
    if isinstance(interpolation, Label):
        return onto_grid(image, grid, torch.linalg.inv(motion.detach()), interpolation, policy)
    place, onto = (torch.tensor(g.affine, dtype=motion.dtype, device=motion.device) for g in (image.grid, grid))
    data = warp_in_world(image.data, motion, place, onto, grid.shape, interpolation, policy)
    return MedImage.on(grid, data, image.leading, image.metadata)


def onto_grid(image: MedImage, grid: Grid, through: Through, interpolation: Between, outside: Outside) -> MedImage:
    """`medreg.resample`, also of label maps with a fill for each frame."""
    if isinstance(interpolation, Label) and isinstance(outside, Fill) and isinstance(outside.value, Tensor):
        fills = outside.value.reshape(-1).expand(image.channels)
        frames = (replace(image, data=frame[None]) for frame in image.data)
        parts = [
            resample(frame, grid, through, interpolation, Fill(fill)).data
            for frame, fill in zip(frames, fills, strict=True)
        ]
        return MedImage.on(grid, torch.cat(parts), image.leading, image.metadata)
    return resample(image, grid, through, interpolation, outside)
