"""Spatial operations on tensors are those on images of spacing 1, with the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import (
    Antialias,
    Background,
    Expand,
    Resampled,
    affine,
    crop,
    crop_or_pad,
    each,
    flip,
    pad,
    permute,
    reorient,
    resample_onto,
    resample_to_spacing,
    resize,
    rotate,
    scale,
    shearing,
    translate,
)
from medreg.sample import CubicBSpline, Edge, Fill, Nearest

OPERATIONS = {
    "rotate": lambda x, d: rotate(x, (5.0, -7.0, 20.0) if d == 3 else 20.0, frame=Expand(), outside=Background()),
    "scale": lambda x, d: scale(x, (1.2, 0.9, 1.1)[:d], interpolation=CubicBSpline()),
    "translate": lambda x, d: translate(x, (0.3, 1.2, -0.4)[:d], by=Resampled(outside=Fill(3.0))),
    "affine": lambda x, d: affine(x, [shearing((0.1, 0.0, 0.2) if d == 3 else 0.1, d)], outside=Edge()),
    "spacing": lambda x, d: resample_to_spacing(x, 1.7, Antialias()),
    "resize": lambda x, d: resize(x, (3, 9, 4)[:d]),
    "onto": lambda x, d: resample_onto(x, Grid.regular((4, 5, 6)[:d], (0.9,) * d, (0.2,) * d)),
    "crop": lambda x, d: crop(x, (1, 0, 2)[:d], (2, 3, 2)[:d]),
    "pad": lambda x, d: pad(x, (1, 0, 2)[:d], (0, 1, 0)[:d], Edge()),
    "crop or pad": lambda x, d: crop_or_pad(x, (3, 9, 2)[:d], Fill(-1.0)),
    "reorient": lambda x, d: reorient(x, "SRA" if d == 3 else "PR"),
    "permute": lambda x, d: permute(x, (1, 0, 2)[:d]),
    "flip": lambda x, d: flip(x, [0]),
}


def volume(dimension: int, channels: int = 2) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(channels, *(5, 4, 6)[-dimension:], dtype=torch.float64)


def unit(data: torch.Tensor) -> MedImage:
    size = tuple(reversed(data.shape[1:]))
    return MedImage.on(Grid.regular(size, (1.0,) * len(size)), data)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_tensor_is_an_image_of_spacing_1(name, dimension):
    operation, data = OPERATIONS[name], volume(dimension)
    result = operation(data, dimension)
    assert isinstance(result, torch.Tensor)
    assert torch.equal(result, operation(unit(data), dimension).data)


@pytest.mark.parametrize("name", OPERATIONS)
def test_five_axes_are_a_batch(name):
    operation, data = OPERATIONS[name], torch.stack([volume(3), -2 * volume(3)])
    looped = torch.stack([operation(item, 3) for item in data])
    assert torch.equal(operation(data, 3), looped)
    images = MedImageBatch.stack([unit(item) for item in data])
    assert torch.equal(operation(images, 3).data, looped)


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_pass_through_tensors(name, dimension):
    operation = OPERATIONS[name]
    if name == "rotate":  # the background's median has no gradient
        operation = lambda x, d: rotate(x, (5.0, -7.0, 20.0) if d == 3 else 20.0)  # noqa: E731
    data = volume(dimension, 1).requires_grad_()
    assert gradcheck(lambda x: operation(x, dimension), (data,), fast_mode=True)


def test_gradients_reach_the_parameters_of_operations_on_tensors():
    data = volume(3, 1)
    angles, centre, fill = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([5.1, -7.3, 20.7], [2.3, 1.6, 1.9], 0.7)
    )
    assert gradcheck(lambda a, c, f: rotate(data, a, c, outside=Fill(f)), (angles, centre, fill))
    batch = torch.stack([data, data])
    each_angle = torch.stack([angles, -angles]).detach().requires_grad_()
    assert gradcheck(lambda a: rotate(batch, each(a)), (each_angle,), fast_mode=True)


@pytest.mark.parametrize("given", ["images", "tensors"])
def test_each_item_of_a_batch_has_its_own_fill_with_its_gradient(given):
    data = torch.stack([volume(3), -2 * volume(3)])
    batch = data if given == "tensors" else MedImageBatch.stack([unit(item) for item in data])

    def voxels(result):
        return result if isinstance(result, torch.Tensor) else result.data

    fills = torch.tensor([3.0, -5.0], dtype=torch.float64, requires_grad=True)
    looped = torch.stack(
        [rotate(item, (0, 0, 30), outside=Fill(f)) for item, f in zip(data, fills.tolist(), strict=True)]
    )
    for policy in (Fill(each(fills)), each([Fill(fills[0]), Fill(fills[1])])):
        assert torch.equal(voxels(rotate(batch, (0, 0, 30), outside=policy)), looped)
    by = Resampled(Nearest(), Fill(each(fills)))
    moved = voxels(translate(batch, (0, 0, 90), by=by))
    assert [item.unique().tolist() for item in moved] == [[3.0], [-5.0]]
    assert gradcheck(lambda f: voxels(rotate(batch, (0, 0, 30), outside=Fill(each(f)))), (fills,))


def test_each_channel_of_each_item_may_have_its_own_fill():
    data = torch.stack([volume(3), -2 * volume(3)])
    moved = translate(data, (0, 0, 90), by=Resampled(outside=Fill(each([[1.0, 2.0], [3.0, 4.0]]))))
    assert moved.flatten(2).unique(dim=2).flatten().tolist() == [1.0, 2.0, 3.0, 4.0]


def test_what_a_tensor_cannot_be_is_told():
    with pytest.raises(UsageError, match="nothing but the place, which a tensor has not"):
        translate(volume(3), (1.0, 0.0, 0.0))
    with pytest.raises(ImageError, match=r"image: a tensor is \(C, y, x\), \(C, z, y, x\) or a batch"):
        rotate(volume(3)[None, None], (0, 0, 5))
    with pytest.raises(ImageError, match="one image or more"):
        rotate(torch.zeros(0, 1, 3, 4, 5), (0, 0, 5))
