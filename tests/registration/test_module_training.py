"""Torch modules as transforms: `register` trains them through its own metrics, levels and samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medreg.errors import RecipeError, TransformError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.metric.mean_squares import mean_squares
from medreg.optimise.record import Outcome, Step
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import Pyramid
from medreg.registration.module_training import TrainedResult, _slopes
from medreg.registration.pairwise import register
from medreg.registration.recipe import SGD, Adam, Level, MeanSquares, Recipe, RMSprop
from medreg.sample import Edge, resample, sample
from medreg.transform.composite import Composite
from medreg.transform.linear import LinearTransform
from medreg.transform.neural import Neural

METRICS = [
    "mean_squares", "correlation", "robust_correlation", "local_correlation", "correlation_ratio", "mutual_information",
    "normalised_mutual_information", "gradient_fields", "self_similarity",
]  # fmt: skip
SHORT = (Level(spacing_mm=1.0, samples=4000, steps=25),)


class Bend:
    """A turn about the middle that fades towards the border."""

    def __init__(self, grid: Grid, turn: float) -> None:
        self.centre, self.radius, self.turn = torch.tensor(grid.centre).double(), 0.18 * min(grid.extent), turn

    def map_points(self, points: Tensor) -> Tensor:
        away = points - self.centre
        angle = self.turn * torch.exp(-away.square().sum(1) / (2 * self.radius**2))
        x, y = away[:, 0], away[:, 1]
        turned = torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], 1)
        return self.centre + torch.cat([turned, away[:, 2:]], 1)


def scene(grid: Grid, seed: int = 0) -> MedImage:
    """Soft blobs all over the grid."""
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.arange(n, dtype=float) for n in grid.shape), indexing="ij")
    index = np.stack(axes[::-1], -1)
    values = np.zeros(grid.shape)
    for _ in range(30):
        away = (index - random.uniform(0, 1, grid.dimension) * grid.size) / random.uniform(3, 7)
        values += random.uniform(-1, 1) * np.exp(-(away**2).sum(-1) / 2)
    return MedImage.on(grid, torch.from_numpy(values)[None])


def pair(grid: Grid, turn: float = 1.0) -> tuple[MedImage, MedImage]:
    moving = scene(grid)
    return resample(moving, grid, Bend(grid, turn), outside=Edge()), moving


def left(fixed: MedImage, moving: MedImage, through: nn.Module) -> float:
    """Share of the squared differences that is left."""
    with torch.no_grad():
        moved = resample(moving, fixed.grid, through, outside=Edge())  # type: ignore[arg-type]
    return float((moved.data - fixed.data).square().sum() / (moving.data - fixed.data).square().sum())


FLAT = Grid((64, 64), (1.0, 1.0), (-30.0, 12.0), ((0.6, -0.8), (0.8, 0.6)))


def test_a_swirl_is_registered_by_register_as_it_is() -> None:
    fixed, moving = pair(FLAT)
    module = Neural(FLAT)
    result = register(fixed, moving, Recipe(metric="mean_squares"), initial=module)
    assert isinstance(result, TrainedResult)
    assert result.transform is module
    assert left(fixed, moving, module) < 0.02  # the issue asks for 0.1
    assert result.folded == 0.0
    assert result.metric == "mean_squares"
    assert [stage.level for stage in result.stages] == sorted(stage.level for stage in result.stages)


def test_the_defaults_choose_a_metric_and_say_why() -> None:
    fixed, moving = pair(FLAT)
    inverted = fixed.with_data(fixed.data.abs().sqrt() - 2 * fixed.data)
    same = register(fixed, moving, Recipe(levels=SHORT), initial=Neural(FLAT))
    other = register(inverted, moving, Recipe(levels=SHORT), initial=Neural(FLAT))
    assert (same.metric, same.metric_reason[:14]) == ("correlation", "same contrast:")
    assert other.metric == "mutual_information"


def test_a_volume_is_registered_too() -> None:
    grid = Grid((24, 20, 16), (2.0, 2.0, 3.0), (-30.0, 12.0, 5.0), ((0.6, -0.8, 0), (0.8, 0.6, 0), (0, 0, -1.0)))
    fixed, moving = pair(grid, 0.8)
    levels = (Level(spacing_mm=2.0, samples=8000, steps=80),)
    result = register(fixed, moving, Recipe(metric="mean_squares", levels=levels), initial=Neural(grid))
    assert left(fixed, moving, result.transform) < 0.1


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_trains(metric: str) -> None:
    fixed, moving = pair(FLAT, 0.5)
    result = register(fixed, moving, Recipe(metric=metric, levels=SHORT), initial=Neural(FLAT))
    values = [step.value for step in result.stages[-1].steps]
    assert min(values) < values[0]
    assert left(fixed, moving, result.transform) < 0.5


def test_units_and_places_do_not_matter() -> None:
    results = []
    for scale in (1.0, 1000.0):
        grid = Grid(FLAT.size, (scale, scale), (5.0 * scale, 0.0), FLAT.direction)
        fixed, moving = pair(grid)
        levels = (Level(spacing_mm=scale, samples=4000, steps=20),)
        result = register(fixed, moving, Recipe(metric="mean_squares", levels=levels), initial=Neural(grid))
        results.append(left(fixed, moving, result.transform))
    assert results[0] < 0.5
    assert results[1] == pytest.approx(results[0], rel=0.02)  # float32 weights over 20 steps


def test_after_a_linear_registration_the_network_takes_the_rest() -> None:
    shift = LinearTransform.of(np.array([[1.0, 0, 6.0], [0, 1, -4], [0, 0, 1]]))
    moving = scene(FLAT)
    fixed = resample(moving, FLAT, Composite(Bend(FLAT, 0.6), shift), outside=Edge())  # type: ignore[arg-type]
    recipe = Recipe(metric="mean_squares", transform="translation", levels=SHORT)
    linear = register(fixed, moving, recipe)
    both = Composite(linear.transform, Neural(FLAT))
    result = register(fixed, moving, recipe, initial=both)
    assert left(fixed, moving, result.transform) < 0.3 * left(fixed, moving, Composite(linear.transform))


def test_the_gradient_is_that_of_the_pure_metric_through_the_sampler() -> None:
    fixed, moving = pair(FLAT)
    sides = [Side(Pyramid(image.data.float(), None, FLAT), None, FLAT.centre) for image in (fixed, moving)]
    level = PairLevel(0, SHORT[0], *sides, seed=0)
    (term,) = level.terms(MeanSquares(), np.eye(3))
    module = Neural(FLAT, width=8)
    with torch.no_grad():
        module.layers[-1].weight.add_(0.01)
    points = term.samples.homogeneous[:, :2].double() + torch.tensor(term.samples.centre)
    _slopes([term], [points], module)
    found = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()

    there = module(points)
    affine = torch.tensor(term.moving.grid.inverse_affine)
    index = (there @ affine[:2, :2].T + affine[:2, 2]).float()
    values = sample(term.moving.volume, index, outside=Edge())[0]
    ends = torch.tensor(term.moving.grid.size) - 0.5
    inside = ((index >= -0.5) & (index < ends)).all(1)
    loss = mean_squares(term.samples.values[0], values, inside.float()) / term.samples.values.var(correction=0)
    loss.backward()
    for mine, parameter in zip(found, module.parameters(), strict=True):
        assert parameter.grad is not None
        assert (mine - parameter.grad).norm() < 1e-4 * parameter.grad.norm()  # float32 sums of 4,000


@pytest.mark.parametrize(
    "optimiser",
    [Adam(learning_rate_mm=0.01), RMSprop(learning_rate_mm=0.002), SGD(learning_rate_mm=0.02, clip_norm=1.0)],
)
def test_first_order_optimisers_serve(optimiser: Adam | RMSprop | SGD) -> None:
    fixed, moving = pair(FLAT, 0.5)
    seen: list[Step] = []
    recipe = Recipe(metric="mean_squares", levels=SHORT, optimiser=optimiser)
    result = register(fixed, moving, recipe, initial=Neural(FLAT), watch=seen.append)
    assert [step.number for step in seen] == list(range(len(result.stages[0].steps)))
    assert seen[0].step_mm == 0.0
    assert seen[0].kind == "Neural"
    assert left(fixed, moving, result.transform) < 0.9


def test_a_run_that_bursts_keeps_its_best_weights() -> None:
    fixed, moving = pair(FLAT, 0.5)
    wild = Recipe(metric="mean_squares", levels=SHORT, optimiser=SGD(learning_rate_mm=1e12))
    result = register(fixed, moving, wild, initial=Neural(FLAT))
    assert result.outcome in (Outcome.DIVERGED, Outcome.NO_OVERLAP)
    assert left(fixed, moving, result.transform) <= 1.0


def test_a_map_that_folds_is_told() -> None:
    class Flipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(2))

        def forward(self, points: Tensor) -> Tensor:
            centre = points.new_tensor(FLAT.centre)
            return centre + (points - centre) * points.new_tensor([-1.0, 1.0]) + self.shift

    fixed, moving = pair(FLAT)
    assert register(fixed, moving, Recipe(metric="mean_squares", levels=SHORT), initial=Flipped()).folded == 1.0


def test_what_cannot_be_trained_is_told() -> None:
    fixed, moving = pair(FLAT)
    with pytest.raises(RecipeError, match="symmetric: serves transforms that have an inverse"):
        register(fixed, moving, Recipe(symmetric=True), initial=Neural(FLAT))
    with pytest.raises(RecipeError, match="trained by adam, rmsprop or sgd, got lbfgs"):
        register(fixed, moving, Recipe(optimiser="lbfgs", levels=SHORT), initial=Neural(FLAT))
    with pytest.raises(TransformError, match="Identity has no parameters"):
        register(fixed, moving, initial=nn.Identity())
    with pytest.raises(TransformError, match="a coordinate map returns"):
        register(fixed, moving, Recipe(levels=SHORT), initial=nn.Linear(2, 1))


def test_the_same_seed_gives_the_same_bits() -> None:
    fixed, moving = pair(FLAT)
    found = [register(fixed, moving, Recipe(levels=SHORT), initial=Neural(FLAT)).transform for _ in range(2)]
    points = torch.rand(20, 2, dtype=torch.float64) * 60
    assert torch.equal(found[0](points), found[1](points))
    assert math.isfinite(float(found[0](points).sum().detach()))
