"""MedImageBatch: images of one size, each with its own place in the world, as one tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class MedImageBatch:
    """Images with the same number of channels and voxels, stacked. `unstack` gives them back without loss.

    Attributes:
        data: (B, C, z, y, x), or (B, C, y, x) in 2D.
        grids: where each image's voxels lie.
        leadings: what each image's first axis counts.
        metadata: each image's own.

    Raises:
        ImageError: when the tensor, the grids and the rest are not of one number, or a grid is not of the tensor's
            size.

    Example:
        >>> import torch
        >>> image = MedImage.on(Grid.regular((4, 5), (1.0, 2.0)), torch.zeros(1, 5, 4))
        >>> batch = MedImageBatch.stack([image, image.with_metadata(path="b.nii")])
        >>> len(batch), tuple(batch.data.shape), batch[1].name
        (2, (2, 1, 5, 4), 'b.nii')
    """

    data: Tensor
    grids: tuple[Grid, ...]
    leadings: tuple[Leading, ...]
    metadata: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        if getattr(self.data, "ndim", None) not in (4, 5):
            raise ImageError(
                f"data: a batch is a tensor (B, C, z, y, x), or (B, C, y, x) in 2D, got {_kind(self.data)}"
            )
        for name, several in (("grids", self.grids), ("leadings", self.leadings), ("metadata", self.metadata)):
            if not isinstance(several, tuple):
                raise ImageError(f"{name}: a batch takes a tuple of one for each item, got {_kind(several)}")
        counts = {len(self.data), len(self.grids), len(self.leadings), len(self.metadata)}
        if len(counts) != 1 or not self.grids:
            raise ImageError(
                "data, grids, leadings, metadata: a batch holds as many tensors as grids, kinds and metadata, "
                f"got {len(self.data)}, {len(self.grids)}, {len(self.leadings)} and {len(self.metadata)}"
            )
        for number, grid in enumerate(self.grids):
            if not isinstance(grid, Grid):
                raise ImageError(f"grids: item {number} of the batch lies on a Grid, got {_kind(grid)}")
            if tuple(self.data.shape[2:]) != grid.shape:
                raise ImageError(
                    f"data: item {number} of the batch: the tensor {tuple(self.data.shape)} does not fill its grid of "
                    f"{grid.size} (x, y, z) voxels; it runs (item, channel, {'z, ' * (grid.dimension - 2)}y, x)"
                )

    @staticmethod
    def stack(images: Sequence[MedImage]) -> MedImageBatch:
        """One batch of `images`, in their order. Differentiable.

        Raises:
            ImageError: without images, or when shapes, types of voxels or devices differ.
        """
        import torch

        if not isinstance(images, Sequence) or not all(isinstance(image, MedImage) for image in images):
            kinds = sorted({_kind(i) for i in images}) if isinstance(images, Sequence) else [_kind(images)]
            raise ImageError(f"images: a batch is stacked from a list of MedImages, got {', '.join(kinds)}")
        if not images:
            raise ImageError("images: a batch needs one image or more, got none")
        first = images[0].data
        for image in images[1:]:
            got, wanted = ((tuple(t.shape), t.dtype, t.device) for t in (image.data, first))
            if got != wanted:
                raise ImageError(
                    f"{image.name}: images of a batch are alike; {images[0].name} has shape {wanted[0]}, {wanted[1]} "
                    f"on {wanted[2]}, this one {got[0]}, {got[1]} on {got[2]}; crop_or_pad, resize or convert it first"
                )
        return MedImageBatch(
            torch.stack([image.data for image in images]),
            tuple(image.grid for image in images),
            tuple(image.leading for image in images),
            tuple(image.metadata for image in images),
        )

    def unstack(self) -> list[MedImage]:
        """The images, whose tensors are views of the batch's."""
        return list(self)

    def __len__(self) -> int:
        return len(self.grids)

    def __iter__(self) -> Iterator[MedImage]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, number: int) -> MedImage:
        """One of the images, counted from 0, or from the end if negative.

        Raises:
            ImageError: there is none of that number.
        """
        if not hasattr(number, "__index__") or not -len(self) <= number < len(self):
            raise ImageError(f"number: a batch of {len(self)} has items 0 to {len(self) - 1}, asked for {number!r}")
        return MedImage.on(self.grids[number], self.data[number], self.leadings[number], self.metadata[number])

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels along x, y(, z) of every image."""
        return self.grids[0].size

    @property
    def dimension(self) -> int:
        """2 or 3 space axes."""
        return self.grids[0].dimension

    def with_data(self, data: Tensor) -> MedImageBatch:
        """The same places and metadata with other voxels (B, C, z, y, x); the size must agree."""
        return MedImageBatch(data, self.grids, self.leadings, self.metadata)


def _kind(value: object) -> str:
    """What a value is, for messages."""
    return f"{type(value).__name__}{f' {tuple(value.shape)}' if hasattr(value, 'shape') else ''}"
