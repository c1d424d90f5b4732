"""Crops of one picture, cut through known homographies by scipy, come together as that picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import ndimage

from medreg.errors import ImageError, RegistrationError, TransformError, UsageError
from medreg.geometry import Grid
from medreg.image import MedImage
from medreg.transform.kind import Kind
from medreg.vision.bending import Bending
from medreg.vision.exposure import exposures
from medreg.vision.mosaic import canvas_of
from medreg.vision.stitching import Mosaic, Stitching, stitch

_SCALES = ((2.5, 30), (7, 40), (20, 50))
"""Sigma in pixels, and strength, of the texture."""

SHAPE = (240, 230)


def painted(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(y, x) float: smooth random texture with soft ellipses, 20 to 220, which leaves room for other exposures."""
    rng = np.random.default_rng(seed)
    texture = [ndimage.gaussian_filter(rng.standard_normal((height, width)), s) * s * a for s, a in _SCALES]
    y, x = np.mgrid[:height, :width]
    result = 120 + sum(texture)
    for _ in range(height * width // 4000):
        cx, cy, radius, bright = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 24), rng.uniform(-50, 50)
        away = np.hypot((x - cx) * rng.uniform(0.6, 1.7), y - cy)
        result = result + bright / (1 + np.exp(np.clip((away - radius) * 1.5, -50, 50)))
    return np.clip(result, 20, 220)


def homography(x: float, y: float, degrees: float = 0, scale: float = 1, px: float = 0, py: float = 0) -> np.ndarray:
    """3x3, a crop's pixels -> the picture's."""
    turn = scale * np.exp(1j * np.radians(degrees))
    return np.array([[turn.real, -turn.imag, x], [turn.imag, turn.real, y], [px, py, 1.0]])


def seen(picture: np.ndarray, through: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(y, x) of the picture through a map of its pixels, by scipy; NaN beyond it."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    u, v, w = np.einsum("ij,jyx->iyx", through, np.stack([x, y, np.ones_like(x)]))
    return ndimage.map_coordinates(picture, [v / w, u / w], order=3, cval=np.nan)


def image(values: np.ndarray, name: str = "image") -> MedImage:
    """uint8, rounded, in pixels."""
    data = torch.from_numpy(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return MedImage.on(Grid.regular(values.shape[::-1], (1.0, 1.0)), data[None], metadata={"path": name})


THREE = [
    homography(20, 40, -1, 1, 2e-5, 1e-5),
    homography(165, 60, 2, 0.98, 8e-5, -5e-5),
    homography(320, 40, -2, 1.02, -7e-5, 4e-5),
]
"""Each overlaps the next by about a third; none but the middle one both others."""


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """Large enough for three crops beside each other, or six in two rows."""
    return painted(480, 620)


def crops(picture: np.ndarray, places: list[np.ndarray]) -> list[np.ndarray]:
    found = [seen(picture, place, SHAPE) for place in places]
    assert all(np.isfinite(crop).all() for crop in found)
    return found


@dataclass(frozen=True)
class Compared:
    """Gray values by which the mosaic misses the picture, NaN where it is not, and by how many pixels each crop."""

    gray: np.ndarray
    pixels: list[float]


def compared(mosaic: Mosaic, picture: np.ndarray, places: list[np.ndarray], gain: float = 1.0) -> Compared:
    """Beside scipy's view of the whole picture from where the reference stood; a border of 2 pixels is left out."""
    home = places[mosaic.reference]
    truth = gain * seen(picture, home @ mosaic.image.grid.affine, mosaic.image.grid.shape)
    inner = ndimage.binary_erosion(mosaic.covered.numpy() & np.isfinite(truth), iterations=2)
    gray = np.where(inner, mosaic.image.data[0].numpy() - truth, np.nan)
    misses = []
    y, x = np.meshgrid(np.linspace(0, SHAPE[0] - 1, 9), np.linspace(0, SHAPE[1] - 1, 9), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    for place, matrix in zip(places, mosaic.matrices, strict=True):
        there = matrix @ np.linalg.inv(home) @ place @ points
        misses.append(float(np.abs(there[:2] / there[2] - points[:2]).max()))
    return Compared(gray, misses)


def test_three_crops_become_the_picture(picture: np.ndarray) -> None:
    mosaic = stitch([image(crop) for crop in crops(picture, THREE)])
    assert mosaic.reference == 1  # the only one that overlaps both others
    assert [(o.match.first, o.match.second) for o in mosaic.overlaps] == [(0, 1), (1, 2)]
    assert min(o.psnr_db for o in mosaic.overlaps) > 45  # two roundings to whole gray values alone leave 56
    found = compared(mosaic, picture, THREE)
    assert max(found.pixels) < 0.3  # at corners far from the overlap
    assert np.nanmax(np.abs(found.gray)) < 5  # sharp rims of ellipses, interpolated twice
    seams = ndimage.uniform_filter(np.nan_to_num(found.gray), 5)  # a seam is no single pixel
    assert np.abs(seams).max() < 2
    assert torch.equal(mosaic.gains, torch.ones(3, 1)) and not mosaic.offsets.any()
    assert mosaic.image.data.dtype == torch.uint8


def test_shuffled_and_one_turned_by_a_right_angle(picture: np.ndarray) -> None:
    """np.rot90: pixel (x, y) of the turned crop is (width - 1 - y, x) of the crop."""
    turned = homography(SHAPE[1] - 1, 0, 90)
    places = [THREE[2], THREE[0] @ turned, THREE[1]]
    cut = crops(picture, THREE)
    mosaic = stitch([image(cut[2]), image(np.rot90(cut[0]).copy()), image(cut[1])])
    assert mosaic.reference == 2
    assert min(o.psnr_db for o in mosaic.overlaps) > 45
    gray = compared(mosaic, picture, places).gray
    assert np.abs(ndimage.uniform_filter(np.nan_to_num(gray), 5)).max() < 2


def test_noise_and_other_exposures(picture: np.ndarray) -> None:
    """20 % apart, with noise of 3 gray values: the mosaic is exposed as its reference is."""
    rng, gains = np.random.default_rng(0), (0.8, 1.0, 1.15)
    noisy = [g * crop + rng.normal(0, 3, SHAPE) for g, crop in zip(gains, crops(picture, THREE), strict=True)]
    mosaic = stitch([image(crop) for crop in noisy])
    assert mosaic.gains[:, 0].tolist() == pytest.approx([1.25, 1, 1 / 1.15], rel=0.005)
    assert min(o.psnr_db for o in mosaic.overlaps) > 34  # noise of 3 and 3.75 leaves 34.5
    found = compared(mosaic, picture, THREE)
    assert max(found.pixels) < 1
    seams = ndimage.gaussian_filter(np.nan_to_num(found.gray), 6)
    assert np.abs(seams).max() < 2


@pytest.mark.parametrize("kind", [Kind.TRANSLATION, Kind.HOMOGRAPHY])
def test_shifted_crops_are_exact(picture: np.ndarray, kind: Kind) -> None:
    places = [homography(10, 20), homography(150, 50), homography(300, 35)]
    mosaic = stitch([image(crop) for crop in crops(picture, places)], Stitching(kind))
    assert max(compared(mosaic, picture, places).pixels) < 0.05
    assert min(o.psnr_db for o in mosaic.overlaps) > 60
    assert np.nanmax(np.abs(compared(mosaic, picture, places).gray)) < 1.01  # rounded once


def test_six_crops_in_two_rows_close_their_loops(picture: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    places = [
        homography(x, y, rng.uniform(-3, 3), rng.uniform(0.96, 1.02), *rng.uniform(-1e-4, 1e-4, 2))
        for y in (30, 190)
        for x in (30, 180, 335)
    ]
    order = [4, 0, 3, 5, 1, 2]
    cut = crops(picture, places)
    mosaic = stitch([image(cut[k]) for k in order])
    assert len(mosaic.overlaps) >= 7
    assert min(o.psnr_db for o in mosaic.overlaps) > 45
    assert max(compared(mosaic, picture, [places[k] for k in order]).pixels) < 0.3


def test_a_bent_crop_is_straightened(picture: np.ndarray) -> None:
    """Shifts of up to 4 pixels that vary over 100: no homography follows them."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    bend = 4 * np.sin(y / 40 + 0.3) * np.sin(x / 55), 3 * np.cos(x / 45) * np.sin(y / 60)
    u, v = x + bend[0] + 150, y + bend[1] + 60
    bent = ndimage.map_coordinates(picture, [v, u], order=3)
    straight = crops(picture, [homography(20, 50)])[0]
    mosaic = stitch([image(straight), image(bent)], Stitching(bending=Bending(), reference=0))
    (overlap,) = mosaic.overlaps
    assert overlap.psnr_unbent_db is not None
    assert overlap.psnr_db > overlap.psnr_unbent_db + 10
    assert overlap.psnr_db > 45
    assert mosaic.bends[0] is None and mosaic.bends[1] is not None


def test_what_does_not_bend_stays_as_it_is(picture: np.ndarray) -> None:
    places = [homography(10, 20), homography(150, 50)]
    cut = [image(crop) for crop in crops(picture, places)]
    with_bends, without = (stitch(cut, Stitching(Kind.TRANSLATION, bending)) for bending in (Bending(), None))
    assert torch.equal(with_bends.image.data, without.image.data)


def test_a_picture_of_something_else_is_named(picture: np.ndarray) -> None:
    cut = [image(crop, f"{k}.png") for k, crop in enumerate(crops(picture, THREE[:2]))]
    other = image(painted(*SHAPE, seed=7), "other.png")
    with pytest.raises(RegistrationError, match=r"other\.png does not overlap with the other pictures.*leave it out"):
        stitch([cut[0], other, cut[1]], Stitching(Kind.TRANSLATION))


def test_grey_beside_colour_and_the_same_twice(picture: np.ndarray) -> None:
    grey = [image(crop) for crop in crops(picture, [homography(10, 20), homography(150, 50)])]
    colour = MedImage.on(grey[1].grid, grey[1].data.expand(3, -1, -1))
    first, again = (stitch([grey[0], colour], Stitching(Kind.TRANSLATION)).image.data for _ in range(2))
    assert first.shape[0] == 3
    assert torch.equal(first, again)
    assert torch.equal(first[0], first[2])


def test_what_cannot_be_stitched_is_refused(picture: np.ndarray) -> None:
    one = image(picture[:100, :100])
    with pytest.raises(UsageError, match="two pictures or more"):
        stitch([one])
    with pytest.raises(UsageError, match="0 to 1, got 2"):
        stitch([one, one], Stitching(reference=2))
    with pytest.raises(ImageError, match="store all as one type"):
        stitch([one, one.with_data(one.data.float())])
    volume = MedImage.on(Grid.regular((8, 8, 8), (1.0, 1.0, 1.0)), torch.zeros(1, 8, 8, 8, dtype=torch.uint8))
    with pytest.raises(ImageError, match="only 2D"):
        stitch([one, volume])


@pytest.mark.parametrize(("tilt", "says"), [(-0.02, "beyond the horizon"), (-0.00999, "million pixels")])
def test_too_much_perspective_is_refused(tilt: float, says: str) -> None:
    grids = [Grid.regular((100, 100), (1.0, 1.0))] * 2
    steep = np.eye(3)
    steep[2, 0] = tilt
    with pytest.raises(TransformError, match=says):
        canvas_of(grids, [np.eye(3), steep], ["a.png", "b.png"], 0)


def test_gains_and_offsets_are_found_and_only_where_they_help() -> None:
    """Three pictures in a ring, noise of 2; the law is v -> gain v + offset."""
    rng = np.random.default_rng(0)
    scene, limits = rng.uniform(40, 180, (1, 20_000)), (5.0, 250.0)
    ring = ((0, 1), (1, 2), (0, 2))

    def found(laws: list[tuple[float, float]]) -> tuple[torch.Tensor, torch.Tensor]:
        shown = [(g * scene + o, rng.normal(0, 2, (3, *scene.shape))) for g, o in laws]
        values = [torch.from_numpy(v + n[0]).float() for v, n in shown]
        return exposures([(i, j, values[i], values[j]) for i, j in ring], 3, 1, limits)

    gains, offsets = found([(1, 0), (1, 0), (1, 0)])
    assert torch.equal(gains, torch.ones(3, 1)) and not offsets.any()
    gains, offsets = found([(0.8, 0), (1, 0), (1.2, 0)])
    assert gains[:, 0].tolist() == pytest.approx([1.25, 1, 1 / 1.2], rel=2e-3)
    assert not offsets.any()
    gains, offsets = found([(0.8, 20), (1, 0), (1.1, -10)])
    assert gains[:, 0].tolist() == pytest.approx([1.25, 1, 1 / 1.1], rel=5e-3)
    assert offsets[:, 0].tolist() == pytest.approx([-25, 0, 10 / 1.1], abs=0.6)
