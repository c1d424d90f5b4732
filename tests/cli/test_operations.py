"""`medreg rotate`, `resample`, `reorient`, `crop` and `pad` beside SimpleITK, on an oblique anisotropic image."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK as sitk

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]


def read(path: Path) -> sitk.Image:
    return sitk.ReadImage(str(path))


def voxels(image: sitk.Image) -> np.ndarray:
    """(z, y, x) as float64."""
    return sitk.GetArrayFromImage(image).astype(np.float64)


def same_place(a: sitk.Image, b: sitk.Image) -> bool:
    """Whether two grids agree to 1e-4 mm: NIfTI keeps float32."""
    ends = [(0, 0, 0), tuple(n - 1 for n in a.GetSize())]
    points = [np.subtract(a.TransformIndexToPhysicalPoint(i), b.TransformIndexToPhysicalPoint(i)) for i in ends]
    return a.GetSize() == b.GetSize() and bool(np.abs(points).max() < 1e-4)


def test_rotate_agrees_with_the_inverse_of_simpleitks_euler_transform(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    out = tmp_path / "turned.nii.gz"
    flags = ["--angles", "10,-20,35", "--centre", "5,-3,8", "--order", "yxz", "--interpolation", "nearest"]
    result = medreg("rotate", pair.moving, *flags, "--out", out)
    assert result.exit_code == 0, result.output
    image = read(pair.moving)
    euler = sitk.Euler3DTransform((5, -3, 8), *np.radians([10, -20, 35]))
    expected = sitk.Resample(image, image, euler.GetInverse(), sitk.sitkNearestNeighbor, 0.0)
    assert same_place(read(out), image)
    assert (voxels(read(out)) != voxels(expected)).mean() < 1e-3  # voxels half-way between two may go either way


def test_turning_and_turning_back_gives_the_image_where_it_stayed_inside(
    pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    there, back = tmp_path / "there.nii.gz", tmp_path / "back.nii.gz"
    cubic = ["--interpolation", "cubic", "--expand"]
    medreg("rotate", pair.moving, "--angles", "0,0,20", *cubic, "--out", there)
    medreg("rotate", there, "--angles", "0,0,-20", "--interpolation", "cubic", "--out", back)
    size, larger = read(pair.moving).GetSize(), read(back).GetSize()
    assert all(n >= m for n, m in zip(larger, size, strict=True))
    again = sitk.Resample(read(back), read(pair.moving), sitk.Transform(), sitk.sitkBSpline)
    inner = (slice(4, -4),) * 3
    original = voxels(read(pair.moving))
    assert np.abs(voxels(again) - original)[inner].max() < 0.01 * original.max()


def test_a_range_writes_a_series_and_a_picture_of_it(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    flags = ["--angles", "0,-90:90:90,0", "--about", "image", "--out", tmp_path / "t.nii.gz"]
    result = medreg("rotate", pair.moving, *flags, "--picture", tmp_path / "sheet.png", "-q")
    assert result.exit_code == 0, result.output
    names = ["sheet.png", "t_x0_y-90_z0.nii.gz", "t_x0_y0_z0.nii.gz", "t_x0_y90_z0.nii.gz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert np.array_equal(voxels(read(tmp_path / names[2])), voxels(read(pair.moving)))
    sheet = voxels(read(tmp_path / "sheet.png"))
    assert sheet.min() == 0
    assert sheet.max() == 255
    single = medreg("rotate", pair.moving, "--angles", "0,90,0", "--about", "image", "--out", tmp_path / "one.nii.gz")
    assert single.exit_code == 0
    assert np.array_equal(voxels(read(tmp_path / "one.nii.gz")), voxels(read(tmp_path / names[3])))


@pytest.mark.parametrize("code", ["RAS", "lpi", "SAL", "PIR"])
def test_reorient_agrees_with_dicomorient(code: str, pair: Pair, medreg: Run, tmp_path: Path) -> None:
    out = tmp_path / "o.nii.gz"
    assert medreg("reorient", pair.moving, "--to", code, "--out", out).exit_code == 0
    expected = sitk.DICOMOrient(read(pair.moving), code.upper())
    assert same_place(read(out), expected)
    assert np.array_equal(voxels(read(out)), voxels(expected))


def test_crop_and_pad_agree_with_simpleitk(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    image = read(pair.moving)
    flags = ["--start", "3,4,5", "--size", "20,18,16", "--out", tmp_path / "c.nii.gz"]
    assert medreg("crop", pair.moving, *flags).exit_code == 0
    expected = sitk.RegionOfInterest(image, (20, 18, 16), (3, 4, 5))
    assert same_place(read(tmp_path / "c.nii.gz"), expected)
    assert np.array_equal(voxels(read(tmp_path / "c.nii.gz")), voxels(expected))
    flags = ["--before", "2", "--after", "1,2,3", "--outside", "-7", "--out", tmp_path / "p.nii.gz"]
    assert medreg("pad", pair.moving, *flags).exit_code == 0
    expected = sitk.ConstantPad(image, (2, 2, 2), (1, 2, 3), -7)
    assert same_place(read(tmp_path / "p.nii.gz"), expected)
    assert np.array_equal(voxels(read(tmp_path / "p.nii.gz")), voxels(expected))
    assert medreg("pad", pair.moving, "--size", "50,20,40", "--out", tmp_path / "s.nii.gz").exit_code == 0
    assert read(tmp_path / "s.nii.gz").GetSize() == (50, 20, 40)


def test_resample_keeps_the_extent_and_the_values_of_a_smooth_image(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    out = tmp_path / "fine.nii.gz"
    assert medreg("resample", pair.moving, "--spacing", "1.2,1.25,1.3", "--out", out).exit_code == 0
    image, fine = read(pair.moving), read(out)
    assert fine.GetSize() == tuple(2 * n for n in image.GetSize())
    extents = [np.multiply(i.GetSize(), i.GetSpacing()) for i in (image, fine)]
    assert np.abs(extents[0] - extents[1]).max() < 1e-4  # mm
    expected = sitk.Resample(image, fine, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat64)
    inner = (slice(2, -2),) * 3  # ITK fills what lies beyond the outermost centres
    assert np.abs(voxels(fine) - voxels(expected))[inner].max() <= 0.51  # rounded to int16
    assert medreg("resample", pair.moving, "--size", "10,11,12", "--out", tmp_path / "n.nii.gz").exit_code == 0
    assert read(tmp_path / "n.nii.gz").GetSize() == (10, 11, 12)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["rotate", "--angles", "1,2"], 2, "three angles X,Y,Z"),
        (["rotate", "--angles", "0,0,1:2:0"], 2, "FROM:TO:STEP"),
        (["rotate", "--angles", "0,0,30:-30:5"], 2, "STEP leads from FROM to TO"),
        (["rotate", "--angles", "0,0,0:360:0.1"], 2, "at most 1000|has 3601 steps"),
        (["rotate", "--angles", "45"], 2, "turns by three angles"),
        (["rotate", "--angles", "0,0,1", "--centre", "nan,0,0"], 2, "takes numbers"),
        (["rotate", "--angles", "0,0,1", "--outside", "abc"], 2, "'background'"),
        (["rotate", "--angles", "0,0,1", "--picture", "sheet.nii"], 2, "written as .png"),
        (["resample"], 2, "--spacing MM, or --size"),
        (["resample", "--size", "4,5"], 2, "has 3 axes, got 2 numbers"),
        (["rotate", "--angles", "0,0,1", "--centre", "1,2"], 2, "--centre 1,2: .* has 3 axes, got 2 numbers"),
        (["rotate", "--angles", "0,0,1", "--centre", "1"], 2, "--centre 1: .* has 3 axes"),
        (
            ["resample", "--spacing", "0.001"],
            2,
            r"a spacing of .* makes [0-9 x]* voxels, [0-9,.]* GiB, and this machine",
        ),
        (["resample", "--size", "30000"], 2, "a size of .* GiB"),
        (["reorient", "--to", "RLS"], 2, "--to takes one letter each of R or L.* got 'RLS'"),
        (["reorient", "--to", "/x"], 2, "--to takes one letter each of R or L.* got '/x'"),
        (["reorient", "--to", ""], 2, "--to takes one letter each of R or L"),
        (["reorient", "--to", "RA"], 2, "--to RA: .* has 3 axes"),
        (["crop", "--start", "0", "--size", "99"], 5, "99.*medreg pad --size"),
        (["pad", "--by", ""], 2, "--by takes whole numbers"),
        (["pad", "--by", "1", "--after", "0"], 2, "--by N"),
        (["pad", "--by", "1", "--size", "9"], 2, "--by N"),
        (["pad", "--after", "x"], 2, "--after takes whole numbers"),
        (["pad", "--size", "99999"], 2, "GiB"),
        (["crop", "--start", "0.5", "--size", "9"], 2, "whole numbers"),
        (["pad"], 2, "--by N"),
        (["pad", "--by", "-1"], 5, "-1"),
    ],
)
def test_bad_requests_are_told_in_one_line_and_write_nothing(
    arguments: list[str], code: int, told: str, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    verb, *flags = arguments
    result = medreg(verb, pair.moving, *flags, "--out", tmp_path / "o.nii.gz")
    assert result.exit_code == code, result.output
    assert re.search(told, result.stderr), result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_there_is_kept(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    out = tmp_path / "o.nii.gz"
    out.write_text("precious")
    assert medreg("reorient", pair.moving, "--to", "RAS", "--out", out).exit_code == 7
    assert out.read_text() == "precious"


def test_a_series_of_tiny_steps_keeps_all_its_images(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    flags = ["--angles", "0,0,100:100.0002:0.0001", "--interpolation", "nearest", "--out", tmp_path / "t.nii.gz"]
    assert medreg("rotate", pair.moving, *flags).exit_code == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_the_picture_is_upright_however_the_image_is_stored(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    sheets = []
    for code in ("LPS", "RAI", "SAR"):
        stored, sheet = tmp_path / f"{code}.nii.gz", tmp_path / f"{code}.png"
        medreg("reorient", pair.fixed, "--to", code, "--out", stored)
        medreg("rotate", stored, "--angles", "0,0,0", "--out", tmp_path / f"{code}_0.nii.gz", "--picture", sheet)
        sheets.append(voxels(read(sheet)))
    assert np.array_equal(sheets[0], sheets[1])
    assert np.array_equal(sheets[0], sheets[2])


def test_label_maps_keep_their_labels_unless_another_interpolation_is_asked_for(
    pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    image = read(pair.moving)
    grey = voxels(image)
    parts = np.digitize(grey, np.quantile(grey, [0.5, 0.8])).astype(np.uint8)
    segmentation = sitk.GetImageFromArray(np.array([0, 40, 17], np.uint8)[parts])
    segmentation.CopyInformation(image)
    sitk.WriteImage(segmentation, str(tmp_path / "labels.nii.gz"))
    for verb, *flags in (["rotate", "--angles", "5,6,7"], ["resample", "--spacing", "3"]):
        out = tmp_path / f"{verb}.nii.gz"
        result = medreg(verb, tmp_path / "labels.nii.gz", *flags, "--out", out)
        assert result.exit_code == 0, result.output
        assert re.search(r"labels.nii.gz: is taken for a label map .* --interpolation is label", result.stdout)
        assert set(np.unique(voxels(read(out)))) <= {0.0, 17.0, 40.0}
        mixed = medreg(
            verb, tmp_path / "labels.nii.gz", *flags, "--interpolation", "linear", "--out", out, "--overwrite"
        )
        assert "label map" not in mixed.stdout or "warning: " in mixed.stdout
        assert len(np.unique(voxels(read(out)))) > 3
