"""Stains of a slide, found in the slide itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import Numbers, number, one_of, pair
from medreg.ops.histograms import quantiles
from medreg.ops.voxels import Given, rows_of
from medreg.vision.colour.levels import channels_of
from medreg.vision.colour.stains import HE, Stains, optical_density

_FEWEST = 100
"""Pixels with stain that vectors are estimated from at least."""

_FAN = math.radians(3)
"""The angle between two dyes at least; one dye alone, with the noise of a camera, spans less."""


def estimate_stains(
    image: Given,
    like: Stains = HE,
    background: Numbers = 1.0,
    *,
    mask: Given | None = None,
    least: float = 0.15,
    percentiles: Sequence[float] = (1.0, 99.0),
    dimension: int = 2,
) -> Stains:
    """The vectors of two dyes, estimated from a slide (Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250).

    The densities of stained pixels lie in the plane of the two vectors, a fan between them. The plane is that of the
    two largest singular values; the vectors are the fan's edges, taken at percentiles of the angle. Light that falls
    through tissue with one dye alone must make up more than the percentiles leave out.

    Args:
        image: RGB, as `convert` takes it; of a batch, all pictures together give one answer.
        like: two dyes, whose names the found ones get: those that are nearest.
        background: see `optical_density`.
        mask: nonzero where pixels count: (1, y, x), or an image on the same grid.
        least: pixels whose density is a shorter vector than this count as background. (Some programs ask it of every
            channel, which loses thin eosin: it hardly dims red.)
        percentiles: of the angle, the low and the high one.
        dimension: space axes of a tensor.

    Raises:
        ImageError: too few pixels that are stained, or one dye alone.
        UsageError: not two dyes, or percentiles out of order.

    Example:
        >>> from medreg.vision.colour import HE, mix
        >>> alone = torch.eye(3)[:2].repeat(200, 1).T.reshape(3, 20, 20)  # every other pixel haematoxylin, or eosin
        >>> found = estimate_stains(mix(alone, HE))
        >>> [round(v, 2) for v in found.vectors[0]]
        [0.65, 0.7, 0.29]
    """
    one_of(like, Stains, "like")
    if len(like.names) != 2:
        raise UsageError(f"like: two dyes can be found in a slide, got {len(like.names)}: {', '.join(like.names)}")
    low, high = (float(end) for end in pair(percentiles, "percentiles"))
    if not 0 <= low < high <= 100:
        raise UsageError(f"percentiles: takes two that rise within 0 to 100, got {low:g} and {high:g}")
    with torch.no_grad():
        densities = _stained(image, background, mask, number(least, "least"), dimension)
        plane = _plane(densities)
        along, across = plane @ densities
        angles = torch.atan2(across, along)
        ends = quantiles(angles, torch.tensor([low, high], dtype=torch.float64) / 100)
        if float(ends[1] - ends[0]) < _FAN:
            raise ImageError(
                f"{_name(image)}: holds one dye alone: densities spread over {math.degrees(ends[1] - ends[0]):.1f} "
                "degrees; take another part, or give the vectors"
            )
        found = torch.stack([ends.cos(), ends.sin()], 1) @ plane
        known = torch.from_numpy(like.matrix).to(found)
        if float((found * known).sum()) < float((found.flip(0) * known).sum()):
            found = found.flip(0)
    one, other = (tuple(row) for row in found.cpu().tolist())
    return Stains(like.names, (one, other))


def _stained(image: Given, background: Numbers, mask: Given | None, least: float, dimension: int) -> Tensor:
    """(3, n) float64 on the CPU: densities of the pixels that count."""
    dense: Given = optical_density(image, background, dimension=dimension)  # type: ignore[type-var]
    densities = channels_of(dense, 3, dimension, "optical density")
    flat = densities.reshape(3, -1).cpu().double()
    counts = flat.square().sum(0) >= least**2
    counted = rows_of(image, mask, dimension).masks  # (N * 3, V): the same for each channel
    if counted is not None:
        counts &= counted.view(-1, 3, counted.shape[1])[:, 0].reshape(-1).cpu()
    if int(counts.sum()) < _FEWEST:
        raise ImageError(
            f"{_name(image)}: {int(counts.sum())} pixels are stained, at a density of {least:g} or more; {_FEWEST} are "
            "needed; lower `least`, widen the mask, or check the background"
        )
    return flat[:, counts]


def _plane(densities: Tensor) -> Tensor:
    """(2, 3) float64: unit vectors that span the plane of the two dyes, the first in the middle of their fan."""
    _, vectors = torch.linalg.eigh(densities @ densities.T)  # rising; not about the mean: the plane holds the origin
    middle, across = vectors[:, 2], vectors[:, 1]
    return torch.stack([middle if float(middle.sum()) > 0 else -middle, across])


def _name(image: Given) -> str:
    return image.name if isinstance(image, MedImage) else "image"
