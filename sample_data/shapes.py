"""Shapes and random fields of world points, from which `anatomy` builds the head.

A shape is an approximate signed distance in mm, negative inside (after I. Quilez,
https://iquilezles.org/articles/ellipsoids). Points are float32 arrays (3, points): one row a coordinate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]

SEED = 20240229
"""Of every random field here: the head's identity."""


def ellipsoid(points: Array, centre: ArrayLike, radii: ArrayLike) -> Array:
    """About the signed distance to an axis-aligned ellipsoid, in mm; infinite radii make cylinders and slabs."""
    inverse = np.float32(1) / np.asarray(radii, np.float32)[:, None]
    scaled = (points - np.asarray(centre, np.float32)[:, None]) * inverse
    k0 = np.sqrt(np.einsum("ij,ij->j", scaled, scaled))
    k1 = np.sqrt(np.einsum("ij,ij->j", scaled * inverse, scaled * inverse))
    distance: Array = k0 * (k0 - 1) / np.maximum(k1, np.float32(1e-6))
    return distance


def tube(points: Array, path: ArrayLike, radii: ArrayLike) -> Array:
    """Signed distance, in mm, to a rounded tube through the points of `path` with the radius given at each."""
    corners, widths = np.asarray(path, np.float32), np.asarray(radii, np.float32)
    nearest = np.full(points.shape[1], np.inf, np.float32)
    for begin, end, first, last in zip(corners[:-1], corners[1:], widths[:-1], widths[1:], strict=True):
        axis = end - begin
        offset = points - begin[:, None]
        along = np.clip((axis / (axis @ axis)) @ offset, 0, 1)
        away = offset - axis[:, None] * along
        distance = np.sqrt(np.einsum("ij,ij->j", away, away)) - (first + (last - first) * along)
        nearest = np.minimum(nearest, distance)
    return nearest


def smooth_min(a: Array, b: Array, blend_mm: float | Array) -> Array:
    """The union of two shapes with a fillet of about `blend_mm` (I. Quilez's polynomial smooth minimum)."""
    blend = np.asarray(blend_mm, np.float32)
    overlap = np.maximum(blend - np.abs(a - b), 0)
    union: Array = np.minimum(a, b) - overlap * overlap / (4 * blend)
    return union


def smooth_max(a: Array, b: Array, blend_mm: float | Array) -> Array:
    """The intersection of two shapes with a rounded edge of about `blend_mm`."""
    return -smooth_min(-a, -b, blend_mm)


class Waves:
    """A smooth random field of unit variance: a sum of plane waves, its seed fixing everything."""

    def __init__(self, stream: int, wavelength_mm: float, count: int = 24, spread: float = 0.2) -> None:
        random = np.random.default_rng([SEED, stream])
        direction = random.standard_normal((count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = wavelength_mm * random.uniform(1 - spread, 1 + spread, (count, 1))
        self.vectors = (2 * np.pi * direction / length).astype(np.float32)
        self.phases = random.uniform(0, 2 * np.pi, (count, 1)).astype(np.float32)
        self.height = np.float32(np.sqrt(2 / count))

    def __call__(self, points: Array) -> Array:
        """The field's values (points,)."""
        values: Array = self.height * np.cos(self.vectors @ points + self.phases).sum(axis=0)
        return values

    def with_gradient(self, points: Array) -> tuple[Array, Array]:
        """The field's values (points,) and its gradient in 1/mm (3, points)."""
        angle = self.vectors @ points + self.phases
        return self.height * np.cos(angle).sum(axis=0), -self.height * (self.vectors.T @ np.sin(angle))
