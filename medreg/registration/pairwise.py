"""Register one pair of images: start, contrast, then coarse to fine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import derivative_at, invert
from medreg.image import MedImage
from medreg.optimise.loop import LEAST_KEPT
from medreg.optimise.record import StageRecord
from medreg.registration import contrast, recipe
from medreg.registration.freedom import affordable
from medreg.registration.inputs import label_volumes, mask_of, volumes
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import Pyramid, default_levels
from medreg.registration.moments import centre_of_mass, has_bright_border
from medreg.registration.recipe import Recipe, has_labels
from medreg.registration.result import Result
from medreg.registration.stage import Watch, run_stage
from medreg.registration.start import Started, find_start
from medreg.registration.verdict import judge
from medreg.transform.families import nearest
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform
from medreg.types import FloatArray

GENERAL = recipe.MutualInformation()
"""Serves every contrast: used until the contrast is known, and where it differs."""


def register(
    fixed: MedImage,
    moving: MedImage,
    recipe: Recipe = Recipe(),  # noqa: B008 - a frozen value
    *,
    fixed_mask: MedImage | None = None,
    moving_mask: MedImage | None = None,
    fixed_labels: MedImage | None = None,
    moving_labels: MedImage | None = None,
    initial: FloatArray | None = None,
    watch: Watch | None = None,
) -> Result:
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
        initial: (D+1) x (D+1), fixed -> moving points, LPS mm: where to start, in place of what the recipe says.
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
    masks = mask_of(fixed_mask, fixed), mask_of(moving_mask, moving)
    first, second = volumes(fixed, moving)
    labels = None
    if has_labels(recipe.metric):
        one, other = label_volumes(fixed, fixed_labels or fixed, moving, moving_labels or moving)
        labels = Pyramid(one, masks[0], fixed.grid), Pyramid(other, masks[1], moving.grid)
    pair = _Pair(Pyramid(first, masks[0], fixed.grid), Pyramid(second, masks[1], moving.grid), labels, recipe, initial)
    return pair.run(watch)


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
        kind, fallback = affordable(asked.transform, coarse, matrix, self.fixed.image.grid)
        matrix = nearest(kind, matrix, self.fixed.centre)
        least = LEAST_KEPT * level.problem(GENERAL, kind, matrix).evaluate(matrix).overlap
        stages = partial(_through, optimiser=asked.optimiser, watch=watch, records=records, least_overlap=least)
        metric, reason = asked.metric, "asked for"
        if isinstance(metric, recipe.AutoMetric):
            matrix = stages(level, GENERAL, _kinds(kind), matrix)
            metric, reason = self._metric(level, matrix)
        for number in range(len(self.settings)):
            level = self.level(number) if number else level
            matrix = stages(level, metric, _kinds(kind) if number == 0 else (kind,), matrix)
            if number == min(1, len(self.settings) - 1):
                seen = tuple(side.at(level.settings.spacing_mm, GENERAL) for side in self.sides)
        outcome = records[-1].outcome
        verdict = judge(seen[0], seen[1], matrix, outcome, asked.seed)
        seconds["optimise"] = time.perf_counter() - clock
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
            recipe=asked,
            seconds=seconds,
        )

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
        return find_start(self.recipe.start, self.fixed, self.moving, self.recipe.transform, self.recipe.seed)

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
) -> FloatArray:
    """Where one family after the other leads at a level; their records are appended."""
    for kind in kinds:
        state = run_stage(level, metric, kind, matrix, optimiser, watch, least_overlap)
        matrix = state.matrix
        records.append(state.record)
    return matrix


def _transform(matrix: FloatArray, kind: Kind, centre: tuple[float, ...]) -> LinearTransform | Homography:
    return Homography(matrix, centre) if kind is Kind.HOMOGRAPHY else LinearTransform(matrix, kind, centre)


def _kinds(kind: Kind) -> tuple[Kind, ...]:
    """What the coarsest level goes through, from few parameters to many."""
    if kind in (Kind.SIMILARITY, Kind.AFFINE):
        return (Kind.RIGID, kind)
    if kind is Kind.HOMOGRAPHY:
        return (Kind.RIGID, Kind.AFFINE, kind)
    return (kind,)
