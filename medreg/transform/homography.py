"""Homography: a projective map from fixed points to moving points; its projection, and the derivative in closed form.

R. Hartley, A. Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, 2004,
doi:10.1017/CBO9780511811685, chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import map_points
from medreg.geometry.grid import Grid
from medreg.transform.generators import about, generators
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform
from medreg.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Homography:
    """A projective map of world points, LPS mm, fixed to moving: (u, w) = matrix (x, 1), x -> u / w.

    All multiples of a matrix are one map; kept is the one whose w is 1 at `centre`. The last entry, the usual choice,
    is w at the world's origin, which may lie on the horizon, far from the image; the centre may not.

    Points beyond the horizon, where w < 0, are mapped by the same quotient but mean nothing, and points on it are not
    finite: `positive_over` tells whether a grid is free of both.

    Attributes:
        matrix: (D+1) x (D+1), float64, read-only; 3x3 in 2D, 4x4 in 3D.
        centre: the point (LPS mm, fixed space) where w = 1, and about which the map is parametrised; the origin where
            none is given.

    Raises:
        TransformError: for a matrix of the wrong shape, not finite, singular, or with w <= 0 at the centre.

    Example:
        Called with D + 1 numbers it projects them; with D it appends the 1.

        >>> h = Homography(np.eye(3))
        >>> h(np.array([1.0, 2.0, 3.0])).round(4).tolist()
        [0.3333, 0.6667]
        >>> h(np.array([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """

    matrix: FloatArray
    centre: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape not in ((3, 3), (4, 4)):
            raise TransformError(f"a homography is a 3x3 (2D) or 4x4 (3D) matrix, got shape {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise TransformError(f"the homography's matrix is not finite: {matrix.tolist()}")
        d = len(matrix) - 1
        centre = tuple(float(c) for c in self.centre) or (0.0,) * d
        if len(centre) != d:
            raise TransformError(f"a {d}D homography has a centre of {d} coordinates, got {centre}")
        w = float(matrix[d] @ [*centre, 1.0])
        if w <= 0:
            raise TransformError(
                f"the homography has w = {w:g} at its centre {centre}, which must lie before the horizon, where w > 0; "
                "choose a centre inside the fixed image, or give the negative of the matrix, which is the same map"
            )
        matrix /= w
        if _flatness(matrix, centre) > 1e12:
            raise TransformError(f"the homography's matrix is singular, it maps space onto less: {matrix.tolist()}")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "centre", centre)

    @staticmethod
    def of(matrix: FloatArray) -> Homography:
        """The homography of this matrix, linear ones included, about the origin."""
        return Homography(matrix)

    def __call__(self, vector: FloatArray) -> FloatArray:
        """The moving point (D,) of a fixed point: (D,) LPS mm, or (D+1,) homogeneous, of any scale but w = 0.

        Raises:
            TransformError: for another number of coordinates.
        """
        vector, d = np.asarray(vector, dtype=np.float64), self.dimension
        if vector.shape not in ((d,), (d + 1,)):
            raise TransformError(f"a {d}D homography maps {d} or {d + 1} coordinates, got shape {vector.shape}")
        mapped = self.matrix @ (np.append(vector, 1.0) if len(vector) == d else vector)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(mapped[:d] / mapped[d], dtype=np.float64)

    @property
    def kind(self) -> Kind:
        """Always the family of homographies."""
        return Kind.HOMOGRAPHY

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.matrix) - 1

    def w(self, points: FloatArray) -> FloatArray:
        """(N,) what points (N, D) are divided by: 1 at the centre, 0 on the horizon, negative beyond it."""
        result: FloatArray = np.asarray(points, dtype=np.float64) @ self.matrix[-1, :-1] + self.matrix[-1, -1]
        return result

    def positive_over(self, grid: Grid) -> bool:
        """Whether w > 0 from outer voxel face to outer voxel face of `grid`; w is affine, so its corners decide."""
        faces = [(-0.5, n - 0.5) for n in grid.size]
        corners = np.stack(np.meshgrid(*faces, indexing="ij"), -1).reshape(-1, grid.dimension)
        return bool((self.w(grid.to_world(corners)) > 0).all())

    def map(self, points: FloatArray) -> FloatArray:
        """Moving points (N, D) of fixed points (N, D), LPS mm."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return map_points(self.matrix, np.asarray(points, dtype=np.float64))

    def map_points(self, points: Tensor) -> Tensor:
        """The same for a tensor (N, D), differentiable to the points."""
        import torch

        return project(torch.tensor(self.matrix, dtype=points.dtype, device=points.device), points)

    def inverse(self) -> Homography:
        """The map from moving to fixed points; its centre is where this one's centre goes, and w is 1 there, too."""
        matrix = np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)
        return Homography(matrix, tuple(self.map(np.array([self.centre]))[0].tolist()))

    def compose(self, first: LinearTransform | Homography) -> Homography:
        """The map that does `first`, then this one, about the centre of `first`.

        Raises:
            TransformError: where `first` takes its centre to or beyond this one's horizon.
        """
        return Homography(self.matrix @ first.matrix, first.centre)

    def jacobian(self, points: FloatArray, radius: float) -> FloatArray:
        """(N, D, P): how the mapped points move per unit of each parameter, at a step of zero from here.

        Args:
            points: (N, D) fixed points, LPS mm.
            radius: millimetres, as in `generators`.
        """
        d = self.dimension
        steps = np.stack([self.matrix @ about(self.centre, g) for g in generators(self.kind, d, radius)])
        homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        moved = np.einsum("pij,nj->nip", steps, homogeneous)
        slid = self.map(points)[:, :, None] * moved[:, d:, :]  # as w changes
        result: FloatArray = (moved[:, :d, :] - slid) / self.w(points)[:, None, None]
        return result


def project(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (N, D) through a homogeneous matrix (D+1) x (D+1), divided by w; differentiable to both.

    With a stack of matrices (..., D+1, D+1) and points (..., N, D), each goes through its own.
    """
    mapped = points @ matrix[..., :-1, :-1].mT + matrix[..., None, :-1, -1]
    w = points @ matrix[..., -1, :-1, None] + matrix[..., None, -1:, -1]
    return mapped / w


def gradient_by_matrix(matrix: Tensor, points: Tensor, pull: Tensor) -> Tensor:
    """(D+1) x (D+1) dL/dmatrix in closed form, for a loss L of the points that `project` returns.

    With g = u / w, du_a = dM_a (x, 1) and dw = dM_w (x, 1), a point adds pull_a / w (x, 1) to row a and
    -(pull . g) / w (x, 1) to the last. For a picture, pull is the residual's slope times the gradient of the moving
    image at g: the warp's steepest-descent images (Baker, Matthews 2004, doi:10.1023/B:VISI.0000011205.11775.fd).

    Args:
        matrix: (D+1) x (D+1).
        points: (N, D) fixed points.
        pull: (N, D) dL/dg, the loss's slope by each mapped point.
    """
    import torch

    homogeneous = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    w = homogeneous @ matrix[-1]
    scaled = pull / w[:, None]
    along = (scaled * (homogeneous @ matrix[:-1].T)).sum(1) / w
    return torch.cat([scaled, -along[:, None]], 1).T @ homogeneous


def _flatness(matrix: FloatArray, centre: tuple[float, ...]) -> float:
    """The condition of the map's derivative at `centre`, where w is 1; infinite for a singular matrix.

    Unlike the matrix's own it depends neither on units nor on where the origin lies. About the centre and its image the
    matrix is ((derivative, 0), (p, 1)), so one is singular iff the other is.
    """
    d = len(centre)
    image = matrix[:d] @ [*centre, 1.0]
    return float(np.linalg.cond(matrix[:d, :d] - np.outer(image, matrix[d, :d])))
