"""Scaling of an image's content about a point."""

from __future__ import annotations

from medreg.image import MedImage
from medreg.ops.arguments import Numbers
from medreg.ops.background import Between, Beyond
from medreg.ops.batching import for_batches
from medreg.ops.frames import KEEP, Axes, Frame, frame_grid, placed_motion
from medreg.ops.motions import scaling
from medreg.ops.placing import LINEAR, ZERO, moved_onto


@for_batches
def scale(
    image: MedImage,
    factors: Numbers,
    centre: Numbers | None = None,
    axes: Axes = Axes.WORLD,
    frame: Frame = KEEP,
    interpolation: Between = LINEAR,
    outside: Beyond = ZERO,
) -> MedImage:
    """The content of `image` made larger about a point: what was at p is then at c + diag(factors) (p - c).

    The anatomy changes its size in millimetres. More or fewer voxels over the same millimetres is `resize`.

    Args:
        image: or a batch, with `each` for parameters of items.
        factors: along x, y(, z), or one for all; above 1 things grow. A negative one mirrors. A tensor gets its
            gradient.
        centre: world point, mm; by default the middle of the grid.
        axes: whether the factors are along the world's axes or the image's.
        frame: whether the grid stays or expands.
        interpolation: the kernel.
        outside: what voxels get that come from outside the image.

    Raises:
        TransformError: for a number of factors that is not the image's, or a factor of 0.
    """
    linear = scaling(factors, image.dimension)[:-1, :-1]
    motion = placed_motion(linear, image.grid, centre, axes)
    return moved_onto(image, motion, frame_grid(frame, image.grid, motion), interpolation, outside)
