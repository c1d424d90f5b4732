"""Registration by a torch module: its weights are sought by plain autograd, through the same metrics, levels, samples.

A metric knows its slope by each moving value, and the sampler that of each value by its place; so one backward pass
through the module alone gives the gradient, and no graph of the images is ever made.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medreg.errors import DeviceError, RecipeError, TransformError
from medreg.optimise.loop import LEAST_OVERLAP
from medreg.optimise.record import Outcome, StageRecord, Step
from medreg.optimise.tensors import SGD, Adam, ClipNorm, Descent, Method, RMSprop, descend
from medreg.registration import contrast, recipe
from medreg.registration.level import PairLevel
from medreg.registration.moments import has_bright_border
from medreg.registration.recipe import Recipe
from medreg.registration.stage import Watch
from medreg.registration.term import Term
from medreg.transform.composite import mapped

STEPS = 150
"""At each level, where the recipe names no levels: weights take more of them than the few numbers of a matrix."""

RATE = 0.01
"""Of Adam, in place of Gauss-Newton."""

WINDOW = 40
"""Steps without a gain after which a level ends."""

GENERAL = recipe.MutualInformation()


@dataclass(frozen=True)
class TrainedResult:
    """A module that was trained to be the transform, and how. It has no verdict: whether to trust it is not known.

    The verdict of `Result` is calibrated for linear maps and homographies; of a map that may bend anywhere it would say
    nothing. What is known is the metric, and whether the map folds.

    Attributes:
        transform: the module, trained in place: maps fixed points to moving points, LPS mm.
        metric: the metric used, by name.
        metric_reason: one sentence: why that one.
        stages: every level, coarse to fine.
        outcome: how the last one ended.
        folded: share of the finest level's samples about which the map turns space inside out; above 0 it has no
            inverse there.
        recipe: what was asked.
        seconds: wall time.
    """

    transform: nn.Module
    metric: str
    metric_reason: str
    stages: tuple[StageRecord, ...]
    outcome: Outcome
    folded: float
    recipe: Recipe
    seconds: float


def train(
    module: nn.Module, level_at: Callable[[int], PairLevel], levels: int, asked: Recipe, watch: Watch | None
) -> TrainedResult:
    """Train `module`, in place, from what it is to what the metric likes best, coarse to fine.

    Of the recipe count metric, levels, optimiser and seed; family and start do not, since the module is both.

    Args:
        module: points (N, D) -> (N, D), fixed to moving, LPS mm.
        level_at: both images at a level, 0 is the coarsest.
        levels: how many.
        asked: the recipe.
        watch: called with each step.

    Raises:
        TransformError: a module without parameters to train, or that does not return points.
        RecipeError: `symmetric`, or an optimiser that does not serve.
        DeviceError: a module on another device than the images.
    """
    clock = time.perf_counter()
    level = level_at(0)
    coarsest = level.settings.spacing_mm
    parameters = _parameters(module, asked, level)
    records: list[StageRecord] = []
    metric, reason = asked.metric, "asked for"
    if isinstance(metric, recipe.AutoMetric):
        records.append(_descend(level, GENERAL, module, parameters, asked, 1.0, watch))
        metric, reason = _metric(level, module)
    for number in range(levels):
        level = level_at(number) if number else level
        share = level.settings.spacing_mm / coarsest  # as errors shrink, so do steps
        records.append(_descend(level, metric, module, parameters, asked, share, watch))
    folded = _folded(module, _points(level.terms(recipe.MeanSquares(), _identity(level))[0]))
    seconds = time.perf_counter() - clock
    return TrainedResult(module, metric.name, reason, tuple(records), records[-1].outcome, folded, asked, seconds)


def _parameters(module: nn.Module, asked: Recipe, level: PairLevel) -> list[nn.Parameter]:
    if asked.symmetric:
        raise RecipeError("symmetric: serves transforms that have an inverse; a torch module is trained one way only")
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise TransformError(f"initial: {type(module).__name__} has no parameters that could be trained")
    device = level.fixed.image.volume.device
    if parameters[0].device != device:
        raise DeviceError(
            f"initial: the module is on {parameters[0].device}, the images are on {device}; move one with .to(...)"
        )
    return parameters


def _descend(
    level: PairLevel,
    metric: recipe.Metric,
    module: nn.Module,
    parameters: Sequence[nn.Parameter],
    asked: Recipe,
    share: float,
    watch: Watch | None,
) -> StageRecord:
    """One level, at a share of the asked rate; the module is left at the best weights that were seen."""
    clock = time.perf_counter()
    spacing, kind = level.settings.spacing_mm, type(module).__name__
    problem = _Problem(level.terms(metric, _identity(level)), module)
    steps: list[Step] = []
    outcome = Outcome.STEPS_SPENT
    for event in descend(parameters, problem.evaluate, _descent(asked, level, share)):
        if isinstance(event, Outcome):
            outcome = event
            break
        steps.append(Step(level.number, spacing, kind, event.number, event.value, problem.moved_mm, problem.overlap))
        if watch is not None:
            watch(steps[-1])
    count, took = sum(map(len, problem.places)), time.perf_counter() - clock
    return StageRecord(level.number, spacing, kind, metric.name, count, tuple(steps), outcome, len(steps), took)


class _Problem:
    """All terms of a level, as the descent sees them.

    Attributes:
        places: for each term its samples' world points.
        moved_mm: how far the points went since the evaluation before, root mean square.
        overlap: the best of the terms.
    """

    def __init__(self, terms: Sequence[Term], module: nn.Module) -> None:
        self.terms, self.module = terms, module
        self.places = [_points(term) for term in terms]
        self.moved_mm = self.overlap = 0.0
        self.before: Tensor | None = None

    def evaluate(self) -> float | Outcome:
        """The metric, its slopes added to the module's parameters."""
        value, self.overlap, here = _slopes(self.terms, self.places, self.module)
        self.moved_mm = 0.0 if self.before is None else float((here - self.before).square().sum(1).mean().sqrt())
        self.before = here
        return Outcome.NO_OVERLAP if math.isfinite(value) and self.overlap < LEAST_OVERLAP else value


def _slopes(terms: Sequence[Term], places: Sequence[Tensor], module: nn.Module) -> tuple[float, float, Tensor]:
    """Add the gradient of all terms to the module's parameters; the value, the best overlap, and where points went."""
    total, overlaps = 0.0, []
    for term, points in zip(terms, places, strict=True):
        there = mapped(module, points)
        to_index = torch.from_numpy(term.moving.grid.inverse_affine.copy()).to(there)
        d = points.shape[1]
        index = there.detach() @ to_index[:d, :d].T + to_index[:d, d]
        sampled = term.moving.at(index.to(term.moving.volume.dtype))
        slope = term.measure(sampled.values, sampled.inside.to(sampled.values.dtype))
        pull = (slope.slope[..., None] * sampled.gradients).sum(0).to(there) @ to_index[:d, :d]
        if there.requires_grad:
            there.backward(term.weight * pull)  # type: ignore[no-untyped-call]
        total += term.weight * slope.value
        overlaps.append(term.overlap(sampled.inside))
    return total, max(overlaps), there.detach()


def _metric(level: PairLevel, module: nn.Module) -> tuple[recipe.Metric, str]:
    """The metric that suits the contrasts, as they show at a level that is aligned; as for matrices."""
    term = level.terms(GENERAL, _identity(level))[0]
    if len(term.samples.values) > 1:
        return GENERAL, "colour: every channel may have a contrast of its own"
    grid = term.moving.grid
    with torch.no_grad():
        there = mapped(module, _points(term)).cpu().numpy()
    index = torch.from_numpy(grid.to_index(there)).to(term.moving.volume)
    sampled = term.moving.at(index)
    spacing = level.settings.spacing_mm
    signs = [-1 if has_bright_border(side.at(spacing, GENERAL)) else 1 for side in (level.fixed, level.moving)]
    found = contrast.compare(term.samples.values[0] * signs[0], sampled.values[0] * signs[1], sampled.inside)
    return (recipe.Correlation() if found.is_same else GENERAL), found.reason


def _folded(module: nn.Module, points: Tensor) -> float:
    """Share of points at which the determinant of the map's derivative is not above 0."""
    points = points.requires_grad_()
    there = mapped(module, points)
    rows = [torch.autograd.grad(axis.sum(), points, retain_graph=True)[0] for axis in there.unbind(1)]
    return float((torch.linalg.det(torch.stack(rows, 1)) <= 0).double().mean())


def _points(term: Term) -> Tensor:
    """(N, D) float64 world points of the samples."""
    relative = term.samples.homogeneous[:, :-1].double()
    return relative + relative.new_tensor(term.samples.centre)


def _identity(level: PairLevel) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.eye(len(level.fixed.centre) + 1)


def _descent(asked: Recipe, level: PairLevel, share: float) -> Descent:
    """The recipe's optimiser at a share of its rate, which is in the weights' own units.

    Raises:
        RecipeError: one that does not serve.
    """
    clip: float | None = None
    method: Method
    match asked.optimiser:
        case recipe.GaussNewton():
            method = Adam(share * RATE)
        case recipe.Adam(learning_rate_mm=rate, clip_norm=clip):
            method = Adam(share * rate)
        case recipe.RMSprop(learning_rate_mm=rate, clip_norm=clip):
            method = RMSprop(share * rate)
        case recipe.SGD(learning_rate_mm=rate, momentum=momentum, clip_norm=clip):
            method = SGD(share * rate, momentum)
        case other:
            raise RecipeError(f"optimiser: a torch module is trained by adam, rmsprop or sgd, got {other.name}")
    budget = level.settings.steps if asked.levels else STEPS
    return Descent(method, budget, None if clip is None else ClipNorm(clip), window=WINDOW, gain=0.0)
