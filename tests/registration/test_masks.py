"""Masks: voxels out of them count nowhere, at no level, under no metric; painting them over changes nothing."""

from __future__ import annotations

import pytest
import torch

from medreg.errors import RegistrationError
from medreg.image import MedImage
from medreg.registration.pairwise import register
from medreg.registration.recipe import Recipe
from medreg.transform.kind import Kind

METRICS = ["auto", "mean_squares", "correlation", "mutual_information", "normalised_mutual_information"]
METRICS += ["local_correlation", "correlation_ratio", "gradient_fields", "self_similarity"]


def box(image: MedImage) -> MedImage:
    """A mask of the middle, odd enough that coarse voxels straddle its border."""
    keep = torch.zeros_like(image.data)
    keep[(slice(None), *(slice(int(0.18 * n), int(0.83 * n)) for n in image.data.shape[1:]))] = 1
    return image.with_data(keep)


def painted(image: MedImage, mask: MedImage) -> MedImage:
    """Bright noise wherever the mask does not let count, ten times the head's brightness."""
    noise = 2000 * torch.rand(image.data.shape, generator=torch.Generator().manual_seed(3))
    return image.with_data(torch.where(mask.data != 0, image.data, noise))


@pytest.mark.parametrize(
    ("metric", "which"),
    [pytest.param(m, w) for m in METRICS for w in ("fixed", "moving")],
)
def test_noise_painted_out_of_a_mask_does_not_move_the_transform(fixed, moved_head, truths, furthest, metric, which):
    images = {"fixed": fixed, "moving": moved_head(truths[Kind.RIGID])}
    mask = box(images[which])
    asked = Recipe(transform="rigid", metric=metric)
    clean = register(**images, recipe=asked, **{f"{which}_mask": mask})
    images[which] = painted(images[which], mask)
    noisy = register(**images, recipe=asked, **{f"{which}_mask": mask})
    assert noisy.metric == clean.metric
    assert furthest(noisy.transform, clean.transform) < 1e-6  # mm: voxels that do not count cannot tell
    # mm, an 8th of a voxel; features reach over several voxels, and leave as many at the mask's border out
    assert furthest(clean.transform, truths[Kind.RIGID]) < (1.5 if metric in METRICS[-2:] else 0.5)


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_without_its_mask_the_painted_noise_would_matter(fixed, moved_head, truths, furthest, which):
    images = {"fixed": fixed, "moving": moved_head(truths[Kind.RIGID])}
    images[which] = painted(images[which], box(images[which]))
    result = register(**images, recipe=Recipe(transform="rigid", metric="mean_squares"))
    assert furthest(result.transform, truths[Kind.RIGID]) > 1.0  # mm


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_mask_of_everything_is_no_mask(flat_pair, furthest, which):
    fixed, moving, _ = flat_pair(Kind.RIGID)
    image = {"fixed": fixed, "moving": moving}[which]
    whole = image.with_data(torch.ones_like(image.data))
    plain, masked = register(fixed, moving), register(fixed, moving, **{f"{which}_mask": whole})
    # at the border of the moving image the mask is interpolated against nothing, and may drop half a voxel
    assert furthest(plain.transform, masked.transform) < 0.05  # mm


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.float32])
def test_a_mask_counts_where_it_is_not_zero_whatever_its_type(flat_pair, furthest, dtype):
    fixed, moving, _ = flat_pair(Kind.RIGID)
    mask = box(fixed)
    typed = mask.with_data((mask.data * (1 if dtype == torch.bool else 7)).to(dtype))
    one, other = (register(fixed, moving, Recipe(transform="rigid"), fixed_mask=m) for m in (mask, typed))
    assert furthest(one.transform, other.transform) == 0


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_mask_does_not_hide_that_the_contrasts_are_the_same(fixed, moved_head, truths, which):
    images = {"fixed": fixed, "moving": moved_head(truths[Kind.RIGID])}
    result = register(**images, recipe=Recipe(transform="rigid"), **{f"{which}_mask": box(images[which])})
    assert result.metric == "correlation", result.metric_reason


def test_both_masks_together_find_the_motion(fixed, moved_head, truths, furthest):
    moving = moved_head(truths[Kind.RIGID])
    result = register(fixed, moving, Recipe(transform="rigid"), fixed_mask=box(fixed), moving_mask=box(moving))
    assert furthest(result.transform, truths[Kind.RIGID]) < 0.5  # mm
    assert result.stages[-1].samples < 0.4 * fixed.data.numel()


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_small_mask_on_one_side_alone_takes_no_freedom_away(fixed, moved_head, truths, furthest, which):
    images = {"fixed": fixed, "moving": moved_head(truths[Kind.AFFINE])}
    keep = torch.zeros_like(images[which].data)
    keep[(slice(None), *(slice(int(0.27 * n), int(0.75 * n)) for n in keep.shape[1:]))] = 1
    assert 0.08 < float(keep.mean()) < 0.15
    result = register(**images, **{f"{which}_mask": images[which].with_data(keep)})
    assert result.fallback is None
    assert furthest(result.transform, truths[Kind.AFFINE]) < 0.8  # mm, a fifth of a voxel, extrapolated to the skin


def test_a_mask_that_leaves_nothing_at_the_searchs_level_is_told(fixed, moved_head, truths):
    moving = moved_head(truths[Kind.RIGID])
    keep = torch.zeros_like(moving.data)
    keep[0, 20:23, 20:23, 20:23] = 1
    with pytest.raises(RegistrationError, match="voxels of an image are left to compare at .* where the search looks"):
        register(fixed, moving, moving_mask=moving.with_data(keep))
