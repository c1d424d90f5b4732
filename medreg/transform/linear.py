"""LinearTransform: a translation, rigid, similarity or affine map from fixed points to moving points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import invert, map_points
from medreg.transform.generators import about, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class LinearTransform:
    """A linear map of world points, LPS mm, fixed to moving.

    Attributes:
        matrix: (D+1) x (D+1) homogeneous, float64, last row (0, ..., 0, 1).
        kind: the family that it was sought in.
        centre: the point (LPS mm, fixed space) about which it was parametrised; files that hold a centre get this one.

    Raises:
        TransformError: for a matrix of the wrong shape, not finite, or with another last row.

    Example:
        >>> shift = LinearTransform.of(np.array([[1, 0, 0, 5.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
        >>> shift.map(np.zeros((1, 3))).tolist()
        [[5.0, 0.0, 0.0]]
        >>> shift.compose(shift.inverse()).map(np.ones((1, 3))).tolist()
        [[1.0, 1.0, 1.0]]
    """

    matrix: FloatArray
    kind: Kind = Kind.AFFINE
    centre: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape not in ((3, 3), (4, 4)):
            raise TransformError(f"a linear transform is a 3x3 (2D) or 4x4 (3D) matrix, got shape {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise TransformError(f"the transform's matrix is not finite: {matrix.tolist()}")
        if np.abs(matrix[-1] - np.eye(len(matrix))[-1]).max() > 1e-12:
            raise TransformError(f"the last row of a linear transform is 0 ... 0 1, got {matrix[-1].tolist()}")
        if self.kind is Kind.HOMOGRAPHY:
            raise TransformError("a homography is no linear transform; use medreg.Homography")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)
        if not self.centre:
            object.__setattr__(self, "centre", (0.0,) * (len(matrix) - 1))

    @staticmethod
    def of(matrix: FloatArray) -> LinearTransform:
        """An affine transform of this matrix about the origin."""
        return LinearTransform(matrix)

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.matrix) - 1

    def map(self, points: FloatArray) -> FloatArray:
        """Moving points (N, D) of fixed points (N, D), LPS mm."""
        return map_points(self.matrix, np.asarray(points, dtype=np.float64))

    def map_points(self, points: Tensor) -> Tensor:
        """The same for a tensor (N, D), differentiable to the points."""
        import torch

        matrix = torch.tensor(self.matrix, dtype=points.dtype, device=points.device)
        d = self.dimension
        return points @ matrix[:d, :d].T + matrix[:d, d]

    def inverse(self) -> LinearTransform:
        """The map from moving to fixed points.

        Raises:
            TransformError: when the matrix is singular.
        """
        return LinearTransform(invert(self.matrix), self.kind, tuple(self.map(np.array([self.centre]))[0].tolist()))

    def compose(self, first: LinearTransform) -> LinearTransform:
        """The transform that does `first`, then this one; the wider of both families."""
        kind = max(self.kind, first.kind, key=list(Kind).index)
        return LinearTransform(self.matrix @ first.matrix, kind, first.centre)

    def jacobian(self, points: FloatArray, radius: float) -> FloatArray:
        """(N, D, P): how the mapped points move per unit of each parameter, at a step of zero from here.

        Args:
            points: (N, D) fixed points, LPS mm.
            radius: millimetres, as in `generators`.
        """
        d = self.dimension
        steps = np.stack([self.matrix @ about(self.centre, g) for g in generators(self.kind, d, radius)])
        homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        result: FloatArray = np.einsum("pij,nj->nip", steps[:, :d, :], homogeneous)
        return result


def matrix_of(parameters: Tensor, kind: Kind, centre: tuple[float, ...], radius: float) -> Tensor:
    """The (D+1) x (D+1) matrix of `parameters` (P,), differentiable: exp(sum_k parameters_k G_k) about `centre`.

    The same units as the registration's own steps; for use inside a torch training loop.

    Args:
        parameters: (P,) millimetre-balanced, float64 or float32; zeros give the identity.
        kind: family of transforms.
        centre: D coordinates, LPS mm.
        radius: millimetres, as in `generators`.
    """
    import torch

    basis = np.stack([about(centre, g) for g in generators(kind, len(centre), radius)])
    tensor = torch.as_tensor(basis, dtype=parameters.dtype, device=parameters.device)
    matrix: Tensor = torch.linalg.matrix_exp((parameters[:, None, None] * tensor).sum(0))
    return matrix
