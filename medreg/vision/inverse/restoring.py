"""Images from what was measured of them: the one that a forward operator takes nearest to the measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.ops.arguments import described, one_of
from medreg.ops.voxels import Voxels
from medreg.optimise.record import Outcome
from medreg.optimise.tensors import Descent, Look, descend
from medreg.vision.filters.spaces import in_place_of
from medreg.vision.inverse.operators import Measured, Operator, data_of, predicted, voxels_of
from medreg.vision.inverse.priors import Prior, check_priors

Watch = Callable[[Look], None]


@dataclass(frozen=True)
class Restored(Generic[Voxels]):
    """What was found, and how well it explains the measurements.

    Attributes:
        image: the kind that the start was.
        misfit: root mean square of what the image predicts less what was measured. Near the noise when all is well;
            far above it the operator is wrong or the prior too strong, far below it noise has become image.
        looks: every evaluation of the loss.
        outcome: how the descent ended.
    """

    image: Voxels
    misfit: float
    looks: tuple[Look, ...]
    outcome: Outcome


def restore(
    measured: Measured,
    through: Operator[Voxels],
    start: Voxels,
    priors: Sequence[Prior] = (),
    descent: Descent | None = None,
    *,
    dimension: int = 3,
    watch: Watch | None = None,
) -> Restored[Voxels]:
    """The image whose mean squared misfit, and what the priors add to it, is least, by gradient descent from `start`.

    The loss is mean(|through(image) - measured|^2) + the sum of the priors' prices. With quadratic priors, or none, and
    a linear operator it has one minimum; with total variation, too.

    Args:
        measured: what is known; complex, too. NaN where nothing was measured: such places do not count.
        through: from an image, of the kind of `start`, to what would be measured of it; differentiable: a filter, a
            warp, a raster, ray sums, any module, or several of them.
        start: where to begin: an image, a batch, or a tensor (..., z, y, x).
        priors: `TotalVariation`, `Smoothness`, `Within`, or functions of the values and their spacing.
        descent: the method and its limits; None for 200 evaluations of L-BFGS.
        dimension: space axes at the end of tensors; images know their own.
        watch: called with each evaluation.

    Raises:
        UsageError: what is predicted has another shape than what was measured, or does not depend on the image; priors
            that are no list of functions, or one that gives more than one number; no descent.
        DeviceError: what is predicted is on another device than what was measured.
        ImageError: nothing was measured, or the start is not finite.

    Example:
        >>> from medreg.vision.filters import gaussian
        >>> truth = torch.zeros(1, 9, 9)
        >>> truth[0, 4, 3:6] = 1.0
        >>> blur = lambda picture: gaussian(picture, 0.6, dimension=2)
        >>> sharp = restore(blur(truth), blur, torch.zeros(1, 9, 9), dimension=2)
        >>> bool((sharp.image - truth).abs().max() < 0.01)
        True
    """
    how = Descent() if descent is None else one_of(descent, Descent, "descent")
    check_priors(priors)
    space = voxels_of(start, dimension)
    values = space.values.detach().clone()
    if not bool(values.isfinite().all()):
        raise ImageError(f"{space.name}: the start holds values that are not finite; replace them first")
    target = data_of(measured).detach()
    known = target.isfinite()
    if not bool(known.any()):
        raise ImageError("measured: holds no finite value; there is nothing to restore an image from")
    target = torch.where(known, target, 0.0)

    def misfit() -> Tensor:
        off = torch.where(known, predicted(through, start, values, target) - target, 0.0)
        return (off * off.conj()).real.sum() / known.sum()

    def evaluate() -> float:
        with torch.enable_grad():
            loss = misfit()
            for prior in priors:
                loss = loss + _price(prior, values, space.spacing)
            loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    looks: list[Look] = []
    outcome = Outcome.STEPS_SPENT
    for event in descend([values.requires_grad_()], evaluate, how):
        if isinstance(event, Outcome):
            outcome = event
            break
        looks.append(event)
        if watch is not None:
            watch(event)
    values = values.detach()
    with torch.no_grad():
        left = math.sqrt(float(misfit()))
    return Restored(in_place_of(start, values), left, tuple(looks), outcome)


def _price(prior: Prior, values: Tensor, spacing: Sequence[float]) -> Tensor:
    price = prior(values, spacing)
    if isinstance(price, Tensor) and price.numel() != 1:
        raise UsageError(f"priors: each gives one number for an image, {described(prior)} gave {described(price)}")
    return price
