"""Register one pair of images: start, contrast, then coarse to fine."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.image import Leading, MedImage
from medreg.optimise.record import StageRecord
from medreg.registration import contrast, recipe
from medreg.registration.levels import Pyramid, default_levels
from medreg.registration.measures import is_histogram
from medreg.registration.recipe import Recipe
from medreg.registration.result import Result
from medreg.registration.samples import Placement, centre_of_mass, draw
from medreg.registration.stage import PairLevel, StageResult, Watch, run_stage
from medreg.registration.start import candidates_for, choose
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform

GENERAL = recipe.MutualInformation()
"""Serves every contrast: used until the contrast is known, and where it differs."""


def register(
    fixed: MedImage,
    moving: MedImage,
    recipe: Recipe = Recipe(),  # noqa: B008 - a frozen value
    *,
    fixed_mask: MedImage | None = None,
    moving_mask: MedImage | None = None,
    watch: Watch | None = None,
) -> Result:
    """Find the transform that maps points of `fixed` to the same anatomy in `moving`.

    Works on the device that the tensors are on. Channels are averaged; a series is refused (`MedImage.frame`).

    Args:
        fixed: stays where it is.
        moving: is to be brought onto it.
        recipe: every choice; the defaults find an affine transform.
        fixed_mask: nonzero where the fixed image counts; any grid size that equals the fixed image's.
        moving_mask: the same for the moving image. Voxels out of a mask count at no level.
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
    pair = _Pair(fixed, moving, fixed_mask, moving_mask, recipe)
    return pair.run(watch)


class _Pair:
    """The state of one registration: both images, their levels, and the centre that steps turn about."""

    def __init__(
        self,
        fixed: MedImage,
        moving: MedImage,
        fixed_mask: MedImage | None,
        moving_mask: MedImage | None,
        asked: Recipe,
    ) -> None:
        if fixed.dimension != moving.dimension:
            raise ImageError(
                f"{fixed.name} is {fixed.dimension}D and {moving.name} is {moving.dimension}D; "
                "both must have the same dimension"
            )
        self.recipe = asked
        self.fixed = Pyramid(varied(fixed), _mask(fixed_mask, fixed), fixed.grid)
        self.moving = Pyramid(varied(moving), _mask(moving_mask, moving), moving.grid)
        self.settings = asked.levels or default_levels(fixed.grid, moving.grid)
        self.centre: tuple[float, ...] = fixed.grid.centre

    def run(self, watch: Watch | None) -> Result:
        asked = self.recipe
        seconds: dict[str, float] = {}
        records: list[StageRecord] = []
        clock = time.perf_counter()
        coarse = self.fixed.at(self.settings[0].spacing_mm, GENERAL)
        self.centre = centre_of_mass(coarse.volume, coarse.grid, coarse.mask)
        level = self.level(0, GENERAL)
        moving_centre = centre_of_mass(level.moving.volume, level.moving.grid, level.moving.mask)
        starts = candidates_for(
            asked.start, [self.centre, self.fixed.grid.centre], [moving_centre, self.moving.grid.centre]
        )
        name, state, scores = choose(starts, level, asked.transform)
        seconds["start"] = time.perf_counter() - clock

        clock = time.perf_counter()
        metric, reason, state = self._metric(level, state, records, watch)
        for number in range(len(self.settings)):
            level = self.level(number, metric)
            kinds = _kinds(asked.transform) if number == 0 else (asked.transform,)
            for kind in kinds:
                state = run_stage(level, metric, kind, state.matrix, asked.optimiser, watch)
                records.append(state.record)
        seconds["optimise"] = time.perf_counter() - clock
        return Result(
            LinearTransform(state.matrix, asked.transform, self.centre),
            metric.name,
            reason,
            name,
            scores,
            tuple(records),
            state.record.outcome,
            asked,
            seconds,
        )

    def _metric(
        self, level: PairLevel, state: StageResult, records: list[StageRecord], watch: Watch | None
    ) -> tuple[recipe.Metric, str, StageResult]:
        """The metric to use and why; `auto` first aligns the coarsest level under mutual information, then looks."""
        if not isinstance(self.recipe.metric, recipe.AutoMetric):
            return self.recipe.metric, "asked for", state
        for kind in _kinds(self.recipe.transform):
            state = run_stage(level, GENERAL, kind, state.matrix, self.recipe.optimiser, watch)
            records.append(state.record)
        moving, inside = level.problem(GENERAL, self.recipe.transform).values(state.matrix)
        found = contrast.compare(level.samples.values, moving, inside)
        return (recipe.Correlation() if found.is_same else GENERAL), found.reason, state

    def level(self, number: int, metric: recipe.Metric) -> PairLevel:
        """Both images at one level, filtered and sampled as the metric needs it."""
        settings = self.settings[number]
        placement = Placement.SCATTERED if is_histogram(metric) else Placement.CENTRES
        fixed, moving = self.fixed.at(settings.spacing_mm, metric), self.moving.at(settings.spacing_mm, metric)
        seed = self.recipe.seed + number
        samples = draw(fixed.volume, fixed.grid, settings.samples, self.centre, seed, placement, fixed.mask)
        return PairLevel(number, settings, samples, moving)


def _kinds(kind: Kind) -> tuple[Kind, ...]:
    """What the coarsest level goes through, from few parameters to many."""
    if kind in (Kind.SIMILARITY, Kind.AFFINE):
        return (Kind.RIGID, kind)
    return (kind,)


def varied(image: MedImage) -> Tensor:
    """`scalar(image)`, which must not be constant.

    Raises:
        ImageError: when every voxel has the same value.
    """
    data = scalar(image)
    low, high = torch.aminmax(data)
    if not bool(low < high):
        raise ImageError(f"{image.name} is constant, every voxel is {float(low):g}: there is nothing to align")
    return data


def scalar(image: MedImage) -> Tensor:
    """(1, z, y, x) float32: the one channel, or the mean of all.

    Raises:
        ImageError: for a series of volumes.
    """
    if image.leading is Leading.FRAMES and image.channels > 1:
        raise ImageError(
            f"{image.name} holds {image.channels} volumes; choose one with --volume N or their mean with --volume mean"
        )
    data = image.data.float()
    return data if len(data) == 1 else data.mean(0, keepdim=True)


def _mask(mask: MedImage | None, image: MedImage) -> Tensor | None:
    """(1, z, y, x) float32 of 0 and 1.

    Raises:
        ImageError: when it is empty or does not lie on the image's grid.
    """
    if mask is None:
        return None
    if mask.size != image.size or abs(mask.affine - image.affine).max() > 1e-2:
        raise ImageError(
            f"mask {mask.name} does not lie on the grid of {image.name} (size {mask.size} against {image.size}); "
            f"resample it first: medreg apply {mask.name} --like {image.name} --interpolation nearest --out mask.nii.gz"
        )
    chosen = (mask.data != 0).any(0, keepdim=True).to(image.data.device)
    if not bool(chosen.any()):
        raise ImageError(f"mask {mask.name} is empty: no voxel is above 0")
    return chosen.to(torch.float32)
