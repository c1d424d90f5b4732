"""The displacement field of a network: it begins as the identity, learns, and knows no units."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.transform.neural import Neural

TURNED = Grid((20, 30, 12), (1.0, 1.5, 4.0), (-900.0, 50.0, 3.0), ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, -1.0)))
FLAT = Grid.regular((64, 48), (0.5, 0.5), (100.0, -20.0))


def points_in(grid: Grid, count: int = 50) -> torch.Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(grid.to_world(random.uniform(0, 1, (count, grid.dimension)) * (np.array(grid.size) - 1)))


def trained(grid: Grid, steps: int = 3, **settings: float) -> Neural:
    """A map that has been pulled somewhere."""
    module, points = Neural(grid, **settings), points_in(grid)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        (((module(points) - points) / module.scale - 0.1) ** 2).sum().backward()
        optimiser.step()
    return module


@pytest.mark.parametrize("grid", [TURNED, FLAT], ids=["3D", "2D"])
def test_it_begins_as_the_identity_to_the_last_bit(grid: Grid) -> None:
    points = points_in(grid)
    assert torch.equal(Neural(grid)(points), points)
    assert torch.equal(Neural(grid).map_points(points.float()), points.float())


def test_the_first_layer_learns_once_the_last_has_left_zero() -> None:
    module, points = Neural(FLAT), points_in(FLAT)
    optimiser = torch.optim.Adam(module.parameters(), 0.01)
    norms = []
    for _ in range(2):
        optimiser.zero_grad()
        (module(points) - points - 1.0).square().sum().backward()
        norms.append([float(p.grad.norm()) for p in module.parameters() if p.grad is not None])
        optimiser.step()
    assert norms[0][0] == 0.0
    assert norms[0][-2] > 0
    assert all(norm > 0 for norm in norms[1])


def test_the_same_weights_bend_the_same_picture_alike_in_any_unit_and_place() -> None:
    large = Grid(TURNED.size, tuple(1000 * s for s in TURNED.spacing), (7.0, 8.0, 9.0), TURNED.direction)
    near = trained(TURNED)
    far = Neural(large)
    far.load_state_dict(near.state_dict())
    points = points_in(TURNED)
    moved = TURNED.to_index((near(points) - 0).detach().numpy())
    there = torch.from_numpy(large.to_world(TURNED.to_index(points.numpy())))
    assert np.abs(large.to_index(far(there).detach().numpy()) - moved).max() < 1e-4  # voxels: the weights are float32
    assert np.abs(moved - TURNED.to_index(points.numpy())).max() > 0.1


def test_equal_seeds_are_equal_and_others_are_not() -> None:
    points = points_in(FLAT)
    first, second, other = (trained(FLAT, seed=seed)(points) for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_more_waves_bend_more_sharply() -> None:
    def bend(waves: float) -> float:
        module, points = trained(FLAT, 1, waves=waves), points_in(FLAT).requires_grad_()
        (slope,) = torch.autograd.grad((module(points) - points).sum(), points)
        return float(slope.norm())

    assert bend(0.2) < bend(1.0) < bend(3.0)


def test_gradients_to_points_and_weights_are_right() -> None:
    module, points = trained(FLAT, width=5, depth=1, features=3).double(), points_in(FLAT, 4)
    assert torch.autograd.gradcheck(module, (points.requires_grad_(),))
    names = [name for name, _ in module.named_parameters()]

    def by_weights(*weights: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, weights, strict=True))
        found: torch.Tensor = torch.func.functional_call(module, given, (points.detach(),))
        return found

    assert torch.autograd.gradcheck(by_weights, tuple(p.detach().requires_grad_() for p in module.parameters()))


def test_settings_and_points_that_do_not_fit_are_told() -> None:
    for settings in ({"width": 0}, {"depth": 0}, {"features": 0}, {"waves": 0.0}, {"waves": float("inf")}):
        with pytest.raises(TransformError, match=r"width, a depth and features of 1 or more"):
            Neural(FLAT, **settings)  # type: ignore[arg-type]
    with pytest.raises(TransformError, match="takes the Grid of the fixed image, got tuple"):
        Neural((64, 48))  # type: ignore[arg-type]
    with pytest.raises(TransformError, match=r"made for a 2D grid and takes points \(N, 2\), got \(50, 3\)"):
        Neural(FLAT)(points_in(TURNED))
