"""MedImage: voxels with their place in the world, a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor


class Leading(Enum):
    """What the first axis of an image's tensor counts."""

    CHANNELS = "channels"
    FRAMES = "frames"


@dataclass(frozen=True, eq=False)
class MedImage:
    """An image in space. Every operation returns a new one.

    Attributes:
        data: (channel, z, y, x), or (channel, y, x) in 2D; of a 4D series (frame, z, y, x). A scalar image has one
            channel. The dtype is the file's where torch has it, the next wider one where not.
        spacing: millimetres between voxel centres along x, y(, z).
        origin: world point (LPS mm) of voxel (0, 0, 0).
        direction: D x D row-major, column k the LPS unit vector of index axis k; not orthogonal on a sheared grid.
        leading: whether the first axis holds channels of one image or frames of a series.
        metadata: what the file said beyond geometry, listed at `medreg.io.StoredImage`.

    Raises:
        ImageError: when the tensor has the wrong number of axes or its size disagrees with the geometry.

    Example:
        >>> import torch
        >>> image = MedImage.on(Grid.regular((4, 5, 6), (1.0, 1.0, 2.0)), torch.zeros(1, 6, 5, 4))
        >>> image.grid.size, image.channels
        ((4, 5, 6), 1)
    """

    data: Tensor
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[tuple[float, ...], ...]
    leading: Leading = Leading.CHANNELS
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data.ndim != len(self.spacing) + 1:
            raise ImageError(
                f"{len(self.spacing)} axes need a tensor (channel, {'z, ' * (len(self.spacing) - 2)}y, x), "
                f"got shape {tuple(self.data.shape)}"
            )
        object.__setattr__(self, "_grid", Grid(self.size, self.spacing, self.origin, self.direction))

    @staticmethod
    def on(
        grid: Grid, data: Tensor, leading: Leading = Leading.CHANNELS, metadata: Mapping[str, Any] | None = None
    ) -> MedImage:
        """An image of `data` (channel, z, y, x) on `grid`."""
        image = MedImage(data, grid.spacing, grid.origin, grid.direction, leading, dict(metadata or {}))
        if image.size != grid.size:
            raise ImageError(f"the tensor {tuple(data.shape)} does not fill a grid of {grid.size} (x, y, z) voxels")
        return image

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        grid: Grid = self._grid  # type: ignore[attr-defined]
        return grid

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels along x, y(, z)."""
        return tuple(int(n) for n in reversed(self.data.shape[1:]))

    @property
    def dimension(self) -> int:
        """2 or 3 space axes."""
        return len(self.spacing)

    @property
    def channels(self) -> int:
        """Length of the first axis: channels, or frames of a series."""
        return int(self.data.shape[0])

    @property
    def affine(self) -> FloatArray:
        """(D+1) x (D+1): voxel index (x, y, z) -> world point (LPS mm)."""
        return self.grid.affine

    @property
    def name(self) -> str:
        """The file's path as it was given, or "image": for messages."""
        return str(self.metadata.get("path", "image"))

    def with_data(self, data: Tensor) -> MedImage:
        """The same place and metadata with other voxels; the size must agree."""
        return MedImage.on(self.grid, data, self.leading, self.metadata)

    def with_metadata(self, **changes: Any) -> MedImage:
        """The same image with some metadata replaced."""
        return replace(self, metadata={**self.metadata, **changes})

    def frame(self, number: int) -> MedImage:
        """One volume of a 4D series, counted from 0.

        Raises:
            ImageError: when there is no such volume.
        """
        if not 0 <= number < self.channels:
            raise ImageError(f"{self.name}: has volumes 0 to {self.channels - 1}, asked for {number}")
        return replace(self, data=self.data[number : number + 1], leading=Leading.CHANNELS)

    def mean_frame(self) -> MedImage:
        """The mean of all volumes of a 4D series, in floating point."""
        return replace(self, data=self.data.float().mean(0, keepdim=True), leading=Leading.CHANNELS)
