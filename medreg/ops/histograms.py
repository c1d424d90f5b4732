"""Intensities brought to those of other images: histogram matching, and Nyul's standard scale.

Both send each channel through a rising, piecewise linear curve between quantiles of its own and of what it is to be
like. The curve is differentiable to the values, and so are its knots, which are sorted values.

They take a `MedImage`, a `MedImageBatch` or tensors (..., z, y, x), as in `medreg.ops.intensity`: each channel on its
own, a batch exactly as its items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.ops.arguments import described, numbers, one_of, pair, whole_number
from medreg.ops.voxels import Given, Rows, Voxels, ordered, revalued, rows_of

DECILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
"""The percentiles between which Nyul's curve is straight: the ends of the range that counts, and the deciles."""


@dataclass(frozen=True)
class Quantiles:
    """Match through quantiles, evenly spaced from the smallest to the largest value.

    Attributes:
        count: of quantiles, 2 or more; 2 matches the ranges only.
    """

    count: int = 256

    def __post_init__(self) -> None:
        whole_number(self.count, "count: matching needs 2 quantiles or more", 2)


@dataclass(frozen=True)
class EveryValue:
    """Match the whole cumulative distribution, a step for each different value.

    The result depends on the image by the order of its values alone, so no gradient reaches the image; the reference
    gets its gradient.
    """


Matching: TypeAlias = Quantiles | EveryValue


def histogram_match(
    image: Voxels,
    reference: Given,
    *,
    mask: Given | None = None,
    reference_mask: Given | None = None,
    by: Matching = Quantiles(),
    dimension: int = 3,
) -> Voxels:
    """`image` with its grey values changed so that they are distributed as those of `reference`.

    With F the cumulative distributions, y = F_reference^-1(F_image(x)). `Quantiles` takes F as straight between equally
    spaced quantiles (of the kind (n - 1) p, linear between sorted values); `EveryValue` takes a step at each different
    value, F(x) = share of values <= x, and is linear between the reference's steps, as scikit-image's
    `match_histograms` does.

    Args:
        image: what to change.
        reference: of any size, with as many channels, or with one for all (a batch may share one reference, too).
        mask: nonzero where the image's values make its distribution. Voxels outside follow the same curve; those beyond
            its ends get the ends.
        reference_mask: the same of the reference.
        by: how finely. `Quantiles` is smooth and for training, `EveryValue` exact.
        dimension: space axes at the end of tensors; images know their own.

    Returns:
        Values in the reference's range. Differentiable to the image (with `Quantiles`) and to the reference.

    Raises:
        ImageError: image or reference constant, not finite, or under an empty mask, or numbers of channels that differ.

    Example:
        >>> image, reference = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[10.0, 20.0, 60.0]])
        >>> histogram_match(image, reference, by=EveryValue(), dimension=2)
        tensor([[10., 20., 60.]])
    """
    one_of(by, Matching, "by")
    given = rows_of(image, mask, dimension)
    like = rows_of(
        reference,
        reference_mask,
        dimension if isinstance(image, Tensor) else image.dimension,
        "reference",
        "reference_mask",
    )
    if len(given) % len(like):
        raise ImageError(
            f"{given.name}: has {len(given)} channels, its reference {like.name} has {len(like)}; give one, or as many"
        )
    matched = []
    for row, values in enumerate(given.rows):
        own, wanted = given.varied(row), like.varied(row % len(like))
        if isinstance(by, Quantiles):
            shares = torch.linspace(0, 1, by.count, dtype=torch.float64, device=values.device)
            knots, targets = quantiles(own, shares), quantiles(wanted, shares).to(values)
        else:
            knots, targets = _steps(own, wanted)
        matched.append(_along(values.clamp(knots[0], knots[-1]), knots, targets))
    return revalued(image, torch.stack(matched).view(given.shape))


@dataclass(frozen=True)
class NyulScale:
    """A standard scale of grey values, learnt from many images of one contrast: plain numbers, to be kept as JSON.

    Attributes:
        percentiles: 2 or more, rising, 0 to 100.
        landmarks: where an image's values at these percentiles go, not falling.

    Raises:
        UsageError: numbers that do not fit together.
    """

    percentiles: tuple[float, ...]
    landmarks: tuple[float, ...]

    def __post_init__(self) -> None:
        _checked(self.percentiles)
        numbers(self.landmarks, "landmarks")
        falls = any(a > b for a, b in zip(self.landmarks, self.landmarks[1:], strict=False))
        if len(self.landmarks) != len(self.percentiles) or falls:
            raise UsageError(
                f"landmarks: a scale needs a landmark for each of its {len(self.percentiles)} percentiles, none below "
                f"the one before, got {self.landmarks}"
            )


def nyul_train(
    images: Sequence[Given],
    masks: Sequence[Given] | None = None,
    *,
    percentiles: Sequence[float] = DECILES,
    to: tuple[float, float] = (0.0, 100.0),
    dimension: int = 3,
) -> NyulScale:
    """The standard scale of many images of one contrast.

    Nyul and Udupa 1999 (doi:10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M), with the landmarks of
    Nyul, Udupa and Zhang 2000 (doi:10.1109/42.836373): of each image, the values at the percentiles are mapped linearly
    so that the first and the last go to the ends of `to`; a landmark of the scale is their mean over the images.

    Args:
        images: one channel each; of several, or of a batch, each counts as an image.
        masks: where the values of each image count; by default above the mean of the image, as in the paper.
        percentiles: rising, 0 to 100, linear between sorted values.
        to: where the first and the last percentile go.
        dimension: space axes at the end of tensors; images know their own.

    Raises:
        UsageError: no images, another number of masks, or percentiles that do not rise.
        ImageError: an image that is constant, not finite, or without values between the first and last percentile.

    Example:
        >>> ramp = torch.linspace(0, 1, 101).view(1, 1, 101)
        >>> everywhere = torch.ones(1, 1, 101)
        >>> scale = nyul_train([ramp, 5 * ramp + 2], [everywhere] * 2, percentiles=(0, 50, 100), dimension=2)
        >>> [round(landmark, 3) for landmark in scale.landmarks]
        [0.0, 50.0, 100.0]
    """
    percentiles = _checked(percentiles)
    for name, several in (("images", images), ("masks", masks or ())):
        if not isinstance(several, Sequence):
            raise UsageError(f"{name}: takes a list, got {described(several)}")
    if not images or (masks is not None and len(masks) != len(images)):
        raise UsageError(
            f"images, masks: training needs images, and as many masks or none, got {len(images)} and {len(masks or ())}"
        )
    to = pair(to, "to")
    mapped = []
    with torch.no_grad():
        for k, image in enumerate(images):
            found = _landmarks(
                rows_of(image, None if masks is None else masks[k], dimension, f"images[{k}]", f"masks[{k}]"),
                percentiles,
            ).double()
            share = (found - found[:, :1]) / (found[:, -1:] - found[:, :1])
            mapped.append(to[0] + share * (to[1] - to[0]))
    return NyulScale(percentiles, tuple(torch.cat(mapped).mean(0).tolist()))


def nyul_apply(image: Voxels, scale: NyulScale, mask: Given | None = None, *, dimension: int = 3) -> Voxels:
    """An image on a standard scale: its percentiles go to the scale's landmarks, linearly in between.

    Beyond the first and the last percentile the end pieces go on with their slopes, so that order is kept and nothing
    is clipped. See `nyul_train` for the source.

    Args:
        image: of the contrast that the scale was learnt from.
        scale: from `nyul_train`.
        mask: as in the training; by default what lies above the image's mean.
        dimension: space axes at the end of a tensor; an image knows its own.

    Returns:
        Values on the scale. Differentiable, through the percentiles, too.

    Raises:
        ImageError: as `nyul_train`.

    Example:
        >>> scale = NyulScale((0.0, 50.0, 100.0), (0.0, 30.0, 100.0))
        >>> values = torch.tensor([[10.0, 15.0, 20.0, 25.0, 30.0]])
        >>> nyul_apply(values, scale, mask=torch.ones(1, 5), dimension=2)
        tensor([[  0.,  15.,  30.,  65., 100.]])
    """
    one_of(scale, NyulScale, "scale")
    given = rows_of(image, mask, dimension)
    knots = _landmarks(given, scale.percentiles)
    targets = torch.tensor(scale.landmarks, dtype=knots.dtype, device=knots.device)
    standard = [_along(values, of_row, targets) for values, of_row in zip(given.rows, knots, strict=True)]
    return revalued(image, torch.stack(standard).view(given.shape))


def quantiles(values: Tensor, shares: Tensor) -> Tensor:
    """(K,): the values below which these shares of all lie, linear between sorted values (Hyndman and Fan's kind 7).

    Args:
        values: (n,) of any length; differentiable.
        shares: (K,) float64, 0 to 1.

    Example:
        >>> quantiles(torch.tensor([4.0, 1.0, 2.0]), torch.tensor([0.0, 0.5, 0.75]))
        tensor([1., 2., 3.])
    """
    one_of(values, Tensor, "values")
    one_of(shares, Tensor, "shares")
    if values.ndim != 1 or not len(values):
        raise UsageError(f"values: takes one tensor (n,) of one value or more, got {described(values)}")
    if shares.is_complex() or not bool(((shares >= 0) & (shares <= 1)).all()):
        raise UsageError(f"shares: takes numbers from 0 to 1, got {described(shares)}")
    rising = ordered(values)
    at = shares * (len(rising) - 1)
    below = at.floor().long().clamp(0, len(rising) - 1)
    above = (below + 1).clamp(max=len(rising) - 1)
    return torch.lerp(rising[below], rising[above], (at - below).to(values.dtype))


def _landmarks(given: Rows, percentiles: Sequence[float]) -> Tensor:
    """(R, K): the values of each row at the percentiles, the last above the first."""
    shares = torch.tensor(percentiles, dtype=torch.float64, device=given.rows.device) / 100
    found = []
    for row in range(len(given)):
        values = given.varied(row)
        if given.masks is None:
            above = values[values > values.detach().double().mean()]
            values = above if len(above) else values[values >= values.detach().max()]  # the mean may round up
        found.append(quantiles(values, shares))
        if not bool(found[-1][-1] > found[-1][0]):
            raise ImageError(
                f"{given.place(row)}: its values at {percentiles[0]:g} % and {percentiles[-1]:g} % of the foreground "
                "are the same; choose another mask, or percentiles further apart"
            )
    return torch.stack(found)


def _steps(own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The image's different values, and what each becomes: the reference's value at the same share of all."""
    knots, counts = torch.unique_consecutive(ordered(own.detach()), return_counts=True)
    shares = counts.cumsum(0).double() / len(own)
    rising = ordered(wanted)
    last = torch.unique_consecutive(rising.detach(), return_counts=True)[1].cumsum(0)
    steps = last.double() / len(rising)
    targets = _along(shares.clamp(min=float(steps[0])), steps, rising[last - 1].double())
    return knots, targets.to(own.dtype)


def _along(values: Tensor, knots: Tensor, targets: Tensor) -> Tensor:
    """The piecewise linear curve through (knots, targets) at `values`; the end pieces go on.

    Knots (K,) do not fall. Where several are equal the curve jumps, and at the jump the last one holds.
    """
    piece = torch.searchsorted(knots.detach(), values.detach(), right=True).sub_(1).clamp_(0, len(knots) - 2)
    start, width = knots[piece], (knots[1:] - knots[:-1])[piece]
    flat = width <= 0  # an end piece of equal knots: a jump
    share = torch.where(flat, (values >= start).to(values.dtype), (values - start) / torch.where(flat, 1.0, width))
    return targets[piece] + share * (targets[1:] - targets[:-1])[piece]


def _checked(percentiles: Sequence[float]) -> tuple[float, ...]:
    given = tuple(numbers(percentiles, "percentiles").reshape(-1).tolist())
    rising = all(a < b for a, b in zip(given, given[1:], strict=False))
    if len(given) < 2 or not rising or not (given[0] >= 0 and given[-1] <= 100):
        raise UsageError(f"percentiles: percentiles need two or more that rise from 0 to 100, got {given}")
    return given
