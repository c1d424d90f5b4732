"""Resampling to a spacing, to a number of voxels, or onto the grid of another image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np
from torch import Tensor

from medreg.errors import GeometryError, ImageError, TransformError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.arguments import Numbers, Whole, as_many, described, number, one_of, whole_numbers
from medreg.ops.background import Between, Beyond, resolved
from medreg.ops.batching import for_batches
from medreg.ops.label_likeness import warn_of_mixing
from medreg.ops.placing import LINEAR, ZERO, onto_grid
from medreg.ops.room import check_room
from medreg.sample import Edge, Label, Nearest, smooth
from medreg.sample.resampling import HasMatrix, PointMap, Through

HALF_WIDTH = 1 / (2 * sqrt(2 * log(2)))
"""Standard deviations in the full width at half maximum of a Gaussian: 0.42."""
EDGE = Edge()
MOST_VOXELS = 1e9
"""Along one axis."""


@dataclass(frozen=True)
class Antialias:
    """A Gaussian before the voxels become larger, so that what they cannot show does not come back as false detail.

    Along every axis whose spacing grows from s to t, its standard deviation is strength * sqrt(t^2 - s^2): what a voxel
    of width s lacks to one of width t (Cardoso et al. 2015, doi:10.1007/978-3-319-24571-3_81). Axes whose spacing
    shrinks stay as they are.

    Attributes:
        strength: without unit; 0.42 takes s and t as full widths at half maximum.
    """

    strength: float = HALF_WIDTH

    def __post_init__(self) -> None:
        if not number(self.strength, "strength") > 0:
            raise ImageError(
                f"strength: anti-aliasing needs a strength above 0, got {self.strength}; pass None for none"
            )


@for_batches
def resample_to_spacing(
    image: MedImage,
    spacing: Numbers,
    antialias: Antialias | None = None,
    interpolation: Between = LINEAR,
    outside: Beyond = EDGE,
) -> MedImage:
    """`image` with voxels of another spacing, over the same extent.

    The spacing is exactly the one given; along each axis there are round(n s / t) voxels (1 or more), about the middle
    that the image had. So the outer faces are where they were if t divides the extent, else less than half a new voxel
    off; `resize` keeps them exactly and adapts the spacing.

    Args:
        image: or a batch, with `each` for parameters of items.
        spacing: millimetres along x, y(, z), or one for all.
        antialias: the filter before it, or None.
        interpolation: the kernel; `Nearest` for label maps.
        outside: what voxels get that lie beyond the image, as some of the outermost may.

    Raises:
        GeometryError: for spacings that are not positive, or not as many as axes.
        ImageError: for a filter on voxels taken by `Nearest` or `Label`, which would mix labels.
        UsageError: for a spacing that wants a gradient, which a grid of plain numbers has not (`warp_in_world` onto a
            `placement` has), or more voxels than the memory holds.
    """
    d = image.dimension
    given = as_many(spacing, d, "spacing", f"numbers; {image.name} needs {d} spacings above 0 mm", error=GeometryError)
    if given.requires_grad:
        raise UsageError(
            "spacing: a grid carries no gradient; detach it, or use warp_in_world onto placement(spacing, origin)"
        )
    steps = given.tolist()
    if not all(s > 0 for s in steps):
        raise GeometryError(f"spacing: resampling {image.name} needs {d} spacings above 0 mm, got {steps}")
    counts = [n * s / t for n, s, t in zip(image.size, image.spacing, steps, strict=True)]
    if max(counts) > MOST_VOXELS:
        raise UsageError(f"spacing: {image.name} would have {max(counts):.3g} voxels along an axis, got {steps} mm")
    size = [max(1, round(count)) for count in counts]
    return _on_lattice(image, size, steps, antialias, interpolation, outside, f"a spacing of {tuple(steps)} mm")


@for_batches
def resize(
    image: MedImage,
    size: Whole,
    antialias: Antialias | None = None,
    interpolation: Between = LINEAR,
    outside: Beyond = EDGE,
) -> MedImage:
    """`image` with another number of voxels over exactly the same extent: spacing n s / size.

    Args:
        image: or a batch, with `each` for parameters of items.
        size: voxels along x, y(, z).
        antialias: the filter before it, or None.
        interpolation: the kernel.
        outside: what voxels get that lie beyond the image; none do but by rounding.

    Raises:
        GeometryError: for sizes below 1, or not as many as axes.
        ImageError: for a filter on voxels taken by `Nearest`.
    """
    counts = whole_numbers(size, "size", error=GeometryError, of=f"{image.name}: ")
    if len(counts) != image.dimension or min(counts) < 1:
        raise GeometryError(f"{image.name}: size: needs {image.dimension} sizes of 1 or more voxels, got {counts}")
    steps = [extent / n for extent, n in zip(image.grid.extent, counts, strict=True)]
    return _on_lattice(image, counts, steps, antialias, interpolation, outside, f"a size of {tuple(counts)}")


def _on_lattice(
    image: MedImage,
    size: Sequence[int],
    spacing: Sequence[float],
    antialias: Antialias | None,
    interpolation: Between,
    outside: Beyond,
    cause: str,
) -> MedImage:
    """`image` on a grid of its directions and middle with other voxels; `cause` is what asked for them."""
    one_of(antialias, Antialias | None, "antialias")
    policy = resolved(outside, image.data, interpolation)
    keeps_dtype = isinstance(interpolation, Nearest | Label)
    check_room(image.data, size[::-1], image.name, cause, keeps_dtype=keeps_dtype)
    warn_of_mixing(image, interpolation)
    ratios = [t / s for s, t in zip(image.spacing, spacing, strict=True)]
    first = [(n - 1 - (m - 1) * r) / 2 for n, m, r in zip(image.size, size, ratios, strict=True)]
    origin = tuple(image.grid.to_world([first])[0].tolist())
    grid = Grid(tuple(int(n) for n in size), tuple(spacing), origin, image.direction)
    if antialias is not None and max(ratios) > 1:
        if keeps_dtype:
            raise ImageError(
                f"{image.name}: anti-aliasing mixes labels; pass antialias=None with Nearest and Label, or Linear"
            )
        sigmas = [antialias.strength * sqrt(max(0.0, t**2 - s**2)) for s, t in zip(image.spacing, spacing, strict=True)]
        image = image.with_data(smooth(image.data, sigmas, image.spacing))
    return onto_grid(image, grid, None, interpolation, policy)


@for_batches
def resample_onto(
    image: MedImage,
    onto: MedImage | Grid,
    through: Through = None,
    interpolation: Between = LINEAR,
    outside: Beyond = ZERO,
) -> MedImage:
    """`image` on the grid of another one, through a transform from there; as `medreg.resample`, also for batches.

    Args:
        image: the moving image, or a batch, with `each` for parameters of items.
        onto: the fixed image, or its grid.
        through: where points of the fixed world lie in the image's world: a matrix, a transform, or None.
        interpolation: the kernel.
        outside: what points outside the image get.

    Raises:
        TransformError: when dimensions differ, or a matrix is not finite.
        UsageError: what is no grid, transform, kernel or policy.
    """
    one_of(onto, MedImage | Grid, "onto")
    one_of(through, np.ndarray | Tensor | HasMatrix | PointMap | None, "through")
    if isinstance(through, np.ndarray | Tensor) and not _is_sound(through):
        raise TransformError(f"through: takes a matrix of finite numbers, got {described(through)}")
    policy = resolved(outside, image.data, interpolation)
    grid = onto.grid if isinstance(onto, MedImage) else onto
    keeps_dtype = isinstance(interpolation, Nearest | Label)
    check_room(image.data, grid.shape, image.name, "the grid to resample onto", keeps_dtype=keeps_dtype)
    warn_of_mixing(image, interpolation)
    return onto_grid(image, grid, through, interpolation, policy)


def _is_sound(matrix: np.ndarray[Any, Any] | Tensor) -> bool:
    """Whether it holds finite real numbers."""
    if isinstance(matrix, Tensor):
        return not matrix.is_complex() and bool(matrix.detach().isfinite().all())
    return matrix.dtype.kind in "fiu" and bool(np.isfinite(matrix).all())
