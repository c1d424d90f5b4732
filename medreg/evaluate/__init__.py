"""How well images, labels, points or transforms agree: measures of what was found, with known sources."""

from medreg.evaluate.landmarks import LandmarkErrors, MatchedBy, Pairing, landmark_errors, paired
from medreg.evaluate.overlap import LabelOverlap, label_overlaps, labels_in, same_place
from medreg.evaluate.surfaces import SurfaceDistances, surface_distances
from medreg.evaluate.transforms import Displacements, inverse_consistency, transform_difference

__all__ = [
    "Displacements",
    "LabelOverlap",
    "LandmarkErrors",
    "MatchedBy",
    "Pairing",
    "SurfaceDistances",
    "inverse_consistency",
    "label_overlaps",
    "labels_in",
    "landmark_errors",
    "paired",
    "same_place",
    "surface_distances",
    "transform_difference",
]
