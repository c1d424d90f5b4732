"""Normalised gradient fields: numpy.gradient, turned grids, gradcheck and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from medreg.errors import ImageError
from medreg.metric.gradient_fields import GradientFieldsMeasure, gradient_directions, gradient_field_distance

SIZES = pytest.mark.parametrize(("size", "spacing"), [((9, 8, 7), (0.5, 1.0, 3.0)), ((9, 8), (0.5, 2.0))])


def blobs(size: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """(1, ...) a smooth random volume, float64."""
    noise = np.random.default_rng(seed).standard_normal(size)
    return torch.from_numpy(100 * gaussian_filter(noise, 1.5))[None]


def fields(count: int, outside: float = 0.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two related fields (3, N) shorter than 1, and weights."""
    random = torch.Generator().manual_seed(seed)
    fixed, noise = torch.randn(2, 3, count, generator=random, dtype=torch.float64)
    moving = fixed + noise
    weight = (torch.rand(count, generator=random, dtype=torch.float64) >= outside).double()
    fixed, moving = (v / (v.square().sum(0) + 1).sqrt() for v in (fixed, moving))
    return fixed, moving, weight


@SIZES
@pytest.mark.parametrize("noise", [None, 3.0])
def test_directions_are_numpys_gradient_per_mm_over_its_length_with_the_noise(size, spacing, noise):
    volume = blobs(size)
    rows = np.stack(np.gradient(volume[0].numpy(), *spacing[::-1])[::-1])
    length = np.sqrt((rows**2).sum(0))
    expected = rows / np.sqrt(length**2 + (length.mean() if noise is None else noise) ** 2)
    np.testing.assert_allclose(gradient_directions(volume, spacing, noise).numpy(), expected, atol=1e-12)


def test_a_ramp_points_along_its_axis_in_x_y_z_order():
    z, y, x = torch.meshgrid(*(torch.arange(5.0),) * 3, indexing="ij")
    for k, ramp in enumerate((x, y, z)):
        field = gradient_directions(ramp[None], (1, 1, 1), noise=0.0)
        assert torch.allclose(field[k], torch.ones(5, 5, 5))
        assert field.square().sum() == 125


@SIZES
def test_gain_and_offset_of_the_image_do_not_matter_but_for_the_sign(size, spacing):
    volume = blobs(size)
    field, other = gradient_directions(volume, spacing), gradient_directions(1000 - 7 * volume, spacing)
    torch.testing.assert_close(other, -field)
    assert float(field.square().sum(0).max()) < 1


def test_the_field_of_a_turned_volume_is_the_turned_field():
    volume, spacing = blobs((6, 7, 8)), (1.0, 2.0, 3.0)
    turned = volume.permute(0, 2, 3, 1).flip(
        1
    )  # the new x is the old z, the new y the old x, the new z minus the old y
    rotation = torch.tensor([[0, 0, 1], [1, 0, 0], [0, -1, 0]], dtype=torch.float64)
    expected = torch.einsum("ij,j...->i...", rotation, gradient_directions(volume, spacing))
    field = gradient_directions(turned, (3.0, 1.0, 2.0))
    torch.testing.assert_close(field, expected.permute(0, 2, 3, 1).flip(1))


@SIZES
def test_directions_pass_gradcheck(size, spacing):
    volume = blobs(tuple(n // 2 for n in size)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: gradient_directions(v, spacing, 2.0), (volume,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_volume_and_one_of_a_single_slice_give_numbers(dtype):
    flat = torch.full((1, 4, 5, 6), 1234.5, dtype=dtype).requires_grad_()
    field = gradient_directions(flat, (1, 1, 1))
    field.sum().backward()
    assert not field.any()
    assert torch.isfinite(flat.grad).all()
    slice_ = gradient_directions(blobs((1, 5, 6)).to(dtype), (1, 1, 5))
    assert not slice_[2].any()
    assert slice_[:2].any()


@pytest.mark.parametrize(
    ("shape", "spacing", "noise"), [((2, 4, 4), (1, 1), None), ((1, 4, 4), (1, 1, 1), None), ((1, 4, 4), (1, 0), None)]
)
def test_volumes_that_have_no_single_gradient_are_refused(shape, spacing, noise):
    with pytest.raises(ImageError, match="one channel"):
        gradient_directions(torch.zeros(shape), spacing, noise)
    with pytest.raises(ImageError, match="noise"):
        gradient_directions(torch.zeros(1, 4, 4), (1, 1), -1.0)


def test_the_distance_is_numpys_cosine_between_tensors():
    fixed, moving, weight = fields(200, outside=0.3)
    first, second = (np.einsum("in,jn->ijn", v, v)[..., weight == 1].ravel() for v in (fixed.numpy(), moving.numpy()))
    expected = 1 - first @ second / (np.linalg.norm(first) * np.linalg.norm(second))
    assert float(gradient_field_distance(fixed, moving, weight)) == pytest.approx(expected, rel=1e-12)


def test_parallel_fields_are_0_apart_and_orthogonal_ones_1():
    fixed, _, weight = fields(300)
    sign = torch.where(torch.arange(300) % 2 == 0, 1.0, -1.0)
    orthogonal = torch.stack([fixed[1], -fixed[0], torch.zeros(300)])
    assert float(gradient_field_distance(fixed, fixed * sign, weight)) == pytest.approx(0, abs=1e-12)
    assert float(gradient_field_distance(fixed, orthogonal, weight)) == pytest.approx(1, abs=1e-12)
    assert GradientFieldsMeasure(fixed)(-fixed, weight).value == pytest.approx(0, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.floats(1e-3, 1), st.floats(1e-3, 1))
def test_values_lie_between_0_and_1(seed, outside, strength, other):
    fixed, moving, weight = fields(50, outside, seed)
    assert -1e-12 <= float(gradient_field_distance(fixed * strength, moving * other, weight)) <= 1


def test_weak_edges_hardly_count():
    fixed, moving, weight = fields(200)
    fixed[:, :100] *= 0.02
    strong = weight.clone()
    strong[:100] = 0
    # a fixed length of 0.02 takes a sample's share of the sums down by 4e-4
    moving[:, :100] *= 0.02
    expected = float(gradient_field_distance(fixed, moving, strong))
    assert float(gradient_field_distance(fixed, moving, weight)) == pytest.approx(expected, abs=1e-5)


def test_samples_that_do_not_count_are_as_if_left_out():
    fixed, moving, weight = fields(200, outside=0.4)
    inside = weight == 1
    part = gradient_field_distance(fixed[:, inside], moving[:, inside], weight[inside])
    assert float(gradient_field_distance(fixed, moving, weight)) == pytest.approx(float(part), rel=1e-12)


@pytest.mark.parametrize("outside", [0.0, 0.3])
def test_the_distance_passes_gradcheck(outside):
    fixed, moving, weight = fields(30, outside)
    assert torch.autograd.gradcheck(lambda m: gradient_field_distance(fixed, m, weight), (moving.requires_grad_(),))


@pytest.mark.parametrize("outside", [0.0, 0.3, 0.8])
def test_the_measure_agrees_with_autograd_of_the_pure_function(outside):
    fixed, moving, weight = fields(800, outside)
    value = gradient_field_distance(fixed, moving.requires_grad_(), weight)
    value.backward()
    slope = GradientFieldsMeasure(fixed)(moving.detach(), weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(slope.slope, moving.grad, rtol=1e-9, atol=1e-12 * float(moving.grad.abs().max()))
    assert not slope.slope[:, weight == 0].any()
    assert not slope.curvature[:, weight == 0].any()


def test_at_a_perfect_fit_the_curvature_is_the_hessians_diagonal():
    fixed, _, weight = fields(500, outside=0.2)

    def value(moving: torch.Tensor) -> torch.Tensor:
        return gradient_field_distance(fixed, moving.view(3, 500), weight)

    hessian = torch.autograd.functional.hessian(value, fixed.flatten())
    curvature = GradientFieldsMeasure(fixed)(fixed, weight).curvature
    # what the norm of the moving field takes away is of the order 1 / N
    largest = float(curvature.max())
    torch.testing.assert_close(curvature.flatten(), hessian.diagonal(), rtol=0, atol=0.02 * largest)


def test_float32_samples_agree_with_float64():
    fixed, moving, weight = fields(20_000, outside=0.1)
    double = GradientFieldsMeasure(fixed)(moving, weight)
    single = GradientFieldsMeasure(fixed.float())(moving.float(), weight.float())
    assert single.value == pytest.approx(double.value, rel=1e-5)
    torch.testing.assert_close(single.slope.double(), double.slope, rtol=0, atol=1e-5 * float(double.slope.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_images_and_no_sample_inside_give_the_worst_value(dtype):
    fixed, moving, weight = (v.to(dtype) for v in fields(100))
    nothing = torch.zeros_like(fixed)
    for one, other, w in (
        (fixed, nothing, weight),
        (nothing, fixed, weight),
        (fixed, moving, torch.zeros_like(weight)),
    ):
        other = other.clone().requires_grad_()
        value = gradient_field_distance(one, other, w)
        value.backward()
        slope = GradientFieldsMeasure(one)(other.detach(), w)
        assert float(value.detach()) == slope.value == 1
        assert not slope.slope.any()
        assert not other.grad.any()
