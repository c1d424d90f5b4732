"""Overlap of labelled regions: for two segmentations of the same structures, from people, atlases or networks.

Soft Dice with squares in the denominator, as in Milletari et al. 2016 (doi:10.1109/3DV.2016.79): unlike the form with
plain sums (Drozdzal et al. 2016, doi:10.1007/978-3-319-46976-8_19) it is 1 for equal blurred regions, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.metric.measure import Slope


def one_hot(labels: Tensor, values: Sequence[int]) -> Tensor:
    """(L, ...) float32: 1 where a voxel bears the label of that channel, else 0.

    Args:
        labels: (1, ...) whole numbers, of any dtype.
        values: the labels, one a channel; others, such as the background, are left out.

    Raises:
        ImageError: for several channels, no labels, a label twice, or voxels that are no whole numbers.

    Example:
        >>> one_hot(torch.tensor([[0, 7, 7, 9]]), [7, 9])
        tensor([[0., 1., 1., 0.],
                [0., 0., 0., 1.]])
    """
    if labels.shape[0] != 1 or not values or len(set(values)) != len(values):
        raise ImageError(
            f"an image of labels needs one channel and different labels, got {tuple(labels.shape)} and {list(values)}"
        )
    if labels.is_floating_point() and not bool((labels == labels.round()).all()):
        raise ImageError("labels are whole numbers, got fractions; was the image resampled? Use nearest for labels")
    return torch.cat([labels == value for value in values]).float()


def label_overlap(fixed: Tensor, moving: Tensor, weight: Tensor) -> Tensor:
    """1 minus the soft Dice coefficient, mean of the labels present: 0 (the same regions) to 1 (apart).

    A label is present if a counted fixed sample bears it; with none present the value is 1.

    Args:
        fixed: (L, N) shares of each label, 0 to 1, such as smoothed `one_hot`.
        moving: (L, N) shares; differentiable.
        weight: (N,) non-negative.
    """
    ours = (weight * fixed**2).sum(1)
    both = ours + (weight * moving**2).sum(1)
    dice = 2 * (weight * fixed * moving).sum(1) / both.clamp(min=1e-30)
    present = (ours > 0).to(dice)
    count = present.sum()
    return torch.where(count > 0, 1 - (present * dice).sum() / count.clamp(min=1), torch.ones_like(count))


class LabelOverlapMeasure:
    """`label_overlap` with its slope in closed form.

    1 - Dice is sum (f - m)^2 / sum (f^2 + m^2): a sum of squares over a nearly constant total, so Gauss-Newton applies.
    """

    def __init__(self, fixed: Tensor) -> None:
        """Bind to fixed shares (L, N)."""
        self.fixed = fixed
        self.squares = fixed.square()

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        ours = self.squares @ weight
        present = ours > 0
        count = int(present.sum())
        if not count:
            return Slope(1.0, torch.zeros_like(moving), torch.zeros_like(moving))
        both = (ours + moving.square() @ weight).clamp(min=1e-30)
        dice = 2 * ((self.fixed * moving) @ weight) / both
        norm = torch.where(present, 2 / (both * count), 0.0)[:, None]
        curvature = norm * weight
        slope = torch.addcmul(-self.fixed, moving, dice[:, None]).mul_(curvature)
        return Slope(1 - float(dice[present].sum()) / count, slope, curvature)
