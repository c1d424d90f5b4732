"""What a metric looks at: the voxels' values, or the directions of edges, or self-similarity."""

from __future__ import annotations

import numpy as np
import torch

from medreg.geometry.affine import nearest_rotation
from medreg.metric.gradient_fields import gradient_directions
from medreg.metric.self_similarity import self_similarity
from medreg.registration import recipe
from medreg.registration.levels import LevelImage
from medreg.sample.binomial import binomial
from medreg.types import FloatArray


def features(metric: recipe.SingleMetric, image: LevelImage, turn: FloatArray, step_mm: float) -> LevelImage:
    """The image as the metric sees it; directions are those of the fixed world.

    A feature that has a direction must be taken along the same direction of the anatomy in both images, so the moving
    image's is turned by the transform that the stage starts from; what a stage turns after that is a few degrees.

    Args:
        metric: the metric.
        image: the values at this level, with their mask.
        turn: D x D, how vectors of the fixed world lie in the image's world; the identity for the fixed image.
        step_mm: the level's spacing, at which neighbours are compared.
    """
    if isinstance(metric, recipe.GradientFields):
        across = np.linalg.inv(np.array(image.grid.direction)).T  # per-axis slopes -> world
        back = torch.as_tensor(nearest_rotation(turn).T @ across, dtype=image.volume.dtype, device=image.volume.device)
        each = [gradient_directions(channel[None], image.grid.spacing) for channel in image.volume]
        volume = torch.stack(each).mean(0) if len(each) > 1 else each[0]
        turned = torch.tensordot(back, volume, 1)
        return LevelImage(turned, _inner(image.mask, 1), image.grid)
    if isinstance(metric, recipe.SelfSimilarity):
        d = image.grid.dimension
        steps = image.grid.inverse_affine[:d, :d] @ turn @ (np.eye(d) * step_mm)
        volume = torch.cat([self_similarity(channel[None], steps.T) for channel in image.volume])
        return LevelImage(volume, _inner(image.mask, 3), image.grid)
    return image


def _inner(mask: torch.Tensor | None, voxels: int) -> torch.Tensor | None:
    """The mask without the voxels that are nearer than `voxels` to one that does not count."""
    if mask is None:
        return None
    axes = range(1, mask.ndim)
    inner = mask.float()
    for _ in range(voxels):
        inner = torch.nn.functional.pad(inner, [1, 1] * (mask.ndim - 1), value=1.0)
        inner = binomial(inner, list(axes))
        inner = (inner > 0.999).float()
    return inner > 0.5
