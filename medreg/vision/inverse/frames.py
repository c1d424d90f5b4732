"""What a coarse sensor sees of a picture that moves before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, avg_pool3d

from medreg.errors import UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.placing import LINEAR
from medreg.sample import Edge
from medreg.transform.composite import Map
from medreg.vision.warping import warp


@dataclass(frozen=True, eq=False)
class Frames:
    """Exposures of one picture, each through a map of its own: a pixel holds the mean of the picture over its area.

    The forward operator of super-resolution: `restore(frames, Frames(coarse, maps, 3), start)`.

    Attributes:
        grid: of every frame.
        maps: for each frame its points to points of the picture, LPS mm: matrices, transforms, modules or functions,
            whatever `warp` takes.
        samples: places along each axis of a pixel at which the picture is looked at. As many as the pixel is wider than
            the picture's, or more.

    Raises:
        UsageError: no maps, or fewer than one sample.

    Example:
        >>> grid = Grid.regular((4, 2), (1.0, 1.0))
        >>> picture = MedImage.on(grid, torch.arange(8.0).view(1, 2, 4))
        >>> Frames(grid.subsampled([2, 2]), [torch.eye(3, dtype=torch.float64)], 2)(picture)
        tensor([[[[2.5000, 4.5000]]]])
    """

    grid: Grid
    maps: Sequence[Map]
    samples: int
    fine: Grid = field(init=False)

    def __post_init__(self) -> None:
        """Checks, and lays the samples out."""
        if not len(self.maps) or self.samples < 1:
            raise UsageError(f"Frames: takes one map or more and samples >= 1, got {len(self.maps)} and {self.samples}")
        object.__setattr__(self, "fine", self.grid.subdivided([self.samples] * self.grid.dimension))

    def __call__(self, picture: MedImage) -> Tensor:
        """(K, C, y, x) or (K, C, z, y, x): the K frames of a picture; beyond its border it goes on as it ends."""
        seen = torch.stack([warp(picture, through, self.fine, LINEAR, Edge()).data for through in self.maps])
        pooled = avg_pool2d if self.grid.dimension == 2 else avg_pool3d
        return pooled(seen, self.samples)
