"""The cubic B-spline prefilter; scipy and SimpleITK are the oracles."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import spline_filter

from medreg.sample import spline_coefficients


@pytest.mark.parametrize("shape", [(1, 9), (2, 3), (40, 150), (1, 1, 5), (5, 2, 33), (64, 65, 7)])
def test_coefficients_are_scipys_with_mirror_boundaries(shape):
    volume = np.random.default_rng(2).standard_normal(shape)
    ours = spline_coefficients(torch.from_numpy(volume)[None])[0].numpy()
    np.testing.assert_allclose(ours, spline_filter(volume, order=3, mode="mirror"), atol=1e-12)


def test_coefficients_are_simpleitks():
    volume = np.random.default_rng(2).standard_normal((9, 12, 20)).astype(np.float32)
    # ITK starts its recursion with a tolerance of 1e-10
    itk = sitk.GetArrayFromImage(sitk.BSplineDecomposition(sitk.GetImageFromArray(volume)))
    ours = spline_coefficients(torch.from_numpy(volume)[None])[0].numpy()
    np.testing.assert_allclose(ours, itk, atol=1e-5 * np.abs(itk).max())


def test_float32_coefficients_give_the_voxels_back_to_a_millionth():
    volume = 1000 * torch.rand(1, 30, 200, 150)
    c = torch.nn.functional.pad(spline_coefficients(volume), (1,) * 6, mode="reflect")
    for axis in (1, 2, 3):
        n = c.shape[axis] - 2
        c = (c.narrow(axis, 0, n) + 4 * c.narrow(axis, 1, n) + c.narrow(axis, 2, n)) / 6
    torch.testing.assert_close(c, volume, atol=1e-3, rtol=0)


def test_the_prefilter_passes_gradcheck():
    volume = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(spline_coefficients, (volume,))
