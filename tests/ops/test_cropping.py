"""Cropping and padding against SimpleITK's region, padding and numpy's edges."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.errors import ImageError
from medreg.ops import Background, crop, crop_or_pad, pad
from medreg.sample import Edge, Fill


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16, torch.uint8, torch.float64])
def test_a_crop_is_simpleitks_region_of_interest(image, dimension, itk, dtype):
    image = image.with_data((image.data / 8).clamp(0, 255).to(dtype))
    start, size = (3, 2, 5)[:dimension], (7, 6, 4)[:dimension]
    ours = crop(image, start, size)
    theirs = sitk.RegionOfInterest(itk["convert"](image), size, start)
    assert ours.data.dtype == dtype
    np.testing.assert_array_equal(ours.data[0].numpy(), sitk.GetArrayFromImage(theirs))
    itk["placed"](ours, theirs)


def test_padding_is_simpleitks_constant_pad(image, dimension, itk):
    before, after = (1, 0, 4)[:dimension], (2, 3, 0)[:dimension]
    ours = pad(image, before, after, Fill(-3.5))
    theirs = sitk.ConstantPad(itk["convert"](image), before, after, -3.5)
    np.testing.assert_array_equal(ours.data[0].numpy(), sitk.GetArrayFromImage(theirs))
    itk["placed"](ours, theirs)


def test_padding_continues_the_edge_as_numpy_does(image, dimension):
    before, after = (2, 1, 3)[:dimension], (1, 4, 2)[:dimension]
    ours = pad(image, before, after, Edge())
    widths = list(zip(before, after, strict=True))[::-1]
    np.testing.assert_array_equal(ours.data[0].numpy(), np.pad(image.data[0].numpy(), widths, mode="edge"))


def test_the_background_is_the_median_of_the_border_for_each_channel(dimension, kind, itk):
    image = itk["smooth"](itk["grid"](kind, dimension))
    data = torch.cat([image.data, 100 - image.data]).round().to(torch.int16)
    ours = pad(image.with_data(data), (1,) * dimension, (0,) * dimension, Background())
    border = np.ones(data.shape[1:], bool)
    border[(slice(1, -1),) * dimension] = False
    for channel, padded in zip(data.numpy(), ours.data.numpy(), strict=True):
        values = np.sort(channel[border])
        assert padded[(0,) * dimension] == values[(len(values) - 1) // 2]
    assert ours.data.dtype == torch.int16


def test_crop_or_pad_centres_with_the_smaller_half_first(image, dimension):
    for size in ((8, 9, 4), (30, 31, 28), (9, 40, 15)):
        wanted = size[:dimension]
        ours = crop_or_pad(image, wanted, Fill(7.0))
        assert ours.size == wanted
        for k, (n, m) in enumerate(zip(image.size, wanted, strict=True)):
            first = np.rint(image.grid.to_index([ours.origin])[0][k])
            assert first == ((n - m) // 2 if n >= m else -((m - n) // 2))
        back = crop_or_pad(crop_or_pad(image, [n + 5 for n in image.size]), image.size)
        assert torch.equal(back.data, image.data)
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-12)


def test_gradients_go_to_the_voxels_that_stay_and_to_the_fill():
    from medreg.geometry.grid import Grid
    from medreg.image import MedImage

    data = torch.rand(1, 4, 5, dtype=torch.float64, requires_grad=True)
    fill = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    grid = Grid.regular((5, 4), (1.0, 1.0))

    def padded(voxels, value):
        return pad(crop(MedImage.on(grid, voxels), (1, 1), (3, 2)), (1, 0), (2, 1), Fill(value)).data

    assert torch.autograd.gradcheck(padded, (data, fill))
    assert torch.autograd.gradgradcheck(lambda v: padded(v, 2.0) ** 2, (data,))
    padded(data, fill).sum().backward()
    assert data.grad[0].tolist() == [[0] * 5, [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0] * 5]
    assert fill.grad.item() == 6 * 3 - 6


def test_boxes_that_cannot_be_are_told(image, dimension):
    d = dimension
    with pytest.raises(ImageError, match="image.nii: start, size: the box .* use crop_or_pad .*medreg pad --size"):
        crop(image, (0,) * d, (99,) * d)
    with pytest.raises(ImageError, match="not inside"):
        crop(image, (-1,) * d, (2,) * d)
    with pytest.raises(ImageError, match="use crop to take away"):
        pad(image, (-1,) * d, (0,) * d)
    with pytest.raises(ImageError, match="whole numbers"):
        crop(image, (0.5,) * d, (2,) * d)
    with pytest.raises(ImageError, match="1 voxel or more"):
        crop_or_pad(image, (0,) * d)
    with pytest.raises(ImageError, match="cannot hold the fill value"):
        pad(image.with_data(image.data.to(torch.int16)), (1,) * d, (0,) * d, Fill(0.5))
