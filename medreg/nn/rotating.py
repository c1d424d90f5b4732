"""Rotate: images turned about a point, by angles in degrees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.nn.warp import Source, Warp, about
from medreg.sample import Interpolation, Outside
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
        centre: LPS mm; None for the middle of the grid.
        interpolation: the kernel.
        outside: what points get that the images do not reach.

    Shape:
        (N, C, z, y, x) or (N, C, y, x), and the same comes out.

    Raises:
        TransformError: angles or a centre of another shape.

    Example:
        >>> grid = Grid.regular((3, 3), (1.0, 1.0))
        >>> dot = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 0]])[None, None]
        >>> Rotate(grid, 90.0)(dot)[0, 0].round()
        tensor([[0., 0., 0.],
                [0., 0., 0.],
                [0., 1., 0.]])
    """

    def __init__(
        self,
        grid: Grid,
        angles: Source = None,
        centre: Sequence[float] | None = None,
        interpolation: Interpolation = LINEAR,
        outside: Outside = ZERO,
    ) -> None:
        """See the class."""
        super().__init__(grid, angles, 3 if grid.dimension == 3 else 1, interpolation, outside)
        self.centre = centre_of(grid, centre)

    def matrices(self, parameters: Tensor) -> Tensor:
        """See `Warp`: the inverse turns, since the result asks where its voxels come from."""
        return about(self.centre, rotation(parameters.deg2rad()).mT)


def rotation(angles: Tensor) -> Tensor:
    """The matrices Rz Ry Rx (..., 3, 3) of angles (..., 3) in radians, or those of one angle (..., 1) in 2D.

    Example:
        >>> rotation(torch.tensor([0.0, 0.0, torch.pi / 2])).round().abs()
        tensor([[0., 1., 0.],
                [1., 0., 0.],
                [0., 0., 1.]])
    """
    cosine, sine = angles.cos().unbind(-1), angles.sin().unbind(-1)
    if len(cosine) == 1:
        (c,), (s,) = cosine, sine
        return torch.stack([c, -s, s, c], -1).view(*c.shape, 2, 2)
    (cx, cy, cz), (sx, sy, sz) = cosine, sine
    entries = [
        cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx,
        sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx,
        -sy, cy * sx, cy * cx,
    ]  # fmt: skip
    return torch.stack(entries, -1).view(*cx.shape, 3, 3)


def centre_of(grid: Grid, centre: Sequence[float] | None) -> tuple[float, ...]:
    """The point that was given, or the middle of the grid."""
    point = grid.centre if centre is None else tuple(float(c) for c in centre)
    if len(point) != grid.dimension:
        raise TransformError(f"a centre in {grid.dimension}D has {grid.dimension} coordinates, got {point}")
    return point
