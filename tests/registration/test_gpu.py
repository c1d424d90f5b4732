"""On a GPU the same answers come out as on the CPU; skipped where there is none."""

from __future__ import annotations

import pytest
import torch

from medreg.image import MedImage
from medreg.registration.pairwise import register
from medreg.registration.recipe import Recipe
from medreg.transform.kind import Kind

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")

METRICS = ["auto", "mean_squares", "mutual_information", "normalised_mutual_information", "robust_correlation"]
METRICS += ["local_correlation", "correlation_ratio", "gradient_fields", "self_similarity"]


def on_gpu(image: MedImage) -> MedImage:
    return image.with_data(image.data.cuda())


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_a_gpu_finds_what_the_cpu_finds(fixed, moved_head, truths, furthest, metric, symmetric):
    moving = moved_head(truths[Kind.RIGID])
    mask = fixed.with_data((fixed.data > 0).to(torch.uint8))
    asked = Recipe(transform="rigid", metric=metric, symmetric=symmetric)
    here = register(fixed, moving, asked, fixed_mask=mask)
    there = register(on_gpu(fixed), on_gpu(moving), asked, fixed_mask=mask)
    assert furthest(here.transform, there.transform) < 0.01  # mm


def test_two_runs_on_a_gpu_give_the_same_bytes(fixed, moved_head, truths):
    pair = on_gpu(fixed), on_gpu(moved_head(truths[Kind.RIGID]))
    one, other = (register(*pair, Recipe(transform="rigid", start="search")) for _ in range(2))
    assert one.transform.matrix.tobytes() == other.transform.matrix.tobytes()
