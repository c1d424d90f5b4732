"""What `medreg register` writes, beside SimpleITK and nibabel."""

from __future__ import annotations

import json
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


@pytest.fixture(scope="module")
def done(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one rigid run."""
    from typer.testing import CliRunner

    from medreg.cli.main import app

    out = tmp_path_factory.mktemp("runs") / "rigid"
    result = CliRunner().invoke(app, ["register", *pair.both, "--transform", "rigid", "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


def record(folder: Path) -> dict[str, Any]:
    """The run's record."""
    loaded: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return loaded


def test_the_known_motion_is_found(done: Path, pair: Pair) -> None:
    found = np.array(record(done)["transform"]["matrix"])
    corners = np.stack(np.meshgrid(*[(-30.0, 30.0)] * 3), -1).reshape(-1, 3)
    error = corners @ (found - pair.truth)[:3, :3].T + (found - pair.truth)[:3, 3]
    assert np.linalg.norm(error, axis=1).max() < 0.5  # mm: a fifth of a voxel, in its corners, rounded to 1/255


def test_the_outputs_are_there_and_nothing_else(done: Path) -> None:
    names = ["error.nii.gz", "figure.png", "moved.nii.gz", "report.html", "run.json", "transform.tfm"]
    assert sorted(p.name for p in done.iterdir()) == names


def test_moved_lies_on_the_fixed_grid_in_the_moving_dtype(done: Path, pair: Pair) -> None:
    moved, fixed, moving = nib.load(done / "moved.nii.gz"), nib.load(pair.fixed), nib.load(pair.moving)
    assert moved.shape == fixed.shape
    assert np.abs(moved.affine - fixed.affine).max() < 1e-6
    assert moved.get_data_dtype() == moving.get_data_dtype() == np.int16


def test_simpleitk_resamples_through_our_transform_to_the_same_picture(done: Path, pair: Pair) -> None:
    fixed, moving = sitk.ReadImage(str(pair.fixed)), sitk.ReadImage(str(pair.moving), sitk.sitkFloat64)
    transform = sitk.ReadTransform(str(done / "transform.tfm"))
    theirs = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat64))
    ours = sitk.GetArrayFromImage(sitk.ReadImage(str(done / "moved.nii.gz")))
    # ours is rounded to int16: half a grey value, and a little for float32
    assert np.abs(ours - theirs).max() <= 0.51


def test_the_record_agrees_with_the_transform_file_and_with_itself(done: Path) -> None:
    transform = record(done)["transform"]
    matrix = np.array(transform["matrix"])
    itk = sitk.ReadTransform(str(done / "transform.tfm"))
    example = transform["example"]
    assert np.abs(itk.TransformPoint(example["fixed_point"]) - np.array(example["moving_point"])).max() < 1e-9
    assert list(itk.GetFixedParameters()) == transform["centre"]
    flip = np.diag([-1.0, -1, 1, 1])
    assert np.abs(flip @ matrix @ flip - transform["matrix_ras"]).max() < 1e-12
    assert transform["scales"] == pytest.approx([1, 1, 1], abs=1e-9)


def test_the_voxel_matrix_takes_voxels_to_voxels(done: Path, pair: Pair) -> None:
    transform = record(done)["transform"]
    fixed, moving = nib.load(pair.fixed), nib.load(pair.moving)
    expected = np.linalg.inv(moving.affine) @ np.array(transform["matrix_ras"]) @ fixed.affine
    assert np.abs(expected - transform["voxel_to_voxel"]).max() < 1e-5  # float32 headers


def test_the_record_says_what_was_read_and_how_long_it_took(done: Path, pair: Pair) -> None:
    import hashlib

    run = record(done)
    assert run["inputs"]["moving"]["sha256"] == hashlib.sha256(pair.moving.read_bytes()).hexdigest()
    assert run["inputs"]["fixed"]["file"] == str(pair.fixed)
    assert set(run["seconds"]) >= {"import", "read", "start", "optimise", "resample", "write", "total"}
    assert run["levels"][0]["steps"][0].keys() == {"number", "value", "step_mm", "overlap"}
    assert run["outputs"]["moved"]["note"] == "rounded to int16"


def test_repeating_a_record_gives_the_same_bytes(done: Path, medreg: Run, tmp_path: Path) -> None:
    result = medreg("register", "--config", done / "run.json", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    for name in ("moved.nii.gz", "transform.tfm"):
        assert (tmp_path / "again" / name).read_bytes() == (done / name).read_bytes()


def test_a_changed_input_is_told_when_a_record_is_repeated(done: Path, medreg: Run, tmp_path: Path) -> None:
    run = record(done)
    run["inputs"]["moving"]["sha256"] = "0" * 64
    (tmp_path / "run.json").write_text(json.dumps(run))
    result = medreg("register", "--config", tmp_path / "run.json", "--out", tmp_path / "o")
    assert "has changed since" in result.stdout


def test_outputs_are_not_replaced_unasked(done: Path, pair: Pair, medreg: Run) -> None:
    before = (done / "run.json").read_bytes()
    result = medreg("register", *pair.both, "--out", done)
    assert result.exit_code == 7
    assert "--overwrite" in result.stderr
    assert (done / "run.json").read_bytes() == before


def test_overwrite_replaces(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("old")
    (tmp_path / "mine.txt").write_text("stays")
    result = medreg("register", *pair.both, "-t", "translation", "--out", tmp_path, "--overwrite")
    assert result.exit_code == 0, result.output
    assert record(tmp_path)["transform"]["kind"] == "translation"
    assert (tmp_path / "mine.txt").read_text() == "stays"


def test_the_folder_is_named_after_the_inputs(
    pair: Pair, medreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert medreg("register", *pair.both, "-t", "translation").exit_code == 0
    assert (tmp_path / "moving_to_fixed" / "run.json").exists()


def test_quiet_prints_nothing(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    assert medreg("register", *pair.both, "-t", "translation", "--out", tmp_path / "o", "-q").output == ""


def test_json_prints_the_record_and_nothing_else(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    result = medreg("register", *pair.both, "-t", "translation", "--out", tmp_path / "o", "--json")
    assert json.loads(result.stdout) == record(tmp_path / "o")
    assert result.stderr == ""


def test_the_summary_has_no_control_characters_and_a_command_that_works(
    pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "a folder"
    result = medreg("register", *pair.both, "-t", "rigid", "--out", out)
    assert "\x1b" not in result.output
    assert "turned" in result.stdout
    (command,) = (line.strip() for line in result.stdout.splitlines() if line.startswith("  medreg apply"))
    import shlex

    words = shlex.split(command.replace("IMAGE", str(pair.moving)).replace("MOVED", str(tmp_path / "again")))
    assert medreg(*words[1:]).exit_code == 0
    assert (tmp_path / "again.nii.gz").read_bytes() == (out / "moved.nii.gz").read_bytes()


def test_verbose_tells_each_step(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    result = medreg("register", *pair.both, "-t", "translation", "--out", tmp_path / "o", "-v")
    assert "translation" in result.stderr
    assert "step  0" in result.stderr


def test_masks_are_read_and_recorded(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    fixed = nib.load(pair.fixed)
    mask = (fixed.get_fdata() > 5).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, fixed.affine), tmp_path / "mask.nii.gz")
    result = medreg(
        "register", *pair.both, "-t", "rigid", "--fixed-mask", tmp_path / "mask.nii.gz", "--out", tmp_path / "o"
    )
    assert result.exit_code == 0, result.output
    assert record(tmp_path / "o")["inputs"]["fixed_mask"]["file"] == str(tmp_path / "mask.nii.gz")


@pytest.mark.parametrize("volume", ["1", "mean"])
def test_a_volume_of_a_series_is_chosen(volume: str, pair: Pair, medreg: Run, tmp_path: Path) -> None:
    moving = nib.load(pair.moving)
    voxels = np.asarray(moving.dataobj)
    series = np.stack([np.zeros_like(voxels), voxels, voxels], -1)
    nib.save(nib.Nifti1Image(series, moving.affine), tmp_path / "series.nii.gz")
    arguments = ["register", pair.fixed, tmp_path / "series.nii.gz", "-t", "rigid", "--out", tmp_path / "o"]
    refused = medreg(*arguments)
    assert refused.exit_code == 5
    assert "--volume" in refused.stderr
    assert medreg(*arguments, "--volume", volume).exit_code == 0
    assert nib.load(tmp_path / "o" / "moved.nii.gz").shape == nib.load(pair.fixed).shape


def test_nearest_keeps_the_moving_values(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    result = medreg("register", *pair.both, "-t", "rigid", "--interpolation", "nearest", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    moved = np.unique(np.asarray(nib.load(tmp_path / "o" / "moved.nii.gz").dataobj))
    assert np.isin(moved, np.append(np.unique(np.asarray(nib.load(pair.moving).dataobj)), 0)).all()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_the_moved_image_has_the_fixed_images_format(suffix: str, pair: Pair, medreg: Run, tmp_path: Path) -> None:
    fixed = tmp_path / f"fixed{suffix}"
    sitk.WriteImage(sitk.ReadImage(str(pair.fixed)), str(fixed))
    result = medreg("register", fixed, pair.moving, "-t", "translation", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    moved = sitk.ReadImage(str(tmp_path / "o" / f"moved{suffix}"))
    assert moved.GetPixelIDTypeAsString() == "16-bit signed integer"
    assert moved.GetSize() == sitk.ReadImage(str(pair.fixed)).GetSize()


def picture(shift: tuple[float, float]) -> np.ndarray:
    """An 8-bit picture (y, x) of a few blobs, moved by `shift` (x, y) pixels."""
    y, x = np.mgrid[:72, :80].astype(float)
    values = np.zeros((72, 80))
    for cx, cy, width, height in ((38, 34, 16, 120), (52, 44, 6, 90), (26, 24, 5, 70), (30, 48, 7, -60)):
        values += height * np.exp(-((x - shift[0] - cx) ** 2 + (y - shift[1] - cy) ** 2) / (2 * width**2))
    return values.clip(0, 255).astype(np.uint8)


def test_two_pictures_give_a_picture_and_a_3x3_matrix(medreg: Run, tmp_path: Path) -> None:
    for name, shift in (("fixed", (0.0, 0.0)), ("moving", (3.5, -2.0))):
        sitk.WriteImage(sitk.GetImageFromArray(picture(shift)), str(tmp_path / f"{name}.png"))
    result = medreg("register", tmp_path / "fixed.png", tmp_path / "moving.png", "-t", "rigid", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    transform = record(tmp_path / "o")["transform"]
    assert np.abs(np.array(transform["matrix"])[:2, 2] - (3.5, -2.0)).max() < 0.5  # px, off the centre by the angle
    assert transform["translation_at_centre_mm"] == pytest.approx([3.5, -2.0], abs=0.05)
    assert transform["unit"] == "px"
    assert " px" in result.stdout
    moved = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "o" / "moved.png")))
    assert moved.dtype == np.uint8
    inner = (slice(8, -8), slice(8, -8))
    assert (
        np.abs(moved[inner].astype(float) - picture((0, 0))[inner]).mean() < 1.5
    )  # grey values, one rounding each way


def test_a_format_that_cannot_hold_the_moving_dtype_gives_way_to_nifti(medreg: Run, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(picture((0, 0))), str(tmp_path / "fixed.png"))
    flip = np.diag([-1.0, -1, 1, 1])  # RAS
    nib.save(nib.Nifti1Image(picture((2, 1)).T.astype(np.float32), flip), tmp_path / "moving.nii.gz")
    out = tmp_path / "o"
    arguments = ["register", tmp_path / "fixed.png", tmp_path / "moving.nii.gz", "-t", "translation", "--out", out]
    result = medreg(*arguments, "--fixed-spacing", 1)
    assert result.exit_code == 0, result.output
    assert nib.load(out / "moved.nii.gz").get_data_dtype() == np.float32
