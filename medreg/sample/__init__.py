"""Sampling: values between voxels, resampling onto grids, smoothing, pyramids."""

from medreg.sample.interpolation import (
    CubicBSpline,
    Edge,
    Fill,
    Interpolation,
    Linear,
    Nearest,
    Outside,
    Sampled,
    WindowedSinc,
    sample,
    sample_with_gradient,
)
from medreg.sample.pyramid import level_of, mask_level_of, pyramid
from medreg.sample.resampling import PointMap, resample
