"""Resampling to a spacing, to a number of voxels, or onto the grid of another image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

from medreg.errors import GeometryError, ImageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.background import Beyond, resolved
from medreg.ops.batching import for_batches
from medreg.ops.placing import LINEAR, ZERO
from medreg.sample import Edge, Interpolation, Nearest, resample, smooth
from medreg.sample.resampling import Through

HALF_WIDTH = 1 / (2 * sqrt(2 * log(2)))
"""Standard deviations in the full width at half maximum of a Gaussian: 0.42."""
EDGE = Edge()


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
        if not self.strength > 0:
            raise ImageError(f"anti-aliasing needs a strength above 0, got {self.strength}; pass None for none")


@for_batches
def resample_to_spacing(
    image: MedImage,
    spacing: float | Sequence[float],
    antialias: Antialias | None = None,
    interpolation: Interpolation = LINEAR,
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
        ImageError: for a filter on voxels taken by `Nearest`, which would mix labels.
    """
    d = image.dimension
    steps = tuple(float(s) for s in (spacing if isinstance(spacing, Sequence) else [spacing] * d))
    if len(steps) != d or not all(s > 0 for s in steps):
        raise GeometryError(f"{image.name}: resampling needs {d} spacings above 0 mm, got {spacing}")
    size = [max(1, round(n * s / t)) for n, s, t in zip(image.size, image.spacing, steps, strict=True)]
    return _on_lattice(image, size, steps, antialias, interpolation, outside)


@for_batches
def resize(
    image: MedImage,
    size: Sequence[int],
    antialias: Antialias | None = None,
    interpolation: Interpolation = LINEAR,
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
    if len(size) != image.dimension or min(size) < 1:
        raise GeometryError(f"{image.name}: needs {image.dimension} sizes of 1 or more voxels, got {tuple(size)}")
    steps = [extent / n for extent, n in zip(image.grid.extent, size, strict=True)]
    return _on_lattice(image, size, steps, antialias, interpolation, outside)


def _on_lattice(
    image: MedImage,
    size: Sequence[int],
    spacing: Sequence[float],
    antialias: Antialias | None,
    interpolation: Interpolation,
    outside: Beyond,
) -> MedImage:
    """`image` on a grid of its directions and middle with other voxels."""
    ratios = [t / s for s, t in zip(image.spacing, spacing, strict=True)]
    first = [(n - 1 - (m - 1) * r) / 2 for n, m, r in zip(image.size, size, ratios, strict=True)]
    origin = tuple(image.grid.to_world([first])[0].tolist())
    grid = Grid(tuple(int(n) for n in size), tuple(spacing), origin, image.direction)
    policy = resolved(outside, image.data)
    if antialias is not None and max(ratios) > 1:
        if isinstance(interpolation, Nearest):
            raise ImageError(f"{image.name}: anti-aliasing mixes labels; pass antialias=None with Nearest, or Linear")
        sigmas = [antialias.strength * sqrt(max(0.0, t**2 - s**2)) for s, t in zip(image.spacing, spacing, strict=True)]
        image = image.with_data(smooth(image.data, sigmas, image.spacing))
    return resample(image, grid, None, interpolation, policy)


@for_batches
def resample_onto(
    image: MedImage,
    onto: MedImage | Grid,
    through: Through = None,
    interpolation: Interpolation = LINEAR,
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
        TransformError: when dimensions differ.
    """
    grid = onto.grid if isinstance(onto, MedImage) else onto
    return resample(image, grid, through, interpolation, resolved(outside, image.data))
