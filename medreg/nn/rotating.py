"""Rotate: images turned about a point, by angles in degrees."""

from __future__ import annotations

from torch import Tensor

from medreg.geometry.grid import Grid
from medreg.nn.warp import Source, Warp, point_of
from medreg.ops.arguments import Numbers, one_of
from medreg.ops.background import Beyond
from medreg.ops.motions import about, turns
from medreg.sample import Interpolation
from medreg.sample.interpolation import LINEAR, ZERO


class Rotate(Warp):
    """Turns what the images show, by the right-hand rule about the world's axes through a centre.

    out(p) = in(R^T (p - c) + c), with R = Rz Ry Rx in 3D: about x first, then y, then z, all of which stand still. In
    2D R is one turn from the x axis towards the y axis. The voxels stay where they are.

    Args:
        grid: where the voxels of the images lie.
        angles: degrees, (3,) about x, y, z, or (1,) in 2D; or (N, 3), (N, 1), one row for each image. Numbers or a
            tensor stay, an `nn.Parameter` is learnt, a module is called with the images and predicts them, None means
            that they come with each call. A degree moves little: learn angles at a rate of 0.1 to 1.
        centre: LPS mm; None for the middle of the grid. A tensor gets its gradient, an `nn.Parameter` is learnt.
        interpolation: the kernel.
        outside: what points get that the images do not reach.

    Shape:
        (N, C, z, y, x) or (N, C, y, x), and the same comes out.

    Raises:
        TransformError: angles or a centre of another shape.

    Example:
        >>> import torch
        >>> grid = Grid.regular((3, 3), (1.0, 1.0))
        >>> dot = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 0]])[None, None]
        >>> Rotate(grid, 90.0)(dot)[0, 0].round()
        tensor([[0., 0., 0.],
                [0., 0., 0.],
                [0., 1., 0.]])
    """

    centre: Tensor

    def __init__(
        self,
        grid: Grid,
        angles: Source = None,
        centre: Numbers | None = None,
        interpolation: Interpolation = LINEAR,
        outside: Beyond = ZERO,
    ) -> None:
        """See the class."""
        one_of(grid, Grid, "grid")
        super().__init__(grid, angles, 3 if grid.dimension == 3 else 1, interpolation, outside)
        self.centre = point_of(grid, centre)

    def matrices(self, parameters: Tensor) -> Tensor:
        """See `Warp`: the inverse turns, since the result asks where its voxels come from."""
        return about(turns(parameters).mT, self.centre)
