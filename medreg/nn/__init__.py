"""Torch modules over medreg's sampler, for `torch.nn.Sequential`: resample, rotate, affine, homography, smooth."""

from medreg.nn.linear import Affine, Homography
from medreg.nn.resampling import Resample
from medreg.nn.rotating import Rotate
from medreg.nn.smoothing import Smooth
from medreg.nn.warp import Source, Warp

__all__ = ["Affine", "Homography", "Resample", "Rotate", "Smooth", "Source", "Warp"]
