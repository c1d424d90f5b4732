"""What filters take and give: tensors, images and batches, their space axes, and the millimetres between voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.arguments import Numbers, an_image, described, numbers, one_of, whole_number, whole_numbers
from medreg.ops.voxels import Given, Voxels
from medreg.sample import working_dtype
from medreg.vision.filters.borders import Border


@dataclass(frozen=True, eq=False)
class Space:
    """What a filter works on.

    Attributes:
        data: (..., z, y, x) as it was given.
        dimension: space axes at its end, 1 to 3.
        grids: of an image, of each item of a batch; none of a tensor.
        name: for messages.
    """

    data: Tensor
    dimension: int
    grids: tuple[Grid, ...]
    name: str

    @property
    def values(self) -> Tensor:
        """The voxels in the floating point in which filters work.

        Raises:
            ImageError: complex numbers.
        """
        if self.data.is_complex():
            raise ImageError(f"{self.name}: holds complex numbers; filter real and imaginary part, each on its own")
        return self.data.to(working_dtype(self.data.dtype))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres between voxels along x, y(, z); 1 of a tensor.

        Raises:
            ImageError: a batch whose items differ.
        """
        spacings = {grid.spacing for grid in self.grids} or {(1.0,) * self.dimension}
        if len(spacings) > 1:
            raise ImageError(
                f"{self.name}: its items have spacings {sorted(spacings)}; a filter in millimetres needs one for all: "
                "filter the items one by one, or resample them first"
            )
        return spacings.pop()

    def axis(self, axis: object) -> int:
        """An index axis, x 0, y 1, z 2, as the tensor axis that it is, counted from the end.

        Raises:
            UsageError: there is no such axis.
        """
        return -1 - whole_number(axis, "axis", 0, self.dimension - 1)

    def several(self, value: Numbers, name: str) -> list[Tensor]:
        """A number for each axis, x first, or one for all; in the order of tensors, z first.

        Raises:
            UsageError: no numbers, or another number of them.
        """
        given = numbers(value, name).reshape(-1)
        if len(given) not in (1, self.dimension):
            raise UsageError(f"{name}: takes one number, or one for each of {self.dimension} axes, got {len(given)}")
        return list(given.expand(self.dimension).flip(0).unbind())

    def whole(self, value: int | Sequence[int], name: str, least: int) -> list[int]:
        """The same of whole numbers.

        Raises:
            UsageError: other numbers.
        """
        given = [whole_number(value, name, least)] if isinstance(value, int) else whole_numbers(value, name)
        if len(given) not in (1, self.dimension) or min(given) < least:
            raise UsageError(
                f"{name}: takes a whole number, {least} or more, or one for each of {self.dimension} axes, "
                f"got {described(value)}"
            )
        return (given * (self.dimension // len(given)))[::-1]


def space_of(image: Given, border: Border, dimension: int, told_by: str = "dimension") -> Space:
    """An argument taken apart, once checked.

    Raises:
        UsageError: no border, or no number of axes.
        ImageError: no image, too few axes, or no voxels.
    """
    one_of(border, Border, "border")
    an_image(image)
    whole_number(dimension, told_by, 1, 3)
    if isinstance(image, Tensor):
        space = Space(image, dimension, (), "image")
    elif isinstance(image, MedImage):
        space = Space(image.data, dimension, (image.grid,), image.name)
    else:
        space = Space(image.data, dimension, image.grids, "batch")
    if space.grids and space.grids[0].dimension != dimension:
        raise ImageError(f"{space.name}: has {space.grids[0].dimension} space axes, the filter {dimension}")
    if space.data.ndim < dimension or space.data.numel() == 0:
        axes = ", ".join("zyx"[-dimension:])
        raise ImageError(
            f"{space.name}: a filter of {dimension} space axes takes a tensor (..., {axes}) with voxels in it, got "
            f"{tuple(space.data.shape)}"
        )
    return space


def dimension_of(image: Given, dimension: int) -> int:
    """The number of space axes: an image knows its own."""
    an_image(image)
    return dimension if isinstance(image, Tensor) else image.dimension


def in_place_of(image: Voxels, data: Tensor) -> Voxels:
    """An image with other values of the same meaning, or the bare tensor where a tensor was given."""
    return data if isinstance(image, Tensor) else image.with_data(data)


def along(axis: int, length: int, dimension: int) -> list[int]:
    """The shape of a kernel along one tensor axis."""
    shape = [1] * dimension
    shape[axis] = length
    return shape


def taps(values: Sequence[float], axis: int, dimension: int) -> Tensor:
    """A kernel along one tensor axis."""
    return torch.tensor(values, dtype=torch.float64).view(along(axis, len(values), dimension))
