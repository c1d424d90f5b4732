"""Points to images: multilinear rasterisation of point clouds, with gradients to all that it takes."""

from medreg.vision.rasterisation.cameras import Camera, Orthographic, Perspective
from medreg.vision.rasterisation.edges import Edges
from medreg.vision.rasterisation.poses import degrees_between, from_axis_angle, from_quaternion
from medreg.vision.rasterisation.projecting import Cloud, cloud, half_width_mm, ray_sums
from medreg.vision.rasterisation.rasterising import Slopes, raster, raster_pullback

__all__ = [
    "Camera",
    "Cloud",
    "Edges",
    "Orthographic",
    "Perspective",
    "Slopes",
    "cloud",
    "degrees_between",
    "from_axis_angle",
    "from_quaternion",
    "half_width_mm",
    "raster",
    "raster_pullback",
    "ray_sums",
]
