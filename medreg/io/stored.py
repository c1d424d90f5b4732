"""StoredImage: what a file held, as numpy; it becomes a MedImage when torch is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.types import VoxelArray

_TORCH_DTYPE = {"bool": "uint8", "uint16": "int32", "uint32": "int64", "uint64": "int64"}
"""The next wider dtype for those that torch has only by name."""


@dataclass(frozen=True, eq=False)
class StoredImage:
    """Voxels and their place as read from a file, without torch, so that files can be read while torch is imported.

    Attributes:
        array: (channel, z, y, x), or (channel, y, x) in 2D; of a series (frame, z, y, x). C-contiguous, native bytes.
        grid: where the voxels lie (LPS mm).
        leading: whether the first axis holds channels or frames.
        metadata: `path`, `format`, `stored_dtype` (the file's), `unit` ("mm" or "px"), `grid` (as read), `notes` (the
            warnings given while reading) and `header` (fields that a writer may keep); of NIfTI also `slope`, `inter`,
            `sform_code`, `qform_code`, `affine_from`, `qform`, `sform_qform_mm`. Everything pickles.

    Raises:
        ImageError: when the array does not fill the grid, or holds no numbers that can be registered.
    """

    array: VoxelArray
    grid: Grid
    leading: Leading = Leading.CHANNELS
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.array.shape[1:] != self.grid.shape or self.array.shape[0] < 1:
            raise ImageError(f"{self.name}: an array {self.array.shape} does not fill a grid {self.grid.shape}")
        if self.array.dtype.kind == "c":
            raise ImageError(
                f"{self.name}: holds complex numbers ({self.array.dtype}); save the magnitude or the phase on its own"
            )
        if self.array.dtype.kind not in "iufb":
            raise ImageError(f"{self.name}: voxels of dtype {self.array.dtype} are no numbers")
        array = np.ascontiguousarray(self.array, dtype=_plain(self.array.dtype))
        object.__setattr__(self, "array", array)

    @property
    def name(self) -> str:
        """The file's path as it was given, or "image": for messages."""
        return str(self.metadata.get("path", "image"))

    @property
    def frames(self) -> int:
        """Volumes of a series; 1 for a single image."""
        return int(self.array.shape[0]) if self.leading is Leading.FRAMES else 1

    def with_array(self, array: VoxelArray, leading: Leading | None = None) -> StoredImage:
        """The same place and metadata with other voxels."""
        return replace(self, array=array, leading=leading or self.leading)

    def to_image(self) -> MedImage:
        """The image as a torch tensor (imports torch): unsigned integers that torch lacks become the next wider signed.

        Raises:
            ImageError: for uint64 values above int64's largest.
        """
        import torch

        array = self.array
        wider = _TORCH_DTYPE.get(array.dtype.name)
        if array.dtype == np.uint64 and int(array.max()) > np.iinfo(np.int64).max:
            raise ImageError(f"{self.name}: holds uint64 values above {np.iinfo(np.int64).max}; store it as float64")
        if wider is not None:
            array = array.astype(wider)
        elif not array.flags.writeable:
            array = array.copy()
        metadata = {"stored_dtype": self.array.dtype.name, **self.metadata}
        return MedImage.on(self.grid, torch.from_numpy(array), self.leading, metadata)

    @staticmethod
    def of(image: MedImage) -> StoredImage:
        """The voxels of an image, back as numpy; shares memory where the tensor is on the CPU."""
        array = image.data.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":
            array = array.float()
        return StoredImage(array.numpy(), image.grid, image.leading, dict(image.metadata))


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Native byte order, and float64 for the wider floats of some platforms."""
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("=")
