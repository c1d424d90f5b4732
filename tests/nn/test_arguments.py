"""Modules take the policies of `medreg.ops`, keep the gradients of what they are given, and say what they want."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medreg import ops
from medreg.errors import MedregError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.nn import Affine, Homography, Resample, Rotate, Smooth
from medreg.ops import Background, each
from medreg.sample import CubicBSpline, Edge, Fill, Linear

FLAT = Grid((9, 7), (1.0, 1.5), (2.0, -4.0), ((0.8, -0.6), (0.6, 0.8)))
FAR = torch.tensor([0.0, 0, 0, 0, 90, 0])
"""Parameters that move everything out of view."""


def images(count: int = 2, channels: int = 2) -> torch.Tensor:
    return torch.rand(count, channels, *FLAT.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("outside", [Fill(3.0), Fill([1.0, 2.0]), Edge(), Background()], ids=str)
@pytest.mark.parametrize("rows", ["shared", "own"])
def test_what_lies_outside_is_as_in_operations(outside: Any, rows: str) -> None:
    angles = torch.tensor([[25.0]] if rows == "shared" else [[25.0], [-40.0]], dtype=torch.float64)
    batch = images()
    moved = Rotate(FLAT, outside=outside)(batch, angles[0] if rows == "shared" else angles)
    for k, (item, image) in enumerate(zip(moved, batch, strict=True)):
        alone = ops.rotate(MedImage.on(FLAT, image), angles[min(k, len(angles) - 1)], outside=outside)
        torch.testing.assert_close(item, alone.data, rtol=0, atol=1e-12)  # rounding of the coordinates


@pytest.mark.parametrize("parameters", [FAR, FAR.repeat(2, 1)], ids=["shared", "own"])
def test_each_image_of_a_batch_may_have_its_own_fill(parameters: torch.Tensor) -> None:
    fills = torch.tensor([3.0, -5.0], dtype=torch.float64, requires_grad=True)
    moved = Affine(FLAT, parameters, outside=Fill(each(fills)))(images())
    assert [item.unique().tolist() for item in moved] == [[3.0], [-5.0]]
    moved.sum().backward()
    assert fills.grad is not None and fills.grad.tolist() == [126.0, 126.0]  # two channels of 63 voxels


def test_a_fill_that_is_a_parameter_is_learnt() -> None:
    module = Affine(FLAT, FAR, outside=Fill(nn.Parameter(torch.tensor(0.5, dtype=torch.float64))))
    assert [name for name, _ in module.named_parameters()] == ["fill"]
    optimiser = torch.optim.SGD(module.parameters(), 0.4)
    for _ in range(40):
        optimiser.zero_grad()
        (module(images()) - 2.0).square().mean().backward()
        optimiser.step()
    assert abs(module.fill.item() - 2.0) < 1e-6  # each step leaves a fifth of what was missing


@pytest.mark.parametrize(("make", "count"), [(Rotate, 1), (Affine, 6), (Homography, 8)])
def test_a_centre_keeps_its_gradient(make: Callable[..., Any], count: int) -> None:
    centre = torch.tensor([3.1, -1.7], dtype=torch.float64, requires_grad=True)
    parameters = torch.linspace(0.4, 0.9, count, dtype=torch.float64) * (20 if make is Rotate else 1)

    def moved(centre: torch.Tensor) -> torch.Tensor:
        return make(FLAT, parameters, centre, interpolation=CubicBSpline(), outside=Edge())(images(1))

    assert torch.autograd.gradcheck(moved, (centre,), fast_mode=True)
    learnt = make(FLAT, parameters, nn.Parameter(centre.detach()))
    assert [name for name, _ in learnt.named_parameters()] == ["centre"]


def test_a_centre_stays_in_float64_whatever_the_module_is_cast_to() -> None:
    assert Rotate(FLAT, 30.0, (1 / 3, 2 / 3)).half().centre.dtype == torch.float64


BAD: list[tuple[Callable[..., Any], dict[str, Any], dict[str, list[Any]]]] = [
    (
        make,
        {"grid": FLAT, name: sound},
        {
            "grid": [None, FLAT.size, images()],
            name: ["5", (1.0,) * 9, [float("nan")] * len(sound), [], {}, torch.zeros(len(sound), dtype=torch.int64)],
            "centre": [5.0, (1.0, 2.0, 3.0), "middle", (0.0, float("nan"))],
            "interpolation": ["linear", Linear, None],
            "outside": ["edge", 0.0, None, Edge],
        },
    )
    for make, name, sound in (
        (Rotate, "angles", [30.0]),
        (Affine, "parameters", [0.0] * 6),
        (Homography, "parameters", [0.0] * 8),
    )
] + [
    (Affine, {"grid": FLAT}, {"radius": [0.0, -1.0, float("nan"), "5"]}),
    (
        Resample,
        {"grid": FLAT, "onto": FLAT},
        {
            "grid": [None, (5, 4)],
            "onto": [None, (5, 4), Grid.regular((3, 3, 3), (1.0, 1.0, 1.0))],
            "through": [5.0, torch.eye(4), np.eye(4), "t.tfm", torch.eye(3) * float("nan"), np.full((3, 3), np.inf)],
            "outside": ["edge", None],
            "interpolation": ["linear", None],
        },
    ),
    (
        Smooth,
        {"grid": FLAT, "sigma_mm": 1.0},
        {
            "grid": [None, (5, 4)],
            "sigma_mm": [
                -1.0,
                float("nan"),
                float("inf"),
                None,
                "2",
                (1.0, 2.0),
                torch.tensor(1.0, requires_grad=True),
            ],
        },
    ),
]
NAMES = {
    "through": "through|parameters",
    "angles": "parameters|takes 1 floating",
    "parameters": "parameters|floating-point",
}


@pytest.mark.parametrize(
    ("make", "sound", "name", "bad"),
    [
        pytest.param(make, sound, name, bad, id=f"{make.__name__} {name} {k}")
        for make, sound, wrong in BAD
        for name, several in wrong.items()
        for k, bad in enumerate(several)
    ],
)
def test_a_bad_argument_is_told_by_its_name(make: Any, sound: dict[str, Any], name: str, bad: Any) -> None:
    make(**sound)
    with pytest.raises(MedregError) as caught:
        make(**{**sound, name: bad})
    assert re.search(NAMES.get(name, f"{name}|grid of 3"), str(caught.value)), caught.value


@pytest.mark.parametrize("module", [Rotate(FLAT, 5.0), Smooth(FLAT, 1.0), Resample(FLAT, FLAT)], ids=type)
@pytest.mark.parametrize("given", [None, np.zeros((1, 1, 7, 9)), torch.zeros(7, 9), torch.zeros(1, 1, 9, 7)], ids=type)
def test_what_is_no_batch_of_images_on_the_grid_is_told(module: nn.Module, given: Any) -> None:
    with pytest.raises(MedregError, match="images: "):
        module(given)


def test_a_predictor_that_gives_nonsense_is_told() -> None:
    class Lost(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 1), float("nan"))

    with pytest.raises(MedregError, match="parameters: Rotate takes a tensor of finite numbers"):
        Rotate(FLAT, Lost())(images())
