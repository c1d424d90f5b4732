"""Gaussian smoothing; scipy is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from medreg.errors import ImageError
from medreg.sample import smooth


@pytest.mark.parametrize("sigma_mm", [0.5, 1.5, 6.0])
def test_smoothing_is_scipys_with_the_edge_replicated(dimension, sigma_mm):
    spacing = (0.8, 1.3, 2.5)[:dimension]
    volume = np.random.default_rng(1).standard_normal((2, *(12, 71, 150)[-dimension:]))
    sigmas = [sigma_mm / s for s in reversed(spacing)]
    theirs = np.stack([gaussian_filter(v, sigmas, mode="nearest", truncate=4.0) for v in volume])
    np.testing.assert_allclose(smooth(torch.from_numpy(volume), sigma_mm, spacing).numpy(), theirs, atol=1e-12)
    single = smooth(torch.from_numpy(volume).float(), sigma_mm, spacing).numpy()
    np.testing.assert_allclose(single, theirs, atol=1e-6)


def test_smoothing_nothing_or_along_single_voxels_changes_nothing():
    volume = torch.randn(1, 1, 5, 1)
    assert torch.equal(smooth(volume, 0.0, (1.0, 1.0, 1.0)), volume)
    assert torch.equal(smooth(volume, 3.0, (1.0, 1e9, 1.0)), volume)


def test_smoothing_passes_gradcheck(dimension):
    volume = torch.randn(2, *(3, 4, 5)[-dimension:], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: smooth(v, 0.9, (1.0, 0.7, 1.2)[:dimension]), (volume,))


def test_integers_are_smoothed_in_floating_point():
    volume = torch.tensor([[[0, 0, 10, 0, 0]]], dtype=torch.int16).expand(1, 5, 5)
    smoothed = smooth(volume, 1.0, (1.0, 1.0))
    assert smoothed.dtype == torch.float32
    assert 3 < smoothed[0, 2, 2] < 5


def test_a_negative_sigma_or_a_missing_spacing_is_told():
    with pytest.raises(ImageError, match="sigma >= 0"):
        smooth(torch.zeros(1, 3, 3), -1.0, (1.0, 1.0))
    with pytest.raises(ImageError, match="3 spacings"):
        smooth(torch.zeros(1, 3, 3, 3), 1.0, (1.0, 1.0))
