"""Affine motions of an image's content: any number of steps, one interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from medreg.errors import TransformError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import Numbers, described, numbers, one_of
from medreg.ops.background import Between, Beyond
from medreg.ops.batching import for_batches
from medreg.ops.frames import KEEP, Axes, Frame, frame_grid, image_axes
from medreg.ops.motions import about, centred
from medreg.ops.placing import LINEAR, ZERO, moved_onto
from medreg.types import FloatArray

Step: TypeAlias = Tensor | FloatArray
"""Homogeneous (D+1) x (D+1)."""


def composed(steps: Sequence[Step]) -> Tensor:
    """The motion of all `steps`, the first of them first: last @ ... @ first. Differentiable.

    Raises:
        TransformError: without steps, or when their shapes differ.

    Example:
        >>> from medreg.ops.motions import scaling, translation
        >>> composed([translation((1.0, 0.0)), scaling(2.0, 2)])[:, 2].tolist()
        [2.0, 0.0, 1.0]
    """
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise UsageError(f"steps: takes a list of matrices, got {described(steps)}; for one matrix [matrix]")
    if not steps:
        raise TransformError("steps: an affine motion needs one step or more, got none")
    matrices = [numbers(step, f"steps[{k}]") for k, step in enumerate(steps)]
    shapes = [tuple(m.shape) for m in matrices]
    if len(set(shapes)) > 1 or shapes[0] not in ((3, 3), (4, 4)):
        raise TransformError(f"steps: those of an affine motion are all 3x3 (2D) or all 4x4 (3D), got shapes {shapes}")
    total = matrices[0]
    for matrix in matrices[1:]:
        total = matrix.to(total.device) @ total
    return total


@for_batches
def affine(
    image: MedImage,
    steps: Sequence[Step],
    centre: Numbers | None = None,
    axes: Axes = Axes.WORLD,
    frame: Frame = KEEP,
    interpolation: Between = LINEAR,
    outside: Beyond = ZERO,
) -> MedImage:
    """The content of `image` moved by all `steps`, the first of them first, in one interpolation.

    What was at p is then at c + M (p - c), where M = last @ ... @ first and c is the centre. A transform as
    registration gives it maps the other way, from points of the result: that is `resample_onto(..., through=...)`.

    Args:
        image: or a batch, with `each` for parameters of items.
        steps: homogeneous matrices, millimetres: `rotation`, `scaling`, `shearing`, `translation` of `medreg.ops`, or
            any other; tensors get their gradients.
        centre: the world point that the steps take as their origin; by default the middle of the grid. Matrices in
            world coordinates have `centre=(0, 0, 0)`.
        axes: whether the steps are along the world's axes or the image's.
        frame: whether the grid stays or expands.
        interpolation: the kernel.
        outside: what voxels get that come from outside the image.

    Raises:
        TransformError: for steps of other dimensions than the image's.
    """
    d = image.dimension
    motion = composed(steps)
    if len(motion) != d + 1:
        raise TransformError(
            f"steps: {image.name}: a {d}D image moves by {d + 1}x{d + 1} matrices, got {len(motion)}x{len(motion)}"
        )
    one_of(axes, Axes, "axes")
    if axes is Axes.IMAGE:
        base = about(image_axes(image.grid).to(motion), None)
        motion = base @ motion @ base.mT
    point = numbers(image.grid.centre if centre is None else centre, "centre").to(motion.device)
    if point.shape != (d,):
        raise TransformError(f"a centre in {d}D has {d} coordinates, got {point.tolist()}")
    motion = centred(motion, point)
    return moved_onto(image, motion, frame_grid(frame, image.grid, motion), interpolation, outside)
