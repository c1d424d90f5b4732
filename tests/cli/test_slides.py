"""2D images through the command line: colours, formats, spacings, units and masks, read back with Pillow."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

Run = Callable[..., Any]


def slide(wide: int, high: int, shift: tuple[float, float] = (0, 0), seed: int = 3) -> np.ndarray:
    """(y, x, 3) uint8: coloured blobs on white, placed by their share of 100 units, `shift` to the right and down."""
    y, x = np.mgrid[:high, :wide] / np.array([high, wide]).reshape(2, 1, 1) * 100
    random = np.random.default_rng(seed)
    picture = np.full((high, wide, 3), 245.0)
    for _ in range(14):
        cx, cy, width = random.uniform(25, 75), random.uniform(25, 75), random.uniform(3, 9)
        blob = np.exp(-((x - cx - shift[0]) ** 2 + (y - cy - shift[1]) ** 2) / (2 * width**2))
        picture -= 110 * blob[..., None] * random.uniform(0.2, 1, 3)
    return picture.clip(0, 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """Write with Pillow."""
    Image.fromarray(pixels).save(path, **options)
    return path


def record(folder: Path) -> dict[str, Any]:
    """The run's record."""
    loaded: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return loaded


@pytest.mark.parametrize("fixed", ["f.png", "f.jpg", "f.tif"])
@pytest.mark.parametrize("moving", ["m.png", "m.jpg", "m.tif"])
@pytest.mark.parametrize("grey", ["none", "fixed", "moving", "both"])
def test_the_moved_picture_has_the_moving_ones_colours_and_the_fixed_ones_size(
    fixed: str, moving: str, grey: str, medreg: Run, tmp_path: Path
) -> None:
    pixels = {"fixed": slide(60, 50), "moving": slide(66, 55, (3, -2))}
    for role in ("fixed", "moving"):
        if grey in (role, "both"):
            pixels[role] = pixels[role].mean(-1).astype(np.uint8)
    paths = save(tmp_path / fixed, pixels["fixed"]), save(tmp_path / moving, pixels["moving"])
    result = medreg("register", *paths, "-t", "translation", "--out", tmp_path / "o", "-q")
    assert (result.exit_code, result.output) == (0, "")
    suffix = ".tif" if fixed == "f.tif" else ".png"  # never with loss
    with Image.open(tmp_path / "o" / f"moved{suffix}") as moved:
        assert moved.size == (60, 50)
        assert moved.mode == ("L" if grey in ("moving", "both") else "RGB")


def test_pictures_of_very_different_sizes(medreg: Run, tmp_path: Path) -> None:
    paths = (
        save(tmp_path / "f.png", slide(57, 1000).mean(-1).astype(np.uint8)),
        save(tmp_path / "m.png", slide(300, 200)),
    )
    result = medreg("register", *paths, "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "o" / "moved.png") as moved:
        assert (moved.size, moved.mode) == ((57, 1000), "RGB")


def test_the_moved_colours_are_the_moving_ones(medreg: Run, tmp_path: Path) -> None:
    paths = save(tmp_path / "f.png", slide(100, 90)), save(tmp_path / "m.png", slide(100, 90, (3, -2)))
    assert medreg("register", *paths, "-t", "rigid", "--out", tmp_path / "o").exit_code == 0
    moved = np.asarray(Image.open(tmp_path / "o" / "moved.png")).astype(float)
    assert np.abs(moved - slide(100, 90))[8:-8, 8:-8].mean() < 2  # grey values, of each colour


@pytest.mark.parametrize(("name", "dtype"), [("m.png", np.uint16), ("m.tif", np.float32), ("m.tif", np.uint16)])
def test_the_moving_numbers_keep_their_type_in_a_format_that_holds_it(
    name: str, dtype: type, medreg: Run, tmp_path: Path
) -> None:
    fixed = save(tmp_path / "f.jpg", slide(60, 50))
    moving = save(tmp_path / name, (slide(60, 50, (2, 1)).mean(-1) * 200).astype(dtype))
    result = medreg("register", fixed, moving, "-t", "translation", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    suffix = ".tif" if dtype is np.float32 else ".png"
    assert np.asarray(Image.open(tmp_path / "o" / f"moved{suffix}")).dtype == dtype


@pytest.mark.parametrize(("outside", "corner"), [("0", 0), ("200", 200), ("edge", 245), ("300", 255)])
def test_what_lies_outside_is_filled_in_every_colour(outside: str, corner: int, medreg: Run, tmp_path: Path) -> None:
    paths = save(tmp_path / "f.png", slide(80, 70)), save(tmp_path / "m.png", slide(80, 70, (-9, 0)))
    result = medreg("register", *paths, "-t", "translation", "--outside", outside, "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert np.asarray(Image.open(tmp_path / "o" / "moved.png"))[5, 0].tolist() == pytest.approx([corner] * 3, abs=1)
    assert record(tmp_path / "o")["job"]["recipe"]["outside"] == (outside if outside == "edge" else float(outside))


def test_pixels_are_called_pixels_everywhere(medreg: Run, tmp_path: Path) -> None:
    paths = save(tmp_path / "f.png", slide(60, 50)), save(tmp_path / "m.png", slide(60, 50, (3, -2)))
    result = medreg("register", *paths, "-t", "rigid", "--out", tmp_path / "o", "-v")
    told = result.stdout + result.stderr + medreg("info", *paths).stdout
    assert " px" in told
    assert " mm" not in told
    run = record(tmp_path / "o")
    units = [run["transform"]["unit"], *(level["unit"] for level in run["levels"])]
    assert {*units, *(entry["unit"] for entry in run["inputs"].values())} == {"px"}
    assert run["outputs"]["transform"]["format"].endswith("points, px")


def test_a_spacing_makes_them_millimetres_and_the_record_repeats_it(medreg: Run, tmp_path: Path) -> None:
    paths = save(tmp_path / "f.png", slide(60, 50)), save(tmp_path / "m.png", slide(60, 50, (5, 0)))
    options = ["--fixed-spacing", "0.5", "--moving-spacing", "0.5,0.25"]
    result = medreg("register", *paths, *options, "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    run = record(tmp_path / "o")
    assert run["warnings"] == []
    assert {run["transform"]["unit"], run["levels"][0]["unit"], run["inputs"]["moving"]["unit"]} == {"mm"}
    assert run["inputs"]["moving"]["spacing"] == [0.5, 0.25]
    assert "millimetres from the first pixel" in run["transform"]["convention"]
    # 5 % of 60 px to the right, and a y that is half as long
    assert run["transform"]["scales"] == pytest.approx([1, 0.5], abs=0.02)
    voxels = np.array(run["transform"]["voxel_to_voxel"])
    assert (voxels @ [30, 25, 1])[:2] == pytest.approx([33, 25], abs=0.3)  # px
    assert medreg("register", "--config", tmp_path / "o" / "run.json", "--out", tmp_path / "again").exit_code == 0
    for name in ("moved.png", "transform.tfm"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "o" / name).read_bytes()


@pytest.mark.parametrize("options", [["--spacing", "0.25"], ["--fixed-spacing", "0.5", "--moving-spacing", "0.5,0.25"]])
def test_the_command_of_the_summary_moves_the_picture_the_same_way(
    options: list[str], medreg: Run, tmp_path: Path
) -> None:
    paths = save(tmp_path / "f.png", slide(60, 50)), save(tmp_path / "m.png", slide(60, 50, (5, 0)))
    result = medreg("register", *paths, *options, "-t", "affine", "--out", tmp_path / "o")
    (command,) = (line.strip() for line in result.stdout.splitlines() if line.startswith("  medreg apply"))
    words = shlex.split(command.replace("IMAGE", str(paths[1])).replace("MOVED", str(tmp_path / "again")))
    assert medreg(*words[1:]).exit_code == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "o" / "moved.png").read_bytes()


def test_a_header_is_not_overridden(medreg: Run, tmp_path: Path) -> None:
    tags = {"resolution_unit": "cm", "x_resolution": 40000, "y_resolution": 40000}
    paths = save(tmp_path / "f.tif", slide(60, 50), **tags), save(tmp_path / "m.png", slide(60, 50, (5, 0)))
    mixed = medreg("register", *paths, "--out", tmp_path / "o")
    assert (mixed.exit_code, "--moving-spacing MM" in mixed.stderr) == (2, True)
    other = medreg("register", *paths, "--spacing", "0.001", "--out", tmp_path / "o")
    assert (other.exit_code, "its file says that its spacing is 0.00025 x 0.00025 mm" in other.stderr) == (2, True)
    assert not (tmp_path / "o").exists()
    assert medreg("register", *paths, "--spacing", "0.00025", "--out", tmp_path / "o").exit_code == 0
    assert "0.00025 × 0.00025 mm" in medreg("info", tmp_path / "o" / "moved.tif").stdout


def test_apply_refuses_pixels_beside_millimetres(medreg: Run, tmp_path: Path) -> None:
    path = save(tmp_path / "f.png", slide(60, 50))
    result = medreg("apply", path, "--like", path, "--like-spacing", "0.5", "--out", tmp_path / "o.png")
    assert (result.exit_code, "--image-spacing MM" in result.stderr) == (2, True)


def test_info_shows_an_asked_spacing(medreg: Run, tmp_path: Path) -> None:
    path = save(tmp_path / "f.png", slide(60, 50))
    assert "the file does not say" in medreg("info", path).stdout
    assert "0.5 × 0.25 mm, as asked" in medreg("info", path, "--spacing", "0.5,0.25").stdout
    (said,) = json.loads(medreg("info", path, "--spacing", "0.5", "--json").stdout)["images"]
    assert (said["unit"], said["spacing"], said["spacing_from"]) == ("mm", [0.5, 0.5], "asked")


def stained(medreg: Run, tmp_path: Path, *options: object) -> dict[str, Any]:
    """A run on slides of which the moving one has ink in a corner that the fixed one has elsewhere."""
    fixed, moving = slide(90, 80), slide(90, 80, (4, -3))
    fixed[55:, 60:], moving[20:45, 60:] = 0, 0
    ink = np.zeros((2, 80, 90), np.uint8)
    ink[0, 55:, 60:], ink[1, 20:45, 60:] = 255, 255
    names = {"f.png": fixed, "m.png": moving, "fi.png": ink[0], "mi.png": ink[1], "fc.png": 255 - ink[0]}
    for name, pixels in {**names, "mc.png": 255 - ink[1]}.items():
        save(tmp_path / name, pixels)
    arguments = ["register", tmp_path / "f.png", tmp_path / "m.png", "-t", "translation", "--overwrite"]
    # under mutual information, which colours are given, so little ink pulls at nothing
    result = medreg(*arguments, "-m", "correlation", "--out", tmp_path / "o", *options)
    assert result.exit_code == 0, result.output
    return record(tmp_path / "o")


def test_what_is_excluded_is_what_a_mask_leaves_out(medreg: Run, tmp_path: Path) -> None:
    drawn = stained(medreg, tmp_path)
    excluded = stained(
        medreg, tmp_path, "--fixed-exclude", tmp_path / "fi.png", "--moving-exclude", tmp_path / "mi.png"
    )
    masked = stained(medreg, tmp_path, "--fixed-mask", tmp_path / "fc.png", "--moving-mask", tmp_path / "mc.png")
    assert excluded["transform"]["matrix"] == masked["transform"]["matrix"]
    error = [np.hypot(*np.subtract(r["transform"]["translation_at_centre_mm"], (3.6, -2.4))) for r in (drawn, excluded)]
    assert error[1] < 0.5 < error[0]  # px, of a motion of 4 % and 3 % of the picture
    assert excluded["masks"]["fixed"]["share"] == pytest.approx(1 - 25 * 30 / 7200)
    assert excluded["inputs"]["fixed_exclude"]["file"] == str(tmp_path / "fi.png")


def test_the_foreground_is_found_without_what_is_excluded_and_the_record_repeats_it(
    medreg: Run, tmp_path: Path
) -> None:
    options = ["--fixed-mask", "auto", "--moving-mask", "auto", "--fixed-exclude", tmp_path / "fi.png", "--spacing", 2]
    run = stained(medreg, tmp_path, *options)
    assert run["job"]["fixed_mask"] == run["job"]["moving_mask"] == run["masks"]["fixed"]["mask"] == "auto"
    assert 0.2 < run["masks"]["fixed"]["share"] < run["masks"]["moving"]["share"] < 0.98
    again = medreg("register", "--config", tmp_path / "o" / "run.json", "--out", tmp_path / "p")
    assert "of moving (its foreground)" in again.stdout
    assert record(tmp_path / "p")["transform"]["matrix"] == run["transform"]["matrix"]


@pytest.mark.parametrize("flag", ["--fixed-mask", "--fixed-exclude"])
def test_a_mask_of_another_size_is_refused(flag: str, medreg: Run, tmp_path: Path) -> None:
    path, mask = save(tmp_path / "f.png", slide(60, 50)), save(tmp_path / "k.png", slide(50, 60))
    result = medreg("register", path, path, flag, mask, "--out", tmp_path / "o")
    assert (result.exit_code, "does not lie on the grid" in result.stderr) == (5, True)


def test_a_jpeg_that_was_taken_on_its_side_is_registered_upright(medreg: Run, tmp_path: Path) -> None:
    tag = Image.Exif()
    tag[0x112] = 6
    fixed = save(tmp_path / "f.png", slide(60, 90))
    moving = save(tmp_path / "m.jpg", np.rot90(slide(60, 90, (3, 2))).copy(), exif=tag.tobytes(), quality=95)
    result = medreg("register", fixed, moving, "-t", "rigid", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert abs(record(tmp_path / "o")["transform"]["rotation_angle_deg"]) < 0.5
    moved = gaussian_filter(np.asarray(Image.open(tmp_path / "o" / "moved.png")).astype(float), (1, 1, 0))
    assert np.abs(moved - slide(60, 90))[8:-8, 8:-8].mean() < 3  # grey values: JPEG and a little blur
