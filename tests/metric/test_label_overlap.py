"""Overlap of labels: SimpleITK's Dice, closed forms, gradcheck and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift

from medreg.errors import ImageError
from medreg.metric.label_overlap import LabelOverlapMeasure, label_overlap, one_hot


def shares(count: int, outside: float = 0.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two related sets of shares of three labels (3, N), and weights."""
    random = torch.Generator().manual_seed(seed)
    fixed, noise = torch.rand(2, 3, count, generator=random, dtype=torch.float64)
    weight = (torch.rand(count, generator=random, dtype=torch.float64) >= outside).double()
    return fixed, 0.6 * fixed + 0.4 * noise, weight


def regions() -> tuple[np.ndarray, np.ndarray]:
    """Label images of 0, 2, 5 and 9, the second moved by a few voxels."""
    smooth = gaussian_filter(np.random.default_rng(0).standard_normal((30, 40, 50)), 4)
    fixed = np.array([0, 2, 5, 9])[np.digitize(smooth, np.quantile(smooth, [0.4, 0.6, 0.8]))].astype(np.uint8)
    return fixed, shift(fixed, (1, 2, 0), order=0, mode="nearest")


def test_of_labels_it_is_one_minus_the_mean_of_simpleitks_dice():
    fixed, moving = regions()
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving))
    expected = 1 - np.mean([overlap.GetDiceCoefficient(label) for label in (2, 5, 9)])
    ours, theirs = (one_hot(torch.from_numpy(v)[None], [2, 5, 9]).flatten(1).double() for v in (fixed, moving))
    weight = torch.ones(fixed.size, dtype=torch.float64)
    assert 0.1 < expected < 0.9
    assert float(label_overlap(ours, theirs, weight)) == pytest.approx(expected, rel=1e-12)
    assert LabelOverlapMeasure(ours)(theirs, weight).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_one_hot_has_a_channel_for_each_label_and_none_for_the_rest(dtype):
    labels = torch.tensor([[[0, 3], [3, 200]]], dtype=dtype)
    hot = one_hot(labels, [3, 200, 7])
    assert hot.dtype == torch.float32
    assert hot.tolist() == [[[0, 1], [1, 0]], [[0, 0], [0, 1]], [[0, 0], [0, 0]]]


@pytest.mark.parametrize(
    ("labels", "values", "words"),
    [
        (torch.zeros(2, 4), [1], "one channel"),
        (torch.zeros(1, 4), [], "labels"),
        (torch.zeros(1, 4), [1, 1], "different"),
        (torch.full((1, 4), 0.5), [1], "whole numbers"),
        (torch.full((1, 4), float("nan")), [1], "whole numbers"),
    ],
)
def test_what_is_no_image_of_labels_is_refused(labels, values, words):
    with pytest.raises(ImageError, match=words):
        one_hot(labels, values)


def test_equal_regions_are_0_apart_even_blurred_and_disjoint_ones_1():
    fixed, _, weight = shares(300)
    assert float(label_overlap(fixed, fixed, weight)) == pytest.approx(0, abs=1e-12)
    hard = one_hot(torch.arange(300)[None] // 100, [0, 1, 2]).double()
    assert float(label_overlap(hard, hard.roll(1, 0), weight)) == 1


def test_a_label_that_no_counted_fixed_sample_bears_does_not_count():
    fixed, moving, weight = shares(300)
    weight[:100] = 0
    fixed[1, 100:] = 0
    expected = float(label_overlap(fixed[[0, 2]], moving[[0, 2]], weight))
    assert float(label_overlap(fixed, moving, weight)) == pytest.approx(expected, rel=1e-12)
    slope = LabelOverlapMeasure(fixed)(moving, weight)
    assert slope.value == pytest.approx(expected, rel=1e-12)
    assert not slope.slope[1].any()


def test_samples_that_do_not_count_are_as_if_left_out():
    fixed, moving, weight = shares(300, outside=0.4)
    inside = weight == 1
    part = label_overlap(fixed[:, inside], moving[:, inside], weight[inside])
    assert float(label_overlap(fixed, moving, weight)) == pytest.approx(float(part), rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from([torch.float32, torch.float64]))
def test_values_lie_between_0_and_1(seed, outside, dtype):
    fixed, moving, weight = (v.to(dtype) for v in shares(40, outside, seed))
    assert 0 <= float(label_overlap(fixed, moving, weight)) <= 1


@pytest.mark.parametrize("outside", [0.0, 0.3])
def test_label_overlap_passes_gradcheck(outside):
    fixed, moving, weight = shares(30, outside)
    assert torch.autograd.gradcheck(lambda m: label_overlap(fixed, m, weight), (moving.requires_grad_(),))


@pytest.mark.parametrize("outside", [0.0, 0.3, 0.8])
def test_the_measure_agrees_with_autograd_of_the_pure_function(outside):
    fixed, moving, weight = shares(800, outside)
    value = label_overlap(fixed, moving.requires_grad_(), weight)
    value.backward()
    slope = LabelOverlapMeasure(fixed)(moving.detach(), weight)
    assert slope.value == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(slope.slope, moving.grad, rtol=1e-9, atol=1e-12 * float(moving.grad.abs().max()))
    assert not slope.slope[:, weight == 0].any()
    assert not slope.curvature[:, weight == 0].any()


def test_at_a_perfect_fit_the_curvature_is_the_hessian_up_to_the_change_of_volume():
    fixed, _, weight = shares(400, outside=0.2)
    jacobian = torch.randn(3, 400, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    along = (fixed * weight)[:, None] @ jacobian / (fixed**2 * weight).sum(1)[:, None, None]
    jacobian = jacobian - fixed[..., None] * along  # what keeps the sums of squares

    def value(parameters: torch.Tensor) -> torch.Tensor:
        return label_overlap(fixed, fixed + jacobian @ parameters, weight)

    hessian = torch.autograd.functional.hessian(value, torch.zeros(2, dtype=torch.float64))
    curvature = LabelOverlapMeasure(fixed)(fixed, weight).curvature
    ours = torch.einsum("cnp,cn,cnq->pq", jacobian, curvature, jacobian)
    torch.testing.assert_close(ours, hessian, rtol=1e-9, atol=1e-12)


def test_float32_samples_agree_with_float64():
    fixed, moving, weight = shares(20_000, outside=0.1)
    double = LabelOverlapMeasure(fixed)(moving, weight)
    single = LabelOverlapMeasure(fixed.float())(moving.float(), weight.float())
    assert single.value == pytest.approx(double.value, rel=1e-4)
    torch.testing.assert_close(single.slope.double(), double.slope, rtol=0, atol=1e-5 * float(double.slope.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empty_images_and_no_sample_inside_give_the_worst_value(dtype):
    fixed, moving, weight = (v.to(dtype) for v in shares(100))
    empty = torch.zeros_like(fixed)
    for one, other, w in ((fixed, empty, weight), (empty, moving, weight), (fixed, moving, torch.zeros_like(weight))):
        other = other.clone().requires_grad_()
        value = label_overlap(one, other, w)
        value.backward()
        slope = LabelOverlapMeasure(one)(other.detach(), w)
        assert float(value.detach()) == slope.value == 1
        assert torch.isfinite(other.grad).all()
        torch.testing.assert_close(slope.slope, other.grad)
