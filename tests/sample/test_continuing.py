"""Volumes that go on beyond their ends, and kernels that are learnt: against scipy, and against themselves, tiled."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import (
    CubicBSpline,
    Edge,
    Fill,
    Interpolation,
    Label,
    Linear,
    Mirror,
    Nearest,
    Outside,
    Periodic,
    PiecewisePolynomial,
    Reflect,
    WindowedSinc,
    cubic_convolution,
    resample,
    sample,
    warp,
)
from medreg.sample.labels import vote
from medreg.transform.composite import Composite
from medreg.transform.linear import LinearTransform

SCIPY: dict[str, Outside] = {"grid-wrap": Periodic(), "reflect": Reflect(), "mirror": Mirror()}
NUMPY: dict[str, Outside] = {"wrap": Periodic(), "symmetric": Reflect(), "reflect": Mirror()}
KERNELS: list[Interpolation] = [Nearest(), Linear(), CubicBSpline(), WindowedSinc(3), cubic_convolution()]
SHAPES = ((7, 9), (8, 6, 11), (9, 1, 6))


def noise(shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(1, *shape)))


def anywhere(shape: tuple[int, ...], count: int = 400, reach: float = 15.0) -> Tensor:
    """Indices x, y(, z) up to `reach` voxels beyond both ends."""
    random = np.random.default_rng(1)
    return torch.from_numpy(np.stack([random.uniform(-reach, n - 1 + reach, count) for n in reversed(shape)], 1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kernel", "order"), [(Nearest(), 0), (Linear(), 1), (CubicBSpline(), 3)])
@pytest.mark.parametrize("mode", SCIPY)
def test_values_anywhere_are_scipys(mode: str, kernel: Interpolation, order: int, shape: tuple[int, ...]) -> None:
    volume, index = noise(shape), anywhere(shape)
    found = sample(volume, index, kernel, SCIPY[mode])[0].numpy()
    expected = ndimage.map_coordinates(volume[0].numpy(), index.numpy()[:, ::-1].T, order=order, mode=mode)
    # scipy cuts its prefilter for "reflect" short: 3e-6 at 5 voxels; the next test has the exact spline
    assert np.abs(found - expected).max() < (1e-5 if (mode, order) == ("reflect", 3) else 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("mode", NUMPY)
def test_every_kernel_sees_the_volume_go_on_as_if_it_were_tiled(
    mode: str, kernel: Interpolation, shape: tuple[int, ...]
) -> None:
    volume, index = noise(shape), anywhere(shape, reach=5.0)
    tiled = torch.from_numpy(np.pad(volume[0].numpy(), 45, mode=mode))[None]  # 45: the spline's response is 1e-26 there
    expected = sample(tiled, index + 45, kernel, Edge())
    assert (sample(volume, index, kernel, NUMPY[mode]) - expected).abs().max() < 1e-12


@pytest.mark.parametrize("outside", SCIPY.values(), ids=repr)
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_voxels_and_their_images_are_met_exactly(kernel: Interpolation, outside: Outside) -> None:
    volume = noise((5, 6))
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")
    index = torch.stack([x, y], -1).view(-1, 2).double()
    assert (sample(volume, index, kernel, outside) - volume.view(1, -1)).abs().max() < 1e-12
    beyond = {Periodic: index + torch.tensor([6.0, -5.0]), Reflect: -1 - index, Mirror: -index}[type(outside)]
    assert (sample(volume, beyond, kernel, outside) - volume.view(1, -1)).abs().max() < 1e-12


@pytest.mark.parametrize("outside", [*SCIPY.values(), Edge(), Fill(0.5)], ids=repr)
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_the_gradient_to_the_volume_is_the_adjoint(kernel: Interpolation, outside: Outside) -> None:
    for shape in ((6, 7), (4, 5, 6)):
        x = noise(shape).requires_grad_()
        index = anywhere(shape, reach=6.0)
        still = sample(torch.zeros_like(x), index, kernel, outside)  # a fill's share, which is not linear in x
        wx = sample(x, index, kernel, outside) - still
        y = torch.from_numpy(np.random.default_rng(2).normal(size=tuple(wx.shape)))
        wy = torch.autograd.grad(wx, x, y)[0]
        left, right = (wx * y).sum(), (x * wy).sum()
        assert abs(float((left - right).detach())) <= 1e-12 * float((wx * y).abs().sum().detach())


@pytest.mark.parametrize("outside", SCIPY.values(), ids=repr)
@pytest.mark.parametrize("kernel", KERNELS[1:], ids=repr)
def test_gradients_to_volume_and_index_are_right(kernel: Interpolation, outside: Outside) -> None:
    volume, index = noise((4, 5)).requires_grad_(), anywhere((4, 5), 12, 7.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, i: sample(v, i, kernel, outside), (volume, index))


def test_what_is_not_finite_lands_on_the_first_voxel() -> None:
    for outside in SCIPY.values():
        index = torch.tensor([[torch.nan, 0.0], [torch.inf, 0.0]])
        assert sample(noise((3, 4)), index, Linear(), outside).tolist() == [[float(noise((3, 4))[0, 0, 0])] * 2]


@pytest.mark.parametrize("outside", SCIPY.values(), ids=repr)
@pytest.mark.parametrize("kernel", [*KERNELS], ids=repr)
def test_a_matrix_warps_as_its_points_do(kernel: Interpolation, outside: Outside) -> None:
    volume = noise((6, 5, 7))
    for matrix in (torch.eye(4), torch.tensor([[0.9, 0.2, 0, -3], [-0.1, 1.1, 0, 2], [0, 0, 1, 4.0], [0, 0, 0, 1]])):
        axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (5, 6, 4)), indexing="ij")
        index = torch.stack([*axes[::-1]], -1).view(-1, 3) @ matrix[:3, :3].double().T + matrix[:3, 3]
        expected = sample(volume, index, kernel, outside).view(1, 5, 6, 4)
        assert (warp(volume, matrix.double(), (5, 6, 4), kernel, outside) - expected).abs().max() < 1e-12


def test_labels_go_on_too() -> None:
    labels = torch.tensor([[[1, 1, 2, 7], [1, 1, 2, 7]]])

    def place(lattice: tuple[Tensor, Tensor]) -> list[Tensor]:
        x, y = torch.meshgrid(*lattice, indexing="xy")
        return [x.flatten() + 2.3, y.flatten()]

    for outside, expected in ((Periodic(), [2, 7, 1, 1]), (Reflect(), [2, 7, 7, 2]), (Mirror(), [2, 7, 2, 1])):
        assert vote(labels, place, (2, 4), Label(), outside).tolist() == [[expected] * 2]  # type: ignore[arg-type]


def test_pieces_of_polynomials_hold_linear_interpolation_and_splines() -> None:
    volume, index = noise((9, 8)), anywhere((9, 8))
    line = PiecewisePolynomial(torch.tensor([[1.0, -1.0], [0.0, 1.0]], dtype=torch.float64))
    for outside in (Edge(), Fill(2.0), Periodic(), Reflect(), Mirror()):
        assert (sample(volume, index, line, outside) - sample(volume, index, Linear(), outside)).abs().max() < 1e-12


def test_cubic_convolution_repeats_parabolas_and_its_weights_sum_to_one() -> None:
    x = torch.arange(12.0, dtype=torch.float64)
    index = torch.stack([torch.linspace(2, 9, 50, dtype=torch.float64), torch.zeros(50, dtype=torch.float64)], 1)
    parabola = (0.5 * x**2 - 3 * x + 1).view(1, 1, 12)
    expected = 0.5 * index[:, 0] ** 2 - 3 * index[:, 0] + 1
    assert (sample(parabola, index, cubic_convolution(), Edge())[0] - expected).abs().max() < 1e-12
    for sharpness in (-0.5, -0.75, -1.0):
        assert cubic_convolution(sharpness).coefficients.sum(0).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("outside", [Edge(), Fill(0.0), Periodic()], ids=repr)
def test_a_kernels_coefficients_get_their_gradient(outside: Outside) -> None:
    volume, index = noise((4, 5)), anywhere((4, 5), 12, 3.0)
    start = cubic_convolution().coefficients.requires_grad_()
    assert torch.autograd.gradcheck(lambda c: sample(volume, index, PiecewisePolynomial(c), outside), (start,))
    for matrix in (torch.eye(3), torch.tensor([[1.0, 0.1, 0.3], [0.0, 1.0, 0.2], [0.0, 0.0, 1.0]])):
        warped = warp(volume, matrix.double(), (4, 5), PiecewisePolynomial(start), outside)
        assert warped.requires_grad


def test_coefficients_of_another_shape_are_refused() -> None:
    for shape, dtype in product(((3, 4), (4,), (0, 4), (2, 0)), (torch.float32,)):
        with pytest.raises(ImageError, match=r"coefficients \(2 radius, degree \+ 1\)"):
            PiecewisePolynomial(torch.zeros(shape, dtype=dtype))
    with pytest.raises(ImageError, match="int64"):
        PiecewisePolynomial(torch.zeros(2, 2, dtype=torch.int64))


def test_a_kernel_learns_also_where_threads_share_the_work() -> None:
    threads = torch.get_num_threads()
    coefficients = cubic_convolution().coefficients.requires_grad_()
    grid = Grid.regular((400, 300), (1.0, 1.0))  # more points than one share
    image = MedImage.on(grid, torch.rand(1, 300, 400))
    turn = LinearTransform.of(np.array([[1.0, 0.1, 0.3], [0.0, 1.0, 0.2], [0.0, 0.0, 1.0]]))
    try:
        torch.set_num_threads(2)
        for through in (turn, Composite(turn, lambda points: points)):
            seen = resample(image, grid, through, PiecewisePolynomial(coefficients))
            (slope,) = torch.autograd.grad(seen.data.sum(), coefficients)
            assert slope.abs().min() > 0
    finally:
        torch.set_num_threads(threads)
