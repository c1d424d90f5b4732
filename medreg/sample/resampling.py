"""Resampling: an image onto another grid, through a transform, in one interpolation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample.interpolation import LINEAR, ZERO, Interpolation, Outside, Sampler
from medreg.types import FloatArray

CHUNK = 131_072
"""Points a step: the temporaries stay in a CPU's cache, and memory does not grow with the image."""


@runtime_checkable
class PointMap(Protocol):
    """A transform, as far as resampling needs to know it."""

    def map_points(self, points: Tensor) -> Tensor:
        """Where fixed points go: (N, D) float64 world points, LPS mm, to moving points (N, D)."""
        ...


Through: TypeAlias = FloatArray | Tensor | PointMap | None


def resample(
    image: MedImage,
    onto: Grid,
    through: Through = None,
    interpolation: Interpolation = LINEAR,
    outside: Outside = ZERO,
) -> MedImage:
    """`image` on the grid `onto`.

    Args:
        image: the moving image, any dtype; all of its channels or frames are resampled.
        onto: the fixed grid.
        through: where points of the fixed world lie in the image's world (ITK's sense): a homogeneous (D+1) x (D+1) matrix
            (numpy or tensor, affine or projective), an object with `map_points`, or None for the same world.
        interpolation: the kernel; `Nearest` keeps the dtype, the others return floating point.
        outside: what points outside the image get.

    Returns:
        The image on `onto`, with its own metadata. Differentiable to the voxels, to a tensor `through`, to the parameters
        of a `PointMap`, and to a tensor fill value.

    Raises:
        TransformError: when dimensions of image, grid and transform differ.
    """
    d = onto.dimension
    if image.dimension != d:
        raise TransformError(f"{image.name}: has {image.dimension} axes, the grid to resample onto has {d}")
    sampler = Sampler(image.data, interpolation, outside)
    parts = (sampler.at(index) for index in _indices(image, onto, through))
    data = _gathered(parts, onto.shape)
    return MedImage.on(onto, data, image.leading, image.metadata)


def _indices(image: MedImage, onto: Grid, through: Through) -> Iterator[Tensor]:
    """Fractional indices (N, D) into `image` of the voxels of `onto`, in memory order, a chunk of whole rows at a time."""
    device = image.data.device
    # Apple's GPUs have no float64; there the last digits are lost
    dtype = torch.float32 if device.type == "mps" else torch.float64
    to_index = torch.tensor(image.grid.inverse_affine, dtype=dtype, device=device)
    matrix = torch.tensor(onto.affine, dtype=dtype, device=device)
    pointwise = isinstance(through, PointMap) and not isinstance(through, Tensor)
    if through is not None and not pointwise:
        given = torch.as_tensor(through, dtype=dtype, device=device)
        if given.shape != matrix.shape:
            n = len(matrix)
            raise TransformError(f"resampling in {n - 1}D needs a {n}x{n} matrix, got shape {tuple(given.shape)}")
        matrix = given @ matrix
    if not pointwise:
        matrix = to_index @ matrix
    for chunk in _mapped_rows(matrix, onto):
        if pointwise:
            points = through.map_points(chunk.T)
            yield points @ to_index[:-1, :-1].T + to_index[:-1, -1]
        else:
            yield chunk.T


def _mapped_rows(matrix: Tensor, grid: Grid) -> Iterator[Tensor]:
    """Images (D, N) under the homogeneous `matrix` of the voxel indices of `grid`, a chunk of whole rows at a time.

    A row along x is where its first voxel goes, plus multiples of one step: one addition an element.
    """
    d, nx = grid.dimension, grid.size[0]
    rows = torch.cartesian_prod(*(torch.arange(n, device=matrix.device) for n in grid.shape[:-1])).view(-1, d - 1)
    rows = rows.flip(1).to(matrix.dtype)
    starts = matrix[:, 1:d] @ rows.T + matrix[:, d:]
    along = matrix[:, :1] * torch.arange(nx, dtype=matrix.dtype, device=matrix.device)
    bottom = matrix[d].detach().tolist()
    projective = any(bottom[:d]) or bottom[d] != 1 or matrix[d].requires_grad
    for start in starts.split(max(1, CHUNK // nx), 1):
        mapped = (start[:, :, None] + along[:, None, :]).flatten(1) if projective else (
            start[:d, :, None] + along[:d, None, :]
        ).flatten(1)
        yield mapped[:d] / mapped[d] if projective else mapped


def _gathered(parts: Iterator[Tensor], shape: tuple[int, ...]) -> Tensor:
    """The chunks (C, n) put together to (C, *shape)."""
    first = next(parts)
    if first.requires_grad:
        return torch.cat([first, *parts], 1).view(-1, *shape)
    whole = first.new_empty(len(first), torch.Size(shape).numel())
    whole[:, : first.shape[1]] = first
    start = first.shape[1]
    for part in parts:
        whole[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return whole.view(-1, *shape)
