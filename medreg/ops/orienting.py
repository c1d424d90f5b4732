"""Orders of storage: which way the index axes run. No voxel changes its value or its place in the world."""

from __future__ import annotations

from medreg.errors import GeometryError, UsageError
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import AXIS_LETTERS, orientation_code
from medreg.image import MedImage
from medreg.ops.arguments import Whole, described, whole_numbers
from medreg.ops.batching import for_batches


@for_batches
def reorient(image: MedImage, code: str) -> MedImage:
    """`image` stored so that its index axes run as `code` says, "LPS" to the patient's left, back and head.

    Voxels are exchanged, never interpolated: the axes of an oblique image go with their nearest axes of the world, each
    once, and stay oblique. There are 48 codes in 3D, 8 in 2D. `SimpleITK.DICOMOrient` does the same.

    Args:
        image: or a batch, with `each` for parameters of items.
        code: for each of x, y(, z) one of R or L, A or P, I or S, upper or lower case; each pair once.

    Raises:
        GeometryError: for a code that names a direction twice or not at all.

    Example:
        >>> import torch
        >>> image = MedImage.on(Grid.regular((3, 1), (1.0, 1.0)), torch.tensor([[[1, 2, 3]]]))
        >>> turned = reorient(image, "RP")
        >>> turned.data.tolist(), turned.origin
        ([[[3, 2, 1]]], (2.0, 0.0))
    """
    d = image.dimension
    if not isinstance(code, str):
        raise UsageError(f"code: takes letters such as {'LPS'[:d]!r}, got {described(code)}")
    wanted = code.upper()
    worlds = [next((w for w, pair in enumerate(AXIS_LETTERS[:d]) if letter in pair), -1) for letter in wanted]
    if sorted(worlds) != list(range(d)):
        choices = ", ".join(" or ".join(pair) for pair in AXIS_LETTERS[:d])
        raise GeometryError(
            f"{image.name}: code: an orientation in {d}D has one each of {choices}, got {code!r}; e.g. {'LPS'[:d]}"
        )
    have = orientation_code(image.affine[:d, :d] / image.spacing)
    source = [next(k for k, letter in enumerate(have) if letter in AXIS_LETTERS[world]) for world in worlds]
    turned = permute(image, source)
    return flip(turned, [k for k in range(d) if have[source[k]] != wanted[k]])


@for_batches
def permute(image: MedImage, axes: Whole) -> MedImage:
    """`image` with its index axes in another order: its new axis k is the old axis `axes[k]`, counted x 0, y 1, z 2.

    Spacing and direction go along, the origin stays: world points do not move. `SimpleITK.PermuteAxes` takes the same
    order.

    Raises:
        GeometryError: when `axes` does not name each axis once.
    """
    d = image.dimension
    order = whole_numbers(axes, "axes", error=GeometryError, of=f"{image.name}: ")
    if sorted(order) != list(range(d)):
        raise GeometryError(
            f"{image.name}: axes: an order of {d} axes names each of {list(range(d))} once, got {order}"
        )
    data = image.data.permute(0, *(d - order[k] for k in reversed(range(d))))
    grid = Grid(
        tuple(image.size[k] for k in order),
        tuple(image.spacing[k] for k in order),
        image.origin,
        tuple(tuple(row[k] for k in order) for row in image.direction),
    )
    return MedImage.on(grid, data, image.leading, image.metadata)


@for_batches
def flip(image: MedImage, axes: Whole) -> MedImage:
    """`image` with the voxels of some index axes (x 0, y 1, z 2) in reverse order, and these axes' directions reversed.

    The origin moves to the voxel that is now the first: world points do not move. What is mirrored is the storage; to
    mirror the anatomy, `scale` by -1 along an axis.

    Raises:
        GeometryError: for an axis that the image has not.
    """
    d = image.dimension
    reversed_axes = set(whole_numbers(axes, "axes", error=GeometryError, of=f"{image.name}: "))
    if not reversed_axes <= set(range(d)):
        raise GeometryError(f"{image.name}: axes: are {list(range(d))}, asked to flip {sorted(reversed_axes)}")
    if not reversed_axes:
        return image
    first = [n - 1 if k in reversed_axes else 0 for k, n in enumerate(image.size)]
    direction = tuple(tuple(-v if k in reversed_axes else v for k, v in enumerate(row)) for row in image.direction)
    origin = tuple(image.grid.to_world([first])[0].tolist())
    data = image.data.flip([d - k for k in sorted(reversed_axes)])
    return MedImage.on(Grid(image.size, image.spacing, origin, direction), data, image.leading, image.metadata)
