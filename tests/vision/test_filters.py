"""Filters give scipy.ndimage's numbers: every border, odd and even kernels, kernels larger than the image, 1D to 3D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from filter_cases import DIFFERENCES, cut_small, drawn, every_border_of_scipy
from scipy import ndimage
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.sample import Edge, Fill, smooth
from medreg.vision.filters import (
    Backward,
    Border,
    Central,
    Forward,
    GaussianSlope,
    Mirror,
    Prewitt,
    Reflect,
    Scharr,
    Slope,
    Sobel,
    box,
    convolve,
    derivative,
    filter,
    gaussian,
    gradient,
    gradient_magnitude,
    laplacian,
    laplacian_of_gaussian,
    median,
)
from medreg.vision.filters.blocks import ALONE
from medreg.vision.filters.correlating import MANY, correlated
from medreg.vision.filters.passes import LONG
from medreg.vision.filters.separating import factors

every_dimension = pytest.mark.parametrize("shape", [(11,), (7, 9), (6, 5, 8)], ids=["1D", "2D", "3D"])

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-6}
"""Of the largest value: rounding of a sum of up to a thousand products."""


every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


def check(found: Tensor, wanted: np.ndarray) -> None:
    """Equal, to rounding."""
    assert found.shape == wanted.shape
    scale = float(np.abs(wanted).max()) or 1.0
    assert np.abs(found.double().numpy() - wanted).max() <= TOLERANCES[found.dtype] * scale


def whole(function: Callable[..., np.ndarray], image: Tensor, *settings: Any, **mode: Any) -> np.ndarray:
    """What scipy's function gives with its whole kernel at once, also for borders of a constant c.

    After each of its passes scipy fills with c again. So: the image less c in a border of 0, and c filtered by itself.
    """
    c = mode.pop("cval", 0.0)
    constant = function(np.full_like(image.numpy(), c), *settings, **{**mode, "mode": "nearest"})
    return function(image.numpy() - c, *settings, **mode) + constant


@every_border_of_scipy
@every_dtype
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((11,), (3,)),
        ((11,), (4,)),
        ((6,), (25,)),  # longer than the image, several times over
        ((6,), (26,)),
        ((1,), (5,)),
        ((7, 9), (3, 3)),
        ((7, 9), (4, 2)),
        ((7, 9), (5, 4)),
        ((7, 9), (1, 6)),
        ((4, 3), (9, 14)),
        ((20, 24), (17, 18)),  # by the Fourier transform
        ((6, 5, 8), (3, 3, 3)),
        ((6, 5, 8), (2, 3, 4)),
        ((6, 5, 8), (4, 4, 4)),
        ((3, 1, 2), (7, 5, 8)),
        ((6, 5, 8), (1, 5, 1)),
    ],
    ids=str,
)
def test_any_kernel_is_correlated_and_convolved_as_by_scipy(
    shape: tuple[int, ...], size: tuple[int, ...], dtype: torch.dtype, border: Border, mode: dict[str, Any]
) -> None:
    image, kernel = drawn(*shape).to(dtype), drawn(*size, seed=1).to(dtype)
    given = image.double().numpy(), kernel.double().numpy()
    check(filter(image, kernel, border), ndimage.correlate(*given, **mode))
    check(convolve(image, kernel, border), ndimage.convolve(*given, **mode))


@every_border_of_scipy
@every_dtype
@pytest.mark.parametrize("sizes", [(3, 4, 5), (16, 2, 1), (5, 5, 5)], ids=str)
def test_kernels_that_are_products_are_factored_without_a_trace(
    sizes: tuple[int, ...], dtype: torch.dtype, border: Border, mode: dict[str, Any]
) -> None:
    z, y, x = (drawn(n, seed=n + k) for k, n in enumerate(sizes))
    image, kernel = drawn(6, 5, 8).to(dtype), (z[:, None, None] * y[:, None] * x).to(dtype)
    wanted = ndimage.correlate(image.double().numpy(), kernel.double().numpy(), **mode)
    check(filter(image, kernel, border), wanted)
    check(filter(image, kernel.requires_grad_(), border).detach(), wanted)  # not factored


def test_products_are_recognised_and_others_left_alone() -> None:
    z, y, x = drawn(5, seed=1), drawn(6, seed=2), drawn(7, seed=3)
    whole = z[:, None, None] * y[:, None] * x
    plane = z[:, None, None] * drawn(6, 7, seed=4)
    for kernel, shapes in (
        (whole, [(5, 1, 1), (1, 6, 1), (1, 1, 7)]),
        (plane, [(5, 1, 1), (1, 6, 7)]),
        (plane.movedim(0, 1), [(1, 5, 1), (6, 1, 7)]),
        (drawn(5, 6, 7), [(5, 6, 7)]),
        (whole + 1e-9 * drawn(5, 6, 7), [(5, 6, 7)]),
        (torch.zeros(3, 3, dtype=torch.float64), [(3, 3)]),
        (drawn(2, seed=1)[:, None] * drawn(2), [(2, 2)]),  # a product that costs less at once
    ):
        parts = factors(kernel, 4 * torch.finfo(torch.float64).eps)
        assert [tuple(part.shape) for part in parts] == shapes
        product = parts[0]
        for part in parts[1:]:
            product = product * part
        assert float((product - kernel).norm()) <= 1e-15 * max(float(kernel.norm()), 1.0)


@every_dtype
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("length", [LONG, LONG + 1, 3 * LONG])
def test_long_kernels_take_another_way_to_the_same_sums(length: int, axis: int, dtype: torch.dtype) -> None:
    shape = [3, 3, 3]
    shape[axis] = 70 + length  # several pieces of the banded matrix, the last not whole
    kernel, image = drawn(length).to(dtype), drawn(2, *shape, seed=1).to(dtype)
    found = correlated(image, kernel.view([length if k == axis else 1 for k in range(3)]))
    wanted = image.double().unfold(axis + 1, length, 1) @ kernel.double()
    check(found, wanted.numpy())


@every_border_of_scipy
@pytest.mark.parametrize("shape", [(37,), (11, 14), (9, 7, 10)], ids=["1D", "2D", "3D"])
def test_blocks_leave_no_seams(
    shape: tuple[int, ...], border: Border, mode: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_small(monkeypatch)
    image, d = drawn(*shape), len(shape)
    kernels = [drawn(*[3, 4, 2][:d], seed=1), drawn(*[23, 1, 1][:d], seed=1), drawn(*[1, 1, 9][3 - d :], seed=1)]
    for kernel in kernels:
        check(filter(image, kernel, border), ndimage.correlate(image.numpy(), kernel.numpy(), **mode))
    if d > 1:  # beyond the border lies what the first of two kernels made of it
        kernel = (drawn(ALONE + 6)[:, None] * drawn(3, seed=1)).view(*[1, ALONE + 6, 3][-d:])
        check(filter(image, kernel, border), padded_first(image, kernel, mode))
    for sigma in (0.8, 2.0, ALONE / 7):  # shifted sums, products with a matrix, and these axis by axis
        check(gaussian(image, sigma, border=border, dimension=d), ndimage.gaussian_filter(image, sigma, **mode))
    for size in (5, 12, ALONE + 3):
        check(box(image, size, border=border, dimension=d), ndimage.uniform_filter(image, size, **mode))
    check(laplacian(image, border=border, dimension=d), ndimage.laplace(image, **mode))


def padded_first(image: Tensor, kernel: Tensor, mode: dict[str, Any]) -> np.ndarray:
    """Correlated by scipy after numpy made the border; scipy's own is not to be trusted ten times beyond the image."""
    names = {"constant": "constant", "nearest": "edge", "reflect": "symmetric", "mirror": "reflect", "wrap": "wrap"}
    constant = {"constant_values": mode["cval"]} if "cval" in mode else {}
    padded = np.pad(image.numpy(), [(n, n) for n in kernel.shape], names[mode["mode"]], **constant)
    inside = tuple(slice(k, k + n) for k, n in zip(kernel.shape, image.shape, strict=True))
    return ndimage.correlate(padded, kernel.numpy(), mode="constant")[inside]


def test_blocks_know_their_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch)
    image, values = drawn(2, 3, 9, 11), [1.0, -2.0, 30.0]
    calls: list[Callable[[Tensor, Fill], Tensor]] = [
        lambda i, fill: filter(i, drawn(3, 4, seed=1), fill),
        lambda i, fill: filter(i, drawn(ALONE + 6, seed=2)[:, None] * drawn(3), fill),
    ]
    for call in calls:
        found = call(image, Fill(torch.tensor(values)))
        for channel, value in enumerate(values):
            check(found[:, channel], call(image[:, channel], Fill(value)).numpy())


def test_threads_share_the_work_and_change_nothing() -> None:
    image = drawn(120, 90, 80).float()
    calls: list[Callable[[Tensor], Tensor]] = [
        lambda i: gaussian(i, 1.0),
        lambda i: gaussian(i, 3.0),
        lambda i: box(i, 9),
        laplacian,
    ]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [call(image) for call in calls]
        torch.set_num_threads(2)
        for call, one in zip(calls, alone, strict=True):
            assert torch.equal(call(image), one)
    finally:
        torch.set_num_threads(before)


def test_what_is_not_finite_stays_in_reach_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch)
    image = drawn(40, 41)
    image[20, 3], image[5, 30] = torch.nan, torch.inf
    for sigma in (1.0, 2.0):
        found, wanted = gaussian(image, sigma, dimension=2).numpy(), ndimage.gaussian_filter(image.numpy(), sigma)
        assert np.array_equal(np.isnan(found), np.isnan(wanted))
        assert np.array_equal(np.isinf(found), np.isinf(wanted))
        finite = np.isfinite(wanted)
        assert np.abs(found[finite] - wanted[finite]).max() < 1e-12  # of values up to 1


@pytest.mark.parametrize("size", [(LONG + 4,), (17, 16)], ids=["banded", "Fourier"])
def test_what_is_not_finite_reaches_as_far_as_the_kernel(size: tuple[int, ...]) -> None:
    image = drawn(*(60 for _ in size))
    image[(30,) * len(size)] = torch.nan
    assert len(size) == 1 or np.prod(size) > MANY[torch.float64]
    found = filter(image, drawn(*size, seed=1))
    wanted = ndimage.correlate(image.numpy(), drawn(*size, seed=1).numpy())
    assert np.array_equal(found.isnan().numpy(), np.isnan(wanted))
    assert np.nanmax(np.abs(found.numpy() - wanted)) < 1e-11  # of values up to 50


@every_border_of_scipy
@every_dimension
@every_dtype
def test_gaussians_and_their_derivatives_are_scipys(
    dtype: torch.dtype, shape: tuple[int, ...], border: Border, mode: dict[str, Any]
) -> None:
    given, d = drawn(*shape).to(dtype), len(shape)
    image = given.double()
    for sigma in (0.0, 0.1, 0.4, 1.0, 3.7):
        check(gaussian(given, sigma, border=border, dimension=d), ndimage.gaussian_filter(image, sigma, **mode))
    sigmas, orders = [0.6, 1.3, 2.0][:d], [1, 2, 0][:d]  # x first; scipy wants the tensor's first axis first
    found = gaussian(given, sigmas, order=orders, border=border, dimension=d)
    check(found, whole(ndimage.gaussian_filter, image, sigmas[::-1], orders[::-1], **mode))
    found = laplacian_of_gaussian(given, sigmas, border=border, dimension=d)
    check(found, whole(ndimage.gaussian_laplace, image, sigmas[::-1], **mode))
    found = gradient_magnitude(given, GaussianSlope(sigmas), border=border, dimension=d)
    check(found, whole(ndimage.gaussian_gradient_magnitude, image, sigmas[::-1], **mode))


@every_border_of_scipy
@every_dimension
@every_dtype
def test_differences_are_scipys(
    dtype: torch.dtype, shape: tuple[int, ...], border: Border, mode: dict[str, Any]
) -> None:
    given, d = drawn(*shape).to(dtype), len(shape)
    image = given.double()
    check(laplacian(given, border=border, dimension=d), ndimage.laplace(image, **mode))
    for axis in range(d):
        along = d - 1 - axis  # of the tensor
        found = derivative(given, axis, Sobel(), border=border, dimension=d)
        check(found * 2 * 4 ** (d - 1), whole(ndimage.sobel, image, along, **mode))
        found = derivative(given, axis, Prewitt(), border=border, dimension=d)
        check(found * 2 * 3 ** (d - 1), whole(ndimage.prewitt, image, along, **mode))
        found = derivative(given, axis, Scharr(), border=border, dimension=d)
        check(found, whole(scharr, image, along, **mode))
        for by, taps, origin in (
            (Forward(), [-1, 1], -1),
            (Backward(), [-1, 1], 0),
            (Central(), [-0.5, 0, 0.5], 0),
        ):
            wanted = ndimage.correlate1d(image.numpy(), taps, along, origin=origin, **mode)
            check(derivative(given, axis, by, border=border, dimension=d), wanted)


def scharr(image: np.ndarray, along: int, **mode: Any) -> np.ndarray:
    """By one-dimensional correlations; scipy has no such filter."""
    image = ndimage.correlate1d(image, [-0.5, 0, 0.5], along, **mode)
    for other in set(range(image.ndim)) - {along}:
        image = ndimage.correlate1d(image, [3 / 16, 10 / 16, 3 / 16], other, **mode)
    return image


@every_border_of_scipy
@every_dimension
@every_dtype
def test_boxes_and_medians_are_scipys(
    dtype: torch.dtype, shape: tuple[int, ...], border: Border, mode: dict[str, Any]
) -> None:
    given, d = drawn(*shape).to(dtype), len(shape)
    image = given.double()
    for size in (1, 2, 3, 4, 7, 13, 30):
        check(box(given, size, border=border, dimension=d), ndimage.uniform_filter(image, size, **mode))
    for sizes in ([3, 3, 3][:d], [5, 1, 3][:d], [9, 3, 1][:d]):
        wanted = ndimage.median_filter(image, sizes[::-1], **mode)
        for one in (given, given.clone().requires_grad_()):  # two ways
            assert np.array_equal(median(one, sizes, border=border, dimension=d).detach(), wanted)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.bool, torch.float16], ids=str)
def test_a_median_keeps_the_type_of_the_voxels(dtype: torch.dtype) -> None:
    image = (drawn(2, 9, 8).abs() * 2).to(dtype)
    found = median(image, 3, dimension=2)
    wanted = [ndimage.median_filter(one.double().numpy(), 3) for one in image]
    assert found.dtype == dtype
    assert np.array_equal(found.double().numpy(), np.stack(wanted))


def test_a_median_of_windows_with_nan_is_nan() -> None:
    image = drawn(9, 9)
    image[4, 4] = torch.nan
    found = median(image, 3, dimension=2)
    assert torch.equal(found.isnan().nonzero(), torch.cartesian_prod(torch.arange(3, 6), torch.arange(3, 6)))


@pytest.mark.parametrize("by", [*DIFFERENCES, GaussianSlope(1.0)], ids=str)
def test_a_ramp_has_its_slope(by: Slope) -> None:
    z, y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (13, 14, 15)), indexing="ij")
    slopes = gradient(0.5 * x - 2 * y + 3 * z, by)
    middle = (slice(5, -5),) * 3
    given = 1 if not isinstance(by, GaussianSlope) else pytest.approx(1, abs=2e-3)  # the sampled Gaussian's own slope
    for found, wanted in zip(slopes, (0.5, -2.0, 3.0), strict=True):
        assert float((found[middle] / wanted).mean()) == given
        assert float(found[middle].std()) < 1e-12


def test_gaussians_are_those_of_smooth_where_the_edge_goes_on() -> None:
    image = drawn(2, 7, 9, 8)
    assert torch.allclose(gaussian(image, 1.2, border=Edge()), smooth(image, 1.2, (1.0,) * 3), rtol=0, atol=1e-14)


def test_channels_and_items_are_filtered_each_on_its_own() -> None:
    image, kernel = drawn(2, 3, 6, 7), drawn(3, 2, seed=1)
    for function in (lambda one: filter(one, kernel, Mirror()), lambda one: median(one, 3, dimension=2)):
        loop = torch.stack([torch.stack([function(channel) for channel in item]) for item in image])
        assert torch.equal(function(image), loop)


def test_a_fill_may_have_a_value_for_each_channel() -> None:
    image, kernel = drawn(2, 3, 6, 7), drawn(4, 5, seed=1)
    values = torch.tensor([1.0, -2.0, 30.0])
    found = filter(image, kernel, Fill(values))
    for channel, value in enumerate(values.tolist()):
        assert torch.equal(found[:, channel], filter(image[:, channel], kernel, Fill(value)))


def test_integers_become_floating_point_and_halves_float32() -> None:
    image = torch.tensor([[1, 2, 9]])
    for dtype, result in ((torch.int16, torch.float32), (torch.int32, torch.float64), (torch.float16, torch.float32)):
        found = filter(image.to(dtype), torch.tensor([0.5, 0.5]))
        assert found.dtype == result
        assert found.tolist() == [[1.0, 1.5, 5.5]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filter(torch.zeros(3, 3), torch.zeros(2, 2, 2, 2)), "kernel: number of axes.*1 to 3, got int 4"),
        (lambda: filter(torch.zeros(3, 3), [torch.nan, 1.0]), "kernel: takes finite numbers"),
        (lambda: filter(torch.zeros(3, 3), []), "kernel: takes numbers"),
        (lambda: filter(torch.zeros(3, 3), "sobel"), "kernel: takes numbers"),
        (lambda: filter(torch.zeros(3, 3), [1.0], "reflect"), r"border: takes Fill\(...\), Edge"),
        (lambda: filter(torch.zeros(3, 3), [1.0], Reflect), r"pass Reflect\(\)"),
        (lambda: filter(torch.zeros(2, 3, 3), [1.0], Fill(torch.zeros(5))), "one for each of 3 channels, got 5"),
        (lambda: filter(torch.zeros(3), [[1.0]]), r"takes a tensor \(..., y, x\) with voxels in it, got \(3,\)"),
        (lambda: filter(torch.zeros(0, 3), [[1.0]]), r"with voxels in it, got \(0, 3\)"),
        (lambda: filter(torch.zeros(3, dtype=torch.cfloat), [1.0]), "complex"),
        (lambda: filter(np.zeros(3), [1.0]), "torch.from_numpy"),
        (lambda: gaussian(torch.zeros(3, 3), 1.0), r"takes a tensor \(..., z, y, x\)"),
        (lambda: gaussian(torch.zeros(3, 3), -1.0, dimension=2), "sigma of 0 mm or more, got -1"),
        (lambda: gaussian(torch.zeros(3, 3), [1.0, 2.0, 3.0], dimension=2), "sigma_mm.*each of 2 axes, got 3"),
        (lambda: gaussian(torch.zeros(3, 3), 0.1, order=1, dimension=2), "eighth of a voxel.*Central"),
        (lambda: gaussian(torch.zeros(3, 3), 1.0, order=3, dimension=2), "up to order 2, asked for 3"),
        (lambda: gaussian(torch.zeros(3, 3), 1.0, dimension=4), "dimension: takes a whole number, 1 to 3"),
        (lambda: box(torch.zeros(3, 3), 0, dimension=2), "size: takes a whole number, 1 or more"),
        (lambda: box(torch.zeros(3, 3), [3, 0], dimension=2), "size: takes a whole number, 1 or more"),
        (lambda: box(torch.zeros(3, 3), [1, 2, 3], dimension=2), "one for each of 2 axes"),
        (lambda: median(torch.zeros(3, 3), 4, dimension=2), "odd numbers of voxels, got 4"),
        (lambda: median(torch.zeros(3, 3, dtype=torch.uint8), border=Fill(300.0), dimension=2), "cannot hold"),
        (lambda: derivative(torch.zeros(3, 3), 2, dimension=2), "axis: takes a whole number, 0 to 1"),
        (lambda: derivative(torch.zeros(3, 3), 0, "sobel", dimension=2), "by: takes Forward"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(call: Callable[[], object], message: str) -> None:
    with pytest.raises((ImageError, UsageError), match=message):
        call()
