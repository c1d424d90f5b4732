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
        counts = {len(self.data), len(self.grids), len(self.leadings), len(self.metadata)}
        if len(counts) != 1 or not self.grids:
            raise ImageError(
                f"a batch holds as many tensors as grids, kinds and metadata, and one or more; got {len(self.data)}, "
                f"{len(self.grids)}, {len(self.leadings)} and {len(self.metadata)}"
            )
        for number, grid in enumerate(self.grids):
            if tuple(self.data.shape[2:]) != grid.shape:
                raise ImageError(
                    f"item {number} of the batch: the tensor {tuple(self.data.shape)} does not fill its grid of "
                    f"{grid.size} (x, y, z) voxels; it runs (item, channel, {'z, ' * (grid.dimension - 2)}y, x)"
                )

    @staticmethod
    def stack(images: Sequence[MedImage]) -> MedImageBatch:
        """One batch of `images`, in their order. Differentiable.

        Raises:
            ImageError: without images, or when shapes, types of voxels or devices differ.
        """
        import torch

        if not images:
            raise ImageError("a batch needs one image or more, got none")
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
        """One of the images, counted from 0, or from the end if negative."""
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
