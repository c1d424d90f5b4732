"""Rotation of an image's content about a point."""

from __future__ import annotations

from medreg.errors import TransformError
from medreg.image import MedImage
from medreg.ops.arguments import Numbers, numbers
from medreg.ops.background import Between, Beyond
from medreg.ops.batching import for_batches
from medreg.ops.frames import KEEP, Axes, Frame, frame_grid, placed_motion
from medreg.ops.motions import Order, rotation
from medreg.ops.placing import LINEAR, ZERO, moved_onto


@for_batches
def rotate(
    image: MedImage,
    angles: Numbers,
    centre: Numbers | None = None,
    axes: Axes = Axes.WORLD,
    order: Order = Order.XYZ,
    frame: Frame = KEEP,
    interpolation: Between = LINEAR,
    outside: Beyond = ZERO,
) -> MedImage:
    """The content of `image` turned by `angles`: what was at p is then at c + R (p - c).

    R follows the right-hand rule (about z, +x goes to +y: from the patient's left to the back); `medreg.ops.rotation`
    has the formula. `SimpleITK.Resample` gives the same with the **inverse** of an `Euler3DTransform` of the same
    centre and angles, because its transforms take points of the result to points of the image, and with
    `order=Order.YXZ`, because that is its order. Multiples of 90 degrees that take voxel
    centres to voxel centres move voxels, without interpolation.

    Args:
        image: or a batch, with `each` for parameters of items.
        angles: degrees about x, y, z, or one in 2D; a tensor gets its gradient.
        centre: world point, mm; by default the middle of the grid, (n - 1) / 2 along every axis. A tensor gets its
            gradient.
        axes: whether the angles are about the world's axes or the image's.
        order: in which the three turns are made.
        frame: whether the grid stays, or expands so that all corners stay inside.
        interpolation: the kernel; `Nearest` for label maps.
        outside: what voxels get that come from outside the image.

    Returns:
        An image of the same kind and metadata; differentiable to voxels, angles, centre and fill value.

    Raises:
        TransformError: for a number of angles or coordinates that is not the image's.

    Example:
        >>> import torch
        >>> from medreg.geometry.grid import Grid
        >>> from medreg.sample import Nearest
        >>> image = MedImage.on(Grid.regular((2, 2), (1.0, 1.0)), torch.tensor([[[1, 2], [3, 4]]]))
        >>> rotate(image, 90.0, interpolation=Nearest()).data.tolist()
        [[[3, 1], [4, 2]]]
    """
    given = numbers(angles, "angles").reshape(-1)
    if len(given) != (3 if image.dimension == 3 else 1):
        raise TransformError(
            f"angles: {image.name} has {image.dimension} axes and turns by "
            f"{'3 angles (about x, y, z)' if image.dimension == 3 else 'one angle'}, got {given.tolist()}"
        )
    linear = rotation(angles, None, order)[:-1, :-1]
    motion = placed_motion(linear, image.grid, centre, axes)
    return moved_onto(image, motion, frame_grid(frame, image.grid, motion), interpolation, outside)
