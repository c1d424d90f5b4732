"""Views of channels hold no memory of their own, whatever the layout."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from medreg.errors import ImageError, UsageError
from medreg.vision.colour import Layout, seen_as

AXES = {"N": 2, "C": 3, "z": 6, "y": 4, "x": 5}


def letters(layout: Layout, dimension: int, *, batch: bool) -> str:
    return layout.value.replace("S", "zyx"[-dimension:]).replace("N", "N" if batch else "")


@pytest.mark.parametrize(("of", "to"), list(itertools.product(Layout, Layout)), ids=str)
@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("batch", [True, False])
def test_a_view_shares_its_memory(of: Layout, to: Layout, dimension: int, batch: bool) -> None:
    before, after = (letters(layout, dimension, batch=batch) for layout in (of, to))
    values = torch.rand([AXES[axis] for axis in before])
    view = seen_as(values, to, of=of, dimension=dimension)
    assert view.data_ptr() == values.data_ptr()
    assert torch.equal(view, torch.einsum(f"{before}->{after}", values))  # each number is where its axes say
    view.select(after.index("C"), 1).fill_(7.0)
    assert (values.select(before.index("C"), 1) == 7).all()
    values.select(before.index("C"), 2).fill_(8.0)
    assert (view.select(after.index("C"), 2) == 8).all()
    back = seen_as(view, of, of=to, dimension=dimension)
    assert (back.data_ptr(), back.stride()) == (values.data_ptr(), values.stride())


def test_pictures_of_numpy_are_seen_without_a_copy() -> None:
    picture = np.zeros((4, 5, 3), dtype=np.uint8)
    channels = seen_as(torch.from_numpy(picture), Layout.CHANNELS_FIRST, of=Layout.CHANNELS_LAST)
    channels[2] = 9
    assert (picture[..., 2] == 9).all()
    assert np.shares_memory(seen_as(channels, Layout.CHANNELS_LAST).numpy(), picture)


def test_gradients_pass_through_views() -> None:
    values = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: seen_as(v, Layout.CHANNELS_BATCH_LAST), (values,))


def test_a_wrong_number_of_axes_is_refused() -> None:
    with pytest.raises(ImageError, match="CHANNELS_LAST with 2 space axes has 3 axes, or 4 with a batch"):
        seen_as(torch.zeros(4, 5), Layout.CHANNELS_FIRST, of=Layout.CHANNELS_LAST)
    with pytest.raises(UsageError, match="layout"):
        seen_as(torch.zeros(3, 4, 5), "channels last")
