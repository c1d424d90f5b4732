"""LocalHomographies: homographies on a lattice of control points, blended into one smooth map of points.

Each control point's homography is right about itself; between the control points their images are averaged. The weights
are hats rounded by the cubic 3 t^2 - 2 t^3, and not cubic B-splines, for three reasons: at a control point its own
homography alone counts, in value and in slope, so a parameter can be read and set by itself; 2^D homographies meet at a
point, not 4^D; and the map ends at the outermost control points without others outside that nothing would determine. It
has one continuous derivative, which is what resampling and registration ask for; a spline would have two.

The idea is that of a partition of unity (Babuska, Melenk 1997,
doi:10.1002/(SICI)1097-0207(19970228)40:4<727::AID-NME86>3.0.CO;2-N) with projective pieces, which panoramas use, too
(Zaragoza et al. 2014, doi:10.1109/TPAMI.2013.247).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add, mul
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.transform.generators import generators
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform
from medreg.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class LocalHomographies:
    """The map x -> sum_k weight_k(x) H_k(x) of world points, LPS mm, fixed to moving, with one continuous derivative.

    The weights are those of `blend`: not negative, of sum 1, and 1 at one's own control point. If all homographies are
    equal, the map is that homography. Beyond the outermost control points those of the nearest face go on. It can be
    given to `medreg.resample` as `through`.

    Attributes:
        controls: where the control points lie, in the fixed world.
        matrices: (z, y, x, D+1, D+1), in 2D (y, x, 3, 3): the homography of each control point, a map of world points
            and not of offsets from it. Those of `from_parameters` carry the gradient to the parameters.

    Raises:
        TransformError: for matrices of another shape than the controls', not finite, or with w <= 0 at their own
            control point.

    Example:
        >>> import torch
        >>> controls = controls_over(Grid.regular((101, 101), (1.0, 1.0)), (2, 2))
        >>> shifts = torch.zeros(2, 2, 8, dtype=torch.float64)
        >>> shifts[:, 1, 4] = 6.0  # the fifth parameter is a shift along x, here of the two controls on the right
        >>> local = LocalHomographies.from_parameters(shifts, controls, 50.0)
        >>> local.map_points(torch.tensor([[0.0, 9.0], [50.0, 9.0]]))
        tensor([[ 0.,  9.],
                [53.,  9.]])
    """

    controls: Grid
    matrices: Tensor

    def __post_init__(self) -> None:
        d = self.controls.dimension
        wanted = (*self.controls.shape, d + 1, d + 1)
        if tuple(self.matrices.shape) != wanted:
            raise TransformError(
                f"control points {self.controls.shape} need matrices {wanted}, got {tuple(self.matrices.shape)}"
            )
        if not self.matrices.isfinite().all():
            raise TransformError("the local homographies are not finite; lower the step with which they are trained")
        here = _positions(self.controls)
        bottom = self.matrices.detach().reshape(-1, d + 1, d + 1)[:, -1].double().cpu().numpy()
        w = (bottom[:, :-1] * here).sum(1) + bottom[:, -1]
        if (w <= 0).any():
            k = int(np.argmax(w <= 0))
            raise TransformError(
                f"the homography of the control point at {tuple(here[k].tolist())} has w = {w[k]:g} there; it must lie "
                "before the horizon, where w > 0"
            )

    @staticmethod
    def identity(controls: Grid) -> LocalHomographies:
        """All homographies the identity, float64, on the CPU."""
        import torch

        n = controls.dimension + 1
        return LocalHomographies(controls, torch.eye(n, dtype=torch.float64).expand(*controls.shape, n, n))

    @staticmethod
    def from_parameters(
        parameters: Tensor, controls: Grid, radius: float, overall: LinearTransform | Homography | Tensor | None = None
    ) -> LocalHomographies:
        """First each control's own homography exp(sum_p parameters_p G_p) about its position, then `overall`.

        Args:
            parameters: (z, y, x, P), in 2D (y, x, P), with the P = 8 (2D) or 15 (3D) of `generators`, millimetre-
                balanced; zeros give `overall` alone. The map is differentiable to them.
            controls: where the control points lie, in the fixed world.
            radius: millimetres, as in `generators`; half the distance between control points is usual.
            overall: one map for all, that of an affine or projective registration; a tensor (D+1) x (D+1) gets its
                gradient. None is the identity.

        Raises:
            TransformError: for parameters of another shape, or as the class does.
        """
        import torch

        d = controls.dimension
        basis = generators(Kind.HOMOGRAPHY, d, radius)
        if tuple(parameters.shape) != (*controls.shape, len(basis)):
            raise TransformError(
                f"control points {controls.shape} need parameters {(*controls.shape, len(basis))}, "
                f"got {tuple(parameters.shape)}"
            )
        steps = torch.einsum("...p,pij->...ij", parameters, torch.from_numpy(basis).to(parameters))
        to = np.tile(np.eye(d + 1), (*controls.shape, 1, 1))
        to[..., :d, d] = _positions(controls).reshape(*controls.shape, d)
        there = torch.from_numpy(to).to(parameters)
        matrices = there @ torch.linalg.matrix_exp(steps) @ there.inverse()
        if isinstance(overall, LinearTransform | Homography):
            overall = torch.tensor(overall.matrix)
        return LocalHomographies(controls, matrices if overall is None else overall.to(matrices) @ matrices)

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return self.controls.dimension

    def map_points(self, points: Tensor) -> Tensor:
        """Moving points (N, D) of fixed points (N, D), LPS mm; differentiable to the points and to the matrices."""
        import torch

        matrices = self.matrices.flatten(0, -3).to(points)
        homogeneous = torch.cat([points, torch.ones_like(points[:, :1])], 1)
        result = torch.zeros_like(points)
        for control, weight in zip(*blend(self.controls, points), strict=True):
            mapped = torch.einsum("nij,nj->ni", matrices.index_select(0, control), homogeneous)
            result = result + (weight / mapped[:, -1])[:, None] * mapped[:, :-1]
        return result


def blend(controls: Grid, points: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Which control points count at each point (N, D), and by how much.

    Returns:
        For the 2^D corners of a cell, each as (N,): the control point's place in the flattened lattice, x fastest; and
        its weight, 0 to 1, the product over the axes of 3 t^2 - 2 t^3, differentiable to the points. The weights of a
        point sum to 1; outside the lattice they are those of its nearest point.
    """
    import torch

    d = controls.dimension
    to_index = torch.tensor(controls.inverse_affine, dtype=points.dtype, device=points.device)
    index = points @ to_index[:d, :d].T + to_index[:d, d]
    places, weights = [], []
    for x, n in zip(index.unbind(1), controls.size, strict=True):
        low = x.detach().nan_to_num(0.0).floor().clamp(0, max(n - 2, 0))
        t = (x - low).clamp(0, min(n - 1, 1))
        rise = t * t * (3 - 2 * t)
        places.append((low.long(), (low.long() + 1).clamp(max=n - 1)))
        weights.append((1 - rise, rise))
    strides = np.cumprod([1, *controls.size[:-1]]).tolist()
    corners = list(product((0, 1), repeat=d))
    control = [reduce(add, (places[k][c[k]] * strides[k] for k in range(d))) for c in corners]
    weight = [reduce(mul, (weights[k][c[k]] for k in range(d))) for c in corners]
    return control, weight


def controls_over(grid: Grid, counts: Sequence[int]) -> Grid:
    """Control points, `counts` along x, y(, z), evenly over `grid`, the outer ones at its outermost voxel centres.

    An axis of one control point has it in the middle; with one on every axis there is a single homography.

    Raises:
        GeometryError: for counts below 1, or several control points on an axis of one voxel.
    """
    d = grid.dimension
    steps = [(n - 1) / (count - 1) if count > 1 else n for n, count in zip(grid.size, counts, strict=True)]
    first = [0.0 if count > 1 else (n - 1) / 2 for n, count in zip(grid.size, counts, strict=True)]
    affine = grid.affine.copy()
    affine[:d, :d] *= steps
    affine[:d, d] = grid.to_world([first])[0]
    return Grid.from_affine(counts, affine)


def _positions(controls: Grid) -> FloatArray:
    """World points (K, D) of the control points, x fastest."""
    axes = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in controls.shape), indexing="ij")
    return controls.to_world(np.stack(axes[::-1], -1).reshape(-1, controls.dimension))
