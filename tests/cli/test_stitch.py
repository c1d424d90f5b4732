"""`medreg stitch` on crops of a picture, read back by SimpleITK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

Run = Callable[..., Any]

PLACES = ((10, 15), (100, 25), (190, 5))
"""x, y of each crop's first pixel in the picture; 60 of 150 columns overlap."""


def painted(seed: int, channels: int) -> np.ndarray:
    """(y, x, channel) uint16, 0 to 40,000: smooth texture, the channels alike but not the same."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((200, 360, 4))
    texture = sum(s * ndimage.gaussian_filter(noise, (s, s, 0)) for s in (2, 5, 12))
    mixed = texture[..., :1] + 0.5 * texture[..., 1 : channels + 1]
    return np.clip(20_000 + 6_000 * mixed / mixed.std(), 0, 40_000).astype(np.uint16)


def cut(folder: Path, picture: np.ndarray) -> list[Path]:
    """The crops as PNG files, by SimpleITK."""
    paths = [folder / f"{name}.png" for name in "abc"]
    for path, (x, y) in zip(paths, PLACES, strict=True):
        crop = picture[y : y + 160, x : x + 150]
        colour = crop.shape[2] > 1
        sitk.WriteImage(sitk.GetImageFromArray(crop if colour else crop[..., 0], isVector=colour), str(path))
    return paths


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint16, 1)])
def test_crops_come_back_as_the_picture(dtype: type, channels: int, medreg: Run, tmp_path: Path) -> None:
    picture = painted(0, channels)
    picture = (picture // 200).astype(np.uint8) if dtype is np.uint8 else picture
    a, b, c = cut(tmp_path, picture)
    out = tmp_path / "pano.png"
    result = medreg("stitch", c, a, b, "--out", out, "--transform", "translation", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [image["file"] for image in record["images"]] == [str(c), str(a), str(b)]
    assert record["mosaic"]["reference"] == 2
    assert np.allclose([image["moved"] for image in record["images"]], [(90, -20), (-90, -10), (0, 0)], atol=0.05)
    assert {(pair["first"], pair["second"]) for pair in record["pairs"]} == {(0, 2), (1, 2)}
    assert min(pair["psnr_db"] for pair in record["pairs"]) > 50
    mosaic = sitk.GetArrayFromImage(sitk.ReadImage(str(out)))
    mosaic = mosaic.reshape(*mosaic.shape[:2], -1)
    assert mosaic.dtype == dtype
    truth = np.zeros_like(picture)
    for x, y in PLACES:
        truth[y : y + 160, x : x + 150] = picture[y : y + 160, x : x + 150]
    truth = truth[5:185, 10:340]
    assert mosaic.shape == truth.shape
    inside = ndimage.binary_erosion((truth > 0).all(2), iterations=2)
    away = np.abs(mosaic.astype(int) - truth)[inside]
    assert away.max() <= (1 if dtype is np.uint8 else 60)  # of 255 and of 40,000: shifts of 0.01 px remain


def test_the_matrices_of_the_record_lead_from_the_mosaic_to_the_pictures(medreg: Run, tmp_path: Path) -> None:
    files = cut(tmp_path, painted(0, 1))
    result = medreg("stitch", *files, "--out", tmp_path / "pano.png", "-t", "translation", "--json", "--reference", 1)
    for (x, y), image in zip(PLACES, json.loads(result.stdout)["images"], strict=True):
        found = np.array(image["mosaic_to_image"]) @ [100.0, 50.0, 1.0]
        assert found[:2] / found[2] == pytest.approx([110 - x, 55 - y], abs=0.05)  # the mosaic begins at (10, 5)


def test_a_person_reads_places_overlaps_and_the_file(medreg: Run, tmp_path: Path) -> None:
    files = cut(tmp_path, painted(0, 1))[:2]
    out = tmp_path / "pano.tif"
    result = medreg("stitch", *files, "--out", out, "-t", "rigid")
    assert result.exit_code == 0, result.output
    assert f"0 {files[0]}: stays" in result.stdout
    assert "moved (+90.0, +10.0) px, turned " in result.stdout
    assert "0 and 1: 38% overlap" in result.stdout
    assert f"wrote {out} (240 x 170 px" in result.stdout
    assert medreg("stitch", *files, "--out", out).exit_code == 7
    quiet = medreg("stitch", *files, "--out", out, "-t", "translation", "--overwrite", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_a_picture_that_overlaps_none_is_named_and_nothing_written(medreg: Run, tmp_path: Path) -> None:
    files = cut(tmp_path, painted(0, 1))[:2]
    (tmp_path / "other").mkdir()
    other = cut(tmp_path / "other", painted(9, 1))[0]
    result = medreg("stitch", *files, other, "--out", tmp_path / "pano.png", "-t", "translation")
    assert result.exit_code == 8
    assert f"{other} does not overlap with the other pictures" in result.stderr
    assert not (tmp_path / "pano.png").exists()


def test_what_does_not_fit_together_is_refused_before_any_work(medreg: Run, tmp_path: Path) -> None:
    files = cut(tmp_path, painted(0, 1))
    out = ("--out", tmp_path / "pano.png")
    assert medreg("stitch", files[0], *out).exit_code == 2
    assert medreg("stitch", *files, *out, "--reference", 3).exit_code == 2
    assert medreg("stitch", *files, *out, "--quiet", "--json").exit_code == 2
    assert medreg("stitch", *files, tmp_path / "none.png", *out).exit_code == 3
    assert medreg("stitch", *files, "--out", tmp_path / "pano.what").exit_code == 7
