"""How strong a prior should be: as strong as the noise allows (Morozov 1966, the discrepancy principle)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple

from medreg.errors import UsageError
from medreg.ops.arguments import described, number, one_of
from medreg.ops.voxels import Voxels
from medreg.optimise.tensors import Descent
from medreg.vision.inverse.operators import Measured, Operator
from medreg.vision.inverse.priors import Prior, Smoothness, TotalVariation, Within, check_priors
from medreg.vision.inverse.restoring import Restored, Watch, restore

SHARE = 0.97
"""Of the noise that is to be left as misfit: an image that is free to follow explains a little of the noise as well."""

CLOSE = 0.01
"""Of the noise: a misfit this near is as good as there."""

HASTE = 10
"""Weights are tried with a descent that ends so many times sooner; the one that is chosen goes its whole way."""

MOST = 10
"""Weights that are tried."""

STRIDE = 8.0
"""From one weight to the next while the right one is not yet between two."""


class Balanced(NamedTuple, Generic[Voxels]):
    """An image whose misfit is the noise.

    Attributes:
        restored: the image and how it was found; its misfit tells how near to the noise it came.
        weight: the prior's.
    """

    restored: Restored[Voxels]
    weight: float


def restore_to_noise(
    measured: Measured,
    through: Operator[Voxels],
    start: Voxels,
    noise: float,
    prior: Callable[[float], Prior],
    priors: Sequence[Prior] = (),
    descent: Descent | None = None,
    *,
    dimension: int = 3,
    watch: Watch | None = None,
) -> Balanced[Voxels]:
    """`restore` with the weight of a prior at which the misfit is the noise: less fits noise, more loses the image.

    The misfit grows with the weight; some weights are tried, each from the image of the one before, until it is within
    a hundredth of 0.97 times the noise. Where even the least weight leaves more (the operator is not quite what
    measured, or the noise is larger than said), the best fit comes back; where even the largest leaves less (the noise
    is far less than said), an image with nothing left in it. The misfit says so.

    Args:
        measured: as for `restore`.
        through: as for `restore`.
        start: as for `restore`.
        noise: the standard deviation of the measurements, in their unit.
        prior: from a weight to a prior, e.g. `lambda weight: TotalVariation(weight, knee=0.1)`.
        priors: others, whose weight stays.
        descent: for each weight; as for `restore`.
        dimension: as for `restore`.
        watch: as for `restore`.

    Raises:
        UsageError: a noise that is not above 0, a prior whose weight is set already, and what `restore` raises.
        ImageError: as `restore`.

    Example:
        >>> import torch
        >>> from medreg.vision.inverse import TotalVariation
        >>> step = torch.tensor([0.0] * 50 + [1.0] * 50) + 0.1 * torch.randn(100, generator=torch.manual_seed(0))
        >>> found = restore_to_noise(step, lambda x: x, step, 0.1, lambda w: TotalVariation(w, 0.05), dimension=1)
        >>> 0.09 < found.restored.misfit < 0.1
        True
    """
    if not 0 < number(noise, "noise", finite=False) < math.inf:
        raise UsageError(f"noise: takes a standard deviation above 0, got {noise}; without noise call restore")
    if isinstance(prior, TotalVariation | Smoothness | Within) or not callable(prior):
        raise UsageError(
            "prior: takes a function from a weight to a prior, such as lambda weight: TotalVariation(weight, 0.1), got "
            f"{described(prior)}"
        )
    check_priors(priors)
    how = Descent() if descent is None else one_of(descent, Descent, "descent")
    hasty = replace(how, gain=min(0.1, HASTE * how.gain), window=max(1, how.window // 2))

    def at(weight: float, image: Voxels, how: Descent) -> Restored[Voxels]:
        return restore(measured, through, image, [prior(weight), *priors], how, dimension=dimension, watch=watch)

    weight, image = noise, start
    search = _Search(noise)
    for _ in range(MOST):
        found = at(weight, image, hasty)
        image = found.image
        following = search.after(weight, found.misfit)
        if following is None:
            break
        weight = following
    return Balanced(at(weight, image, how), weight)


class _Search:
    """For the weight whose misfit is `SHARE` of the noise, on the logarithm of weights."""

    def __init__(self, noise: float) -> None:
        self.target, self.close = SHARE * noise, CLOSE * noise
        self.below: tuple[float, float] | None = None  # the logarithm of a weight, and how far its misfit is off
        self.above: tuple[float, float] | None = None

    def after(self, weight: float, misfit: float) -> float | None:
        """The weight to try next; None if this one will do."""
        off = misfit - self.target
        if abs(off) <= self.close:
            return None
        if off < 0:
            self.below = math.log(weight), off
        else:
            self.above = math.log(weight), off
        if self.below is None:
            return weight / STRIDE
        if self.above is None:
            return weight * STRIDE
        share = self.below[1] / (self.below[1] - self.above[1])
        return math.exp(self.below[0] + min(max(share, 0.1), 0.9) * (self.above[0] - self.below[0]))
