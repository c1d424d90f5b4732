"""Images of the digital head: a contrast is a table of tissue intensities, a scan is a grid, a pose and its faults.

    import phantom
    grid = phantom.Grid.centred(size=(130, 160, 130), spacing=(1.5, 1.5, 1.5), centre=(0, 4, -3))
    image = phantom.render(grid, phantom.T1, noise=0.02, seed=1)  # float32, indexed [i, j, k] for x, y, z

World points are LPS millimetres. The head is evaluated at every sample, never interpolated, so an image of the moved
head is exact. Run with `sample_data/` on the path (pytest: `pythonpath = ["sample_data"]`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from anatomy import EDGE_MM, TEXTURE, TISSUES, airways, beside, head, labels, symmetric
from numpy.typing import ArrayLike, NDArray
from shapes import Array

Matrix = NDArray[np.float64]
Noise = Callable[[Array, float, np.random.Generator], Array]


# Grids and poses -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Where an image's voxels are: `affine` (4, 4) takes an index i, j, k to LPS mm, `size` counts voxels."""

    affine: Matrix
    size: tuple[int, int, int]

    @classmethod
    def centred(
        cls, size: tuple[int, int, int], spacing: ArrayLike, centre: ArrayLike, direction: ArrayLike | None = None
    ) -> Grid:
        """A grid of `spacing` mm about `centre` (LPS mm); the columns of `direction` (3, 3) are its axes."""
        affine = np.eye(4)
        affine[:3, :3] = (np.eye(3) if direction is None else np.asarray(direction)) * np.asarray(spacing)
        affine[:3, 3] = np.asarray(centre) - affine[:3, :3] @ ((np.asarray(size) - 1) / 2)
        return cls(affine, size)

    def slabs(self, voxels: int = 1 << 16) -> Iterator[tuple[slice, Matrix]]:
        """The grid in slabs along i of about so many voxels: each slice of i, and its indices (3, points)."""
        _, rows, columns = self.size
        step = max(1, voxels // (rows * columns))
        for begin in range(0, self.size[0], step):
            part = slice(begin, min(begin + step, self.size[0]))
            index = np.indices((part.stop - begin, rows, columns)).reshape(3, -1).astype(np.float64)
            index[0] += begin
            yield part, index


def rotation(degrees: ArrayLike) -> Matrix:
    """The rotation matrix (3, 3) Rz @ Ry @ Rx of three angles in degrees about the LPS axes x, y, z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned: Matrix = about_z @ about_y @ about_x
    return turned


def pose(
    degrees: ArrayLike,
    translation_mm: ArrayLike,
    scales: ArrayLike = (1, 1, 1),
    shears: ArrayLike = (0, 0, 0),
    centre_mm: ArrayLike = (0, 0, 0),
) -> Matrix:
    """A 4x4 map of points, LPS mm: x -> R S K (x - c) + c + t, S the scales, K the shears xy, xz, yz."""
    shear = np.eye(3)
    shear[[0, 0, 1], [1, 2, 2]] = np.asarray(shears)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(degrees) @ np.diag(np.asarray(scales)) @ shear
    matrix[:3, 3] = np.asarray(centre_mm) + np.asarray(translation_mm) - matrix[:3, :3] @ np.asarray(centre_mm)
    return matrix


def apply(matrix: Matrix, points: ArrayLike) -> Matrix:
    """Points (3, n) through a 4x4 map."""
    mapped: Matrix = matrix[:3, :3] @ np.asarray(points) + matrix[:3, 3:]
    return mapped


# Contrasts -----------------------------------------------------------------------------------------------------------


def rician(signal: Array, sigma: float, random: np.random.Generator) -> Array:
    """The magnitude of a signal with complex Gaussian noise, as in MRI (Gudbjartsson 1995, 10.1002/mrm.1910340618)."""
    real = signal + np.float32(sigma) * random.standard_normal(signal.shape, np.float32)
    magnitude: Array = np.hypot(real, np.float32(sigma) * random.standard_normal(signal.shape, np.float32))
    return magnitude


def gaussian(signal: Array, sigma: float, random: np.random.Generator) -> Array:
    """A signal with Gaussian noise, as in CT."""
    return signal + np.float32(sigma) * random.standard_normal(signal.shape, np.float32)


@dataclass(frozen=True)
class Contrast:
    """An intensity for every tissue, and the kind of noise. A tissue that is not named has `otherwise`.

    `dropout_mm`: how far from the air of nose, sinuses and throat half of the signal is lost; 0 for no loss.
    """

    intensities: Mapping[str, float]
    otherwise: float = 0.0
    noise: Noise = rician
    dropout_mm: float = 0.0

    def table(self) -> Array:
        """The intensities (tissues,) in the order of TISSUES."""
        unknown = set(self.intensities) - {tissue.name for tissue in TISSUES}
        if unknown:
            raise KeyError(f"no tissue {sorted(unknown)}; the head has {[tissue.name for tissue in TISSUES]}")
        return np.array([self.intensities.get(tissue.name, self.otherwise) for tissue in TISSUES], np.float32)


def _grey(cortex: float, white: float, csf: float) -> dict[str, float]:
    """The brain's intensities from three of them: the nuclei lie between grey and white."""
    share = {
        "cortex": 0.0,
        "caudate": 0.1,
        "putamen": 0.2,
        "thalamus": 0.45,
        "pallidum": 0.7,
        "cerebellar_cortex": 0.0,
        "cerebellar_white_matter": 0.9,
        "brain_stem": 0.8,
        "white_matter": 1.0,
    }
    fluid = ("csf", "lateral_ventricle", "third_ventricle", "fourth_ventricle")
    return {name: cortex + part * (white - cortex) for name, part in share.items()} | dict.fromkeys(fluid, csf)


T1 = Contrast(
    _grey(cortex=98, white=145, csf=32)
    | {"skin": 110, "fat": 205, "muscle": 78, "bone": 14, "diploe": 95, "vitreous": 34, "lens": 75, "lesion": 68}
)
T2 = Contrast(
    _grey(cortex=112, white=76, csf=218)
    | {"skin": 70, "fat": 130, "muscle": 42, "bone": 10, "diploe": 62, "vitreous": 225, "lens": 50, "lesion": 172}
)
INVERTED = Contrast(
    {tissue.name: max(T1.intensities.values()) - T1.intensities.get(tissue.name, 0) for tissue in TISSUES},
    noise=gaussian,
)
"""The negative of `T1`, air included."""
CT = Contrast(
    _grey(cortex=38, white=30, csf=8)
    | {"skin": 25, "fat": -90, "muscle": 55, "bone": 1150, "diploe": 420, "vitreous": 8, "lens": 75, "lesion": 22},
    otherwise=-1000,
    noise=gaussian,
)
"""Hounsfield units: the brain spans 30 of 2150."""
EPI = Contrast(
    _grey(cortex=110, white=84, csf=165)
    | {"skin": 34, "fat": 10, "muscle": 38, "bone": 4, "diploe": 9, "vitreous": 160, "lens": 25, "lesion": 128},
    dropout_mm=10,
)
"""T2*-weighted, fat suppressed, signal lost about the sinuses."""

_UNTEXTURED = ("background", "airway", "csf", "lateral_ventricle", "third_ventricle", "fourth_ventricle", "vitreous")


def appearance(points_mm: ArrayLike, contrast: Contrast, edge_mm: float = EDGE_MM, texture: float = 0.03) -> Array:
    """The noiseless intensity (points,) of the head at its own LPS points (3, points), mm.

    `texture` is the standard deviation of a smooth pattern that belongs to the solid tissues, as a fraction of theirs.
    """
    fractions = head(points_mm, edge_mm)
    table = contrast.table()
    solid = np.array([0 if tissue.name in _UNTEXTURED else texture for tissue in TISSUES], np.float32) * table
    values = table @ fractions
    inside = np.flatnonzero(fractions[0] < 1)
    pattern = TEXTURE(np.asarray(points_mm, np.float32)[:, inside])
    values[inside] += (solid @ fractions[:, inside]) * pattern
    if contrast.dropout_mm:
        values[inside] *= remaining(np.asarray(points_mm, np.float32)[:, inside], contrast.dropout_mm)
    return values


def remaining(points_mm: Array, dropout_mm: float) -> Array:
    """The share (points,) of a gradient echo that the field about the airways leaves: a half at `dropout_mm`, mm."""
    distance = airways(beside(symmetric(points_mm)))
    share: Array = 1 / (1 + np.exp(np.float32(4) * (1 - distance / np.float32(dropout_mm))))
    return share


# Images --------------------------------------------------------------------------------------------------------------


def shading(grid: Grid, amount: float, seed: int) -> Array:
    """A smooth gain over the grid, the receive coil's: about 1 - amount to 1 + amount."""
    if amount == 0:
        return np.ones(grid.size, np.float32)
    random = np.random.default_rng([seed, 1])
    axes = [np.cos(np.pi * np.arange(3)[:, None] * (np.arange(n) + 0.5) / n) for n in grid.size]
    weights = random.standard_normal((3, 3, 3)) / (1 + sum(np.indices((3, 3, 3))))
    weights[0, 0, 0] = 0
    field = np.einsum("abc,ai,bj,ck->ijk", weights, *axes, optimize=True)
    gain: Array = np.exp(amount * field / np.abs(field).max()).astype(np.float32)
    return gain


def render(
    grid: Grid,
    contrast: Contrast,
    transform: Matrix | None = None,
    *,
    noise: float = 0.0,
    bias: float = 0.0,
    seed: int = 0,
    edge_mm: float = EDGE_MM,
    subsamples: tuple[int, int, int] = (1, 1, 1),
) -> Array:
    """An image of the head, float32 of the grid's size, indexed [i, j, k].

    `transform` (4, 4): the head's points to the image's world, LPS mm: the fixed-to-moving truth when the unmoved
    head is the fixed image. `noise`: its standard deviation over the contrast's range. `bias`: see `shading`.
    `subsamples`: points averaged along i, j, k in each voxel, for voxels much thicker than `edge_mm`.
    """
    to_head = grid.affine if transform is None else np.linalg.inv(transform) @ grid.affine
    offsets = np.stack(
        np.meshgrid(*[(np.arange(n) + 0.5) / n - 0.5 for n in subsamples], indexing="ij"), axis=-1
    ).reshape(-1, 3)
    image = np.zeros(grid.size, np.float32)
    for part, index in grid.slabs():
        for offset in offsets:
            values = appearance(apply(to_head, index + offset[:, None]), contrast, edge_mm)
            image[part] += values.reshape(image[part].shape) / np.float32(len(offsets))
    image *= shading(grid, bias, seed)
    if noise == 0:
        return image
    table = contrast.table()
    return contrast.noise(image, noise * float(table.max() - table.min()), np.random.default_rng(seed))


def render_labels(grid: Grid, transform: Matrix | None = None) -> NDArray[np.uint8]:
    """The labels of the head, uint8 of the grid's size; `transform` as in `render`."""
    to_head = grid.affine if transform is None else np.linalg.inv(transform) @ grid.affine
    image = np.zeros(grid.size, np.uint8)
    for part, index in grid.slabs():
        points = apply(to_head, index)
        image[part] = labels(points, head(points)).reshape(image[part].shape)
    return image
