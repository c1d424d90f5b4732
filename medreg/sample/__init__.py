"""Sampling: values and gradients between voxels, resampling onto grids, smoothing, pyramids."""

from medreg.sample.continuing import Mirror, Periodic, Reflect
from medreg.sample.interpolation import (
    CubicBSpline,
    Edge,
    Fill,
    Interpolation,
    Linear,
    Nearest,
    Outside,
    Sampled,
    Sampler,
    WindowedSinc,
    sample,
    sample_with_gradient,
    working_dtype,
)
from medreg.sample.kernels import PiecewisePolynomial, cubic_convolution
from medreg.sample.labels import Label
from medreg.sample.pyramid import factors_of, level_of, mask_level_of, pyramid
from medreg.sample.resampling import PointMap, resample
from medreg.sample.smoothing import smooth
from medreg.sample.spline import spline_coefficients
from medreg.sample.warping import warp

__all__ = [
    "CubicBSpline",
    "Edge",
    "Fill",
    "Interpolation",
    "Label",
    "Linear",
    "Mirror",
    "Nearest",
    "Outside",
    "Periodic",
    "PiecewisePolynomial",
    "PointMap",
    "Reflect",
    "Sampled",
    "Sampler",
    "WindowedSinc",
    "cubic_convolution",
    "factors_of",
    "level_of",
    "mask_level_of",
    "pyramid",
    "resample",
    "sample",
    "sample_with_gradient",
    "smooth",
    "spline_coefficients",
    "warp",
    "working_dtype",
]
