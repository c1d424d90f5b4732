"""What DiffPointRasterisation publishes: its drawn cases and the numbers of its README."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medreg.vision.rasterisation import raster, raster_pullback

SIZE = (5, 5)
CENTRE, NONE = [[0.0, 0.0]], torch.zeros(2, dtype=torch.float64)
CROSS = [[0.0, 0.4], [0.0, -0.4], [0.4, 0.0], [-0.4, 0.0]]
EYE = torch.eye(2, dtype=torch.float64)
QUARTER = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)

# entries are one-based [i, j], first coordinate first, as they are drawn there
DRAWN = {
    "centre": (CENTRE, EYE, [0, 0], 1.0, {(3, 3): 1.0}),
    "one pixel along the first axis": ([[0.4, 0.0]], EYE, [0, 0], 1.0, {(4, 3): 1.0}),
    "half a pixel along the first axis": ([[0.2, 0.0]], EYE, [0, 0], 1.0, {(3, 3): 0.5, (4, 3): 0.5}),
    "half a pixel along the second axis": ([[0.0, 0.2]], EYE, [0, 0], 1.0, {(3, 3): 0.5, (3, 4): 0.5}),
    "half a pixel along both": (
        [[0.2, -0.2]],
        EYE,
        [0, 0],
        1.0,
        {(3, 3): 0.25, (4, 3): 0.25, (3, 2): 0.25, (4, 2): 0.25},
    ),
    "cross": (CROSS, EYE, [0, 0], 1.0, {(3, 4): 1.0, (3, 2): 1.0, (4, 3): 1.0, (2, 3): 1.0}),
    "moved half a pixel": (CENTRE, EYE, [0.2, 0], 1.0, {(3, 3): 0.5, (4, 3): 0.5}),
    "moved a pixel": (CROSS, EYE, [0.4, 0], 1.0, {(4, 4): 1.0, (4, 2): 1.0, (5, 3): 1.0, (3, 3): 1.0}),
    "turned by 90 degrees": ([[0.4, 0.0]], QUARTER, [0, 0], 1.0, {(3, 4): 1.0}),
    "weighing twice": ([[0.2, 0.0]], EYE, [0, 0], [2.0], {(3, 3): 1.0, (4, 3): 1.0}),
}


@pytest.mark.parametrize("case", DRAWN)
def test_the_drawn_cases_hold(case: str) -> None:
    points, rotation, translation, weight, entries = DRAWN[case]
    wanted = torch.zeros(SIZE, dtype=torch.float64)
    for (i, j), value in entries.items():
        wanted[j - 1, i - 1] = value  # the first coordinate is x, which runs along the last axis of a tensor
    got = raster(
        SIZE,
        torch.tensor(points, dtype=torch.float64),
        rotation,
        torch.tensor(translation, dtype=torch.float64),
        point_weight=weight if isinstance(weight, float) else torch.tensor(weight, dtype=torch.float64),
    )
    torch.testing.assert_close(got, wanted, atol=1e-12, rtol=0)


TARGET = """0.345889 0.032283 0.589178 0.0625972 0.310929
0.404836 0.573265 0.350633 0.0417926 0.895955
0.174528 0.127555 0.0906833 0.639844 0.832502
0.189836 0.360597 0.243664 0.825484 0.667319
0.672631 0.520593 0.341701 0.101026 0.182172"""
POINTS = [
    [0.8457397177007744, 0.3482756109584688],
    [-0.6028188536164718, -0.612801322279686],
    [-0.47141692007256464, 0.6098964840013308],
    [-0.74526926786903, 0.6480225109030409],
    [-0.4044384373422192, -0.13171854413805173],
]
BY_POINTS = [
    [-2.7703628931165025, 3.973371400200988],
    [-0.70462225282373, 1.0317734946448016],
    [-1.7117138793471494, -3.235178706903591],
    [-2.0683933141077886, -0.6732149105779637],
    [2.6278388385655904, 1.585621066861592],
]
BY_ROTATION = [[-0.632605, -3.26353], [4.12402, -1.86668]]
BY_TRANSLATION = [-4.62725350082958, 2.6823723442258274]
TOLERANCE = {"atol": 5e-6, "rtol": 0.0}  # the target is printed with 6 digits


def published() -> tuple[Tensor, Tensor]:
    rows = [[float(v) for v in row.split()] for row in TARGET.split("\n")]
    return torch.tensor(rows, dtype=torch.float64).t(), torch.tensor(POINTS, dtype=torch.float64)


def test_the_published_gradients_hold() -> None:
    target, points = published()
    leaves = [t.clone().requires_grad_() for t in (points, EYE, NONE)]
    loss = (target - raster(SIZE, *leaves)).square().sum()
    loss.backward()
    for leaf, wanted in zip(leaves, (BY_POINTS, BY_ROTATION, BY_TRANSLATION), strict=True):
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad, torch.tensor(wanted, dtype=torch.float64), **TOLERANCE)


def test_the_pullback_has_the_sign_of_the_gradient_and_the_readmes_d_out_has_the_other() -> None:
    target, points = published()
    out = raster(SIZE, points, EYE, NONE)
    printed_row = [0.152276, -0.417335, 1.16347, -0.700428, -0.63595]  # of ds_dout, row 1 there
    torch.testing.assert_close((2 * (target - out))[:, 0], torch.tensor(printed_row, dtype=torch.float64), **TOLERANCE)
    right = raster_pullback(2 * (out - target), points, EYE, NONE)
    negated = raster_pullback(2 * (target - out), points, EYE, NONE)
    numbers = {"points": BY_POINTS, "rotation": BY_ROTATION, "translation": BY_TRANSLATION}
    for name, values in numbers.items():
        wanted = torch.tensor(values, dtype=torch.float64)
        torch.testing.assert_close(getattr(right, name), wanted, **TOLERANCE)
        torch.testing.assert_close(getattr(negated, name), -wanted, **TOLERANCE)
