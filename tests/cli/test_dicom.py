"""DICOM on the command line: register, convert, info and apply; what is written, and what never is."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dicom_series
import nibabel as nib
import numpy as np
import pydicom
import pytest

from medreg.io import read_stored

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]
FLIP = np.diag([-1.0, -1, 1, 1])
MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


def stored_voxels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(z, y, x) int16 and the LPS affine of a NIfTI file, by nibabel."""
    image = nib.load(path)
    return np.asarray(image.dataobj).T.astype(np.int16), FLIP @ image.affine


@pytest.fixture(scope="module")
def folders(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The pair as a CT series of Jane's and an MR series of Jane's, in two studies and frames of reference."""
    root = tmp_path_factory.mktemp("dicom")
    (fixed, fixed_place), (moving, moving_place) = stored_voxels(pair.fixed), stored_voxels(pair.moving)
    about = {"modality": "CT", "intercept": -1024, "series": "ct", "study": "visit 1", "space": "ct table"}
    dicom_series.classic(root / "ct", fixed, fixed_place, **about)
    about = {"modality": "MR", "series": "mr", "study": "visit 2", "space": "mr table", "description": "T1 head"}
    dicom_series.classic(root / "mr", moving, moving_place, **about)
    return root / "ct", root / "mr"


@pytest.fixture(scope="module")
def derived(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    """A registration with `--dicom-out`: its folder of outputs, the series' folder, and what was printed."""
    from typer.testing import CliRunner

    from medreg.cli.main import app

    out = tmp_path_factory.mktemp("run")
    names = [str(folder) for folder in folders]
    result = CliRunner().invoke(
        app, ["register", *names, "-t", "rigid", "-o", str(out / "o"), "--dicom-out", str(out / "series"), "-v"]
    )
    assert result.exit_code == 0, result.output
    return out / "o", out / "series", result


def images_in(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob("IM*.dcm"))]


def test_two_folders_are_registered_as_what_lies_in_them(derived: tuple[Path, Path, Any], pair: Pair) -> None:
    found = np.array(json.loads((derived[0] / "run.json").read_text())["transform"]["matrix"])
    points = np.random.default_rng(0).uniform(-25, 25, (500, 3))
    off = points @ (found - pair.truth)[:3, :3].T + (found - pair.truth)[:3, 3]
    assert np.linalg.norm(off, axis=1).mean() < 0.15  # mm: voxels of 2.5 mm, rounded to 8 bits


def test_the_derived_series_lies_on_the_fixed_grid_and_holds_the_moved_values(
    derived: tuple[Path, Path, Any], folders: tuple[Path, Path]
) -> None:
    fixed, again = read_stored(folders[0]), read_stored(derived[1])
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in fixed.grid.size], indexing="ij"), -1).reshape(-1, 3)
    assert again.grid.size == fixed.grid.size
    assert np.abs(again.grid.to_world(corners) - fixed.grid.to_world(corners)).max() < 1e-4  # mm
    moved = np.asarray(nib.load(derived[0] / "moved.nii.gz").dataobj).T
    assert np.abs(again.array[0].astype(float) - moved).max() <= float(again.metadata.get("slope", 1.0))


def test_the_derived_series_is_the_moving_patients_in_the_fixed_images_space(
    derived: tuple[Path, Path, Any], folders: tuple[Path, Path]
) -> None:
    fixed = pydicom.dcmread(next(folders[0].iterdir()))
    sources = [pydicom.dcmread(path) for path in folders[1].iterdir()]
    images = images_in(derived[1])
    first = images[0]
    assert {image.SOPClassUID for image in images} == {MR_STORAGE}
    assert {image.FrameOfReferenceUID for image in images} == {fixed.FrameOfReferenceUID}
    assert first.PatientID == sources[0].PatientID
    assert first.StudyInstanceUID == sources[0].StudyInstanceUID != fixed.StudyInstanceUID
    assert first.ImageType[0] == "DERIVED"
    assert "medreg" in first.DerivationDescription
    referred = {item.ReferencedSOPInstanceUID for item in first.SourceImageSequence}
    assert referred == {source.SOPInstanceUID for source in sources}
    new = {image.SOPInstanceUID for image in images}
    assert len(new) == len(images)
    assert not new & referred
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert first.SeriesInstanceUID not in (sources[0].SeriesInstanceUID, fixed.SeriesInstanceUID)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
def test_dciodvfy_finds_no_error_in_the_series_nor_in_the_registration(derived: tuple[Path, Path, Any]) -> None:
    files = [*sorted(derived[1].glob("IM*.dcm"))[:2], derived[1] / "registration.dcm"]
    for file in files:
        said = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
        assert not [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]


def test_the_registration_maps_moving_points_to_fixed_points(derived: tuple[Path, Path, Any]) -> None:
    record = json.loads((derived[0] / "run.json").read_text())
    registration = pydicom.dcmread(derived[1] / "registration.dcm")
    assert registration.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.1"
    own, other = registration.RegistrationSequence
    assert own.FrameOfReferenceUID == registration.FrameOfReferenceUID == images_in(derived[1])[0].FrameOfReferenceUID
    matrix = other.MatrixRegistrationSequence[0].MatrixSequence[0]
    to_fixed = np.array(matrix.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
    fixed, moving = (np.array(record["transform"]["example"][f"{name}_point"]) for name in ("fixed", "moving"))
    assert np.abs(to_fixed[:3, :3] @ moving + to_fixed[:3, 3] - fixed).max() < 1e-4  # mm
    assert matrix.FrameOfReferenceTransformationMatrixType == "RIGID"


def test_applying_the_registration_gives_the_moved_image(
    derived: tuple[Path, Path, Any], folders: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "again.nii.gz"
    registration = derived[1] / "registration.dcm"
    result = medreg("apply", folders[1], "--transform", registration, "--like", folders[0], "--out", out)
    assert result.exit_code == 0, result.output
    moved, again = (np.asarray(nib.load(path).dataobj) for path in (derived[0] / "moved.nii.gz", out))
    assert np.abs(moved.astype(float) - again).max() <= 1  # a rounding to int16 may fall the other way


def test_without_a_grid_the_voxels_stay_and_the_header_moves(
    derived: tuple[Path, Path, Any], folders: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "placed.nii.gz"
    result = medreg("apply", folders[1], "--transform", derived[1] / "registration.dcm", "--out", out)
    assert result.exit_code == 0, result.output
    assert "moved by the header alone" in result.stdout
    source, placed = read_stored(folders[1]), nib.load(out)
    assert np.array_equal(np.asarray(placed.dataobj).T, source.array[0])
    to_moving = np.array(json.loads((derived[0] / "run.json").read_text())["transform"]["matrix"])
    index = np.array([[3.0, 4, 5], [20, 1, 30]])
    fixed_points = index @ (FLIP @ placed.affine)[:3, :3].T + (FLIP @ placed.affine)[:3, 3]
    back = fixed_points @ to_moving[:3, :3].T + to_moving[:3, 3]
    assert np.abs(back - source.grid.to_world(index)).max() < 1e-3  # mm: NIfTI keeps float32


def test_nothing_that_identifies_a_person_leaves_the_series(derived: tuple[Path, Path, Any]) -> None:
    out, series, result = derived
    record = (out / "run.json").read_text()
    names = " ".join(path.name for folder in (out, series) for path in folder.iterdir())
    for text in dicom_series.identifiers():
        assert text not in record
        assert text not in result.output
        assert text not in names
    template = images_in(series)[0]
    assert "JANE" in str(template.PatientName)  # it is in the derived series, where it belongs


def test_identifiers_are_kept_where_they_are_asked_for(folders: tuple[Path, Path], medreg: Run, tmp_path: Path) -> None:
    flags = ["-t", "translation", "--out", tmp_path / "o", "--keep-identifiers", "-q"]
    assert medreg("register", *folders, *flags).exit_code == 0
    inputs = json.loads((tmp_path / "o" / "run.json").read_text())["inputs"]
    assert inputs["moving"]["identifiers"]["PatientName"] == "DOE^JANE"


def test_two_patients_are_told_of_without_naming_them(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    fixed, moving = stored_voxels(pair.fixed), stored_voxels(pair.moving)
    dicom_series.classic(tmp_path / "a", *fixed, series="a", patient=dicom_series.JANE)
    dicom_series.classic(tmp_path / "b", *moving, series="b", patient=dicom_series.JOHN)
    flags = ["-t", "rigid", "--out", tmp_path / "o", "--dicom-out", tmp_path / "d"]
    result = medreg("register", tmp_path / "a", tmp_path / "b", *flags)
    assert result.exit_code == 0, result.output
    assert "different patients" in result.output
    assert "JOHN" not in result.output
    assert images_in(tmp_path / "d")[0].PatientID == dicom_series.JOHN["PatientID"]


def test_a_folder_of_two_series_lists_them_and_takes_the_one_that_is_named(
    folders: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    for folder in folders:
        shutil.copytree(folder, both / folder.name)
    flags = ["-t", "translation", "-q", "--out", tmp_path / "o"]
    refused = medreg("register", both, folders[1], *flags)
    assert refused.exit_code == 2
    assert "--fixed-series NUMBER" in refused.stderr
    assert "MR T1 head" in refused.stderr
    assert not (tmp_path / "o").exists()
    taken = medreg("register", both, folders[1], *flags, "--fixed-series", "t1 HEAD")
    assert taken.exit_code == 0, taken.output
    record = json.loads((tmp_path / "o" / "run.json").read_text())
    assert record["inputs"]["fixed"]["modality"] == "MR"
    uid = str(pydicom.dcmread(next(folders[1].iterdir())).SeriesInstanceUID)
    by_uid = medreg("register", both, folders[1], *flags, "--overwrite", "--fixed-series", uid)
    assert by_uid.exit_code == 0, by_uid.output
    assert uid not in (tmp_path / "o" / "run.json").read_text()
    again = medreg("register", "--config", tmp_path / "o" / "run.json", "--out", tmp_path / "again", "-q")
    assert again.exit_code == 0, again.output
    repeated = json.loads((tmp_path / "again" / "run.json").read_text())
    assert repeated["transform"]["matrix"] == record["transform"]["matrix"]


def test_info_lists_what_a_folder_holds(folders: tuple[Path, Path], medreg: Run, tmp_path: Path) -> None:
    both = tmp_path / "both"
    for folder in folders:
        shutil.copytree(folder, both / folder.name)
    dicom_series.junk(both / "junk")
    result = medreg("info", both)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert sorted(row[1] for row in rows if row and row[0] in ("1", "2")) == ["CT", "MR"]
    assert "other files, no images of DICOM" in result.stdout
    listed = json.loads(medreg("info", both, "--json").stdout)["series"][str(both)]["rows"]
    assert [row["size"] for row in listed if row["modality"] == "CT"] == [[36, 40, 34]]
    for text in dicom_series.identifiers():
        assert text not in result.output


def test_convert_writes_the_same_voxels_in_the_same_place_and_facts_beside(
    folders: tuple[Path, Path], pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "mr.nii.gz"
    result = medreg("convert", folders[1], out)
    assert result.exit_code == 0, result.output
    voxels, place = stored_voxels(pair.moving)
    image = nib.load(out)
    assert image.get_data_dtype() == np.int16
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    index = np.random.default_rng(0).integers(0, voxels.shape[::-1], (500, 3))
    world = index @ place[:3, :3].T + place[:3, 3]
    back = (world - (FLIP @ image.affine)[:3, 3]) @ np.linalg.inv((FLIP @ image.affine)[:3, :3]).T
    near = np.rint(back).astype(int)
    assert np.abs(back - near).max() < 1e-4  # of a voxel: NIfTI keeps float32
    assert np.array_equal(np.asarray(image.dataobj)[tuple(near.T)], voxels.T[tuple(index.T)])
    facts = json.loads((tmp_path / "mr.json").read_text())
    assert facts["Modality"] == "MR"
    assert facts["SeriesDescription"] == "T1 head"
    text = (tmp_path / "mr.json").read_text() + result.output
    for identifier in dicom_series.identifiers():
        assert identifier not in text
    again = medreg("convert", folders[1], out)
    assert again.exit_code == 7
    assert medreg("convert", folders[1], out, "--overwrite", "--keep-identifiers").exit_code == 0
    assert json.loads((tmp_path / "mr.json").read_text())["PatientID"] == "ID-12345"


def test_uneven_slices_are_refused_with_numbers_or_resampled_when_asked(
    folders: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    gap = tmp_path / "gap"
    gap.mkdir()
    heights = {float(pydicom.dcmread(p).ImagePositionPatient[2]): p for p in folders[0].iterdir()}
    for k, height in enumerate(sorted(heights)):
        if k != 20:
            shutil.copy(heights[height], gap)
    refused = medreg("convert", gap, tmp_path / "gap.nii.gz")
    assert refused.exit_code == 4
    assert "5.00 mm after slice 20 of 33: 1 slice is missing" in refused.stderr
    assert not (tmp_path / "gap.nii.gz").exists()
    taken = medreg("convert", gap, tmp_path / "gap.nii.gz", "--uneven", "resample")
    assert taken.exit_code == 0, taken.output
    assert "interpolated onto 34 even slices" in taken.output
    whole = read_stored(folders[0]).array[0].astype(float)
    mended = np.asarray(nib.load(tmp_path / "gap.nii.gz").dataobj).T.astype(float)
    assert np.array_equal(np.delete(mended, 20, 0), np.delete(whole, 20, 0))
    assert np.abs(mended[20] - (whole[19] + whole[21]) / 2).max() <= 0.5  # rounded


@pytest.mark.parametrize("moving", ["nifti", "homography"])
def test_what_cannot_become_dicom_is_refused_before_any_work(
    moving: str, folders: tuple[Path, Path], pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    other = pair.moving if moving == "nifti" else folders[1]
    kind = "homography" if moving == "homography" else "rigid"
    flags = ["-t", kind, "--out", tmp_path / "o", "--dicom-out", tmp_path / "d"]
    result = medreg("register", folders[0], other, *flags)
    assert result.exit_code == 2
    assert "--dicom-out" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_originals_are_never_replaced(folders: tuple[Path, Path], medreg: Run, tmp_path: Path) -> None:
    series = tmp_path / "mr"
    series.mkdir()
    for number, path in enumerate(sorted(folders[1].iterdir())):  # named as scanners and medreg name them
        shutil.copy(path, series / f"IM{number:04d}.dcm")
    before = {path.name: path.read_bytes() for path in series.iterdir()}
    flags = ["--out", tmp_path / "o", "--overwrite", "-q", "--dicom-out"]
    for target in (series, tmp_path, series / "inside"):
        assert medreg("register", folders[0], series, *flags, target).exit_code == 2
    elsewhere = medreg("register", *folders, *flags, series)  # no input of this run, but a scanner's files
    assert elsewhere.exit_code == 7
    assert "which medreg did not write" in elsewhere.stderr
    assert {path.name: path.read_bytes() for path in series.iterdir()} == before


def test_a_folder_of_other_files_is_never_replaced(folders: tuple[Path, Path], medreg: Run, tmp_path: Path) -> None:
    target = tmp_path / "d"
    target.mkdir()
    (target / "thesis.txt").write_text("the only copy")
    flags = ["--out", tmp_path / "o", "--dicom-out", target, "--overwrite", "-q"]
    result = medreg("register", *folders, *flags)
    assert result.exit_code == 7
    assert "thesis.txt" in result.stderr
    assert (target / "thesis.txt").read_text() == "the only copy"


def test_an_old_series_is_replaced_only_when_asked(
    derived: tuple[Path, Path, Any], folders: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    target = tmp_path / "d"
    shutil.copytree(derived[1], target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    flags = ["-t", "translation", "--out", tmp_path / "o", "--dicom-out", target, "-q"]
    assert medreg("register", *folders, *flags).exit_code == 7
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert medreg("register", *folders, *flags, "--overwrite").exit_code == 0
    after = {path.name: path.read_bytes() for path in target.iterdir()}
    assert set(after) == set(before)
    assert after != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "o"]
