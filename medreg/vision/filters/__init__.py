"""Filters: any kernel in one to three dimensions, every border, with gradients to the image and to the kernel."""

from medreg.sample import Edge, Fill, Mirror, Periodic, Reflect
from medreg.vision.filters.blurring import box, gaussian
from medreg.vision.filters.borders import Border
from medreg.vision.filters.filtering import convolve, filter, filter_adjoint
from medreg.vision.filters.laplacians import laplacian, laplacian_of_gaussian
from medreg.vision.filters.ranking import median
from medreg.vision.filters.slopes import (
    Backward,
    Central,
    Forward,
    GaussianSlope,
    Prewitt,
    Scharr,
    Slope,
    Sobel,
    derivative,
    derivative_adjoint,
    gradient,
    gradient_magnitude,
)

__all__ = [
    "Backward",
    "Border",
    "Central",
    "Edge",
    "Fill",
    "Forward",
    "GaussianSlope",
    "Mirror",
    "Periodic",
    "Prewitt",
    "Reflect",
    "Scharr",
    "Slope",
    "Sobel",
    "box",
    "convolve",
    "derivative",
    "derivative_adjoint",
    "filter",
    "filter_adjoint",
    "gaussian",
    "gradient",
    "gradient_magnitude",
    "laplacian",
    "laplacian_of_gaussian",
    "median",
]
