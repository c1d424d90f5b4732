"""`medreg apply` beside SimpleITK's resampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]


def voxels(path: Path) -> np.ndarray:
    """(z, y, x) by SimpleITK."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float64)


@pytest.mark.parametrize(
    ("interpolation", "theirs"), [("nearest", sitk.sitkNearestNeighbor), ("linear", sitk.sitkLinear)]
)
def test_simpleitk_gets_the_same_picture(
    interpolation: str, theirs: int, pair: Pair, transform: Path, medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "moved.nii.gz"
    result = medreg(
        "apply", pair.moving, "-t", transform, "--like", pair.fixed, "--out", out, "--interpolation", interpolation
    )
    assert result.exit_code == 0, result.output
    assert f"wrote {out}" in result.stdout
    fixed, moving = sitk.ReadImage(str(pair.fixed)), sitk.ReadImage(str(pair.moving), sitk.sitkFloat64)
    itk = sitk.ReadTransform(str(transform))
    expected = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, itk, theirs, 0.0, sitk.sitkFloat64))
    differs = np.abs(voxels(out) - expected) > 0.51  # rounded to int16
    assert differs.mean() < 1e-4  # nearest: a voxel that lies half-way may go either way


def test_the_inverse_undoes_the_transform(pair: Pair, transform: Path, medreg: Run, tmp_path: Path) -> None:
    to, fro = tmp_path / "to.nii.gz", tmp_path / "fro.nii.gz"
    cubic = ["--interpolation", "cubic"]
    medreg("apply", pair.moving, "-t", transform, "--like", pair.fixed, "--out", to, *cubic)
    medreg("apply", to, "-t", transform, "--inverse", "--like", pair.moving, "--out", fro, *cubic)
    back, first = voxels(fro), voxels(pair.moving)
    inner = (slice(10, -10),) * 3
    assert np.abs(back - first)[inner].max() < 0.01 * first.max()


def test_without_a_transform_only_the_grid_changes(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    result = medreg("apply", pair.moving, "--like", pair.moving, "--out", tmp_path / "same.nii.gz", "-q")
    assert result.output == ""
    assert (voxels(tmp_path / "same.nii.gz") == voxels(pair.moving)).all()


def test_all_volumes_of_a_series_are_moved(pair: Pair, transform: Path, medreg: Run, tmp_path: Path) -> None:
    moving = nib.load(pair.moving)
    data = np.asarray(moving.dataobj)
    nib.save(nib.Nifti1Image(np.stack([data, data // 2], -1), moving.affine), tmp_path / "series.nii.gz")
    out = tmp_path / "o.nii.gz"
    assert (
        medreg("apply", tmp_path / "series.nii.gz", "-t", transform, "--like", pair.fixed, "--out", out).exit_code == 0
    )
    assert nib.load(out).shape == (*nib.load(pair.fixed).shape, 2)


@pytest.mark.parametrize(("outside", "value"), [("-7", -7), ("0", 0)])
def test_voxels_out_of_reach_get_the_asked_value(
    outside: str, value: int, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    (tmp_path / "far.txt").write_text("1 0 0 5000\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    out = tmp_path / "o.nii.gz"
    result = medreg(
        "apply",
        pair.moving,
        *("-t", tmp_path / "far.txt", "--from", "lps", "--like", pair.fixed, "--out", out, "--outside", outside),
    )
    assert result.exit_code == 0, result.output
    assert (voxels(out) == value).all()


def test_labels_beyond_the_precision_of_float32_survive(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    labels = np.full((6, 6, 6), 2**24 + 1, np.int32)
    labels[:3] = 7
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "labels.nii.gz")
    out = tmp_path / "o.nii.gz"
    result = medreg(
        "apply",
        tmp_path / "labels.nii.gz",
        "--like",
        tmp_path / "labels.nii.gz",
        "--out",
        out,
        "--interpolation",
        "nearest",
    )
    assert result.exit_code == 0, result.output
    assert (np.asarray(nib.load(out).dataobj) == labels).all()


def test_what_cannot_be_done_is_said_before_any_work(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    arguments = ["apply", pair.moving, "--like", pair.fixed, "--out"]
    assert "unknown suffix" in medreg(*arguments, tmp_path / "o.xyz").stderr
    assert "--overwrite" in medreg(*arguments, pair.fixed).stderr
    assert "does not exist" in medreg(*arguments, tmp_path / "no" / "o.nii").stderr
    assert "number or 'edge'" in medreg(*arguments, tmp_path / "o.nii", "--outside", "x").stderr
    singular = tmp_path / "flat.txt"
    singular.write_text("1 0 0 0\n0 1 0 0\n0 0 0 0\n0 0 0 1\n")
    result = medreg(*arguments, tmp_path / "o.nii", "-t", singular, "--from", "lps", "--inverse")
    assert (result.exit_code, list(tmp_path.glob("*.nii"))) == (10, [])


def test_an_existing_output_is_replaced_when_asked(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "o.nii").write_text("old")
    result = medreg("apply", pair.moving, "--like", pair.fixed, "--out", tmp_path / "o.nii", "--overwrite")
    assert result.exit_code == 0, result.output
    assert voxels(tmp_path / "o.nii").shape == voxels(pair.fixed).shape
