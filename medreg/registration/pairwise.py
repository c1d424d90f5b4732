"""Register one pair of images: start, contrast, then coarse to fine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, overload

import numpy as np
from torch.nn import Module

from medreg.errors import TransformError
from medreg.geometry.affine import derivative_at, invert
from medreg.image import MedImage
from medreg.optimise.loop import LEAST_KEPT, usable
from medreg.optimise.record import Outcome, StageRecord
from medreg.registration import contrast, recipe
from medreg.registration.evidence import evidence_of, foreground_points, looked_at
from medreg.registration.freedom import affordable
from medreg.registration.inputs import label_volumes, mask_of, volumes
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import Pyramid, default_levels
from medreg.registration.model_choice import Choice, candidates, compare, decides_at
from medreg.registration.module_training import TrainedResult, train
from medreg.registration.moments import centre_of_mass, has_bright_border
from medreg.registration.recipe import Recipe, has_labels
from medreg.registration.result import Result
from medreg.registration.stage import StageResult, Watch, run_stage
from medreg.registration.start import Started, find_start
from medreg.registration.verdict import Verdict, judge
from medreg.transform.families import nearest
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform
from medreg.types import FloatArray

GENERAL = recipe.MutualInformation()
"""Serves every contrast: used until the contrast is known, and where it differs."""


@overload
def register(
    fixed: MedImage,
    moving: MedImage,
    recipe: Recipe = ...,
    *,
    fixed_mask: MedImage | None = ...,
    moving_mask: MedImage | None = ...,
    fixed_labels: MedImage | None = ...,
    moving_labels: MedImage | None = ...,
    initial: FloatArray | None = ...,
    watch: Watch | None = ...,
) -> Result: ...


@overload
def register(
    fixed: MedImage,
    moving: MedImage,
    recipe: Recipe = ...,
    *,
    fixed_mask: MedImage | None = ...,
    moving_mask: MedImage | None = ...,
    fixed_labels: MedImage | None = ...,
    moving_labels: MedImage | None = ...,
    initial: Module,
    watch: Watch | None = ...,
) -> TrainedResult: ...


def register(
    fixed: MedImage,
    moving: MedImage,
    recipe: Recipe = Recipe(),  # noqa: B008 - a frozen value
    *,
    fixed_mask: MedImage | None = None,
    moving_mask: MedImage | None = None,
    fixed_labels: MedImage | None = None,
    moving_labels: MedImage | None = None,
    initial: FloatArray | Module | None = None,
    watch: Watch | None = None,
) -> Result | TrainedResult:
    """Find the transform that maps points of `fixed` to the same anatomy in `moving`.

    Works on the device that the tensors are on. Channels are compared each with its like where both images have as many
    (colour), and averaged where not; a series is refused (`MedImage.frame`).

    Args:
        fixed: stays where it is.
        moving: is to be brought onto it.
        recipe: every choice; the defaults find an affine transform.
        fixed_mask: nonzero where the fixed image counts; any grid size that equals the fixed image's.
        moving_mask: the same for the moving image. Voxels out of a mask count at no level.
        fixed_labels: a label map on the fixed image's grid, for `label_overlap`; else the image itself is taken as one.
        moving_labels: the same for the moving image.
        initial: (D+1) x (D+1), fixed -> moving points, LPS mm: where to start, in place of what the recipe says. Or a
            torch module of points (N, D) -> (N, D), such as `Neural`: then its weights are trained, in place, through
            the same metrics, levels and samples, and a `TrainedResult` comes back, which has no verdict.
        watch: called with each step.

    Raises:
        ImageError: a series, images of different dimension, or a mask that is empty or of another size.
        RegistrationError: no start makes the images overlap, or too few voxels are left.

    Example:
        >>> import torch
        >>> from medreg.geometry import Grid
        >>> grid = Grid.regular((32, 32, 32), (2.0, 2.0, 2.0))
        >>> z, y, x = torch.meshgrid(*[torch.arange(32.0)] * 3, indexing="ij")
        >>> blob = lambda c: torch.exp(-((x - c) ** 2 + (y - 15) ** 2 / 2 + (z - 16) ** 2 / 3) / 40)[None]
        >>> fixed, moving = MedImage.on(grid, blob(15.0)), MedImage.on(grid, blob(17.0))
        >>> result = register(fixed, moving, Recipe(transform="translation", metric="mean_squares"))
        >>> [round(float(v), 1) + 0.0 for v in result.transform.matrix[:3, 3]]
        [4.0, 0.0, 0.0]
    """
    images = _Images(fixed, moving, fixed_mask, moving_mask, fixed_labels, moving_labels)
    if isinstance(initial, Module):
        pair = _pair(images, recipe, None)
        return train(initial, pair.level, len(pair.settings), recipe, watch)
    if recipe.symmetric and _order(moving) < _order(fixed):  # the metric is the same both ways, its rounding is not
        return register(
            moving,
            fixed,
            recipe,
            fixed_mask=moving_mask,
            moving_mask=fixed_mask,
            fixed_labels=moving_labels,
            moving_labels=fixed_labels,
            initial=None if initial is None else invert(initial),
            watch=watch,
        ).inverse()
    return _pair(images, recipe, initial).run(watch)


def assess(
    fixed: MedImage,
    moving: MedImage,
    matrix: FloatArray,
    recipe: Recipe = Recipe(),  # noqa: B008 - a frozen value
    *,
    fixed_mask: MedImage | None = None,
    moving_mask: MedImage | None = None,
    fixed_labels: MedImage | None = None,
    moving_labels: MedImage | None = None,
) -> Verdict:
    """The verdict on a transform from anywhere: of another tool, of an older run, made by hand.

    What `register` says of its own result, without registering. The transform is taken as it is.

    Args:
        fixed: the image that stayed.
        moving: the image that was brought onto it.
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        recipe: the family, and the metric that is asked; by default the one that suits the contrasts.
        fixed_mask: as in `register`; so are the others.
        moving_mask: see there.
        fixed_labels: see there.
        moving_labels: see there.

    Raises:
        TransformError: a matrix of another dimension, singular or mirroring.
        ImageError: see `register`.
    """
    images = _Images(fixed, moving, fixed_mask, moving_mask, fixed_labels, moving_labels)
    pair = _pair(images, recipe, matrix)
    return pair.assess(_checked(matrix, pair.fixed.centre))


class _Images(NamedTuple):
    """What is registered; see `register`."""

    fixed: MedImage
    moving: MedImage
    fixed_mask: MedImage | None
    moving_mask: MedImage | None
    fixed_labels: MedImage | None
    moving_labels: MedImage | None


def _pair(images: _Images, asked: Recipe, initial: FloatArray | None) -> _Pair:
    """Checked, and as float32."""
    fixed, moving, fixed_mask, moving_mask, fixed_labels, moving_labels = images
    masks = mask_of(fixed_mask, fixed), mask_of(moving_mask, moving)
    first, second = volumes(fixed, moving)
    labels = None
    if has_labels(asked.metric):
        one, other = label_volumes(fixed, fixed_labels or fixed, moving, moving_labels or moving)
        labels = Pyramid(one, masks[0], fixed.grid), Pyramid(other, masks[1], moving.grid)
    return _Pair(Pyramid(first, masks[0], fixed.grid), Pyramid(second, masks[1], moving.grid), labels, asked, initial)


def _order(image: MedImage) -> bytes:
    """What a symmetric registration sorts its images by, so that both orders do the same arithmetic to the last bit."""
    content = hashlib.sha256(image.affine.tobytes())
    content.update(image.data.contiguous().cpu().numpy().tobytes())
    return content.digest()


class _Pair:
    """The state of one registration: both images, their levels, and the centre that steps turn about."""

    def __init__(
        self,
        fixed: Pyramid,
        moving: Pyramid,
        labels: tuple[Pyramid, Pyramid] | None,
        asked: Recipe,
        initial: FloatArray | None,
    ) -> None:
        self.recipe, self.initial = asked, initial
        self.widest = candidates(fixed.grid.dimension)[-1] if asked.transform == "auto" else asked.transform
        self.settings = asked.levels or default_levels(fixed.grid, moving.grid)
        coarsest = self.settings[0].spacing_mm
        self.fixed, self.moving = self.sides = tuple(
            Side(image, label, centre_of_mass(image.at(coarsest, GENERAL)))
            for image, label in zip((fixed, moving), labels or (None, None), strict=True)
        )

    def run(self, watch: Watch | None) -> Result:
        asked = self.recipe
        seconds: dict[str, float] = {}
        records: list[StageRecord] = []
        clock = time.perf_counter()
        started = self._start()
        seconds["start"] = time.perf_counter() - clock

        clock = time.perf_counter()
        level, matrix = self.level(0), started.matrix
        coarse = level.terms(GENERAL, matrix)[0]
        kind, fallback = affordable(self.widest, coarse, matrix, self.fixed.image.grid)
        choice = None
        if asked.transform == "auto" and fallback is not None:  # nothing to choose from
            choice, fallback = Choice(kind, fallback), None
        matrix = nearest(kind, matrix, self.fixed.centre)
        least = LEAST_KEPT * level.problem(GENERAL, kind, matrix).evaluate(matrix).overlap
        stages = partial(_through, optimiser=asked.optimiser, watch=watch, records=records, least_overlap=least)
        metric, reason = asked.metric, "asked for"
        if isinstance(metric, recipe.AutoMetric):
            matrix = stages(level, GENERAL, _kinds(kind), matrix).matrix
            metric, reason = self._metric(level, matrix)
        for number in range(len(self.settings)):
            level = self.level(number) if number else level
            last = stages(level, metric, _kinds(kind) if number == 0 else (kind,), matrix)
            matrix = last.matrix
            if asked.transform == "auto" and choice is None and number == decides_at(len(self.settings)):
                choice, matrix = self._choice(level, metric, last)
                kind = choice.kind
                if number == len(self.settings) - 1:
                    last = stages(level, metric, (kind,), matrix)
                    matrix = last.matrix
            if number == min(1, len(self.settings) - 1):
                seen = looked_at(level)
        outcome = records[-1].outcome
        seconds["optimise"] = time.perf_counter() - clock
        clock = time.perf_counter()
        evidence = evidence_of(seen, last.problem, metric, matrix, kind, level.settings.spacing_mm)
        verdict = judge(evidence, outcome, kind, metric.name, asked.seed)
        seconds["verdict"] = time.perf_counter() - clock
        return Result(
            transform=_transform(matrix, kind, self.fixed.centre),
            metric=metric.name,
            metric_reason=reason,
            start=started.name,
            candidates=started.candidates,
            stages=tuple(records),
            outcome=outcome,
            verdict=verdict,
            fallback=fallback,
            choice=choice,
            recipe=asked,
            seconds=seconds,
        )

    def _choice(self, level: PairLevel, metric: recipe.Metric, last: StageResult) -> tuple[Choice, FloatArray]:
        """The family to go on with, and where from; `last` is the widest one's answer at this level."""
        spacing = level.settings.spacing_mm
        points = foreground_points(self.fixed.at(spacing, GENERAL))
        return compare(last.problem, metric, last.matrix, self.fixed.centre, points, spacing)

    def assess(self, matrix: FloatArray) -> Verdict:
        """The verdict on a matrix as it is."""
        asked, last = self.recipe, len(self.settings) - 1
        kind = Kind.AFFINE if asked.transform == "auto" and not matrix[-1, :-1].any() else self.widest
        level = self.level(min(1, last))
        metric: recipe.Metric = asked.metric
        if isinstance(metric, recipe.AutoMetric):
            metric = self._metric(level, matrix)[0]
        seen, finest = looked_at(level), self.level(last) if last > 1 else level
        problem = finest.problem(metric, kind, matrix)
        evidence = evidence_of(seen, problem, metric, matrix, kind, finest.settings.spacing_mm)
        outcome = Outcome.CONVERGED if usable(problem.evaluate(matrix)) else Outcome.NO_OVERLAP
        return judge(evidence, outcome, kind, metric.name, asked.seed)

    def _metric(self, level: PairLevel, matrix: FloatArray) -> tuple[recipe.Metric, str]:
        """The metric that suits the contrasts, as they show at a coarse level that is aligned, and why."""
        term = level.terms(GENERAL, matrix)[0]
        if len(term.samples.values) > 1:
            return GENERAL, "colour: every channel may have a contrast of its own"
        moving, inside = term.values(matrix)
        signs = [-1 if has_bright_border(side.at(level.settings.spacing_mm, GENERAL)) else 1 for side in self.sides]
        found = contrast.compare(term.samples.values[0] * signs[0], moving[0] * signs[1], inside)
        return (recipe.Correlation() if found.is_same else GENERAL), found.reason

    def _start(self) -> Started:
        """The given start, or the best that is found."""
        if self.initial is not None:
            return Started("given", _checked(self.initial, self.fixed.centre), ())
        return find_start(self.recipe.start, self.fixed, self.moving, self.widest, self.recipe.seed)

    def level(self, number: int) -> PairLevel:
        """Both images at one level."""
        seed = self.recipe.seed + number
        return PairLevel(number, self.settings[number], self.fixed, self.moving, seed, self.recipe.symmetric)


def _checked(initial: FloatArray, centre: tuple[float, ...]) -> FloatArray:
    """The given start, with w = 1 at the centre.

    Raises:
        TransformError: of another dimension, singular or mirroring there.
    """
    n = len(centre) + 1
    if initial.shape == (n, n) and (w := float(initial[-1] @ [*centre, 1.0])) != 0:
        scaled: FloatArray = initial / w
        if np.linalg.det(derivative_at(scaled, np.array(centre))) > 0:
            return scaled
    raise TransformError(
        f"a registration in {n - 1}D starts from a {n}x{n} matrix that does not mirror, got {initial.tolist()}"
    )


def _through(
    level: PairLevel,
    metric: recipe.Metric,
    kinds: Sequence[Kind],
    matrix: FloatArray,
    *,
    optimiser: recipe.Optimiser,
    watch: Watch | None,
    records: list[StageRecord],
    least_overlap: float,
) -> StageResult:
    """Where one family after the other leads at a level; their records are appended."""
    for kind in kinds:
        state = run_stage(level, metric, kind, matrix, optimiser, watch, least_overlap)
        matrix = state.matrix
        records.append(state.record)
    return state


def _transform(matrix: FloatArray, kind: Kind, centre: tuple[float, ...]) -> LinearTransform | Homography:
    return Homography(matrix, centre) if kind is Kind.HOMOGRAPHY else LinearTransform(matrix, kind, centre)


def _kinds(kind: Kind) -> tuple[Kind, ...]:
    """What the coarsest level goes through, from few parameters to many."""
    if kind in (Kind.SIMILARITY, Kind.AFFINE):
        return (Kind.RIGID, kind)
    if kind is Kind.HOMOGRAPHY:
        return (Kind.RIGID, Kind.AFFINE, kind)
    return (kind,)
