"""Operations on images: pure functions on a `MedImage`, a `MedImageBatch` or a tensor, with gradients to all they take.

A batch gives exactly the loop over its items; `each` marks parameters of which every item has its own. Spatial
operations take a tensor (C, z, y, x), or (C, y, x) in 2D, as an image of spacing 1 along the world's axes with its
first voxel at the origin, and (N, C, z, y, x) as a batch of such; what comes out is a tensor. For other places of
tensors there are `placement` and `warp_in_world`.
"""

# where voxels lie: rotate, scale, resample, reorient, crop
from medreg.ops.arguments import Numbers
from medreg.ops.background import Background, Between, Beyond
from medreg.ops.batching import each
from medreg.ops.cropping import crop, crop_or_pad, pad
from medreg.ops.enlarging import scale
from medreg.ops.frames import Axes, Expand, Frame, Keep
from medreg.ops.fused_affine import affine, composed

# what voxels hold: normalise, match, label
from medreg.ops.histograms import (
    DECILES,
    EveryValue,
    Matching,
    NyulScale,
    Quantiles,
    histogram_match,
    nyul_apply,
    nyul_train,
    quantiles,
)
from medreg.ops.intensity import (
    ExactWindow,
    LinearWindow,
    Range,
    SigmoidWindow,
    Window,
    clip,
    min_max,
    rescale,
    window,
    z_score,
)
from medreg.ops.label_likeness import looks_like_labels
from medreg.ops.label_maps import centroids, centroids_on, found_labels, maximum_radii, maximum_radii_on, one_hot
from medreg.ops.mask_points import balls, masks_from_points, points_from_masks, points_on
from medreg.ops.mask_statistics import MaskStatistics, bias_free_statistics
from medreg.ops.motions import Order, rotation, scaling, shearing, translation, turns
from medreg.ops.orienting import flip, permute, reorient
from medreg.ops.placing import placement, warp_in_world
from medreg.ops.resampling_to import Antialias, resample_onto, resample_to_spacing, resize
from medreg.ops.rotating import rotate
from medreg.ops.translating import MoveGrid, Resampled, translate

__all__ = [
    "Antialias",
    "Axes",
    "Background",
    "Between",
    "Beyond",
    "DECILES",
    "EveryValue",
    "ExactWindow",
    "Expand",
    "Frame",
    "Keep",
    "LinearWindow",
    "MaskStatistics",
    "Matching",
    "MoveGrid",
    "Numbers",
    "NyulScale",
    "Order",
    "Quantiles",
    "Range",
    "Resampled",
    "SigmoidWindow",
    "Window",
    "affine",
    "balls",
    "bias_free_statistics",
    "centroids",
    "centroids_on",
    "clip",
    "composed",
    "crop",
    "crop_or_pad",
    "each",
    "flip",
    "found_labels",
    "histogram_match",
    "looks_like_labels",
    "masks_from_points",
    "maximum_radii",
    "maximum_radii_on",
    "min_max",
    "nyul_apply",
    "nyul_train",
    "one_hot",
    "pad",
    "permute",
    "placement",
    "points_from_masks",
    "points_on",
    "quantiles",
    "reorient",
    "resample_onto",
    "resample_to_spacing",
    "rescale",
    "resize",
    "rotate",
    "rotation",
    "scale",
    "scaling",
    "shearing",
    "translate",
    "translation",
    "turns",
    "warp_in_world",
    "window",
    "z_score",
]
