"""The [1 2 1] / 4 filter; scipy's convolution is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d

from medreg.sample.binomial import binomial


@pytest.mark.parametrize("axes", [(1,), (2,), (-1,), (1, 2), (3, 1), (1, 2, 3)])
def test_binomial_is_scipys_convolution_without_its_border(axes):
    volume = np.random.default_rng(0).standard_normal((2, 7, 6, 5))
    theirs = volume
    for axis in axes:
        theirs = convolve1d(theirs, [0.25, 0.5, 0.25], axis=axis)
    keep = tuple(slice(1, -1) if k in [a % 4 for a in axes] else slice(None) for k in range(4))
    np.testing.assert_allclose(binomial(torch.from_numpy(volume), axes).numpy(), theirs[keep], atol=1e-14)


def test_binomial_leaves_its_input_alone():
    volume = torch.randn(1, 5, 6)
    before = volume.clone()
    binomial(volume, (1, 2))
    assert torch.equal(volume, before)
    assert torch.equal(binomial(volume, ()), before)


def test_binomial_halves_the_noise_by_the_sum_of_its_squared_taps():
    noise = torch.randn(1, 200_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # 1/16 + 1/4 + 1/16 = 3/8; the estimate from 600,000 values is good to about 0.4 %
    assert float(binomial(noise, (1,)).var()) == pytest.approx(3 / 8, rel=0.01)


def test_binomial_passes_gradcheck():
    volume = torch.randn(1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: binomial(v, (1, 2)), (volume,))
