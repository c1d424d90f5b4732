"""Statistics without a bias field, against images that are made of known tissues, fields and noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.label_maps import one_hot
from medreg.ops.mask_statistics import bias_free_statistics

SIZE = (18, 20, 22)
BRIGHT = torch.tensor([100.0, 260.0, 400.0], dtype=torch.float64)


def axes() -> list[torch.Tensor]:
    return torch.meshgrid(*[torch.linspace(-1, 1, n, dtype=torch.float64) for n in SIZE], indexing="ij")


@pytest.fixture
def tissues() -> torch.Tensor:
    """(3, z, y, x): shells, so that brightness goes with place, as in a head; a gap around them."""
    z, y, x = axes()
    radius = (z**2 + 1.2 * y**2 + 0.9 * x**2).sqrt()
    return torch.stack([radius < 0.45, (radius >= 0.45) & (radius < 0.75), (radius >= 0.75) & (radius < 1)])


@pytest.fixture
def field() -> torch.Tensor:
    """Of degree 2, from 0.6 to 2.1."""
    z, y, x = axes()
    return torch.exp(0.3 * x - 0.2 * y + 0.1 * z + 0.15 * x * y - 0.2 * z**2 + 0.1 * x**2)


def made(tissues: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    return ((BRIGHT[:, None, None, None] * tissues).sum(0) * field)[None]


def test_brightness_comes_out_as_it_was_made_whatever_the_field(tissues, field):
    found = bias_free_statistics(made(tissues, field), tissues)
    inside = torch.cat([field[one] for one in tissues])
    mean_field = inside.log().mean().exp()
    np.testing.assert_allclose(found.median, BRIGHT * mean_field, rtol=1e-7)  # of the fit's end
    np.testing.assert_allclose(found.mean, found.median, rtol=1e-7)
    assert float(found.std.max()) < 1e-4
    assert float(found.spread.max()) < 1e-4
    np.testing.assert_allclose(found.field, field / mean_field, rtol=1e-6)
    assert found.count.tolist() == tissues.flatten(1).sum(1).tolist()
    biased = [made(tissues, field)[0][one].std() for one in tissues]
    assert min(biased) > 5  # what it removed


def test_order_0_gives_plain_statistics(tissues, field):
    image = made(tissues, field)
    found = bias_free_statistics(image, tissues, order=0)
    for k, one in enumerate(tissues):
        values = image[0][one].numpy()
        assert float(found.median[k]) == pytest.approx(np.median(values), rel=1e-12)
        assert float(found.mean[k]) == pytest.approx(values.mean(), rel=1e-12)
        assert float(found.std[k]) == pytest.approx(values.std(), rel=1e-12)
        assert float(found.spread[k]) == pytest.approx(1.4826 * np.median(abs(values - np.median(values))), rel=1e-12)
    assert torch.equal(found.field, torch.ones(SIZE, dtype=torch.float64))


def test_noise_and_stray_voxels_move_it_little(tissues, field):
    noise = torch.Generator().manual_seed(0)
    image = made(tissues, field) * torch.exp(0.05 * torch.randn(1, *SIZE, generator=noise, dtype=torch.float64))
    stray = torch.rand(1, *SIZE, generator=noise) < 0.08  # bright vessels, one side more than the other
    image = torch.where(stray & (axes()[2] > 0)[None], 3 * image, image)
    found = bias_free_statistics(image, tissues)
    ratios = found.median / found.median[0]
    np.testing.assert_allclose(ratios, BRIGHT / BRIGHT[0], rtol=0.015)
    np.testing.assert_allclose(found.spread / found.median, 0.05, rtol=0.15)
    plain = bias_free_statistics(image, tissues, order=0)
    assert float((plain.spread / plain.median).min()) > 0.1


def test_the_order_and_the_size_of_the_axes_change_nothing(tissues, field):
    image = made(tissues, field)
    found = bias_free_statistics(image, tissues)
    turned = bias_free_statistics(image.flip(1).permute(0, 3, 1, 2), tissues.flip(1).permute(0, 3, 1, 2))
    np.testing.assert_allclose(turned.median, found.median, rtol=1e-9)
    np.testing.assert_allclose(turned.field.permute(1, 2, 0).flip(0), found.field, rtol=1e-8)
    padded = bias_free_statistics(
        *(torch.nn.functional.pad(one.double(), (3, 5, 0, 4, 7, 0)) for one in (image, tissues))
    )
    np.testing.assert_allclose(padded.median, found.median, rtol=1e-8)


def test_an_image_with_labels_gives_the_same_and_a_batch_what_its_items_give(tissues, field):
    image, labels = made(tissues, field), (tissues * torch.tensor([3, 5, 9])[:, None, None, None]).sum(0)[None]
    grid = Grid(SIZE[::-1], (1.0, 2.0, 0.7), (1.0, 2.0, 3.0), ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)))
    found = bias_free_statistics(image, tissues)
    placed = bias_free_statistics(MedImage.on(grid, image), one_hot(MedImage.on(grid, labels)))
    other = image.flip(3)
    both = bias_free_statistics(torch.stack([image, other]), tissues)
    each = bias_free_statistics(torch.stack([image, other]), torch.stack([tissues, tissues.roll(2, 3)]))
    alone, own = bias_free_statistics(other, tissues), bias_free_statistics(other, tissues.roll(2, 3))
    for name in ("count", "median", "spread", "mean", "std", "field"):
        assert torch.equal(getattr(placed, name), getattr(found, name))
        assert torch.equal(getattr(both, name)[0], getattr(found, name))
        assert torch.equal(getattr(both, name)[1], getattr(alone, name))
        assert torch.equal(getattr(each, name)[0], getattr(found, name))
        assert torch.equal(getattr(each, name)[1], getattr(own, name))


def test_constant_and_flat_masks_are_fine(tissues):
    constant = bias_free_statistics(torch.full((1, *SIZE), 7.0), tissues)
    np.testing.assert_allclose(constant.median, 7, rtol=1e-6)
    np.testing.assert_allclose(constant.spread, 0, atol=1e-5)
    slab = torch.zeros_like(tissues)
    slab[:, 9] = tissues[:, 9]  # one slice: nothing tells the terms across it
    z, y, x = axes()
    found = bias_free_statistics(made(slab, torch.exp(0.4 * x + 0.1 * y * x)), slab)
    np.testing.assert_allclose(found.median / found.median[0], BRIGHT / BRIGHT[0], rtol=1e-7)
    assert bool(torch.isfinite(found.field).all())


def test_what_cannot_be_is_refused(tissues, field):
    image = made(tissues, field)
    with pytest.raises(ImageError, match="mask 1 holds no voxel above zero"):
        bias_free_statistics(image, tissues * torch.tensor([1, 0, 1])[:, None, None, None])
    with pytest.raises(ImageError, match="no voxel above zero"):
        bias_free_statistics(-image, tissues)
    with pytest.raises(ImageError, match="not finite"):
        bias_free_statistics(torch.where(tissues[1], torch.nan, image), tissues)
    for wrong in (image.expand(2, *SIZE), image[..., 1:]):
        with pytest.raises(ImageError, match="one channel and masks"):
            bias_free_statistics(wrong, tissues)
    with pytest.raises(UsageError, match="order"):
        bias_free_statistics(image, tissues, order=7)
