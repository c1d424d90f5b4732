"""Coordinate maps of any kind, and maps one after the other: points go through all of them before anything is sampled.

A coordinate map takes fixed points to moving points, LPS mm, as a transform does: points of the result of a warp to
points of the image that is warped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from medreg.errors import TransformError
from medreg.sample.resampling import HasMatrix, PointMap
from medreg.transform.homography import project
from medreg.types import FloatArray

Map: TypeAlias = FloatArray | Tensor | HasMatrix | PointMap | Callable[[Tensor], Tensor]
"""A homogeneous matrix (D+1, D+1), a transform, a torch module, or a plain function of points (N, D) -> (N, D)."""


class Composite(nn.Module):
    """Maps one after the other: `Composite(second, first)` takes x to second(first(x)).

    An image that is warped through it is interpolated once, where nested warps blur twice. Gradients reach the
    parameters of every part; those of modules and `nn.Parameter` matrices are this module's own, so that an optimiser
    finds them.

    Args:
        maps: the last of them acts first, as in a product of matrices; a composite among them is taken apart.

    Attributes:
        maps: all parts.

    Raises:
        TransformError: no maps, or something that is none.

    Example:
        >>> shift = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> Composite(lambda points: 2 * points, shift)(torch.tensor([[1.0, 1.0]]))
        tensor([[8., 2.]])
    """

    def __init__(self, *maps: Map) -> None:
        super().__init__()
        if not maps:
            raise TransformError("a composite needs one map or more, got none")
        for number, part in enumerate(maps):
            if not is_map(part):
                raise TransformError(
                    f"part {number} of a composite is a {type(part).__name__}; wanted a matrix, a transform, a torch "
                    "module or a function of points (N, D)"
                )
        parts: list[Map] = []
        for part in maps:
            parts += part.maps if isinstance(part, Composite) else (part,)
        self.maps: tuple[Map, ...] = tuple(parts)
        self.modules_within = nn.ModuleList([part for part in parts if isinstance(part, nn.Module)])
        self.matrices_within = nn.ParameterList([part for part in parts if isinstance(part, nn.Parameter)])

    def forward(self, points: Tensor) -> Tensor:
        """Moving points (N, D) of fixed points (N, D), LPS mm; differentiable to the points and to every part."""
        for part in reversed(self.maps):
            points = mapped(part, points)
        return points

    def map_points(self, points: Tensor) -> Tensor:
        """The same, as transforms call it."""
        return self(points)  # type: ignore[no-any-return]

    def joined_matrix(self) -> Tensor | None:
        """(D+1, D+1), where every part has a matrix; it carries the gradients of those that are tensors.

        Raises:
            TransformError: matrices of different dimensions.
        """
        total: Tensor | None = None
        for matrix in map(matrix_of_map, self.maps):
            if matrix is None:
                return None
            if total is not None and matrix.shape != total.shape:
                raise TransformError(
                    f"matrices one after the other are of one shape, got {tuple(total.shape)} after "
                    f"{tuple(matrix.shape)}"
                )
            total = matrix if total is None else total @ matrix.to(total)
        return total

    def inverse(self) -> Composite:
        """The map from moving to fixed points.

        Raises:
            TransformError: a part without an inverse.
        """
        back = inverse_of(self)
        if isinstance(back, Composite):
            return back
        lacking = next(part for part in self.maps if inverse_of(part) is None)
        raise TransformError(f"the {type(lacking).__name__} in this composite has no inverse in closed form")


def is_map(value: object) -> bool:
    """Whether a value can be a coordinate map: not a class, which would be called with points in place of settings."""
    fits = isinstance(value, np.ndarray | Tensor | HasMatrix | PointMap) or callable(value)
    return fits and not isinstance(value, type)


def mapped(through: Map, points: Tensor) -> Tensor:
    """Where any map takes points (N, D): moving points (N, D) in the same dtype, differentiable to both.

    A torch module without `map_points` is given points in the dtype of its own parameters.

    Raises:
        TransformError: a matrix of another dimension, or a map that gives something else than as many points.
    """
    matrix = matrix_of_map(through)
    if matrix is not None:
        d = points.shape[1]
        if matrix.shape != (d + 1, d + 1):
            raise TransformError(f"points in {d}D go through a {d + 1}x{d + 1} matrix, got shape {tuple(matrix.shape)}")
        return project(matrix.to(points), points)
    if isinstance(through, PointMap):
        found: object = through.map_points(points)
    elif isinstance(through, nn.Module):
        own = next((p for p in through.parameters() if p.is_floating_point()), points)
        found = through(points.to(own.dtype))
    else:
        found = through(points)  # type: ignore[operator]
    if not isinstance(found, Tensor) or found.shape != points.shape or not found.is_floating_point():
        got = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise TransformError(
            f"the map {_name(through)} was given points {tuple(points.shape)} and returned {got}; a coordinate map "
            "returns a floating-point tensor of as many points, x, y(, z) in the last axis"
        )
    return found.to(points.dtype)


def matrix_of_map(through: Map) -> Tensor | None:
    """The homogeneous matrix of a map that has one; of the dtype it has, float64 where it is an array."""
    if isinstance(through, Tensor):
        return through
    if isinstance(through, np.ndarray):
        return torch.tensor(through, dtype=torch.float64)
    if isinstance(through, Composite):
        return through.joined_matrix()
    if isinstance(through, HasMatrix):
        return torch.tensor(through.matrix, dtype=torch.float64)
    return None


def inverse_of(through: Map) -> Map | None:
    """The map back, of maps that know theirs: matrices, and whatever has a method `inverse`; None of others.

    Raises:
        TransformError: a singular matrix.
    """
    if isinstance(through, Composite):
        parts = [inverse_of(part) for part in reversed(through.maps)]
        found = [part for part in parts if part is not None]
        return Composite(*found) if len(found) == len(parts) else None
    if isinstance(through, np.ndarray | Tensor):
        matrix = torch.tensor(through) if isinstance(through, np.ndarray) else through
        if not bool(matrix.detach().isfinite().all()) or float(torch.linalg.det(matrix.detach())) == 0:
            raise TransformError(f"the map has no inverse, its matrix is singular: {matrix.tolist()}")
        found_inverse: Tensor = torch.linalg.inv(matrix)
        return found_inverse
    back = getattr(through, "inverse", None)
    found_back: Map | None = back() if callable(back) else None
    return found_back


def _name(through: object) -> str:
    return getattr(through, "__name__", type(through).__name__)
