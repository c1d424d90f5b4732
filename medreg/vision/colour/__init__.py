"""Colour: conversions between colour spaces, views of channels, and the stains of slides. All is differentiable."""

from medreg.vision.colour.converting import Convert, Opacity, convert
from medreg.vision.colour.layouts import Layout, seen_as
from medreg.vision.colour.levels import as_bytes
from medreg.vision.colour.macenko import estimate_stains
from medreg.vision.colour.spaces import Colour
from medreg.vision.colour.stains import HDAB, HE, HED, Stains, optical_density, transmitted
from medreg.vision.colour.standards import D50, D65, ILLUMINANT_A, ILLUMINANT_E, REC_601, REC_709, Luma, White
from medreg.vision.colour.unmixing import LeastSquares, NonNegative, mix, unmix

__all__ = [
    "Colour",
    "Convert",
    "D50",
    "D65",
    "ILLUMINANT_A",
    "ILLUMINANT_E",
    "HDAB",
    "HE",
    "HED",
    "Layout",
    "LeastSquares",
    "Luma",
    "NonNegative",
    "Opacity",
    "REC_601",
    "REC_709",
    "Stains",
    "White",
    "as_bytes",
    "convert",
    "estimate_stains",
    "mix",
    "optical_density",
    "seen_as",
    "transmitted",
    "unmix",
]
