"""Register one pair of images, or judge a transform from anywhere: what is given, checked and handed on."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, overload

from torch.nn import Module

from medreg.geometry.affine import invert
from medreg.image import MedImage
from medreg.registration.inputs import label_volumes, mask_of, volumes
from medreg.registration.levels import Pyramid
from medreg.registration.module_training import TrainedResult, train
from medreg.registration.pair import Pair
from medreg.registration.recipe import Recipe, has_labels
from medreg.registration.result import Result
from medreg.registration.stage import Watch
from medreg.registration.verdict import Verdict
from medreg.types import FloatArray


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
        pair = _pair(images, recipe)
        return train(initial, pair.level, len(pair.settings), recipe, watch)
    if recipe.symmetric and _order(moving) < _order(fixed):  # the metric is the same both ways, its rounding is not
        return _pair(images.swapped, recipe).run(None if initial is None else invert(initial), watch).inverse()
    return _pair(images, recipe).run(initial, watch)


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
    return _pair(images, recipe).assess(matrix)


class _Images(NamedTuple):
    """What is registered; see `register`."""

    fixed: MedImage
    moving: MedImage
    fixed_mask: MedImage | None
    moving_mask: MedImage | None
    fixed_labels: MedImage | None
    moving_labels: MedImage | None

    @property
    def swapped(self) -> _Images:
        """Fixed and moving exchanged."""
        fixed, moving, fixed_mask, moving_mask, fixed_labels, moving_labels = self
        return _Images(moving, fixed, moving_mask, fixed_mask, moving_labels, fixed_labels)


def _pair(images: _Images, asked: Recipe) -> Pair:
    """Checked, and as float32."""
    fixed, moving, fixed_mask, moving_mask, fixed_labels, moving_labels = images
    masks = mask_of(fixed_mask, fixed), mask_of(moving_mask, moving)
    first, second = volumes(fixed, moving)
    labels = None
    if has_labels(asked.metric):
        one, other = label_volumes(fixed, fixed_labels or fixed, moving, moving_labels or moving)
        labels = Pyramid(one, masks[0], fixed.grid), Pyramid(other, masks[1], moving.grid)
    return Pair(Pyramid(first, masks[0], fixed.grid), Pyramid(second, masks[1], moving.grid), labels, asked)


def _order(image: MedImage) -> bytes:
    """What a symmetric registration sorts its images by, so that both orders do the same arithmetic to the last bit."""
    content = hashlib.sha256(image.affine.tobytes())
    content.update(image.data.contiguous().cpu().numpy().tobytes())
    return content.digest()
