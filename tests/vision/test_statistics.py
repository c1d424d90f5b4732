"""Statistics of images: against closed forms, NumPy and scikit-image, with masks, with holes, and with gradients."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.autograd import gradcheck

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.vision.statistics import (
    finite_extrema,
    finite_maximum,
    finite_mean,
    finite_minimum,
    finite_quantiles,
    finite_sum,
    max_absolute_difference,
    mean_absolute_difference,
    mean_squared_error,
    psnr,
    root_mean_squared_error,
    ssim,
    sum_absolute_difference,
)

Of = Callable[..., Tensor]

COMPARISONS: dict[str, tuple[Of, Callable[[np.ndarray], float]]] = {
    "mean": (mean_absolute_difference, lambda d: np.abs(d).mean()),
    "sum": (sum_absolute_difference, lambda d: np.abs(d).sum()),
    "max": (max_absolute_difference, lambda d: np.abs(d).max()),
    "squared": (mean_squared_error, lambda d: (d**2).mean()),
    "root": (root_mean_squared_error, lambda d: np.sqrt((d**2).mean())),
    "psnr": (lambda *a, **k: psnr(*a, data_range=3.0, **k), lambda d: 10 * np.log10(9 / (d**2).mean())),
}
SINGLES: dict[str, tuple[Of, Callable[[np.ndarray], float]]] = {
    "sum": (finite_sum, np.sum),
    "mean": (finite_mean, np.mean),
    "minimum": (finite_minimum, np.min),
    "maximum": (finite_maximum, np.max),
    "low": (lambda *a, **k: finite_extrema(*a, **k)[0], np.min),
    "high": (lambda *a, **k: finite_extrema(*a, **k)[1], np.max),
    "quantile": (lambda image, *a, **k: finite_quantiles(image, 0.3, *a, **k), lambda v: np.quantile(v, 0.3)),
}
comparisons = pytest.mark.parametrize(("function", "formula"), COMPARISONS.values(), ids=COMPARISONS)
singles = pytest.mark.parametrize(("function", "formula"), SINGLES.values(), ids=SINGLES)
shapes = pytest.mark.parametrize(
    ("shape", "dimension"), [((5, 4, 6), 3), ((2, 3, 7, 8), 2), ((2, 4, 5, 3), 3)], ids=str
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Numbers around 0, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_holes(image: Tensor) -> Tensor:
    """Some voxels of each channel are not finite."""
    image = image.clone()
    for k, value in enumerate((torch.nan, torch.inf, -torch.inf)):
        image[..., k, k] = value
    return image


def by_row(image: Tensor, dimension: int) -> Tensor:
    """(R, V)."""
    return image.reshape(-1, image.shape[-dimension:].numel())


@singles
@shapes
def test_statistics_are_of_what_is_finite_and_inside_the_mask(
    function: Of, formula: Callable[[np.ndarray], float], shape: tuple[int, ...], dimension: int
) -> None:
    image, mask = with_holes(drawn(*shape)), drawn(*shape, seed=1) > -0.5
    for given in (None, mask):
        found = function(image, given, dimension=dimension)
        rows = zip(by_row(image, dimension), by_row(mask, dimension), strict=True)
        wanted = [formula(row[row.isfinite() & (inside | (given is None))].numpy()) for row, inside in rows]
        assert found.shape == shape[:-dimension]
        assert found.reshape(-1).tolist() == pytest.approx(wanted, rel=1e-13)


@comparisons
@shapes
def test_comparisons_are_of_what_is_finite_in_both_and_inside_the_mask(
    function: Of, formula: Callable[[np.ndarray], float], shape: tuple[int, ...], dimension: int
) -> None:
    image, other, mask = with_holes(drawn(*shape)), drawn(*shape, seed=2), drawn(*shape, seed=1) > -0.5
    other[..., -1, -1] = torch.nan
    difference = image - other
    for given in (None, mask):
        found = function(image, other, given, dimension=dimension)
        rows = zip(by_row(difference, dimension), by_row(mask, dimension), strict=True)
        wanted = [formula(row[row.isfinite() & (inside | (given is None))].numpy()) for row, inside in rows]
        assert found.shape == shape[:-dimension]
        assert found.reshape(-1).tolist() == pytest.approx(wanted, rel=1e-13)


def test_several_quantiles_are_numpys() -> None:
    image, shares = with_holes(drawn(2, 3, 9, 8)), [0.0, 0.1, 0.5, 0.99, 1.0]
    found = finite_quantiles(image, shares, dimension=2)
    rows = by_row(image, 2)
    wanted = np.stack([np.quantile(row[row.isfinite()].numpy(), shares) for row in rows])
    assert found.shape == (2, 3, 5)
    assert np.abs(found.reshape(6, 5).numpy() - wanted).max() < 1e-14


def test_long_sums_in_float32_do_not_drift() -> None:
    image = torch.full((1, 300, 300, 30), 0.1)
    image[..., 0] += 1e4
    exact = image.double()
    assert float(finite_sum(image)) == pytest.approx(float(exact.sum()), rel=6e-8)  # half a unit of float32
    assert float(finite_mean(image)) == pytest.approx(float(exact.mean()), rel=6e-8)
    other = image + 0.25
    wanted = float((exact - other.double()).abs().mean())
    assert float(mean_absolute_difference(image, other)) == pytest.approx(wanted, rel=6e-8)


@comparisons
def test_comparisons_have_the_slopes_of_differences(function: Of, formula: Callable[[np.ndarray], float]) -> None:
    image, other = drawn(2, 4, 5), drawn(2, 4, 5, seed=3)
    image[0, 1, 1] = torch.nan
    mask = torch.ones(4, 5)
    mask[2] = 0

    def of_finite(finite: Tensor, other: Tensor) -> Tensor:
        holed = torch.where(image.isnan(), image, finite)
        return function(holed, other, mask, dimension=2)

    assert gradcheck(of_finite, (image.nan_to_num(0.0).requires_grad_(), other.requires_grad_()))
    assert gradcheck(lambda a, b: function(a, b), (drawn(2, 3, 4).requires_grad_(), other[:, :3, :4].detach()))


@singles
def test_statistics_have_the_slopes_of_differences(function: Of, formula: Callable[[np.ndarray], float]) -> None:
    image = drawn(2, 4, 5)
    holes = torch.zeros(2, 4, 5, dtype=torch.bool)
    holes[:, 1, 1] = True

    def of_finite(finite: Tensor) -> Tensor:
        return function(finite.masked_fill(holes, torch.nan), torch.ones(4, 5), dimension=2)

    assert gradcheck(of_finite, image.requires_grad_())


@pytest.mark.parametrize("hole", [torch.nan, torch.inf])
def test_what_is_not_finite_gets_a_slope_of_0(hole: float) -> None:
    other = drawn(16, 16, seed=1)
    calls = [
        *(lambda a, f=f: f(a, dimension=2) for f, _ in SINGLES.values()),
        *(lambda a, f=f: f(a, other, dimension=2) for f, _ in COMPARISONS.values()),
        lambda a: ssim(a, other, data_range=3.0, dimension=2),
    ]
    for call in calls:
        image = drawn(16, 16)
        image[0, 3] = hole
        image.requires_grad_()
        call(image).backward()
        assert image.grad is not None
        assert bool(image.grad.isfinite().all())
        assert float(image.grad[0, 3]) == 0
        assert float(image.grad.abs().sum()) > 0


def test_the_mean_divides_by_the_count_of_what_is_finite() -> None:
    image = torch.tensor([[2.0, torch.nan, 4.0]], requires_grad=True)
    found = finite_mean(image, dimension=2)
    found.backward()
    assert found.item() == 3.0
    assert image.grad is not None
    assert image.grad.tolist() == [[0.5, 0.0, 0.5]]  # DiffImages.jl divides by the length, 3


def test_equal_images_are_infinitely_alike_with_a_slope_of_0() -> None:
    image = drawn(1, 3, 4).requires_grad_()
    same = image.detach().clone()
    for function, value in ((lambda a, b: psnr(a, b, data_range=1.0), torch.inf), (root_mean_squared_error, 0.0)):
        found = function(image, same)
        (slope,) = torch.autograd.grad(found, image)
        assert found.item() == value
        assert torch.equal(slope, torch.zeros_like(slope))


def ssim_by_scipy(one: np.ndarray, two: np.ndarray, peak: float, sigma: float = 1.5) -> np.ndarray:
    """The map over the voxels whose windows lie inside, by the formula."""

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, sigma, truncate=3.5)

    m1, m2 = mean(one), mean(two)
    v1, v2, c = mean((one) ** 2) - m1**2, mean(two**2) - m2**2, mean(one * two) - m1 * m2
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    whole = (2 * m1 * m2 + c1) * (2 * c + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2))
    reach = int(3.5 * sigma + 0.5)
    return whole[(slice(reach, -reach),) * one.ndim]


@pytest.mark.parametrize("shape", [(30, 25), (14, 20, 17)], ids=["2D", "3D"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_structural_similarity_is_the_formula_and_scikit_images(
    shape: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    one = torch.from_numpy(ndimage.gaussian_filter(drawn(*shape).numpy(), 2)).mul(900).add(1000).to(dtype)
    two = (one + 40 * drawn(*shape, seed=1)).to(dtype)
    arrays = one.double().numpy(), two.double().numpy()
    found = ssim(one, two, data_range=500.0, dimension=len(shape))
    assert found.dtype == dtype
    assert 0.1 < float(found) < 0.99
    assert float(found) == pytest.approx(ssim_by_scipy(*arrays, 500.0).mean(), abs=tolerance)
    found = ssim(one, two, data_range=500.0, sigma_voxels=0.8, dimension=len(shape))
    assert float(found) == pytest.approx(ssim_by_scipy(*arrays, 500.0, 0.8).mean(), abs=tolerance)
    metrics = pytest.importorskip("skimage.metrics")
    settings = {"data_range": 500.0, "gaussian_weights": True, "use_sample_covariance": False}
    assert float(ssim(one, two, data_range=500.0, dimension=len(shape))) == pytest.approx(
        metrics.structural_similarity(*arrays, **settings), abs=tolerance
    )


def test_structural_similarity_averages_over_the_mask_and_leaves_out_windows_with_holes() -> None:
    one, two, mask = drawn(30, 28), drawn(30, 28, seed=1), drawn(30, 28, seed=2) > 0
    whole = ssim_by_scipy(one.numpy(), two.numpy(), 4.0)
    inner = mask[5:-5, 5:-5].numpy()
    assert float(ssim(one, two, mask, data_range=4.0, dimension=2)) == pytest.approx(whole[inner].mean(), abs=1e-13)
    two[8, 20] = torch.nan
    far = np.ones(whole.shape, bool)
    far[: 8 - 5 + 5 + 1, 20 - 5 - 5 :] = False  # windows that reach 5 voxels
    found = ssim(one, two, data_range=4.0, dimension=2)
    assert float(found) == pytest.approx(whole[far].mean(), abs=1e-13)
    assert float(ssim(one, two, mask, data_range=4.0, dimension=2)) == pytest.approx(
        whole[far & inner].mean(), abs=1e-13
    )


def test_structural_similarity_has_the_slopes_of_differences_and_is_1_of_an_image_with_itself() -> None:
    one, two = drawn(2, 8, 9).requires_grad_(), drawn(2, 8, 9, seed=1).requires_grad_()
    assert gradcheck(lambda a, b: ssim(a, b, data_range=4.0, sigma_voxels=0.8, dimension=2), (one, two))
    one, two = drawn(4, 5, 4).requires_grad_(), drawn(4, 5, 4, seed=1).requires_grad_()
    assert gradcheck(lambda a, b: ssim(a, b, data_range=4.0, sigma_voxels=0.3), (one, two))
    assert ssim(one, one, data_range=4.0, sigma_voxels=0.3).item() == pytest.approx(1.0, abs=1e-15)


def images(seed: int = 0, spacing: tuple[float, ...] = (1.0, 2.0, 3.0)) -> MedImage:
    """Two channels on an oblique grid."""
    turn = ((0.0, 1.0, 0.0), (0.6, 0.0, 0.8), (0.8, 0.0, -0.6))
    return MedImage.on(Grid((12, 13, 14), spacing, (1.0, 2.0, 3.0), turn), drawn(2, 14, 13, 12, seed=seed))


def test_images_and_batches_give_a_number_for_each_channel_of_each_item() -> None:
    one, two = [images(0), images(1)], [images(2), images(3)]
    batches = MedImageBatch.stack(one), MedImageBatch.stack(two)
    calls = [*(f for f, _ in COMPARISONS.values()), lambda a, b: ssim(a, b, data_range=3.0, sigma_voxels=1.0)]
    for function in calls:
        loop = torch.stack([function(a.data, b.data) for a, b in zip(one, two, strict=True)])
        assert loop.shape == (2, 2)
        assert torch.equal(function(*batches), loop)
        assert torch.equal(function(one[0], two[0]), loop[0])
    assert finite_mean(batches[0]).shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: finite_mean(torch.full((2, 1, 1, 3), torch.nan)), "channel 0: no voxel is finite"),
        (lambda: finite_mean(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3)), "inside the mask; there is nothing"),
        (lambda: finite_quantiles(torch.zeros(1, 1, 3), [0.2, 1.2]), "numbers from 0 to 1"),
        (lambda: finite_quantiles(torch.zeros(1, 1, 3), torch.rand(2, 2)), "one share, or a list of them"),
        (lambda: finite_mean(torch.zeros(3)), r"need a tensor \(..., z, y, x\)"),
        (lambda: psnr(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), data_range=torch.nan), "data_range: takes the dist"),
        (lambda: mean_squared_error(torch.zeros(1, 1, 3), torch.zeros(1, 1, 4)), r"of one shape, got \(1, 1, 3\)"),
        (lambda: mean_squared_error(images(), images(spacing=(1.0, 2.0, 3.5))), r"resample\(other, onto=image.grid\)"),
        (lambda: mean_squared_error(torch.zeros(3), np.zeros(3)), "tensor"),
        (lambda: psnr(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), data_range=0.0), "data_range: takes the distance"),
        (lambda: ssim(torch.zeros(9, 9), torch.zeros(9, 9), data_range=1.0, dimension=2), "11 voxels does not fit"),
        (lambda: ssim(torch.zeros(9, 9), torch.zeros(9, 9), data_range=1.0, sigma_voxels=0.0), "sigma_voxels: takes"),
        (
            lambda: ssim(torch.full((12, 12), torch.nan), torch.zeros(12, 12), data_range=1.0, dimension=2),
            "no window around a voxel",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(call: Callable[[], object], message: str) -> None:
    with pytest.raises((ImageError, UsageError), match=message):
        call()


def test_all_of_it_is_exported() -> None:
    from medreg.vision import statistics

    functions = {f.__name__ for f, _ in itertools.chain(COMPARISONS.values(), SINGLES.values())} - {"<lambda>"}
    assert functions | {"psnr", "ssim", "finite_extrema", "finite_quantiles"} == set(statistics.__all__)
