"""Resample: images of one grid onto another."""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.nn.warp import Source, Warp
from medreg.ops.arguments import Numbers, numbers, one_of
from medreg.ops.background import Beyond
from medreg.sample import Interpolation
from medreg.sample.interpolation import LINEAR, ZERO


class Resample(Warp):
    """Images on `grid` brought onto the grid `onto`, through a matrix or as they lie in the world.

    out(p) = in(M p) at the voxels' world points p of `onto`; M is the identity where none is given. To a coarser grid,
    put a `Smooth` before it, or fine detail aliases.

    Args:
        grid: where the voxels of the images lie.
        onto: where those of the result lie.
        through: homogeneous (D+1) x (D+1), points of `onto` to points of the images, LPS mm (as `medreg.resample`
            takes it): an array or a tensor to keep, an `nn.Parameter` to learn.
        interpolation: the kernel.
        outside: what points get that the images do not reach.

    Shape:
        (N, C, z, y, x) to (N, C, z', y', x'), or (N, C, y, x) to (N, C, y', x').

    Raises:
        TransformError: grids or a matrix that do not fit together.

    Example:
        >>> fine, coarse = (Grid.regular((n, n), (8 / n, 8 / n)) for n in (8, 4))
        >>> Resample(fine, coarse)(torch.ones(2, 3, 8, 8)).shape
        torch.Size([2, 3, 4, 4])
    """

    def __init__(
        self,
        grid: Grid,
        onto: Grid,
        through: Numbers | None = None,
        interpolation: Interpolation = LINEAR,
        outside: Beyond = ZERO,
    ) -> None:
        """See the class."""
        one_of(grid, Grid, "grid")
        one_of(onto, Grid, "onto")
        n = grid.dimension + 1
        matrix = torch.eye(n, dtype=torch.float64)
        if through is not None:
            matrix = through if isinstance(through, Tensor) else numbers(through, "through")
        if matrix.shape != (n, n):
            raise TransformError(
                f"through: Resample in {n - 1}D takes a {n}x{n} matrix, got shape {tuple(matrix.shape)}"
            )
        source: Source = matrix.flatten()
        if isinstance(matrix, torch.nn.Parameter):
            source = torch.nn.Parameter(matrix.detach().flatten(), requires_grad=matrix.requires_grad)
        super().__init__(grid, source, n * n, interpolation, outside, onto)

    def matrices(self, parameters: Tensor) -> Tensor:
        """The entries, row by row, as a matrix."""
        n = self.grid.dimension + 1
        return parameters.reshape(*parameters.shape[:-1], n, n)
