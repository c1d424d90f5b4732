"""unmix: how much of each stain a pixel holds; and mix, the picture of such amounts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.ops.arguments import Numbers, one_of
from medreg.ops.voxels import Voxels
from medreg.vision.colour.levels import channels_of, rejoined
from medreg.vision.colour.stains import HALF_A_LEVEL, Stains, optical_density, rows_of_stains, transmitted


@dataclass(frozen=True)
class LeastSquares:
    """The amounts that explain the densities best, below 0 where that is so. `mix` gives the picture back."""


@dataclass(frozen=True)
class NonNegative:
    """The amounts of 0 or more that explain the densities best, exactly, pixel by pixel: not those below 0 cut off."""


Amounts: TypeAlias = LeastSquares | NonNegative
"""What amounts may be."""


def unmix(
    image: Voxels,
    stains: Stains | Tensor,
    background: Numbers = 1.0,
    *,
    amounts: Amounts = LeastSquares(),
    darkest: float = HALF_A_LEVEL,
    dimension: int = 2,
) -> Voxels:
    """How much of each stain a pixel holds (Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23, 291-299).

    Args:
        image: RGB, as `convert` takes it.
        stains: the dyes, or a tensor (2, 3) or (3, 3) of their vectors, which gets its gradient.
        background: see `optical_density`.
        amounts: whether they may be below 0.
        darkest: see `optical_density`.
        dimension: space axes of a tensor.

    Returns:
        Three channels, in units of optical density: the amount of each stain; after two stains the residual, which is
        what is left across both, above 0 or below. Differentiable to the image, the vectors and the background.

    Raises:
        ImageError: not three channels.
        UsageError: see `Stains` and `optical_density`.

    Example:
        >>> from medreg.vision.colour import HE
        >>> slide = mix(torch.tensor([0.5, 0.2, 0.0]).view(3, 1, 1), HE)
        >>> [round(amount, 3) for amount in unmix(slide, HE)[:2].flatten().tolist()]
        [0.5, 0.2]
    """
    one_of(amounts, Amounts, "amounts")
    rows = rows_of_stains(stains)
    densities = channels_of(optical_density(image, background, darkest=darkest, dimension=dimension), 3, dimension, "")
    found = _explained(densities, _squared(rows).to(densities), len(rows), amounts)
    return rejoined(image, found, dimension, "stains")


def mix(amounts: Voxels, stains: Stains | Tensor, background: Numbers = 1.0, *, dimension: int = 2) -> Voxels:
    """The picture of amounts of stains: RGB in shares of white. The inverse of `unmix`.

    Args:
        amounts: three channels, as `unmix` gives them; with channels set to 0 the picture is that of the others alone.
        stains: see `unmix`.
        background: see `optical_density`.
        dimension: space axes of a tensor.

    Raises:
        ImageError: not three channels.
        UsageError: see `unmix`.
    """
    values = channels_of(amounts, 3, dimension, "amounts of stains")
    densities = torch.einsum("kc,k...->c...", _squared(rows_of_stains(stains)).to(values), values)
    return transmitted(rejoined(amounts, densities, dimension, "optical density"), background, dimension=dimension)


def _squared(rows: Tensor) -> Tensor:
    """(3, 3): after two stains a unit vector across both, for the residual."""
    if len(rows) == 3:
        return rows
    across = torch.linalg.cross(rows[0], rows[1])
    return torch.cat([rows, (across / across.norm())[None]])


def _explained(densities: Tensor, rows: Tensor, count: int, amounts: Amounts) -> Tensor:
    """(3, ...) amounts along the rows; those of the first `count` are held at 0 or more where that is asked."""
    free = torch.linalg.inv(rows).T
    best = torch.einsum("kc,c...->k...", free, densities)
    if isinstance(amounts, LeastSquares):
        return best
    # with two or three dyes all sets of dyes can be tried: the best one whose amounts are all 0 or more is the answer
    left = torch.where((best[:count] >= 0).all(0), 0, torch.inf)
    for size in range(count):
        for held in combinations(range(count), size):
            found = _among(densities, rows, [*held, *range(count, 3)])  # the residual may have any sign
            missed = (densities - torch.einsum("kc,k...->c...", rows, found)).square().sum(0)
            better = (found[:count] >= 0).all(0) & (missed < left)
            best, left = torch.where(better, found, best), torch.where(better, missed, left)
    return best


def _among(densities: Tensor, rows: Tensor, chosen: list[int]) -> Tensor:
    """(3, ...) amounts that explain best with some of the rows; those of the others are 0."""
    places = torch.zeros(3, len(chosen)).to(rows)
    places[chosen, range(len(chosen))] = 1
    inverse = places @ torch.linalg.pinv(rows[chosen]).T if chosen else torch.zeros(3, 3).to(rows)
    return torch.einsum("kc,c...->k...", inverse, densities)
