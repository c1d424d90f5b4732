"""Affine and Homography: images through matrices that are exponentials of well-balanced parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.geometry.grid import Grid
from medreg.nn.warp import Source, Warp, point_of
from medreg.ops.arguments import Numbers, number, one_of
from medreg.ops.background import Beyond
from medreg.ops.motions import centred
from medreg.sample import Interpolation
from medreg.sample.interpolation import LINEAR, ZERO
from medreg.transform.generators import generators
from medreg.transform.kind import Kind


class _Exponential(Warp):
    """out(p) = in(M p), M = exp(sum_k a_k G_k), with the generators G_k of a family about a centre.

    The G_k are those of `medreg.transform.generators`: a step of 1 in any a_k moves points at `radius` from the centre
    by about a millimetre, so that one learning rate serves all. Zeros are the identity.
    """

    kind: Kind
    centre: Tensor

    def __init__(
        self,
        grid: Grid,
        parameters: Source = None,
        centre: Numbers | None = None,
        radius: float | None = None,
        interpolation: Interpolation = LINEAR,
        outside: Beyond = ZERO,
    ) -> None:
        """See the subclasses."""
        one_of(grid, Grid, "grid")
        millimetres = radius_of(grid) if radius is None else number(radius, "radius")
        if not millimetres > 0:
            raise UsageError(f"radius: takes millimetres above 0, got {radius}")
        basis = generators(self.kind, grid.dimension, millimetres)
        super().__init__(grid, parameters, len(basis), interpolation, outside)
        self.radius, self._basis = millimetres, basis
        self.centre = point_of(grid, centre)

    def matrices(self, parameters: Tensor) -> Tensor:
        """See `Warp`."""
        basis = torch.as_tensor(self._basis).to(parameters)
        at_origin: Tensor = torch.linalg.matrix_exp(torch.einsum("...k,kij->...ij", parameters, basis))
        return centred(at_origin, self.centre)


class Affine(_Exponential):
    """Images through an affine map: out(p) = in(M p), M = exp(sum_k a_k G_k) about a centre.

    The sense is that of all medreg transforms: points of the result to points of the images.

    Args:
        grid: where the voxels of the images lie.
        parameters: a, (12,) in 3D, (6,) in 2D, or one row for each image. First the linear part, row by row, then the
            shift along x, y(, z); each in millimetres at `radius`. Zeros are the identity. Numbers or a tensor stay, an
            `nn.Parameter` is learnt, a module predicts them from the images, None means that they come with each call.
        centre: LPS mm; None for the middle of the grid. A tensor gets its gradient, an `nn.Parameter` is learnt.
        radius: millimetres; None for the root mean square distance of the grid's points from its middle.
        interpolation: the kernel.
        outside: what points get that the images do not reach.

    Shape:
        (N, C, z, y, x) or (N, C, y, x), and the same comes out.

    Raises:
        TransformError: parameters or a centre of another shape.

    Example:
        >>> grid = Grid.regular((4, 1), (1.0, 1.0))
        >>> shift = Affine(grid, [0.0, 0, 0, 0, 1, 0])  # one millimetre along x
        >>> shift(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]))
        tensor([[[[2., 3., 4., 0.]]]])
    """

    kind = Kind.AFFINE


class Homography(_Exponential):
    """Images through a projective map: out(p) = in(M p / w), M = exp(sum_k a_k G_k) about a centre.

    As `Affine`, with 8 parameters in 2D and 15 in 3D: the last D are those of the perspective. Points whose w is 0 have
    no place in the images; near the identity there are none.

    Example:
        >>> grid = Grid.regular((5, 5), (1.0, 1.0))
        >>> Homography(grid, torch.nn.Parameter(torch.zeros(8)))(torch.ones(1, 1, 5, 5)).mean()
        tensor(1., grad_fn=<MeanBackward0>)
    """

    kind = Kind.HOMOGRAPHY


def radius_of(grid: Grid) -> float:
    """The root mean square distance, in millimetres, of the points of a grid from its middle."""
    return max(math.sqrt(sum(length**2 for length in grid.extent) / 12), 1e-6)
