"""Operations on batches are exactly their loops, with parameters for each item."""

from __future__ import annotations

import pytest
import torch

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.ops import (
    Axes,
    Background,
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
    rotation,
    scale,
    translate,
    translation,
)
from medreg.sample import CubicBSpline, Edge, Fill, Nearest, warp

ONTO = Grid.regular((6, 5, 4), (2.0, 2.0, 2.0), (7.0, -4.0, 12.0))
CASES = {
    "rotate": (rotate, ([(10.0, 0, 0), (0, 20.0, 5.0)],), {"interpolation": [CubicBSpline(), Nearest()]}),
    "centre": (rotate, ([(0, 0, 33.0)] * 2, [(1.0, 2.0, 3.0), (9.0, 0.0, 0.0)]), {"outside": [Background(), Edge()]}),
    "scale": (scale, ([1.2, (0.9, 1.1, 1.0)],), {"axes": [Axes.IMAGE, Axes.WORLD]}),
    "translate": (translate, ([(1.0, 0, 0), (0, 2.0, 0)],), {}),
    "affine": (affine, ([[rotation((5.0, 0, 0))], [translation((1.0, 2.0, 3.0)), rotation((0, 0, 9.0))]],), {}),
    "onto": (resample_onto, ([ONTO, ONTO],), {"outside": [Fill(3.0), Fill(-3.0)]}),
    "resize": (resize, ([(5, 6, 7)] * 2,), {}),
    "spacing": (resample_to_spacing, ([1.5, (1.35, 1.65, 1.5)],), {}),
    "crop": (crop, ([(0, 1, 2), (3, 2, 1)], [(4, 4, 4)] * 2), {}),
    "pad": (pad, ([(1, 2, 0), (0, 1, 1)], [(0, 0, 2), (1, 1, 1)]), {}),
    "crop or pad": (crop_or_pad, ([(9, 30, 12)] * 2,), {}),
    "reorient": (reorient, (["LPS", "RAS"],), {}),
    "flip": (flip, ([[0], [1, 2]],), {}),
    "permute": (permute, ([(1, 0, 2), (1, 0, 2)],), {}),
}


@pytest.fixture
def pair(itk):
    """Two images of one size, on an identity and an oblique grid."""
    images = [itk["smooth"](itk["grid"](kind, 3)) for kind in ("identity", "oblique")]
    return [images[0].with_metadata(path="a.nii"), images[1].with_data(-2 * images[1].data)]


@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_exactly_the_loop_over_its_items(case, pair):
    operation, positional, named = CASES[case]
    if case == "reorient":
        pair[1] = pair[0].with_data(-pair[0].data)  # other axes would make other sizes
    batch = operation(MedImageBatch.stack(pair), *map(each, positional), **{k: each(v) for k, v in named.items()})
    for number, image in enumerate(pair):
        arguments = [values[number] for values in positional]
        alone = operation(image, *arguments, **{k: v[number] for k, v in named.items()})
        assert torch.equal(batch[number].data, alone.data.to(batch.data.dtype))
        assert (batch[number].grid, batch[number].metadata) == (alone.grid, alone.metadata)


def test_plain_parameters_are_shared(pair):
    batch = rotate(MedImageBatch.stack(pair), (5.0, 6.0, 7.0))
    for number, image in enumerate(pair):
        assert torch.equal(batch[number].data, rotate(image, (5.0, 6.0, 7.0)).data)


def test_each_row_of_a_tensor_gets_its_own_gradient(pair):
    angles = torch.tensor([[5.0, 0.0, 0.0], [0.0, 7.0, 0.0]], requires_grad=True)
    rotate(MedImageBatch.stack(pair), each(angles)).data.square().mean().backward()
    alone = []
    for image, row in zip(pair, angles.detach(), strict=True):
        row.requires_grad_()
        (rotate(image, row).data.square().mean() / 2).backward()
        alone.append(row.grad)
    torch.testing.assert_close(angles.grad, torch.stack(alone), rtol=1e-4, atol=1e-3)


def test_tensors_in_batches_are_exactly_the_loop(dimension):
    volumes = torch.randn(3, 2, *(7, 8, 9)[-dimension:])
    matrices = torch.eye(dimension + 1, dtype=torch.float64).repeat(3, 1, 1)
    matrices[1, :-1] += 0.03 * torch.randn(dimension, dimension + 1, dtype=torch.float64)
    matrices[2, 0, 0] = 1.5
    shape = (6, 9, 8)[-dimension:]
    loop = torch.stack([warp(v, m, shape) for v, m in zip(volumes, matrices, strict=True)])
    assert torch.equal(warp(volumes, matrices, shape), loop)
    matrices.requires_grad_()
    loop = torch.stack([warp(v, m, shape) for v, m in zip(volumes, matrices, strict=True)])
    assert torch.equal(warp(volumes, matrices, shape), loop)


def test_marks_that_do_not_fit_are_told(pair):
    with pytest.raises(UsageError, match="holds 3 values for a batch of 2"):
        rotate(MedImageBatch.stack(pair), each([(1.0, 0, 0)] * 3))
    with pytest.raises(UsageError, match="are for a batch"):
        rotate(pair[0], each([(1.0, 0, 0)]))
    with pytest.raises(UsageError, match="are for a batch"):
        rotate(pair[0], (1.0, 0, 0), outside=Fill(each([1.0, 2.0])))
    with pytest.raises(UsageError, match="holds one value for each item, got int 5"):
        each(5)
    with pytest.raises(ImageError, match="a MedImage, a MedImageBatch or a tensor, got an array of shape"):
        rotate(pair[0].data.numpy(), (1.0, 0, 0))
    with pytest.raises(ImageError, match="images of a batch are alike"):
        resample_to_spacing(MedImageBatch.stack(pair), each([1.0, 2.0]))
