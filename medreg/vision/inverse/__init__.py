"""Inverse problems: images from blurred, coarse, projected, noisy or incomplete measurements of them."""

from medreg.optimise.tensors import LBFGS, SGD, Adam, ClipNorm, ClipValue, Descent, RMSprop
from medreg.vision.inverse.balancing import Balanced, restore_to_noise
from medreg.vision.inverse.frames import Frames
from medreg.vision.inverse.operators import adjoint
from medreg.vision.inverse.priors import Prior, Smoothness, TotalVariation, Within
from medreg.vision.inverse.restoring import Restored, restore

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "Balanced",
    "ClipNorm",
    "ClipValue",
    "Descent",
    "Frames",
    "Prior",
    "RMSprop",
    "Restored",
    "Smoothness",
    "TotalVariation",
    "Within",
    "adjoint",
    "restore",
    "restore_to_noise",
]
