"""Pictures to lines: integrals along rays in the plane, against closed forms, and tomography from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.vision.inverse import TotalVariation, Within, adjoint, restore_to_noise
from medreg.vision.rasterisation import Perspective, ray_sums

GRID = Grid((80, 64), (0.5, 0.6), (-30.0, 12.0), ((0.6, -0.8), (0.8, 0.6)))


def turned(degrees: list[float]) -> Tensor:
    """(B, 2, 2): the first row runs along the detector, the second along the rays."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)


def bell(centre: tuple[float, float], sigma: float) -> MedImage:
    """A Gaussian about a place so many mm from the grid's centre."""
    index = np.stack(np.meshgrid(*map(np.arange, GRID.size), indexing="ij"), -1).astype(float)
    away = GRID.to_world(index) - GRID.centre - np.array(centre)
    return MedImage.on(GRID, torch.from_numpy(np.exp(-(away**2).sum(-1) / 2 / sigma**2).T.copy())[None])


def test_parallel_rays_through_a_bell_are_a_bell() -> None:
    place, sigma, width = (3.0, -2.0), 3.0, 24.0
    degrees = [0.0, 30.0, 135.0]
    found = ray_sums(bell(place, sigma), (96,), turned(degrees), torch.zeros(2), width_mm=width, step_mm=0.25)
    assert found.shape == (3, 1, 96)
    across = ((torch.arange(96) + 0.5) * 2 / 96 - 1) * width
    for view, angle in zip(found[:, 0], np.radians(degrees), strict=True):
        offset = across - (place[0] * math.cos(angle) + place[1] * math.sin(angle))
        exact = math.sqrt(2 * math.pi) * sigma * torch.exp(-offset.double().square() / 2 / sigma**2)
        assert float((view - exact).abs().max()) < 0.01 * float(exact.max())  # linear between pixels of sigma / 5


def test_rays_of_a_fan_are_integrals_along_lines_through_the_eye() -> None:
    place, sigma, width = (1.0, 2.0), 3.0, 24.0
    depth, focal = 3.0, 2.5
    pose, shift = turned([20.0])[0], torch.tensor([0.0, depth], dtype=torch.float64)
    found = ray_sums(bell(place, sigma), (64,), pose, shift, camera=Perspective(focal), width_mm=width, step_mm=0.25)[0]
    eye = -(pose.T @ shift).numpy() * width  # where R p + t = 0
    across = (np.arange(64) + 0.5) * 2 / 64 - 1
    exact = []
    for x in across:
        ray = pose.T.numpy() @ np.array([x / focal, 1.0])
        ray /= np.linalg.norm(ray)
        away = np.array(place) - eye
        exact.append(
            math.sqrt(2 * math.pi) * sigma * math.exp(-((away[0] * ray[1] - away[1] * ray[0]) ** 2) / 2 / sigma**2)
        )
    assert np.abs(found.numpy() - np.array(exact)).max() < 0.01 * max(exact)


def test_ray_sums_of_a_picture_have_the_slopes_of_finite_differences() -> None:
    grid = Grid((5, 4), (1.0, 1.3), GRID.origin, GRID.direction)
    data = torch.rand(1, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    pose = turned([25.0]).requires_grad_()
    shift = torch.tensor([[0.03, 0.02]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda d, r, t: ray_sums(MedImage.on(grid, d), (6,), r, t), (data, pose, shift), atol=1e-4
    )


def test_tomography_from_few_noisy_views_with_gaps_beats_filtered_back_projection() -> None:
    side, views = 48, 24
    grid = Grid.regular((side, side), (1.0, 1.0))
    fine = grid.subdivided([3, 3])
    y, x = np.meshgrid(*[np.arange(3 * side) / 3 - side / 2] * 2, indexing="ij")
    body = (
        0.4 * (x**2 / 20**2 + y**2 / 16**2 < 1)
        + 0.6 * ((x - 6) ** 2 + (y + 3) ** 2 < 25)
        - 0.4 * ((x + 8) ** 2 / 9 + (y - 2) ** 2 / 36 < 1)
    )
    truth = MedImage.on(grid, torch.from_numpy(body.reshape(side, 3, side, 3).mean((1, 3)))[None])
    turns = turned([180 * k / views for k in range(views)])
    bins = 68

    def through(picture: MedImage) -> Tensor:
        return ray_sums(picture, (bins,), turns, torch.zeros(2), width_mm=bins / 2)[:, 0]

    random = torch.Generator().manual_seed(0)
    exact = through(MedImage.on(fine, torch.from_numpy(body)[None]))
    sigma = 0.05 * float(exact.max())
    seen = exact + sigma * torch.randn(exact.shape, generator=random, dtype=torch.float64)
    seen[torch.rand(exact.shape, generator=random) < 0.3] = torch.nan

    place = np.arange(bins)
    whole = np.stack([np.interp(place, place[~np.isnan(v)], v[~np.isnan(v)]) for v in seen.numpy()])
    frequency = np.abs(np.fft.rfftfreq(2 * bins))
    best = math.inf
    for window in (
        np.ones_like(frequency),
        np.cos(np.pi * frequency),
        np.cos(np.pi * frequency) ** 2,
        np.exp(-40 * frequency**2),
    ):
        ramped = np.fft.irfft(np.fft.rfft(whole, 2 * bins) * frequency * window)[:, :bins]
        back = adjoint(through, torch.from_numpy(ramped), truth).data * math.pi / views
        best = min(best, float((back.clamp(0, 1) - truth.data).square().mean().sqrt()))
    start = truth.with_data(torch.zeros_like(truth.data))
    found, _ = restore_to_noise(
        seen, through, start, sigma, lambda weight: TotalVariation(weight, 0.02), [Within(0, 1, 10.0)]
    )
    missed = float((found.image.data.clamp(0, 1) - truth.data).square().mean().sqrt())
    assert best < 0.1  # the classical answer does show the body
    assert missed < 0.75 * best  # 2.5 dB, beside the window that the truth chose
    assert 0.95 * sigma < found.misfit < 0.99 * sigma


@pytest.mark.parametrize(
    ("size", "pose", "shift", "told"),
    [
        ((4, 4), torch.eye(2), torch.zeros(2), "or from 2D to 1D, .*got 2D"),
        ((4,), torch.eye(3), torch.zeros(3), r"a 2D image need a rotation \(2, 2\)"),
    ],
)
def test_what_does_not_fit_a_picture_is_told(size: tuple[int, ...], pose: Tensor, shift: Tensor, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ray_sums(bell((0.0, 0.0), 3.0), size, pose, shift)
