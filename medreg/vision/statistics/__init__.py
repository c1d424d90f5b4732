"""How alike two images are, and what an image holds: differentiable, of the voxels that are finite."""

from medreg.vision.statistics.differences import (
    max_absolute_difference,
    mean_absolute_difference,
    mean_squared_error,
    psnr,
    root_mean_squared_error,
    sum_absolute_difference,
)
from medreg.vision.statistics.finite import (
    finite_extrema,
    finite_maximum,
    finite_mean,
    finite_minimum,
    finite_quantiles,
    finite_sum,
)
from medreg.vision.statistics.structure import ssim

__all__ = [
    "finite_extrema",
    "finite_maximum",
    "finite_mean",
    "finite_minimum",
    "finite_quantiles",
    "finite_sum",
    "max_absolute_difference",
    "mean_absolute_difference",
    "mean_squared_error",
    "psnr",
    "root_mean_squared_error",
    "ssim",
    "sum_absolute_difference",
]
