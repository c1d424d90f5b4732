"""Intensity operations against closed forms and NumPy, batches against loops, autograd against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.geometry.affine import rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.io import read_image, write_image
from medreg.ops.intensity import (
    ExactWindow,
    LinearWindow,
    SigmoidWindow,
    clip,
    min_max,
    rescale,
    window,
    z_score,
)

OPERATIONS = {
    "z_score": z_score,
    "min_max": min_max,
    "rescale": lambda image, mask=None, **more: rescale(image, (-3.0, 7.0), mask=mask, **more),
}


def volumes(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return 40 + 300 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def placed(data: torch.Tensor, **metadata: object) -> MedImage:
    affine = np.eye(4)
    affine[:3, :3] = rotation_exp(np.array([0.3, -0.5, 0.4])) @ np.diag([0.9, -1.1, 2.5])
    return MedImage.on(Grid.from_affine(tuple(data.shape[:0:-1]), affine), data, metadata=metadata)


@pytest.fixture
def mask() -> torch.Tensor:
    return volumes(4, 5, 6, seed=5) > 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int16])
def test_the_z_score_has_mean_0_and_deviation_1_where_the_mask_counts(mask, dtype):
    data = volumes(2, 4, 5, 6).to(dtype)
    for counts in (None, mask):
        found = z_score(data, counts).double().numpy()
        inside = np.ones(mask.shape, bool) if counts is None else mask.numpy()
        values = found[:, inside]
        np.testing.assert_allclose(values.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(1), 1, atol=1e-5)
        own = data.double().numpy()
        wanted = (own - own[:, inside].mean(1)[:, None, None, None]) / own[:, inside].std(1)[:, None, None, None]
        np.testing.assert_allclose(found, wanted, atol=1e-12 if dtype is torch.float64 else 1e-6)


def test_the_z_score_survives_an_offset_that_float32_hardly_holds():
    data = (volumes(1, 8, 8, 8) / 300 + 30000).float()
    found = z_score(data).double()
    assert abs(float(found.mean())) < 1e-3  # the mean is rounded to float32: 1e-3 of the deviation here
    assert float(found.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_a_range_goes_to_the_range_that_is_asked_for(mask):
    data = volumes(2, 4, 5, 6)
    found = rescale(data, (-3.0, 7.0), mask=mask).numpy()
    assert found[:, mask.numpy()].min(1) == pytest.approx([-3, -3])
    assert found[:, mask.numpy()].max(1) == pytest.approx([7, 7])
    for channel, values in zip(found, data.numpy(), strict=True):
        low, high = values[mask.numpy()].min(), values[mask.numpy()].max()
        np.testing.assert_allclose(channel, -3 + 10 * (values - low) / (high - low), rtol=1e-12, atol=1e-12)
    assert torch.equal(min_max(data), rescale(data, (0.0, 1.0)))
    np.testing.assert_allclose(rescale(data, (1.0, 0.0)), 1 - min_max(data), atol=1e-12)


def test_a_given_source_is_the_rescaling_of_dicom():
    stored = torch.tensor([[[0, 1024, 4095]]], dtype=torch.int16)
    found = rescale(stored, (-1024.0, 0.5 - 1024.0), source=(0.0, 1.0), dimension=2)
    np.testing.assert_allclose(found, 0.5 * stored - 1024, rtol=1e-7)
    with pytest.raises(UsageError, match="two different ends"):
        rescale(stored, (0.0, 1.0), source=(1.0, 1.0), dimension=2)


def by_the_standard(x: float, c: float, w: float, low: float, high: float) -> float:
    """PS3.3 C.11.2.1.2.1, case by case."""
    if x <= c - 0.5 - (w - 1) / 2:
        return low
    if x > c - 0.5 + (w - 1) / 2:
        return high
    return ((x - (c - 0.5)) / (w - 1) + 0.5) * (high - low) + low


@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (2048, 1), (0, 100), (0, 1), (40.5, 2), (128, 256)])
def test_the_linear_window_is_that_of_the_standard(centre, width):
    values = np.concatenate([np.arange(-60.0, 60.0, 0.25), np.arange(0, 4200.0, 7.5), [2047, 2047.5, 2048]])
    found = window(torch.tensor(values)[None, None], LinearWindow(centre, width), (5.0, 255.0), dimension=2)
    wanted = [by_the_standard(x, centre, width, 5.0, 255.0) for x in values]
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-10)


def test_the_notes_of_the_standard_hold():
    def shown(x: float, centre: float, width: float) -> float:
        return float(window(torch.tensor([[[x]]], dtype=torch.float64), LinearWindow(centre, width), dimension=2))

    assert (shown(0, 2048, 4096), shown(4095, 2048, 4096)) == (0, 1)  # PS3.3 C.11.2.1.2.1, note 4
    assert (shown(2047, 2048, 1), shown(2048, 2048, 1)) == (0, 1)
    assert (shown(-51, 0, 100), shown(-50, 0, 100), shown(49, 0, 100)) == (0, 0, 1)
    assert shown(-49, 0, 100) == pytest.approx(1 / 99)


def test_exact_and_sigmoid_windows_are_their_formulas():
    x = np.linspace(-5, 15, 41)[None, None]
    exact = window(torch.tensor(x), ExactWindow(5.0, 10.0), (2.0, 4.0), dimension=2)
    np.testing.assert_allclose(exact, 2 + 2 * np.clip((x - 5) / 10 + 0.5, 0, 1), atol=1e-14)
    smooth = window(torch.tensor(x), SigmoidWindow(5.0, 10.0), (2.0, 4.0), dimension=2)
    np.testing.assert_allclose(smooth, 2 + 2 / (1 + np.exp(-4 * (x - 5) / 10)), atol=1e-14)


@pytest.mark.parametrize("bad", [(LinearWindow, 0.5), (LinearWindow, 0), (ExactWindow, 0), (SigmoidWindow, -1)])
def test_a_window_wants_a_width(bad):
    with pytest.raises(ImageError, match="width"):
        bad[0](0.0, bad[1])


def test_clipping_is_numpys_and_keeps_the_dtype():
    data = volumes(1, 4, 5, 6)
    np.testing.assert_array_equal(clip(data, -10.5, 200), np.clip(data.numpy(), -10.5, 200))
    np.testing.assert_array_equal(clip(data, high=0), np.minimum(data.numpy(), 0))
    whole = clip(data.to(torch.int16), -100.0, 1e6)
    assert whole.dtype is torch.int16
    np.testing.assert_array_equal(whole, np.maximum(data.to(torch.int16).numpy(), -100))
    for low, high in ((None, None), (2, 1), (float("nan"), 1)):
        with pytest.raises(UsageError):
            clip(data, low, high)
    with pytest.raises(UsageError, match="whole values"):
        clip(data.int(), 0.5)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_gives_exactly_what_its_items_give(name, dtype):
    data = volumes(3, 2, 40, 41, 42, dtype=dtype)  # large enough for torch to share the sums among threads
    counts = volumes(3, 1, 40, 41, 42, seed=8) > 0
    operation = OPERATIONS[name]
    together, masked = operation(data), operation(data, counts)
    for k in range(3):
        assert torch.equal(together[k], operation(data[k]))
        assert torch.equal(masked[k], operation(data[k], counts[k]))
        for c in range(2):
            assert torch.equal(together[k, c], operation(data[k, c]))
    turned = data.movedim(1, -1).contiguous().movedim(-1, 1)  # the same values in another order in memory
    assert torch.equal(operation(turned), together)
    assert torch.equal(operation(turned[0]), together[0])


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_image_gives_what_its_tensor_gives_and_keeps_its_place(name, mask):
    operation = OPERATIONS[name]
    image = placed(volumes(2, 4, 5, 6), path="head.nii", slope=2.0, inter=1.0, units="HU", stored_dtype="int16")
    found = operation(image, placed(mask[None].to(torch.uint8)))
    assert torch.equal(found.data, operation(image.data, mask))
    assert found.grid == image.grid
    assert found.metadata == {"path": "head.nii", "stored_dtype": "float64"}


def test_a_batch_of_images_gives_what_each_image_gives(mask):
    images = [placed(volumes(2, 4, 5, 6, seed=k), path=f"{k}.nii", slope=2.0) for k in range(3)]
    batch, inside = MedImageBatch.stack(images), placed(mask[None].to(torch.uint8))
    for operation in OPERATIONS.values():
        for counts in (None, inside, MedImageBatch.stack([inside] * 3)):
            found = operation(batch, counts).unstack()
            for one, image in zip(found, images, strict=True):
                alone = operation(image, None if counts is None else inside)
                assert torch.equal(one.data, alone.data)
                assert (one.grid, one.metadata) == (alone.grid, alone.metadata)
    assert torch.equal(clip(batch, 0).data, batch.data.clamp(0))
    with pytest.raises(ImageError, match="one mask or as many"):
        z_score(batch, MedImageBatch.stack([inside] * 2))


def test_a_picture_has_two_axes(mask):
    picture = MedImage.on(Grid.regular((6, 5), (1, 2)), volumes(3, 5, 6))
    assert torch.equal(z_score(picture).data, z_score(picture.data, dimension=2))
    np.testing.assert_allclose(z_score(picture).data.mean((1, 2)), 0, atol=1e-12)


def test_a_score_is_not_rounded_when_it_is_written(tmp_path):
    write_image(placed(volumes(1, 4, 5, 6).to(torch.int16)), tmp_path / "a.nii")
    found = z_score(read_image(tmp_path / "a.nii"))
    write_image(found, tmp_path / "b.nii")
    assert torch.equal(read_image(tmp_path / "b.nii").data, found.data)


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_pass_through_the_statistics(name):
    data = volumes(2, 1, 2, 3, 2).requires_grad_()
    counts = volumes(2, 3, 2, seed=3) > 0
    operation = OPERATIONS[name]
    assert gradcheck(operation, (data,))
    assert gradcheck(lambda x: operation(x, counts), (data,))


@pytest.mark.parametrize("kind", [LinearWindow, ExactWindow, SigmoidWindow])
def test_gradients_reach_values_centre_and_width_of_a_window(kind):
    data = volumes(1, 2, 3, 4).requires_grad_()
    centre = torch.tensor(40.0, dtype=torch.float64, requires_grad=True)
    width = torch.tensor(400.0, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, c, w: window(x, kind(c, w)), (data, centre, width))
    assert gradcheck(lambda x: clip(x, -200.0, 200.0), (data,))


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_has_no_contrast_is_an_error_and_never_nan(name):
    operation = OPERATIONS[name]
    data = volumes(2, 3, 4, 5, 6)
    data[1, 2] = 0.1
    with pytest.raises(ImageError, match=r"values, item 1, channel 2: is constant \(all values are 0.1\)"):
        operation(data)
    image = placed(torch.full((1, 4, 5, 6), 7), path="flat.nii")
    with pytest.raises(ImageError, match=r"flat.nii: is constant"):
        operation(image)
    good = volumes(1, 4, 5, 6)
    with pytest.raises(ImageError, match="the mask is empty"):
        operation(good, torch.zeros(4, 5, 6))
    one = torch.zeros(4, 5, 6)
    one[1, 2, 3] = 1
    with pytest.raises(ImageError, match="constant inside the mask"):
        operation(good, one)
    for bad in (float("nan"), float("inf")):
        broken = good.clone()
        broken[0, 1, 2, 3] = bad
        with pytest.raises(ImageError, match="not finite"):
            operation(broken)
        assert torch.isfinite(operation(broken, 1 - one)).sum() == broken.numel() - 1  # masked out, it harms nobody
    assert torch.isfinite(operation(torch.tensor([[[0.0, 1e-30, 3e-30]]]), dimension=2)).all()
    for extreme in ([0.0, 1e-45, 0.0], [-3e38, 0.0, 3e38]):
        with pytest.raises(ImageError, match=r"constant|too far apart"):
            operation(torch.tensor([[extreme]]), dimension=2)


def test_what_does_not_fit_is_an_error():
    data = volumes(2, 4, 5, 6)
    with pytest.raises(ImageError, match="does not fit"):
        z_score(data, torch.ones(4, 5, 5))
    with pytest.raises(ImageError, match="need a tensor"):
        z_score(data[0, 0])
    with pytest.raises(ImageError, match="complex"):
        z_score(data.to(torch.complex64))
    moved = MedImage.on(Grid.regular((6, 5, 4), (1, 1, 1)), torch.ones(1, 4, 5, 6))
    with pytest.raises(ImageError, match="does not lie on the grid"):
        z_score(placed(data), moved)
