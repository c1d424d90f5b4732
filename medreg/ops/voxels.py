"""What an intensity operation works on: a tensor or an image, as one row of values for each channel of each item."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import ImageError
from medreg.image import MedImage
from medreg.ops.arguments import an_image, space_axes
from medreg.sample import working_dtype

Voxels = TypeVar("Voxels", Tensor, MedImage, MedImageBatch)
"""A tensor (..., z, y, x), an image or a batch of images: what comes out is what went in."""

Given: TypeAlias = Tensor | MedImage | MedImageBatch
"""The same, where nothing comes out."""

LEAST_SPAN = 1e6
"""Of the smallest normal number: values that differ by less count as equal, their spread could not be divided by."""

NEAR = 0.05
"""Voxels by which a mask's corners may lie off its image's."""

_OF_THE_OLD_VALUES = ("slope", "inter", "units")
"""Metadata that no longer hold once the values have changed their meaning."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The values of an image, or of a batch of them, with what counts of each channel.

    Statistics are computed on one row at a time, so that those of an item do not depend, not even in the last digit, on
    what else is in the batch: torch sums a row in another order when there are several.

    Attributes:
        shape: of the tensor that was given, (..., z, y, x).
        dimension: space axes at its end.
        rows: (R, V) floating point, the V voxels of each of the R channels of all items.
        masks: (R, V) bool, what counts; None where all does.
        name: for messages.
    """

    shape: tuple[int, ...]
    dimension: int
    rows: Tensor
    masks: Tensor | None
    name: str

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    @property
    def leading(self) -> tuple[int, ...]:
        """Shape of the axes before those of space."""
        return self.shape[: len(self.shape) - self.dimension]

    def counted(self, row: int) -> Tensor:
        """(n,) the values of one row that count, n > 0, all of them finite.

        Raises:
            ImageError: an empty mask, or values that are not finite.
        """
        values = self.rows[row]
        if self.masks is not None:
            values = values[self.masks[row]]
        if values.numel() == 0:
            raise ImageError(f"{self.place(row)}: the mask is empty; give one that holds at least one voxel")
        if not bool(torch.isfinite(values.detach()).all()):
            raise ImageError(
                f"{self.place(row)}: holds values that are not finite (NaN or infinite); mask them out or replace them"
            )
        return values

    def varied(self, row: int) -> Tensor:
        """Like `counted`, of values that are not all the same.

        Raises:
            ImageError: also when they are.
        """
        values = self.counted(row)
        low, high = torch.aminmax(values.detach())
        span = float(high - low)
        if not math.isfinite(span):
            raise ImageError(f"{self.place(row)}: values from {float(low):g} to {float(high):g} are too far apart")
        if span <= LEAST_SPAN * torch.finfo(values.dtype).tiny:
            inside = "" if self.masks is None else " inside the mask"
            raise ImageError(
                f"{self.place(row)}: is constant{inside} (all values are {float(low):g}), so it has no contrast to "
                "normalise; leave it out, or choose another mask"
            )
        return values

    def each(self, statistic: Callable[[Tensor], Tensor]) -> Tensor:
        """(R, ...): a statistic of what counts in each row; rows that are constant are refused (see `varied`)."""
        return torch.stack([statistic(self.varied(row)) for row in range(len(self))])

    def place(self, row: int) -> str:
        """Which row that is, for messages: "ct.nii, channel 2"."""
        if len(self) == 1:
            return self.name
        at = [int(k) for k in np.unravel_index(row, self.leading)]
        words = {1: ("channel",), 2: ("item", "channel")}.get(len(at), ("",) * len(at))
        return ", ".join([self.name, *(f"{word} {k}".strip() for word, k in zip(words, at, strict=True))])


def rows_of(
    image: Given, mask: Given | None = None, dimension: int = 3, argument: str = "image", masked: str = "mask"
) -> Rows:
    """The values of `image` in rows, in `working_dtype`.

    Args:
        image: a tensor (..., z, y, x), or an image.
        mask: nonzero where a voxel counts: an image on the same grid, or a tensor that broadcasts to the image's.
        dimension: space axes at the end of a tensor; an image knows its own.
        argument: what the image is called in the call, for messages.
        masked: what the mask is called in it.

    Raises:
        ImageError: a tensor with too few axes, complex or empty; a mask that does not fit.
    """
    values, d, name = _given(image, dimension, argument)
    if values.is_complex():
        raise ImageError(f"{name}: holds complex numbers; take their magnitude (abs) first")
    if values.ndim < d or values.numel() == 0:
        raise ImageError(
            f"{name}: intensities of {d} space axes need a tensor (..., z, y, x), got {tuple(values.shape)}"
        )
    rows = values.to(working_dtype(values.dtype)).reshape(-1, math.prod(values.shape[values.ndim - d :])).contiguous()
    masks = None if mask is None else _fitting(mask, image, values, name, masked).reshape(rows.shape)
    return Rows(tuple(values.shape), d, rows, masks, name)


def revalued(image: Voxels, data: Tensor) -> Voxels:
    """An image with values of a new meaning in its place, or the bare tensor where a tensor was given.

    What the metadata say of the old values is dropped: the scale and the dtype that they were stored with, in which a
    writer would round the new ones, and their units.
    """
    if isinstance(image, Tensor):
        return data
    if isinstance(image, MedImage):
        return MedImage.on(image.grid, data, image.leading, _still_true(image.metadata, data))
    return replace(image, data=data, metadata=tuple(_still_true(one, data) for one in image.metadata))


def _still_true(metadata: Mapping[str, Any], data: Tensor) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key not in _OF_THE_OLD_VALUES}
    return {**kept, "stored_dtype": str(data.dtype).removeprefix("torch.")}


def ordered(values: Tensor) -> Tensor:
    """(n,) values in rising order. NumPy's sort is ten times as fast as torch's, but keeps no gradient."""
    if values.device.type != "cpu" or (values.requires_grad and torch.is_grad_enabled()):
        return values.sort().values
    return torch.from_numpy(np.sort(values.detach().numpy()))


def check_same_grid(mask: MedImage, image: MedImage, argument: str = "mask") -> None:
    """Masks and labels must lie on their image's grid, to a twentieth of a voxel.

    Raises:
        ImageError: says how to bring them there.
    """
    if mask.size == image.size:
        there, here = (image.grid.to_index(grid.corners) for grid in (mask.grid, image.grid))
        if float(np.abs(there - here).max()) <= NEAR:
            return
    raise ImageError(
        f"{argument}: {mask.name} does not lie on the grid of {image.name} (size {mask.size} against {image.size}); "
        "resample it first: resample(mask, onto=image.grid, interpolation=Nearest())"
    )


def _given(image: Given, dimension: int, argument: str) -> tuple[Tensor, int, str]:
    an_image(image, argument)
    if isinstance(image, Tensor):
        return image, space_axes(dimension), "values"
    return image.data, image.dimension, image.name if isinstance(image, MedImage) else "batch"


def _fitting(mask: Given, image: Given, values: Tensor, name: str, masked: str) -> Tensor:
    """Where voxels count, bool, of the shape of `values`."""
    an_image(mask, masked)
    if not isinstance(mask, Tensor) and not isinstance(image, Tensor):
        items = [image] if isinstance(image, MedImage) else list(image)
        of_each = [mask] * len(items) if isinstance(mask, MedImage) else list(mask)
        if len(of_each) != len(items):
            raise ImageError(f"{name}: {masked}: {len(items)} images need one mask or as many, got {len(of_each)}")
        for one, item in zip(of_each, items, strict=True):
            check_same_grid(one, item, masked)
    counts = (mask if isinstance(mask, Tensor) else mask.data).to(values.device) != 0
    try:
        return counts.expand(values.shape)
    except RuntimeError:
        raise ImageError(
            f"{name}: {masked}: a mask {tuple(counts.shape)} does not fit values {tuple(values.shape)}; it needs the "
            "same space axes, and before them one channel or as many"
        ) from None
