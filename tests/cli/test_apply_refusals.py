"""What `medreg apply` and its sisters refuse or warn of, since its result would be worthless or not the one wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from medreg.io.transforms import read_transform, write_transform

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]
DATA = Path(__file__).parents[2] / "sample_data"


@pytest.fixture
def holed(pair: Pair, tmp_path: Path) -> Path:
    """The moving image as float, with NaN in eight voxels."""
    image = nib.load(pair.moving)
    values = np.asarray(image.dataobj, dtype=np.float32)
    values[5:7, 5:7, 5:7] = np.nan
    nib.save(nib.Nifti1Image(values, image.affine), tmp_path / "holed.nii")
    return tmp_path / "holed.nii"


def test_nan_stays_where_it_is_or_is_refused(holed: Path, medreg: Run, tmp_path: Path) -> None:
    """A B-spline's filter would leave hardly a voxel without it."""
    flags = ["--like", holed, "--spacing-out", "2.5", "-o", tmp_path / "o.nii", "--interpolation"]
    cubic = medreg("apply", holed, *flags, "cubic")
    assert (cubic.exit_code, "8 voxels are not finite (NaN)" in cubic.stderr) == (5, True)
    assert not (tmp_path / "o.nii").exists()
    assert medreg("apply", holed, *flags, "linear").exit_code == 0
    assert 0 < np.isnan(nib.load(tmp_path / "o.nii").get_fdata()).sum() < 80
    label = medreg("apply", holed, *flags, "label", "--overwrite")
    assert (label.exit_code, "holds NaN" in label.stderr) == (2, True)


def test_an_empty_result_is_warned_of(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    far = np.eye(4)
    far[0, 3] = 5000.0  # mm
    write_transform(far, tmp_path / "far.tfm")
    out = ["--like", pair.fixed, "--overwrite", "-o", tmp_path / "o.nii"]
    result = medreg("apply", pair.moving, "-t", tmp_path / "far.tfm", *out)
    assert result.exit_code == 0
    assert "o.nii: is empty" in result.stdout
    assert "--space fixed" in result.stdout
    assert "is empty" not in medreg("apply", pair.moving, *out).stdout


@pytest.mark.parametrize("verb", ["apply onto a grid", "apply to the header", "points", "compose", "convert"])
def test_a_flat_transform_moves_nothing_and_is_named(verb: str, pair: Pair, medreg: Run, tmp_path: Path) -> None:
    flat, out = tmp_path / "flat.tfm", tmp_path / "o.nii"
    write_transform(np.diag([1.0, 0.0, 1.0, 1.0]), flat)
    done = {
        "apply onto a grid": lambda: medreg("apply", pair.moving, "-t", flat, "--like", pair.fixed, "-o", out),
        "apply to the header": lambda: medreg("apply", pair.moving, "-t", flat, "-o", out),
        "points": lambda: medreg("apply", DATA / "landmarks.csv", "-t", flat, "-o", tmp_path / "o.csv"),
        "compose": lambda: medreg("compose", flat, "-o", tmp_path / "o.tfm"),
        "convert": lambda: medreg("convert-transform", flat, tmp_path / "o.tfm"),
    }[verb]()
    assert (done.exit_code, f"{flat}: the transform cannot be inverted" in done.stderr) == (10, True)
    assert [path.name for path in tmp_path.iterdir()] == ["flat.tfm"]


def test_two_dimensions_and_three_do_not_meet_and_both_are_named(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    plane, space = tmp_path / "plane.tfm", tmp_path / "space.tfm"
    write_transform(np.eye(3), plane)
    write_transform(np.eye(4), space)
    points, out = DATA / "landmarks.csv", tmp_path / "o"
    for arguments in (
        ("apply", pair.moving, "-t", plane, "--like", pair.fixed, "-o", f"{out}.nii"),
        ("apply", points, "-t", plane, "-o", f"{out}.csv"),
        ("compose", plane, "-o", f"{out}.tfm", "--fixed", pair.fixed),
        ("convert-transform", plane, f"{out}.tfm", "--moving", pair.moving),
        ("evaluate", "--landmarks", points, points, "-t", plane),
        ("evaluate", "--labels", DATA / "labels.nii.gz", DATA / "labels.nii.gz", "-t", plane),
        ("evaluate", "--transforms", space, plane, "--like", pair.fixed),
    ):
        done = medreg(*arguments)
        assert (done.exit_code, f"{plane} is 2D" in done.stderr) == (10, True), done.output
    assert not list(tmp_path.glob("o.*"))


def test_perspectives_that_undo_each_other_leave_a_linear_map(medreg: Run, tmp_path: Path) -> None:
    tilted = np.array([[1.0, 0.02, 5.0], [0.01, 1.1, -3.0], [0.001, -0.0005, 1.0]])
    write_transform(tilted, tmp_path / "h.json")
    there_and_back = [tmp_path / "h.json", f"inverse:{tmp_path / 'h.json'}"]
    result = medreg("compose", *there_and_back, "-o", tmp_path / "o.tfm", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["transform"]["kind"] == "translation"
    np.testing.assert_allclose(read_transform(tmp_path / "o.tfm"), np.eye(3), atol=1e-12)
    kept = medreg("compose", tmp_path / "h.json", "-o", tmp_path / "o.json", "--json")
    assert json.loads(kept.stdout)["transform"]["kind"] == "homography"


def test_a_name_of_points_for_an_image_and_odd_spacings_are_told_by_their_flag(
    pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    mixed = medreg("apply", pair.moving, "--like", pair.fixed, "-o", tmp_path / "o.csv")
    assert (mixed.exit_code, "is no file of points" in mixed.stderr) == (2, True)
    for flag in ("--spacing-out", "--image-spacing", "--like-spacing", "--spacing"):
        wrong = medreg("apply", pair.moving, "--like", pair.fixed, "-o", tmp_path / "o.nii", flag, "0")
        assert (wrong.exit_code, f"medreg: {flag} takes" in wrong.stderr) == (2, True)
