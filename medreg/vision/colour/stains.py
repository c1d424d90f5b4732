"""Stains: the colours of dyes on a slide; and the optical density in which they add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.ops.arguments import Numbers, as_many, described, number
from medreg.ops.voxels import Voxels
from medreg.types import FloatArray
from medreg.vision.colour.levels import channels_of, colour_of, rejoined, shares
from medreg.vision.colour.spaces import Colour

HALF_A_LEVEL = 1 / 510
"""Light below this share of the background's counts as this much: what a byte of 0 may stand for."""

_APART = 0.02
"""The volume, or the sine of the angle, that vectors of stains span at least."""


def _check_apart(unit: FloatArray, vectors: str) -> None:
    """Refuse vectors of length 1 (2 or 3, 3) that lie nearly along a line or in a plane; also what is not finite."""
    if not (np.isfinite(unit).all() and float(np.linalg.svd(unit, compute_uv=False).prod()) >= _APART):
        raise UsageError(f"stains: {vectors} are too much alike to tell them apart")


@dataclass(frozen=True)
class Stains:
    """Two or three dyes by the optical density that they give to red, green and blue.

    Attributes:
        names: of the dyes.
        vectors: one for each; brought to length 1, so that an amount of 1 is an optical density of that length.

    Raises:
        UsageError: another number of dyes, or vectors that are nearly alike.

    Example:
        >>> HE.names, [round(v, 2) for v in HE.vectors[1]]
        (('haematoxylin', 'eosin'), [0.07, 0.99, 0.11])
    """

    names: tuple[str, ...]
    vectors: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        if len(self.names) not in (2, 3) or len(self.vectors) != len(self.names):
            raise UsageError(
                "stains: takes two or three names and as many vectors (red, green, blue), got "
                f"{len(self.names)} and {len(self.vectors)}"
            )
        rows = [as_many(v, 3, "vectors", "densities", error=UsageError).detach().numpy() for v in self.vectors]
        unit = np.stack([row / max(float(np.linalg.norm(row)), 1e-300) for row in rows])
        _check_apart(unit, f"the vectors of {', '.join(self.names)}")
        object.__setattr__(self, "vectors", tuple(tuple(row.tolist()) for row in unit))

    @property
    def matrix(self) -> FloatArray:
        """(2 or 3, 3) float64, the vectors as rows."""
        return np.array(self.vectors, dtype=np.float64)


_HAEMATOXYLIN, _EOSIN, _DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)

HE = Stains(("haematoxylin", "eosin"), (_HAEMATOXYLIN, _EOSIN))
"""The usual overview. Vectors of all three: Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23, 291-299."""

HDAB = Stains(("haematoxylin", "DAB"), (_HAEMATOXYLIN, _DAB))
"""Nuclei, and a brown antibody. DAB scatters light as well: its amounts are no measure of mass."""

HED = Stains(("haematoxylin", "eosin", "DAB"), (_HAEMATOXYLIN, _EOSIN, _DAB))
"""All three of them."""


def optical_density(
    image: Voxels, background: Numbers = 1.0, *, darkest: float = HALF_A_LEVEL, dimension: int = 2
) -> Voxels:
    """-log10(light / background) of red, green and blue: in this the dyes add up (Lambert and Beer).

    Args:
        image: RGB, as `convert` takes it; light is what the camera wrote, without taking sRGB's curve off, which is how
            the vectors of stains are given.
        background: the light where there is no tissue, in shares of white (of a byte, value / 255); one, or one for
            each channel.
        darkest: light below this share of the background counts as this; there the gradient is 0.
        dimension: space axes of a tensor.

    Returns:
        The densities: 0 at the background, below 0 where it is brighter; finite, with finite gradients.

    Raises:
        ImageError: not three channels.
        UsageError: a background that is not above 0.

    Example:
        >>> optical_density(torch.tensor([1.0, 0.1, 0.01]).view(3, 1, 1)).flatten()
        tensor([0., 1., 2.])
    """
    values = channels_of(_shared(image), 3, dimension, "RGB")
    if not 0 < number(darkest, "darkest") < 1:
        raise UsageError(f"darkest: takes a share of the background between 0 and 1, got {darkest}")
    light = values / _beside(_lit(background), values)
    densities = 0 - torch.log10(light.clamp(min=darkest))  # not -log10: that would write -0 for the background
    return rejoined(image, densities, dimension, "optical density")


def transmitted(density: Voxels, background: Numbers = 1.0, *, dimension: int = 2) -> Voxels:
    """The inverse of `optical_density`: RGB in shares of white, background * 10^-density.

    Raises:
        ImageError: not three channels.
        UsageError: a background that is not above 0.
    """
    values = channels_of(density, 3, dimension, "optical density")
    return rejoined(density, _beside(_lit(background), values) * 10**-values, dimension, "rgb")


def rows_of_stains(stains: Stains | Tensor) -> Tensor:
    """(2 or 3, 3) float64: the vectors as rows of length 1; those of a tensor keep their gradients.

    Raises:
        UsageError: a tensor of another shape, or of vectors that are nearly alike.
    """
    if isinstance(stains, Stains):
        return torch.from_numpy(stains.matrix)
    if not isinstance(stains, Tensor) or stains.shape not in ((2, 3), (3, 3)) or not stains.is_floating_point():
        raise UsageError(f"stains: takes Stains, or a tensor (2, 3) or (3, 3) of vectors, got {described(stains)}")
    rows: Tensor = stains / stains.norm(dim=1, keepdim=True)
    _check_apart(rows.detach().cpu().double().numpy(), f"the vectors {stains.tolist()}")
    return rows


def _lit(background: Numbers) -> Tensor:
    light = as_many(background, 3, "background", "values", error=UsageError)
    if not bool((light > 0).all()):
        raise UsageError(f"background: takes shares of white above 0, got {light.detach().tolist()}")
    return light


def _beside(three: Tensor, values: Tensor) -> Tensor:
    """(3,) numbers that multiply channels (3, ...)."""
    return three.to(values).view(3, *[1] * (values.ndim - 1))


def _shared(image: Voxels) -> Voxels | Tensor:
    colour_of(image, Colour.RGB)
    values = shares(image)
    return values if isinstance(image, Tensor) else image.with_data(values)
