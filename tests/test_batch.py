"""MedImageBatch: stacked and unstacked without loss."""

from __future__ import annotations

import pytest
import torch

from medreg.batch import MedImageBatch
from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage


def image(number: int, size: tuple[int, ...] = (4, 5, 6), dtype: torch.dtype = torch.int16) -> MedImage:
    grid = Grid.regular(size, (0.1 * (number + 1), 2.0, 1 / 3)[: len(size)], (number, 0.0, -number)[: len(size)])
    data = torch.full((2, *grid.shape), number, dtype=dtype)
    leading = Leading.FRAMES if number % 2 else Leading.CHANNELS
    return MedImage.on(grid, data, leading, {"path": f"{number}.nii", "tags": {"a": [number]}})


@pytest.mark.parametrize("size", [(4, 5, 6), (4, 5)])
def test_stacking_and_unstacking_lose_nothing(size):
    images = [image(k, size) for k in range(3)]
    back = MedImageBatch.stack(images).unstack()
    for before, after in zip(images, back, strict=True):
        assert torch.equal(before.data, after.data)
        assert before.data.dtype == after.data.dtype
        assert (before.spacing, before.origin, before.direction) == (after.spacing, after.origin, after.direction)
        assert (before.leading, before.metadata) == (after.leading, after.metadata)


def test_a_batch_says_its_size():
    batch = MedImageBatch.stack([image(0), image(1)])
    assert (len(batch), batch.size, batch.dimension, tuple(batch.data.shape)) == (2, (4, 5, 6), 3, (2, 2, 6, 5, 4))
    assert batch[-1].name == "1.nii"
    brighter = batch.with_data(batch.data + 1)
    assert (brighter.grids, brighter.metadata) == (batch.grids, batch.metadata)


def test_gradients_pass_through_a_batch():
    data = torch.rand(1, 3, 2, requires_grad=True)
    single = MedImage.on(Grid.regular((2, 3), (1.0, 1.0)), data)
    sum(k * item.data.sum() for k, item in enumerate(MedImageBatch.stack([single] * 3))).backward()
    assert data.grad.unique().tolist() == [3.0]


def test_images_that_are_not_alike_are_told():
    with pytest.raises(ImageError, match="1.nii: images of a batch are alike; 0.nii has shape"):
        MedImageBatch.stack([image(0), image(1, (4, 5, 7))])
    with pytest.raises(ImageError, match="torch.float32"):
        MedImageBatch.stack([image(0), image(1, dtype=torch.float32)])
    with pytest.raises(ImageError, match="one image or more"):
        MedImageBatch.stack([])


def test_parts_that_disagree_are_told():
    batch = MedImageBatch.stack([image(0), image(1)])
    with pytest.raises(ImageError, match="as many tensors as grids"):
        MedImageBatch(batch.data, batch.grids[:1], batch.leadings, batch.metadata)
    with pytest.raises(ImageError, match="does not fill its grid"):
        batch.with_data(torch.zeros(2, 2, 6, 5, 5))
