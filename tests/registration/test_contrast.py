"""Telling same from other contrasts, on relations whose answer is known; SimpleITK's Otsu threshold."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.registration.contrast import Contrast, compare, threshold


def tissues(count: int = 20_000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of a head: half background near 0, the rest bright; and which are background."""
    random = torch.Generator().manual_seed(seed)
    background = torch.rand(count, generator=random) < 0.5
    bright = 300 + 80 * torch.randn(count, generator=random)
    return torch.where(background, 5 * torch.rand(count, generator=random), bright), background


def related(relation) -> Contrast:
    """How a moving image compares that follows `relation` with 5 % noise."""
    fixed, background = tissues()
    noise = torch.randn(len(fixed), generator=torch.Generator().manual_seed(1))
    moving = torch.where(background, torch.zeros(()), relation(fixed)) + 4 * noise
    return compare(fixed, moving, torch.ones(len(fixed), dtype=torch.bool))


@pytest.mark.parametrize(
    "relation",
    [lambda f: f, lambda f: 0.5 * f + 200, lambda f: 30 * f.clamp(min=0).sqrt()],
    ids=["equal", "gain and offset", "bent a little"],
)
def test_a_rising_relation_is_the_same_contrast(relation):
    found = related(relation)
    assert found.is_same
    assert found.linear > 0.9
    assert found.reason.startswith("same contrast: a rising line explains ")


@pytest.mark.parametrize(
    "relation",
    [lambda f: 700 - f, lambda f: 200 + (f - 300).abs(), lambda f: 300 + 60 * torch.sin(f / 25)],
    ids=["inverted", "folded", "wavy"],
)
def test_another_relation_is_another_contrast(relation):
    found = related(relation)
    assert not found.is_same
    assert found.linear < 0.2
    assert found.explained > 0.5
    assert found.reason.startswith("different contrasts: ")


def test_unrelated_images_count_as_different():
    fixed, _ = tissues()
    moving, _ = tissues(seed=5)
    found = compare(fixed, moving, torch.ones(len(fixed), dtype=torch.bool))
    assert not found.is_same
    assert found.explained < 0.05


def test_the_shares_are_numpys():
    random = np.random.default_rng(0)
    fixed, moving = random.standard_normal((2, 5000)) * 10
    moving += 0.8 * fixed
    found = compare(*map(torch.from_numpy, (fixed, moving)), torch.ones(5000, dtype=torch.bool))
    cut = [threshold(torch.from_numpy(v)) for v in (fixed, moving)]
    used = (fixed > cut[0]) & (moving > cut[1])
    assert found.linear == pytest.approx(np.corrcoef(fixed[used], moving[used])[0, 1] ** 2, abs=1e-9)
    assert found.linear <= found.explained <= 1


def test_only_samples_inside_count():
    fixed, background = tissues()
    moving = torch.where(background, torch.zeros(()), fixed)
    inside = torch.arange(len(fixed)) < 12_000
    moving = torch.where(inside, moving, 700 - fixed)
    assert compare(fixed, moving, inside).linear == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("case", ["few", "fixed constant", "moving constant", "nothing inside"])
def test_no_evidence_counts_as_different(case):
    fixed, _ = tissues(80 if case == "few" else 2000)
    moving = fixed.clone()
    if case.startswith("fixed"):
        fixed = torch.full_like(fixed, 3.0)
    if case.startswith("moving"):
        moving = torch.full_like(moving, 3.0)
    found = compare(fixed, moving, torch.full((len(fixed),), case != "nothing inside"))
    assert found == Contrast(0.0, 0.0)
    assert not found.is_same


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_threshold_is_simpleitks_otsu(share):
    random = np.random.default_rng(0)
    values = np.where(random.uniform(size=20_000) < share, random.normal(20, 8, 20_000), random.normal(200, 40, 20_000))
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.SetNumberOfHistogramBins(128)
    otsu.Execute(sitk.GetImageFromArray(values.reshape(100, 200)))
    width = (values.max() - values.min()) / 128
    assert threshold(torch.from_numpy(values)) == pytest.approx(otsu.GetThreshold(), abs=1.01 * width)


def test_the_threshold_of_a_constant_is_itself():
    assert threshold(torch.full((10,), 4.5)) == 4.5
