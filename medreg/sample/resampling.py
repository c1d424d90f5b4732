"""Resampling: an image onto another grid, through a transform, in one interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample.interpolation import LINEAR, ZERO, Interpolation, Outside, Sampler
from medreg.sample.labels import Label, Place, vote
from medreg.sample.sharing import points_at_once, shared
from medreg.sample.warping import Chunk, mapped_rows, warp
from medreg.types import FloatArray


@runtime_checkable
class PointMap(Protocol):
    """A transform, as far as resampling needs to know it."""

    def map_points(self, points: Tensor) -> Tensor:
        """Where fixed points go: (N, D) float64 world points, LPS mm, to moving points (N, D)."""
        ...


@runtime_checkable
class HasMatrix(Protocol):
    """A linear transform: its matrix serves faster than its points."""

    @property
    def matrix(self) -> FloatArray:
        """Homogeneous (D+1) x (D+1), fixed to moving points, LPS mm."""
        ...


Through: TypeAlias = FloatArray | Tensor | HasMatrix | PointMap | None


def resample(
    image: MedImage,
    onto: Grid,
    through: Through = None,
    interpolation: Interpolation | Label = LINEAR,
    outside: Outside = ZERO,
) -> MedImage:
    """`image` on the grid `onto`.

    Args:
        image: the moving image, any dtype; all of its channels or frames are resampled.
        onto: the fixed grid.
        through: where points of the fixed world lie in the image's world (ITK's sense): a homogeneous (D+1) x (D+1)
            matrix (numpy or tensor, affine or projective), a transform (with `matrix` or `map_points`), or None for the
            same world.
        interpolation: the kernel; `Nearest`, and `Label` for label maps, keep the dtype, the others return floating
            point.
        outside: what points outside the image get.

    Returns:
        The image on `onto`, with its own metadata. Differentiable to the voxels, to a tensor `through`, to the
        parameters of a `PointMap`, and to a tensor fill value.

    Raises:
        TransformError: when dimensions of image, grid and transform differ.
    """
    d = onto.dimension
    if image.dimension != d:
        raise TransformError(f"{image.name}: has {image.dimension} axes, the grid to resample onto has {d}")
    if isinstance(interpolation, Label):
        data = vote(image.data, _place(image, onto, through), onto.shape, interpolation, outside)
        return MedImage.on(onto, data, image.leading, image.metadata)
    if isinstance(through, PointMap) and not isinstance(through, HasMatrix):
        return _by_points(image, onto, through, interpolation, outside)
    matrix = through.matrix if isinstance(through, HasMatrix) else through
    data = warp(image.data, _index_matrix(image, onto, matrix), onto.shape, interpolation, outside)
    return MedImage.on(onto, data, image.leading, image.metadata)


def _precision(device: torch.device) -> torch.dtype:
    """What coordinates are computed in. Apple's GPUs have no float64: there an index is right to 1e-5 voxel."""
    return torch.float32 if device.type == "mps" else torch.float64


def _index_matrix(image: MedImage, onto: Grid, through: FloatArray | Tensor | None) -> Tensor:
    """From voxel indices of `onto` to those of `image`."""
    device = image.data.device
    dtype = _precision(device)
    to_index = torch.tensor(image.grid.inverse_affine, dtype=dtype, device=device)
    to_world = torch.tensor(onto.affine, dtype=dtype, device=device)
    if through is None:
        return to_index @ to_world
    n = len(to_world)
    matrix = (through if isinstance(through, Tensor) else torch.tensor(through)).to(device, dtype)
    if matrix.shape != (n, n):
        raise TransformError(f"resampling in {n - 1}D needs a {n}x{n} matrix, got shape {tuple(matrix.shape)}")
    return to_index @ (matrix @ to_world)


def _by_points(
    image: MedImage, onto: Grid, through: PointMap, interpolation: Interpolation, outside: Outside
) -> MedImage:
    """`resample` through any transform, a chunk of world points at a time."""
    device = image.data.device
    dtype = _precision(device)
    to_index = torch.tensor(image.grid.inverse_affine, dtype=dtype, device=device)
    to_world = torch.tensor(onto.affine, dtype=dtype, device=device)
    origin = torch.tensor([onto.origin], dtype=dtype, device=device)
    settings = (getattr(outside, "value", None), getattr(interpolation, "coefficients", None))
    seen = (image.data, *settings, through.map_points(origin))  # its parameters show in the last
    involved = [t for t in seen if isinstance(t, Tensor)]
    sampler = Sampler(image.data, interpolation, outside)
    chunks = [
        partial(_mapped_by, through, to_index, chunk)
        for chunk in mapped_rows(to_world, onto.shape, points_at_once(prod(onto.size), *involved))
    ]
    parts = shared(lambda chunk: sampler.at_axes(chunk()), chunks, *involved)
    return MedImage.on(onto, torch.cat(parts, 1).view(-1, *onto.shape), image.leading, image.metadata)


def _mapped_by(through: PointMap, to_index: Tensor, chunk: Chunk) -> Sequence[Tensor]:
    """The indices of a chunk of world points that `through` has mapped."""
    points = through.map_points(torch.stack(list(chunk()), -1)).to(to_index.dtype)
    return (points @ to_index[:-1, :-1].T + to_index[:-1, -1]).unbind(-1)


def _place(image: MedImage, onto: Grid, through: Through) -> Place:
    """Where the points of a lattice on `onto` lie in the image, voxels."""
    d = onto.dimension
    if isinstance(through, PointMap) and not isinstance(through, HasMatrix):
        to_index, to_world = (_on(image, matrix) for matrix in (image.grid.inverse_affine, onto.affine))

        def by_points(lattice: Sequence[Tensor]) -> Sequence[Tensor]:
            points = torch.stack(_through(to_world[:d], lattice), -1)
            with torch.no_grad():
                there = through.map_points(points).to(to_index.dtype)
            return (there @ to_index[:d, :d].T + to_index[:d, d]).unbind(-1)

        return by_points
    matrix = _index_matrix(image, onto, through.matrix if isinstance(through, HasMatrix) else through).detach()
    projective = bool(matrix[d, :d].any()) or float(matrix[d, d]) != 1.0

    def by_matrix(lattice: Sequence[Tensor]) -> Sequence[Tensor]:
        axes = _through(matrix[: d + projective], lattice)
        return [x / axes[d] for x in axes[:d]] if projective else axes

    return by_matrix


def _on(image: MedImage, matrix: FloatArray) -> Tensor:
    return torch.tensor(matrix, dtype=_precision(image.data.device), device=image.data.device)


def _through(rows: Tensor, lattice: Sequence[Tensor]) -> list[Tensor]:
    """Rows of a homogeneous matrix times the points of a lattice along x, y(, z): flat, x fastest."""
    axes = []
    for *slopes, offset in rows.tolist():
        total = lattice[0] * slopes[0] + offset
        for along, slope in zip(lattice[1:], slopes[1:], strict=True):
            total = total + (along * slope).view(-1, *[1] * total.ndim)
        axes.append(total.flatten())
    return axes
