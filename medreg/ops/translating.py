"""Translation of an image's content: by its header alone, or by sampling it on the grid that it had."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from medreg.errors import TransformError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import Numbers, numbers, one_of
from medreg.ops.background import Between, Beyond
from medreg.ops.batching import for_batches
from medreg.ops.frames import Axes, image_axes
from medreg.ops.motions import translation
from medreg.ops.placing import LINEAR, ZERO, moved_onto


@dataclass(frozen=True)
class MoveGrid:
    """The voxels stay what they are and the origin moves: exact, and the grid is another one."""


@dataclass(frozen=True)
class Resampled:
    """The grid stays and the voxels are interpolated.

    Attributes:
        interpolation: the kernel.
        outside: what voxels get that come from outside the image.
    """

    interpolation: Between = LINEAR
    outside: Beyond = ZERO


Means: TypeAlias = MoveGrid | Resampled
MOVE_GRID = MoveGrid()


@for_batches
def translate(image: MedImage, shift_mm: Numbers, axes: Axes = Axes.WORLD, by: Means = MOVE_GRID) -> MedImage:
    """The content of `image` moved by `shift_mm`: what was at p is then at p + shift.

    Args:
        image: or a batch, with `each` for parameters of items.
        shift_mm: millimetres along x, y(, z); a tensor gets its gradient if the image is resampled.
        axes: whether the shift is along the world's axes or the image's.
        by: `MoveGrid()`, which changes the origin alone, or `Resampled(...)`, which keeps the grid.

    Raises:
        TransformError: for a number of millimetres that is not the image's.
        UsageError: when a shift wants a gradient and only the origin moves, which is a plain number.
    """
    d = image.dimension
    shift = numbers(shift_mm, "shift_mm").reshape(-1)
    if len(shift) != d:
        raise TransformError(f"shift_mm: {image.name} moves by {d} millimetres of shift, got {shift.tolist()}")
    one_of(axes, Axes, "axes")
    one_of(by, Means, "by")
    if axes is Axes.IMAGE:
        shift = image_axes(image.grid).to(shift) @ shift
    if isinstance(by, Resampled):
        return moved_onto(image, translation(shift), image.grid, by.interpolation, by.outside)
    if shift.requires_grad:
        raise UsageError(
            "shift_mm: an origin carries no gradient; pass by=Resampled() to differentiate to the shift, or detach it"
        )
    origin = tuple(o + s for o, s in zip(image.origin, shift.tolist(), strict=True))
    return replace(image, origin=origin)
