"""`--transform homography` through the command line, beside a projection written out in NumPy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from medreg.io.transforms import read_transform, write_transform

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]

BENT = np.array([[0.98, -0.1, 0.05, 3.0], [0.11, 1.02, -0.03, -2.0], [-0.04, 0.05, 1.0, 1.0], [1e-3, -8e-4, 6e-4, 1.0]])
"""w from 0.88 to 1.12 over the pair's images."""
FLAT = np.array([[1.04, -0.12, 6.0], [0.1, 0.97, -5.0], [7e-4, -5e-4, 1.0]])


def projected(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., D) through a homography, by its definition."""
    mapped = np.concatenate([points, np.ones((*points.shape[:-1], 1))], -1) @ matrix.T
    return mapped[..., :-1] / mapped[..., -1:]


def picture(through: np.ndarray) -> np.ndarray:
    """(90, 100) uint8 of blobs; pixel (x, y) shows what lies at `through` of it."""
    y, x = np.mgrid[:90, :100].astype(float)
    points = projected(through, np.stack([x, y], -1))
    random = np.random.default_rng(5)
    values = np.full((90, 100), 30.0)
    for _ in range(22):
        cx, cy, width, height = (
            random.uniform(10, 90),
            random.uniform(8, 82),
            random.uniform(4, 11),
            random.uniform(30, 90),
        )
        values += height * np.exp(-((points - (cx, cy)) ** 2).sum(-1) / (2 * width**2))
    return values.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, the moving one in perspective, and in `o` the homography that was found."""
    from typer.testing import CliRunner

    from medreg.cli.main import app

    path = tmp_path_factory.mktemp("pictures")
    Image.fromarray(picture(np.eye(3))).save(path / "f.png")
    Image.fromarray(picture(np.linalg.inv(FLAT))).save(path / "m.png")
    images = [str(path / "f.png"), str(path / "m.png")]
    result = CliRunner().invoke(app, ["register", *images, "-t", "homography", "--out", str(path / "o")])
    assert result.exit_code == 0, result.output
    assert "transform.json, run.json" in result.stdout
    return path


def test_a_picture_in_perspective_is_found(folder: Path) -> None:
    names = ["error.nii.gz", "figure.png", "moved.png", "report.html", "run.json", "transform.json"]
    assert sorted(p.name for p in (folder / "o").iterdir()) == names
    run = json.loads((folder / "o" / "run.json").read_text())["transform"]
    corners = np.array([[0, 0], [99, 0], [0, 89], [99, 89]], dtype=float)
    missed = np.linalg.norm(projected(np.array(run["matrix"]), corners) - projected(FLAT, corners), axis=1)
    assert missed.max() < 0.5  # px; the moving picture does not show all of them
    assert (run["kind"], run["asked"], run["fallback"]) == ("homography", "homography", None)
    assert "This one is a homography" in run["convention"]
    assert projected(np.array(run["matrix"]), np.array(run["example"]["fixed_point"])) == pytest.approx(
        run["example"]["moving_point"]
    )


def test_both_files_hold_the_matrix_to_the_last_bit(folder: Path) -> None:
    record, alone = folder / "o" / "run.json", folder / "o" / "transform.json"
    matrix = np.array(json.loads(record.read_text())["transform"]["matrix"])
    assert matrix[2, :2].any()
    assert np.array_equal(read_transform(record), matrix)
    assert np.array_equal(read_transform(alone), matrix)


def test_the_command_that_the_summary_shows_gives_the_moved_picture(folder: Path, medreg: Run) -> None:
    out = folder / "again.png"
    flags = ["--transform", folder / "o" / "transform.json", "--like", folder / "f.png", "--out", out]
    assert medreg("apply", folder / "m.png", *flags).exit_code == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(folder / "o" / "moved.png")))


def test_a_homography_repeats_from_its_record(folder: Path, medreg: Run) -> None:
    result = medreg("register", "--config", folder / "o" / "run.json", "--out", folder / "again")
    assert result.exit_code == 0, result.output
    for name in ("moved.png", "transform.json"):
        assert (folder / "again" / name).read_bytes() == (folder / "o" / name).read_bytes()


def test_a_linear_run_in_its_folder_would_replace_it_and_says_so(folder: Path, medreg: Run) -> None:
    result = medreg("register", folder / "f.png", folder / "m.png", "-t", "rigid", "--out", folder / "o")
    assert result.exit_code == 7
    assert "transform.json" in result.stderr


@pytest.mark.parametrize("inverse", [False, True], ids=["forwards", "back"])
def test_apply_projects_as_numpy_does(inverse: bool, pair: Pair, medreg: Run, tmp_path: Path) -> None:
    fixed, image = nib.load(pair.fixed), nib.load(pair.moving)
    write_transform(BENT, tmp_path / "t.json")
    flags = ["--transform", tmp_path / "t.json", "--like", pair.fixed, "--out", tmp_path / "moved.nii.gz"]
    result = medreg("apply", pair.moving, *flags, *(["--inverse"] if inverse else []))
    assert result.exit_code == 0, result.output
    moved = nib.load(tmp_path / "moved.nii.gz").get_fdata()

    flip = np.diag([-1.0, -1, 1, 1])
    voxels = np.stack(np.meshgrid(*map(np.arange, fixed.shape), indexing="ij"), -1)
    to_index = np.linalg.inv(flip @ image.affine) @ (np.linalg.inv(BENT) if inverse else BENT) @ flip @ fixed.affine
    index = np.moveaxis(projected(to_index, voxels), -1, 0)
    theirs = map_coordinates(image.get_fdata(), index, order=1, mode="nearest")
    reach = np.array(image.shape).reshape(3, 1, 1, 1)
    inside = ((index > -0.5) & (index < reach - 0.5)).all(0)
    assert 0.2 < inside.mean() < 1
    # at the very border rounding decides; elsewhere ours is rounded to int16: half a grey value, and a little
    border = (np.abs(index + 0.5) < 1e-3).any(0) | (np.abs(index - reach + 0.5) < 1e-3).any(0)
    assert np.abs(moved - np.where(inside, theirs, 0))[~border].max() <= 0.51
