"""`medreg info` says what nibabel says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]


def straight(path: Path, size: tuple[int, int, int], corner: tuple[float, float, float], step: float) -> Path:
    """An axis-aligned image whose first voxel's outer corner lies at `corner`, RAS mm."""
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = np.array(corner) + step / 2
    nib.save(nib.Nifti1Image(np.arange(np.prod(size), dtype=np.int16).reshape(size), affine), path)
    return path


def test_geometry_and_values_are_nibabels(pair: Pair, medreg: Run) -> None:
    (said,) = json.loads(medreg("info", pair.moving, "--json").stdout)["images"]
    image = nib.load(pair.moving)
    assert said["size"] == list(image.shape)
    assert said["spacing"] == pytest.approx(image.header.get_zooms(), rel=1e-6)
    assert said["orientation"] == "LPS"
    assert "".join(nib.aff2axcodes(image.affine)) == "LPS"
    data = np.asarray(image.dataobj)
    assert (said["dtype"], said["minimum"], said["maximum"]) == ("int16", data.min(), data.max())
    assert (said["sform_code"], said["qform_code"]) == (1, 1)
    text = medreg("info", pair.moving).stdout
    assert "oblique by" in text
    assert f"{data.min()} to {data.max()}" in text


def test_two_boxes_overlap_as_computed_by_hand(medreg: Run, tmp_path: Path) -> None:
    first = straight(tmp_path / "a.nii", (10, 10, 10), (0, 0, 0), 2.0)  # 0 to 20 mm
    second = straight(tmp_path / "b.nii", (20, 10, 40), (15, -5, 0), 1.0)  # 15 to 35, -5 to 5, 0 to 40 mm
    between = json.loads(medreg("info", first, second, "--json").stdout)["overlap"]
    assert between["box_mm"] == pytest.approx([5, 5, 20])
    assert between["of_first"] == pytest.approx(500 / 8000)
    assert between["of_second"] == pytest.approx(500 / 8000, abs=0.02)  # 32 probes an axis
    assert between["centres_mm"] == pytest.approx(np.linalg.norm([15, -10, 10]))
    assert "5 × 5 × 20 mm" in medreg("info", first, second).stdout


def test_images_apart_are_said_to_be(medreg: Run, tmp_path: Path) -> None:
    first = straight(tmp_path / "a.nii", (4, 4, 4), (0, 0, 0), 1.0)
    second = straight(tmp_path / "b.nii", (4, 4, 4), (100, 0, 0), 1.0)
    text = medreg("info", first, second).stdout
    assert "none; centres 100.0 mm apart" in text


def test_qform_and_sform_that_disagree_are_told_in_mm(medreg: Run, tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    image.set_sform(np.eye(4), 1)
    moved = np.eye(4)
    moved[0, 3] = 3.0
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "a.nii")
    text = medreg("info", tmp_path / "a.nii").stdout
    assert "differ by 3 mm" in text
    assert "warning" in text


def test_nan_voxels_are_counted_beside_the_range(medreg: Run, tmp_path: Path) -> None:
    data = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    data[0, 0, :2] = np.nan
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii")
    assert "2 to 63, 2 NaN or infinite" in medreg("info", tmp_path / "a.nii").stdout


def test_a_missing_file_is_a_read_error(medreg: Run, tmp_path: Path) -> None:
    assert medreg("info", tmp_path / "none.nii").exit_code == 3
