"""Histogram matching and Nyul's scale against scikit-image's definition, NumPy and SimpleITK."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch.autograd import gradcheck

from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.histograms import (
    DECILES,
    EveryValue,
    NyulScale,
    Quantiles,
    histogram_match,
    nyul_apply,
    nyul_train,
    quantiles,
)


def volumes(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Skew values above 0, as those of magnetic resonance."""
    normal = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (100 * torch.exp(0.4 * normal)).to(dtype)


def by_definition(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What `skimage.exposure.match_histograms` defines: values by their shares of all that are no larger."""
    values, where, counts = np.unique(image.ravel(), return_inverse=True, return_counts=True)
    wanted, numbers = np.unique(reference.ravel(), return_counts=True)
    matched = np.interp(np.cumsum(counts) / image.size, np.cumsum(numbers) / reference.size, wanted)
    return matched[where].reshape(image.shape)


@pytest.mark.parametrize("ties", [False, True], ids=["different", "ties"])
@pytest.mark.parametrize("size", [(5, 6, 7), (9, 4, 5)])
def test_every_value_is_matched_as_scikit_image_defines_it(ties, size):
    image, reference = volumes(1, 5, 6, 7), volumes(1, *size, seed=1) * 3 + 50
    if ties:
        image, reference = (image / 10).round(), (reference / 20).round()
    found = histogram_match(image, reference, by=EveryValue())
    np.testing.assert_allclose(found[0], by_definition(image[0].numpy(), reference[0].numpy()), rtol=1e-12)


def test_matching_an_image_with_its_reference_of_as_many_values_sorts_alike():
    image, reference = volumes(1, 5, 6, 7), volumes(1, 7, 6, 5, seed=1)
    for by in (EveryValue(), Quantiles(210)):  # a quantile for each value: the same
        found = histogram_match(image, reference, by=by)
        np.testing.assert_allclose(found.flatten().sort().values, reference.flatten().sort().values, rtol=1e-12)
        assert torch.equal(found.flatten().argsort(), image.flatten().argsort())


@pytest.mark.parametrize("count", [2, 7, 64])
def test_quantiles_are_matched_along_straight_pieces(count):
    image, reference = volumes(1, 9, 10, 11), volumes(1, 8, 8, 8, seed=1) ** 1.3
    shares = np.linspace(0, 1, count)
    knots, targets = (np.quantile(one.numpy(), shares) for one in (image, reference))
    found = histogram_match(image, reference, by=Quantiles(count))
    np.testing.assert_allclose(found, np.interp(image.numpy(), knots, targets), rtol=1e-12)


def test_quantiles_are_numpys():
    values, shares = volumes(101), torch.linspace(0, 1, 37, dtype=torch.float64)
    np.testing.assert_allclose(quantiles(values, shares), np.quantile(values.numpy(), shares.numpy()), rtol=1e-14)


def test_values_that_many_voxels_share_go_to_the_last_of_their_targets():
    image, reference = torch.tensor([[0.0, 0.0, 0.0, 1.0, 2.0]]), torch.tensor([[10.0, 20.0, 30.0, 40.0, 50.0]])
    for by in (Quantiles(5), EveryValue()):
        assert histogram_match(image, reference, by=by, dimension=2).tolist() == [[30, 30, 30, 40, 50]]


def test_many_quantiles_come_near_to_every_value_and_to_itk():
    image, reference = volumes(1, 24, 25, 26, dtype=torch.float32), volumes(1, 20, 30, 25, seed=1).float() ** 1.2
    exact = histogram_match(image, reference, by=EveryValue())
    found = histogram_match(image, reference)
    step = sitk.HistogramMatchingImageFilter()
    step.SetNumberOfHistogramLevels(4096)
    step.SetNumberOfMatchPoints(255)
    step.ThresholdAtMeanIntensityOff()
    itk = sitk.GetArrayFromImage(step.Execute(*(sitk.GetImageFromArray(one[0].numpy()) for one in (image, reference))))
    middle = (image > image.quantile(0.05)) & (image < image.quantile(0.95))
    spread = float(reference.std())
    # of the deviation: a piece holds 60 values, whose spacing is random; ITK's bins come on top of that
    assert float((found - exact)[middle].abs().max()) < 0.02 * spread
    assert np.abs(found.numpy() - itk[None])[middle.numpy()].max() < 0.03 * spread


def test_masks_say_what_is_matched_and_what_lies_outside_follows():
    image, reference = volumes(1, 6, 7, 8), volumes(1, 6, 7, 8, seed=1)
    inside, like = volumes(6, 7, 8, seed=2) > 80, volumes(6, 7, 8, seed=3) > 90
    for by in (EveryValue(), Quantiles(16)):
        found = histogram_match(image, reference, mask=inside, reference_mask=like, by=by)[0]
        alone = histogram_match(image[0][inside][None, None], reference[0][like][None, None], by=by, dimension=2)
        np.testing.assert_allclose(found[inside], alone[0, 0], rtol=1e-12)
        order = image.flatten().argsort()
        assert bool((found.flatten()[order].diff() >= 0).all())


@pytest.mark.parametrize("by", [EveryValue(), Quantiles()])
def test_a_batch_gives_exactly_what_its_items_give(by):
    data, own, shared = volumes(3, 2, 8, 9, 10), volumes(3, 2, 7, 7, 7, seed=1), volumes(2, 7, 7, 7, seed=4)
    together, alike = histogram_match(data, own, by=by), histogram_match(data, shared, by=by)
    scale = nyul_train(list(own))
    standard = nyul_apply(data, scale)
    for k in range(3):
        assert torch.equal(together[k], histogram_match(data[k], own[k], by=by))
        assert torch.equal(alike[k], histogram_match(data[k], shared, by=by))
        assert torch.equal(standard[k], nyul_apply(data[k], scale))


def test_gradients_reach_image_and_reference():
    image, reference = volumes(2, 2, 3, 4).requires_grad_(), volumes(2, 3, 3, 3, seed=1).requires_grad_()
    assert gradcheck(lambda x, y: histogram_match(x, y, by=Quantiles(6)), (image, reference))
    assert gradcheck(lambda y: histogram_match(image.detach(), y, by=EveryValue()), (reference,))
    inside = volumes(2, 3, 4, seed=2) > 90
    assert gradcheck(lambda x: histogram_match(x, reference.detach(), mask=inside, by=Quantiles(5)), (image,))
    with torch.no_grad():
        slopes = histogram_match(image + 1e-9 * torch.rand_like(image), reference, by=EveryValue())
    assert torch.equal(slopes, histogram_match(image, reference, by=EveryValue()).detach())  # by order alone
    scale = nyul_train([reference.detach()], percentiles=(5, 50, 95))
    assert gradcheck(lambda x: nyul_apply(x, scale, torch.ones(2, 3, 4)), (image,))
    assert gradcheck(lambda x: nyul_apply(x, scale), (image,))


def nyul_by_numpy(images: list[np.ndarray], percentiles: tuple[float, ...], to: tuple[float, float]) -> np.ndarray:
    """The training of Nyul and Udupa, written a second time."""
    mapped = []
    for image in images:
        found = np.percentile(image[image > image.mean()], percentiles)
        mapped.append(np.interp(found, [found[0], found[-1]], to))
    return np.mean(mapped, axis=0)


def apply_by_numpy(image: np.ndarray, percentiles: tuple[float, ...], scale: np.ndarray) -> np.ndarray:
    knots = np.percentile(image[image > image.mean()], percentiles)
    standard = np.interp(image, knots, scale)
    first, last = (scale[1] - scale[0]) / (knots[1] - knots[0]), (scale[-1] - scale[-2]) / (knots[-1] - knots[-2])
    standard = np.where(image < knots[0], scale[0] + first * (image - knots[0]), standard)
    return np.where(image > knots[-1], scale[-1] + last * (image - knots[-1]), standard)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("percentiles", [DECILES, (0.0, 25.0, 50.0, 75.0, 99.8), (1.0, 99.0)])
def test_nyuls_landmarks_and_values_are_those_of_numpy(dtype, percentiles):
    images = [(k + 1) * volumes(1, 9, 10, 11, seed=k, dtype=dtype) ** (1 + 0.1 * k) for k in range(5)]
    arrays = [image.double().numpy() for image in images]
    scale = nyul_train(images, percentiles=percentiles, to=(10.0, 210.0))
    wanted = nyul_by_numpy(arrays, percentiles, (10, 210))
    tolerance = 1e-4 if dtype is torch.float32 else 1e-12  # of the landmarks; float32 has 7 digits
    np.testing.assert_allclose(scale.landmarks, wanted, rtol=tolerance)
    for image, array in zip(images, arrays, strict=True):
        standard = apply_by_numpy(array, percentiles, wanted)
        np.testing.assert_allclose(nyul_apply(image, scale), standard, rtol=tolerance, atol=tolerance)


def test_images_that_differ_by_gain_and_offset_become_one():
    image = volumes(1, 9, 10, 11)
    others = [gain * image + offset for gain, offset in ((1, 0), (3.7, -50), (0.01, 900))]
    scale = nyul_train(others)
    first = nyul_apply(others[0], scale)
    for other in others[1:]:
        np.testing.assert_allclose(nyul_apply(other, scale), first, atol=1e-9)  # of 100


def test_a_scale_is_plain_numbers():
    scale = nyul_train([volumes(1, 5, 6, 7)])
    kept = json.loads(json.dumps(asdict(scale)))
    assert NyulScale(tuple(kept["percentiles"]), tuple(kept["landmarks"])) == scale
    assert (scale.landmarks[0], scale.landmarks[-1]) == (0, 100)


def test_images_go_through_as_tensors_do_and_drop_what_their_old_values_meant():
    grid = Grid((7, 6, 5), (1.0, 2.0, 0.5), (3.0, 2.0, 1.0), ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    image = MedImage.on(grid, volumes(1, 5, 6, 7), metadata={"path": "a.nii", "stored_dtype": "int16", "slope": 2.0})
    other = MedImage.on(Grid.regular((4, 4, 4), (1, 1, 1)), volumes(1, 4, 4, 4, seed=1))
    mask = MedImage.on(grid, torch.ones(1, 5, 6, 7, dtype=torch.uint8))
    found = histogram_match(image, other, mask=mask)
    assert torch.equal(found.data, histogram_match(image.data, other.data))
    scale = nyul_train([image, other], [mask, torch.ones(1)])
    standard = nyul_apply(image, scale, mask)
    assert torch.equal(standard.data, nyul_apply(image.data, scale, torch.ones(1)))
    for one in (found, standard):
        assert one.grid == grid
        assert one.metadata == {"path": "a.nii", "stored_dtype": "float64"}


def test_what_has_no_contrast_is_an_error():
    flat, good = torch.full((1, 4, 5, 6), 3.0), volumes(1, 4, 5, 6)
    for by in (EveryValue(), Quantiles()):
        for pair in ((flat, good), (good, flat)):
            with pytest.raises(ImageError, match="is constant"):
                histogram_match(*pair, by=by)
    with pytest.raises(ImageError, match="is constant"):
        nyul_train([good, flat])
    with pytest.raises(ImageError, match="is constant"):
        nyul_apply(flat, nyul_train([good]))
    two = (good > 100).double()  # all of the foreground is 1
    with pytest.raises(ImageError, match="are the same"):
        nyul_train([two])
    with pytest.raises(ImageError, match="mask is empty"):
        nyul_apply(good, nyul_train([good]), torch.zeros(1))
    with pytest.raises(ImageError, match="give one, or as many"):
        histogram_match(good, volumes(2, 4, 4, 4))
    broken = good.clone()
    broken[0, 0, 0, 0] = float("nan")
    with pytest.raises(ImageError, match="not finite"):
        histogram_match(broken, good)


def test_settings_that_cannot_be_are_refused():
    good = volumes(1, 4, 5, 6)
    for percentiles in ((50,), (0, 50, 50), (-1, 100), (0, 101)):
        with pytest.raises(UsageError, match="percentiles"):
            nyul_train([good], percentiles=percentiles)
    with pytest.raises(UsageError, match="needs images"):
        nyul_train([])
    with pytest.raises(UsageError, match="landmark"):
        NyulScale((0.0, 50.0, 100.0), (0.0, 60.0, 50.0))
    with pytest.raises(UsageError, match="quantiles"):
        Quantiles(1)
