"""Transforms that mean something for their two images only, through every verb that takes one; SimpleITK beside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK as sitk

from medreg.cli.tasks.chain import chain_of, read_early
from medreg.io.points import read_points
from medreg.io.transforms import Form, read_transform

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]
FORMS = ["afni", "fsl", "lta", "lta-vox2vox", "register-dat", "spm"]
POINTS = np.random.default_rng(4).uniform(-30, 30, (6, 3))
"""Of the fixed image, LPS mm."""


@pytest.fixture
def itk(pair: Pair, tmp_path: Path) -> sitk.AffineTransform:
    """The truth of `pair`, whose moving image is oblique; kept as t.tfm, too."""
    transform = sitk.AffineTransform(pair.truth[:3, :3].ravel().tolist(), pair.truth[:3, 3].tolist(), (0.0, 0.0, 0.0))
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    return transform


def made(form: str, pair: Pair, medreg: Run, folder: Path) -> list[object]:
    """The flags for the transform in another form."""
    out = folder / "other"
    images = ["--fixed", pair.fixed, "--moving", pair.moving]
    done = medreg("convert-transform", folder / "t.tfm", out, "--to", form, *images)
    assert done.exit_code == 0, done.output
    return ["-t", out, *(["--from", "fsl"] if form == "fsl" else [])]


def voxels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float64)


@pytest.mark.parametrize("form", FORMS)
def test_images_go_by_both_their_headers(
    form: str, itk: sitk.AffineTransform, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    flags = [*made(form, pair, medreg, tmp_path), "--like", pair.fixed]
    result = medreg("apply", pair.moving, *flags, "-o", tmp_path / "o.nii")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert "warning" not in result.stdout
    fixed, moving = sitk.ReadImage(str(pair.fixed)), sitk.ReadImage(str(pair.moving), sitk.sitkFloat64)
    wanted = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, itk, sitk.sitkLinear, 0.0, sitk.sitkFloat64))
    assert (np.abs(voxels(tmp_path / "o.nii") - wanted) > 0.51).mean() < 1e-4  # rounded to int16


@pytest.mark.parametrize("form", FORMS)
def test_points_go_by_the_headers_of_both_images(
    form: str, itk: sitk.AffineTransform, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    np.savetxt(tmp_path / "p.csv", POINTS, delimiter=",", header="x,y,z", comments="", fmt="%.17g")
    images = ["--of", pair.fixed, "--like", pair.moving, "--space", "fixed"]
    result = medreg("apply", tmp_path / "p.csv", *made(form, pair, medreg, tmp_path), *images, "-o", tmp_path / "q.csv")
    assert result.exit_code == 0, result.output
    wanted = [itk.TransformPoint(p.tolist()) for p in POINTS]
    np.testing.assert_allclose(read_points(tmp_path / "q.csv").coordinates, wanted, atol=1e-9)  # mm


@pytest.mark.parametrize("form", FORMS)
def test_evaluate_names_the_moving_image_too(
    form: str, itk: sitk.AffineTransform, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    flags = made(form, pair, medreg, tmp_path)
    other = str(flags[1])
    truth = [str(tmp_path / "t.tfm"), "--like", pair.fixed, "--json", *flags[2:]]
    asked = ["--transforms", other, *truth, "--inverse", other, f"inverse:{other}"]
    result = medreg("evaluate", *asked, "--moving", pair.moving)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["warnings"] == []
    for kind in ("transforms", "inverse"):
        assert record[kind]["apart"]["maximum"] < 1e-9  # mm
    alone = medreg("evaluate", *asked)
    wanted = (2, True) if form in ("fsl", "register-dat") else (0, False)
    assert (alone.exit_code, "the moving image is --moving" in alone.stderr) == wanted
    if form == "afni":
        assert "name both then" in json.loads(alone.stdout)["warnings"][0]


def test_an_lta_whose_volumes_are_the_images_exchanged_is_taken_in_that_direction(
    itk: sitk.AffineTransform, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    """As FreeSurfer's tools do; so the fixed image is moved onto the moving one by the same file."""
    flags = made("lta", pair, medreg, tmp_path)
    result = medreg("apply", pair.fixed, *flags, "--like", pair.moving, "-o", tmp_path / "o.nii")
    assert "taken in that direction" in result.stdout
    moving, fixed = sitk.ReadImage(str(pair.moving)), sitk.ReadImage(str(pair.fixed), sitk.sitkFloat64)
    back = sitk.Resample(fixed, moving, itk.GetInverse(), sitk.sitkLinear, 0.0, sitk.sitkFloat64)
    assert (np.abs(voxels(tmp_path / "o.nii") - sitk.GetArrayFromImage(back)) > 0.51).mean() < 1e-4


def test_a_transform_is_read_before_the_images_only_where_they_have_no_say(
    itk: sitk.AffineTransform, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    assert read_early(chain_of([str(tmp_path / "t.tfm")])) is not None
    for form in FORMS:
        flags = made(form, pair, medreg, tmp_path)
        assert read_early(chain_of([str(flags[1])], "fsl" if form == "fsl" else None)) is None
        (tmp_path / "other").unlink()
    assert {form.value for form in Form if form.goes_by_images} == {*FORMS, "dicom"}


def test_a_form_that_is_named_and_told_by_a_file_is_no_contradiction(
    itk: sitk.AffineTransform, medreg: Run, tmp_path: Path
) -> None:
    np.savetxt(tmp_path / "ras.txt", np.eye(4))
    medreg("convert-transform", tmp_path / "t.tfm", tmp_path / "lps.txt", "--to", "lps")
    texts = [str(tmp_path / "lps.txt"), str(tmp_path / "t.tfm")]
    assert [link.form for link in chain_of(texts, "lps")] == [None, None]
    assert [link.form for link in chain_of([*texts, str(tmp_path / "ras.txt")], "ras")] == [None, None, Form.RAS]
    wrong = medreg("compose", *texts, "--from", "ras", "-o", tmp_path / "o.tfm")
    assert (wrong.exit_code, "all transforms tell their format" in wrong.stderr) == (2, True)


@pytest.mark.skipif(sys.platform == "win32", reason="has no /dev/stdin")
def test_a_transform_may_come_through_a_pipe(itk: sitk.AffineTransform, tmp_path: Path) -> None:
    """Which can be read once only."""
    command = [sys.executable, "-m", "medreg", "convert-transform", "/dev/stdin", str(tmp_path / "o.json")]
    done = subprocess.run(command, input=(tmp_path / "t.tfm").read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_transform(tmp_path / "o.json"), read_transform(tmp_path / "t.tfm"))
