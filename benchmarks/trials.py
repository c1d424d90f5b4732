"""One registration inside this process and what came of it; images that are moved or cut without touching a voxel."""

import time
from dataclasses import dataclass

import numpy as np
from scoring import Matrix, Points, foreground_points, map_points, mean_distance

from medreg import Grid, MedImage, MedregError, Recipe, Result, register
from medreg.registration.verdict import Standing


@dataclass(frozen=True)
class Trial:
    """What a registration left: its result, or the reason why it refused."""

    seconds: float
    result: Result | None
    refusal: str = ""

    @property
    def matrix(self) -> Matrix | None:
        """Fixed to moving points, LPS mm."""
        return None if self.result is None else np.asarray(self.result.transform.matrix)

    @property
    def start(self) -> str:
        """The start that won."""
        return "none" if self.result is None else self.result.start

    @property
    def ending(self) -> str:
        """The outcome and the verdict, or the refusal."""
        if self.result is None:
            return f"refused: {self.refusal.partition(';')[0]}"
        return f"{self.result.outcome.value}, verdict {self.result.verdict.standing.value}"

    @property
    def start_seconds(self) -> float:
        """What finding the start took, of all the seconds."""
        return 0.0 if self.result is None else self.result.seconds["start"]

    @property
    def claims_success(self) -> bool:
        """Whether a caller would take the transform for good."""
        return self.result is not None and self.result.verdict.standing is Standing.OK

    def tre_mm(self, truth: Matrix, points: Points) -> float:
        """Mean distance between where the transform and the truth send `points` (n, 3); infinite after a refusal."""
        if self.matrix is None:
            return float("inf")
        return mean_distance(map_points(self.matrix, points), map_points(truth, points))


def attempt(
    fixed: MedImage,
    moving: MedImage,
    recipe: Recipe,
    fixed_mask: MedImage | None = None,
    moving_mask: MedImage | None = None,
) -> Trial:
    """Register. An error that medreg raises on purpose is a refusal."""
    begun = time.perf_counter()
    try:
        result = register(fixed, moving, recipe, fixed_mask=fixed_mask, moving_mask=moving_mask)
    except MedregError as error:
        return Trial(time.perf_counter() - begun, None, str(error))
    return Trial(time.perf_counter() - begun, result)


def recipe_for(transform: str, start: str | None = None) -> Recipe:
    """The defaults for a family of transforms; `start` where it is asked for."""
    return Recipe.model_validate({"transform": transform} | ({"start": start} if start else {}))


def moved(image: MedImage, matrix: Matrix) -> MedImage:
    """The same voxels at another place: the header's affine is followed by `matrix` (4, 4), LPS mm. Shears are kept."""
    return MedImage.on(Grid.from_affine(image.size, matrix @ image.affine), image.data, image.leading, image.metadata)


def part(image: MedImage, world_axis: int, low: float, high: float) -> MedImage:
    """The voxels between two fractions of the field of view, along the grid axis nearest to world axis 0, 1 or 2 (LPS).

    Fractions count from 0 in the direction in which the world coordinate grows.
    """
    cosines = np.array(image.direction)[world_axis]
    axis = int(np.abs(cosines).argmax())
    if cosines[axis] < 0:
        low, high = 1 - high, 1 - low
    first, last = round(low * image.size[axis]), round(high * image.size[axis])
    affine = image.affine.copy()
    affine[:-1, -1] += first * affine[:-1, axis]
    data = image.data.narrow(image.data.ndim - 1 - axis, first, last - first)
    size = [last - first if k == axis else n for k, n in enumerate(image.size)]
    return MedImage.on(Grid.from_affine(size, affine), data.contiguous(), image.leading, image.metadata)


def slab(image: MedImage, world_axis: int, thickness_mm: float) -> MedImage:
    """The middle `thickness_mm` of the image along a world axis, or all of it where it is thinner."""
    axis = int(np.abs(np.array(image.direction)[world_axis]).argmax())
    half = min(0.5, 0.5 * thickness_mm / image.grid.extent[axis])
    return part(image, world_axis, 0.5 - half, 0.5 + half)


def foreground(image: MedImage) -> Points:
    """`scoring.foreground_points` of an image in memory."""
    return foreground_points(image.data[0].numpy().T, image.affine)
