"""Where a tensor has its channels: the same numbers in another order of axes, never copied."""

from __future__ import annotations

from enum import Enum

from torch import Tensor

from medreg.errors import ImageError
from medreg.ops.arguments import described, one_of, space_axes


class Layout(Enum):
    """An order of axes; S stands for the space axes (z,) y, x. Without a batch its axis is not there."""

    CHANNELS_FIRST = "NCS"
    """medreg's and torch's: (N, C, y, x), or (C, y, x)."""

    CHANNELS_LAST = "NSC"
    """NumPy's pictures, scikit-image, Pillow, TensorFlow: (N, y, x, C), or (y, x, C)."""

    BATCH_LAST = "CSN"
    """(C, y, x, N); Julia's (N, C, y, x) by memory is (x, y, C, N) by name, which is `CHANNELS_BATCH_LAST`."""

    CHANNELS_BATCH_LAST = "SCN"
    """(y, x, C, N)."""

    def __str__(self) -> str:
        return self.name


def seen_as(values: Tensor, layout: Layout, *, of: Layout = Layout.CHANNELS_FIRST, dimension: int = 2) -> Tensor:
    """A view of a tensor in another layout: the same memory, so that writing to one writes to the other.

    Nothing is copied, whatever the strides; `.contiguous()` makes a copy where another library needs one. Arrays of
    NumPy come and go without a copy, too, through `torch.from_numpy` and `.numpy()`.

    Args:
        values: of `dimension` + 1 axes, or one more with a batch.
        layout: that of the view.
        of: that of `values`.
        dimension: space axes.

    Raises:
        ImageError: another number of axes.

    Example:
        >>> import torch
        >>> picture = torch.zeros(480, 640, 3)
        >>> red = seen_as(picture, Layout.CHANNELS_FIRST, of=Layout.CHANNELS_LAST)[0]
        >>> red += 1
        >>> picture[0, 0]
        tensor([1., 0., 0.])
    """
    one_of(values, Tensor, "values")
    one_of(layout, Layout, "layout")
    one_of(of, Layout, "of")
    space = "zyx"[-space_axes(dimension) :]
    batch = "N" if values.ndim == len(space) + 2 else ""
    before, after = (each.value.replace("N", batch).replace("S", space) for each in (of, layout))
    if values.ndim != len(before):
        raise ImageError(
            f"values: {of} with {len(space)} space axes has {len(space) + 1} axes, or {len(space) + 2} with a batch, "
            f"got {described(values)}"
        )
    return values.permute([before.index(axis) for axis in after])
