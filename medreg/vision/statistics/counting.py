"""Which voxels count: those inside the mask that are finite, in both images where there are two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import number
from medreg.ops.voxels import Given, Rows, check_same_grid, rows_of


@dataclass(frozen=True, eq=False)
class Counted:
    """The values of an image, or of the two images that are compared, one row for each channel of each item.

    Attributes:
        given: the (first) image.
        values: (R, V) its voxels, 0 where they are not finite; of two images those of both, (2, R, V).
        finite: (R, V) bool, of two images where both are.
        counts: (R, V) bool, finite and inside the mask.
    """

    given: Rows
    values: Tensor
    finite: Tensor
    counts: Tensor

    def each(self, statistic: Callable[[Tensor], Tensor]) -> Tensor:
        """A statistic of the voxels (n,) or (2, n) that count, row by row: of the leading shape of the image.

        Raises:
            ImageError: a row in which no voxel counts.
        """
        found = []
        for row, counts in enumerate(self.counts):
            values = self.values[..., row, :]
            values = values if bool(counts.all()) else values[..., counts]
            if not values.shape[-1]:
                raise ImageError(
                    f"{self.given.place(row)}: no voxel is finite and inside the mask; there is nothing to measure"
                )
            found.append(statistic(values))
        return self.gathered(found)

    def gathered(self, found: Sequence[Tensor]) -> Tensor:
        """The statistics of the rows, in the leading shape of the image and in its dtype."""
        whole = torch.stack(list(found))
        return whole.view((*self.given.leading, *whole.shape[1:])).to(self.values.dtype)


def counted(image: Given, mask: Given | None, dimension: int) -> Counted:
    """The voxels of one image.

    Raises:
        ImageError: no image, or a mask that does not fit.
    """
    given = rows_of(image, mask, dimension)
    return _counted(given, given.rows, given.rows.detach().isfinite())


def compared(image: Given, other: Given, mask: Given | None, dimension: int) -> Counted:
    """The voxels of two images of one shape, in the wider of their dtypes.

    Raises:
        ImageError: images of different shapes or places, or a mask that does not fit.
    """
    given = rows_of(image, mask, dimension)
    like = rows_of(other, None, given.dimension, "other")
    if given.shape != like.shape:
        raise ImageError(f"{given.name}: images that are compared are of one shape, got {given.shape} and {like.shape}")
    for one, two in zip(_items(image), _items(other), strict=False):
        _check_place(one, two)
    wider = torch.promote_types(given.rows.dtype, like.rows.dtype)
    both = torch.stack([given.rows.to(wider), like.rows.to(given.rows.device, wider)])
    return _counted(given, both, both.detach().isfinite().all(0))


def range_of(value: float) -> float:
    """`data_range`, checked.

    Raises:
        UsageError: no number above 0.
    """
    wanted = "the distance from the lowest to the highest value that images of this kind can have, above 0"
    found = number(value, "data_range", wanted=wanted)
    if found <= 0:
        raise UsageError(f"data_range: takes {wanted}, got {found:g}")
    return found


def _counted(given: Rows, values: Tensor, finite: Tensor) -> Counted:
    counts = finite if given.masks is None else finite & given.masks
    return Counted(given, torch.where(finite, values, 0.0), finite, counts)


def _items(image: Given) -> list[MedImage]:
    if isinstance(image, Tensor):
        return []
    return [image] if isinstance(image, MedImage) else list(image)


def _check_place(image: MedImage, other: MedImage) -> None:
    try:
        check_same_grid(other, image, "other")
    except ImageError:
        raise ImageError(
            f"other: {other.name} does not lie on the grid of {image.name}; resample it first: "
            "resample(other, onto=image.grid)"
        ) from None
