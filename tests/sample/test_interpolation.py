"""The sampler at scattered points: closed forms, SimpleITK, scipy, and gradcheck as oracles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import map_coordinates
from torch.autograd import gradcheck

import medreg
from medreg.errors import ImageError
from medreg.sample import (
    CubicBSpline,
    Edge,
    Fill,
    Linear,
    Nearest,
    WindowedSinc,
    sample,
    sample_with_gradient,
)
from medreg.sample import interpolation as module

SMOOTH = [Linear(), CubicBSpline(), WindowedSinc(), WindowedSinc(2)]
ALL = [Nearest(), *SMOOTH]


def volume_and_index(
    dimension: int, channels: int = 2, points: int = 40, size: tuple[int, ...] = (7, 6, 5)
) -> tuple[torch.Tensor, torch.Tensor]:
    """float64 noise, and points inside and up to 2 voxels outside, away from the kernels' corners."""
    random = np.random.default_rng(5)
    size = size[:dimension]
    index = np.stack([random.uniform(-2, n + 1, points) for n in size], 1)
    near = np.abs(2 * index - np.round(2 * index)) < 0.02
    index[near] += 0.05
    return torch.from_numpy(random.standard_normal((channels, *size[::-1]))), torch.from_numpy(index)


def test_the_sampler_of_torch_is_named_in_no_other_file():
    root = Path(medreg.__file__).parent
    names = ("grid_sample", "align_corners")
    found = {p.relative_to(root).as_posix() for p in root.rglob("*.py") if any(n in p.read_text() for n in names)}
    assert found <= {"sample/interpolation.py"}


@pytest.mark.parametrize("interpolation", ALL, ids=str)
def test_gradients_to_volume_index_and_fill_pass_gradcheck(dimension, interpolation):
    volume, index = volume_and_index(dimension, 1, 10, (4, 3, 3))
    fill = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    inputs = (volume.requires_grad_(), index.requires_grad_(), fill)
    assert gradcheck(lambda v, i, f: sample(v, i, interpolation, Fill(f)), inputs)
    assert gradcheck(lambda v, i: sample(v, i, interpolation, Edge()), inputs[:2])


def test_nearest_gives_the_index_no_gradient_and_rounds_halves_up():
    line = torch.arange(5.0).view(1, 1, 5)
    x = torch.tensor([0.49, 0.5, 1.5, 2.5, 3.49, -0.5, 4.49])
    index = torch.stack([x, torch.zeros_like(x)], 1).requires_grad_()
    values = sample(line.requires_grad_(), index, Nearest())
    assert values[0].tolist() == [0, 1, 2, 3, 3, 0, 4]
    values.sum().backward()
    assert index.grad is None or not index.grad.any()
    assert line.grad[0, 0].tolist() == [2, 1, 1, 2, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("interpolation", ALL, ids=str)
def test_a_point_is_inside_from_minus_a_half_until_just_below_n_minus_a_half(interpolation, dtype):
    ones = torch.ones(1, 3, 4, dtype=torch.float64)
    half = torch.tensor(0.5, dtype=dtype)
    below, end = torch.nextafter(-half, -2 * half), torch.tensor(3.5, dtype=dtype)
    for x, inside in [(-half, True), (below, False), (end, False), (torch.nextafter(end, half), True)]:
        value = sample(ones, torch.stack([x, 2 * half])[None], interpolation, Fill(-5.0))
        assert value.item() == pytest.approx(1.0 if inside else -5.0, abs=1e-12)


def test_the_edge_of_the_buffer_is_simpleitks():
    image = sitk.GetImageFromArray(np.arange(12.0).reshape(3, 4))
    # a grid of quarter voxels that starts at the ties; through 1 pixel in y the first and last lines are cut too
    onto = ((21, 17), (0.25, 0.25), (-0.75, -0.75))
    itk = sitk.Resample(
        image, onto[0], sitk.Transform(2, sitk.sitkIdentity), sitk.sitkLinear, onto[2], onto[1], (1, 0, 0, 1), -5.0
    )
    x, y = np.meshgrid(*(o + s * np.arange(n) for n, s, o in zip(*onto, strict=True)))
    index = torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1))
    ours = sample(torch.arange(12.0).view(1, 3, 4), index, outside=Fill(-5.0)).view(17, 21)
    np.testing.assert_allclose(ours.numpy(), sitk.GetArrayFromImage(itk), atol=1e-6)


def test_a_linear_ramp_is_exact_in_between(dimension):
    _, index = volume_and_index(dimension)
    shape = (5, 6, 7)[-dimension:]
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij")[::-1]
    ramp = sum(k * axis for k, axis in zip((2.0, -3.0, 0.5), axes, strict=False))[None] + 1
    index = index.clamp(min=0).minimum(torch.tensor(shape[::-1]) - 1.0)
    wanted = 1 + index @ torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64)[:dimension]
    torch.testing.assert_close(sample(ramp, index)[0], wanted)


def test_a_cubic_polynomial_comes_back_from_the_cubic_spline_in_the_interior():
    # the mirror boundary bends it near the ends; 0.27^15 of that is left 15 voxels inside
    x = torch.arange(60, dtype=torch.float64)
    t = (x - 30) / 10
    cubic = (2 * t**3 - t**2 + 0.5 * t).expand(1, 4, 60)
    at = torch.linspace(20.1, 39.7, 50, dtype=torch.float64)
    s = (at - 30) / 10
    values = sample(cubic, torch.stack([at, torch.full_like(at, 1.3)], 1), CubicBSpline())[0]
    torch.testing.assert_close(values, 2 * s**3 - s**2 + 0.5 * s, atol=1e-7, rtol=0)


def test_the_cubic_spline_is_scipys_with_mirror_boundaries(dimension):
    volume, index = volume_and_index(dimension)
    theirs = [map_coordinates(v, index.numpy().T[::-1], order=3, mode="mirror") for v in volume.numpy()]
    ours = sample(volume, index, CubicBSpline(), Fill(torch.nan))
    inside = ~ours[0].isnan().numpy()
    assert 5 < inside.sum() < len(index)
    np.testing.assert_allclose(ours.numpy()[:, inside], np.array(theirs)[:, inside], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, (20, 3), elements=st.floats(-4, 9, width=32)),
    st.floats(-1e6, 1e6, width=32).filter(lambda c: c == 0 or abs(c) > 1e-30),  # below, float32 has fewer digits
)
def test_a_constant_volume_stays_constant(index, constant):
    volume = torch.full((1, 5, 4, 6), constant)
    assert torch.equal(sample(volume, torch.from_numpy(index), Linear(), Edge()), torch.full((1, 20), constant))
    for kernel in (CubicBSpline(), WindowedSinc()):
        values = sample(volume, torch.from_numpy(index), kernel, Edge())
        torch.testing.assert_close(
            values, torch.full((1, 20), constant), rtol=2e-6, atol=0
        )  # float32 sums of 64 to 216


@pytest.mark.parametrize("interpolation", ALL, ids=str)
def test_every_kernel_gives_the_voxels_back_at_their_centres(dimension, interpolation):
    volume, _ = volume_and_index(dimension)
    shape = volume.shape[1:]
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")[::-1], -1)
    values = sample(volume.float(), index.reshape(-1, dimension).float(), interpolation)
    torch.testing.assert_close(values.view_as(volume), volume.float(), atol=1e-6 * volume.abs().max().item(), rtol=0)


@pytest.mark.parametrize("interpolation", ALL, ids=str)
def test_axes_of_one_voxel_are_sampled_as_constants_along_them(interpolation):
    volume = torch.arange(6.0).view(1, 1, 6, 1)
    index = torch.tensor([[0.3, 2.0, -0.4], [-0.5, 4.0, 0.0], [0.5, 1.0, 0.0]])
    torch.testing.assert_close(sample(volume, index, interpolation, Fill(-1.0)), torch.tensor([[2.0, 4.0, -1.0]]))


@pytest.mark.parametrize("interpolation", ALL, ids=str)
def test_a_batch_is_the_loop_over_its_volumes(dimension, interpolation):
    volume, index = volume_and_index(dimension)
    volumes, indices = torch.stack([volume, -volume + 1]), torch.stack([index, index + 0.3])
    loop = [sample(v, i, interpolation, Fill(2.0)) for v, i in zip(volumes, indices, strict=True)]
    assert torch.equal(sample(volumes, indices, interpolation, Fill(2.0)), torch.stack(loop))


@pytest.mark.parametrize("interpolation", ALL, ids=str)
def test_points_that_are_not_numbers_are_outside_and_spoil_no_gradient(interpolation):
    volume = torch.ones(1, 4, 4, requires_grad=True)
    index = torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [1.0, -torch.inf], [1.25, 1.0]], requires_grad=True)
    values = sample(volume, index, interpolation, Fill(-3.0))
    torch.testing.assert_close(values.detach(), torch.tensor([[-3.0, -3.0, -3.0, 1.0]]))
    values.sum().backward()
    assert volume.grad.isfinite().all()
    assert volume.grad.sum().item() == pytest.approx(1.0)
    assert index.grad is None or index.grad.isfinite().all()


def test_float64_indices_keep_float32_voxels_precise_far_from_the_origin():
    # a step of 1 at voxel 10,000: float32 indices would be off by 5e-4 voxel there
    line = (torch.arange(20_000) > 10_000).float().expand(1, 2, -1)
    index = torch.tensor([[10_000.123456789, 0.0]], dtype=torch.float64)
    assert sample(line, index).item() == pytest.approx(0.123456789, abs=1e-7)


def test_edge_takes_the_nearest_point_between_the_outermost_centres(dimension):
    volume, index = volume_and_index(dimension)
    for interpolation in ALL:
        nearest = index.clamp(min=0).minimum(torch.tensor(volume.shape[:0:-1]) - 1.0)
        wanted = sample(volume, nearest, interpolation)
        assert torch.equal(sample(volume, index, interpolation, Edge()), wanted)


def test_values_with_gradient_are_the_samplers_and_autograds(dimension):
    volume, index = volume_and_index(dimension)
    sampled = sample_with_gradient(volume, index)
    tracked = index.clone().requires_grad_()
    values = sample(volume, tracked, outside=Edge())
    torch.testing.assert_close(sampled.values, values.detach())
    for channel, gradients in zip(values, sampled.gradients, strict=True):
        (wanted,) = torch.autograd.grad(channel.sum(), tracked, retain_graph=True)
        torch.testing.assert_close(gradients, wanted)
    inside = sample(torch.ones_like(volume), index)[0] == 1
    assert torch.equal(sampled.inside, inside)
    assert 0 < inside.sum() < len(index)


def test_many_points_with_gradient_are_their_pieces_put_together(dimension, monkeypatch):
    volume, index = volume_and_index(dimension)
    whole, values = sample_with_gradient(volume, index), sample(volume, index)
    monkeypatch.setattr(module, "points_at_once", lambda *_: 7)
    for got, wanted in zip(sample_with_gradient(volume, index), whole, strict=True):
        assert torch.equal(got, wanted)
    assert torch.equal(sample(volume, index), values)


def test_values_with_gradient_carry_no_graph_and_survive_points_that_are_not_numbers():
    sampled = sample_with_gradient(
        torch.ones(1, 4, 4, requires_grad=True), torch.tensor([[torch.nan, 1.0], [1.0, 1.0]])
    )
    assert not sampled.values.requires_grad
    assert sampled.inside.tolist() == [False, True]
    assert sampled.gradients.isfinite().all()


def test_shapes_that_do_not_fit_are_told():
    with pytest.raises(ImageError, match=r"floating-point indices \(N, 3\)"):
        sample(torch.zeros(1, 3, 3, 3), torch.zeros(5, 2))
    with pytest.raises(ImageError, match="torch.int64"):
        sample(torch.zeros(1, 3, 3), torch.zeros(5, 2, dtype=torch.int64))
    with pytest.raises(ImageError, match="batch of 2 volumes"):
        sample(torch.zeros(2, 1, 3, 3), torch.zeros(3, 5, 2))
    with pytest.raises(ImageError, match="radius of 1 to 16"):
        WindowedSinc(0)
