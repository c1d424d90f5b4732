"""Intensities brought to a common scale: z-score, ranges, windows, clipping. Each value goes its own way, by a formula.

Every function takes a `MedImage`, a `MedImageBatch` or a tensor (..., z, y, x), such as a batch (N, C, z, y, x), and
treats each channel of each item on its own: a batch gives exactly what its items give one by one. A mask says which
voxels make the statistics; the values of all voxels are changed. Integers become floating point. All is differentiable
to the values, through the statistics, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.ops.arguments import an_image, number, one_of, pair
from medreg.ops.voxels import Given, Voxels, revalued, rows_of

Range: TypeAlias = tuple[float, float]
"""Two values; the second may be the lower one, which inverts."""


def z_score(image: Voxels, mask: Given | None = None, *, dimension: int = 3) -> Voxels:
    """(x - mean) / standard deviation, of each channel: mean 0 and standard deviation 1 where the mask counts.

    The standard deviation is that of the population, sqrt(sum (x - mean)^2 / n). Both are summed in float64.

    Args:
        image: any numbers.
        mask: nonzero where voxels make the statistics; all by default.
        dimension: space axes at the end of a tensor; an image knows its own.

    Raises:
        ImageError: values that are constant or not finite where the mask counts, or a mask that is empty or does not
            fit.

    Example:
        >>> z_score(torch.tensor([[[1.0, 3.0]], [[10.0, 50.0]]]), dimension=2)
        tensor([[[-1.,  1.]],
        <BLANKLINE>
                [[-1.,  1.]]])
    """
    given = rows_of(image, mask, dimension)
    moments = given.each(_moments).to(given.rows.dtype)
    scored = (given.rows - moments[:, :1]) / moments[:, 1:]
    return revalued(image, scored.view(given.shape))


def min_max(image: Voxels, mask: Given | None = None, *, dimension: int = 3) -> Voxels:
    """(x - min) / (max - min), of each channel: 0 to 1 where the mask counts.

    Args:
        image: any numbers.
        mask: nonzero where voxels make the range; others may land outside 0 to 1.
        dimension: space axes at the end of a tensor; an image knows its own.

    Raises:
        ImageError: as `z_score`.

    Example:
        >>> min_max(torch.tensor([[2.0, 3.0, 6.0]]), dimension=2)
        tensor([[0.0000, 0.2500, 1.0000]])
    """
    return rescale(image, (0.0, 1.0), mask=mask, dimension=dimension)


def rescale(
    image: Voxels,
    to: Range,
    *,
    source: Range | None = None,
    mask: Given | None = None,
    dimension: int = 3,
) -> Voxels:
    """to[0] + (x - source[0]) / (source[1] - source[0]) * (to[1] - to[0]): linear, nothing is clipped.

    Args:
        image: any numbers.
        to: where the ends of the source go.
        source: two values of the image; by default the smallest and the largest of each channel where the mask counts.
            With (0, 1), and `to` (b, a + b), it is the rescaling a x + b.
        mask: nonzero where voxels make the range.
        dimension: space axes at the end of a tensor; an image knows its own.

    Raises:
        ImageError: as `z_score`, where no source is given.
        UsageError: a source whose ends are the same.

    Example:
        >>> rescale(torch.tensor([[0.0, 50.0, 100.0]]), (-1.0, 1.0), dimension=2)
        tensor([[-1.,  0.,  1.]])
    """
    given = rows_of(image, mask, dimension)
    to = pair(to, "to")
    if source is not None and number(pair(source, "source")[0], "source") == number(source[1], "source"):
        raise UsageError(f"source: a source range needs two different ends, got {source[0]} twice")
    if source is None:
        ends = given.each(lambda values: torch.stack([values.amin(), values.amax()]))
        low, high = ends[:, :1], ends[:, 1:]
    else:
        low, high = (torch.as_tensor(end).to(given.rows) for end in source)
    share = (given.rows - low) / (high - low)
    return revalued(image, (to[0] + share * (to[1] - to[0])).view(given.shape))


@dataclass(frozen=True)
class LinearWindow:
    """DICOM's LINEAR window (PS3.3 C.11.2.1.2.1), which a file means that names no function.

    With centre c, width w and output ymin to ymax:

        x <= c - 0.5 - (w - 1) / 2:  ymin
        x >  c - 0.5 + (w - 1) / 2:  ymax
        else:                        ((x - (c - 0.5)) / (w - 1) + 0.5) (ymax - ymin) + ymin

    The half and the one stem from whole values: a window of 0 to 255 has centre 128 and width 256.

    Attributes:
        centre: a value, or a tensor of one, which gets its gradient.
        width: 1 or more; at 1 it is a threshold.
    """

    centre: float | Tensor
    width: float | Tensor

    def __post_init__(self) -> None:
        number(self.centre, "centre")
        _check_width(self.width, 1.0)

    def share(self, values: Tensor) -> Tensor:
        """Where values lie in the window, 0 to 1."""
        middle = self.centre - 0.5
        if number(self.width, "width") == 1.0:
            return (values > middle).to(values.dtype)
        return ((values - middle) / (self.width - 1) + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class ExactWindow:
    """DICOM's LINEAR_EXACT window (PS3.3 C.11.2.1.3.2), for values that are no whole numbers, such as SUV.

        x <= c - w / 2:  ymin
        x >  c + w / 2:  ymax
        else:            ((x - c) / w + 0.5) (ymax - ymin) + ymin

    Attributes:
        centre: a value, or a tensor of one, which gets its gradient.
        width: above 0.
    """

    centre: float | Tensor
    width: float | Tensor

    def __post_init__(self) -> None:
        number(self.centre, "centre")
        _check_width(self.width, 0.0)

    def share(self, values: Tensor) -> Tensor:
        """Where values lie in the window, 0 to 1."""
        return ((values - self.centre) / self.width + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class SigmoidWindow:
    """DICOM's SIGMOID window (PS3.3 C.11.2.1.3.1): smooth, with a gradient everywhere.

        (ymax - ymin) / (1 + exp(-4 (x - c) / w)) + ymin

    Attributes:
        centre: a value, or a tensor of one, which gets its gradient.
        width: above 0.
    """

    centre: float | Tensor
    width: float | Tensor

    def __post_init__(self) -> None:
        number(self.centre, "centre")
        _check_width(self.width, 0.0)

    def share(self, values: Tensor) -> Tensor:
        """Where values lie in the window, 0 to 1."""
        return torch.sigmoid(4 * (values - self.centre) / self.width)


Window: TypeAlias = LinearWindow | ExactWindow | SigmoidWindow


def window(image: Voxels, through: Window, to: Range = (0.0, 1.0), *, dimension: int = 3) -> Voxels:
    """The values as a DICOM viewer shows them: inside a window from `to[0]` to `to[1]`, beyond it the nearer end.

    Args:
        image: values in the units of the window (HU for CT), after rescale slope and intercept.
        through: the window, which states its formula.
        to: ymin and ymax.
        dimension: space axes at the end of a tensor; an image knows its own.

    Returns:
        Values from ymin to ymax. Differentiable to the values, and to a centre and a width that are tensors.

    Raises:
        ImageError: complex values.

    Example:
        >>> hounsfield = torch.tensor([[-1000.0, 39.5, 1000.0]])
        >>> window(hounsfield, LinearWindow(centre=40, width=401), (0.0, 255.0), dimension=2)
        tensor([[  0.0000, 127.5000, 255.0000]])
    """
    given = rows_of(image, None, dimension)
    one_of(through, Window, "through")
    to = pair(to, "to")
    shown = through.share(given.rows) * (to[1] - to[0]) + to[0]
    return revalued(image, shown.to(given.rows.dtype).view(given.shape))


def clip(image: Voxels, low: float | None = None, high: float | None = None) -> Voxels:
    """min(max(x, low), high): values beyond an end become that end. The dtype, the units and all metadata stay.

    Args:
        image: any real numbers.
        low: the lowest value to keep; None for no limit.
        high: the highest.

    Raises:
        UsageError: no limit at all, limits in the wrong order, or broken ones for integers.

    Example:
        >>> clip(torch.tensor([-2000, 40, 3000]), -1000, 1000)
        tensor([-1000,    40,  1000])
    """
    an_image(image)
    data = image if isinstance(image, Tensor) else image.data
    if data.is_complex():
        raise ImageError("image: complex numbers have no order to be clipped in; take their magnitude (abs) first")
    ends = {"low": low, "high": high}
    limits = [number(limit, name, finite=False) for name, limit in ends.items() if limit is not None]
    if not limits or (len(limits) == 2 and not limits[0] <= limits[1]):
        raise UsageError(f"low, high: clipping needs low <= high, or one of them, got {low} and {high}")
    if any(limit != limit for limit in limits):
        raise UsageError(f"low, high: clipping needs numbers, got {low} and {high}")
    if not data.is_floating_point():
        if any(isfinite(limit) and limit != int(limit) for limit in limits):
            raise UsageError(
                f"low, high: integers ({data.dtype}) are clipped at whole values, got {low} and {high}; convert first"
            )
        low, high = (None if limit is None else _within(limit, data.dtype) for limit in (low, high))
    clipped = data.clamp(low, high)
    return clipped if isinstance(image, Tensor) else image.with_data(clipped)


def _moments(values: Tensor) -> Tensor:
    """Mean and population standard deviation, float64."""
    wide = values.double()
    mean = wide.mean()
    return torch.stack([mean, (wide - mean).square().mean().sqrt()])


def _check_width(width: float | Tensor, least: float) -> None:
    found = number(width, "width")
    if not (found >= 1 if least else found > 0):
        needed = "a width of 1 or more (for less, ExactWindow)" if least else "a width above 0"
        raise ImageError(f"width: a window needs {needed}, got {found}")


def _within(limit: float, dtype: torch.dtype) -> int:
    """The limit, at most the dtype's own, so that it can be compared."""
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    return int(min(max(limit, low), high))
