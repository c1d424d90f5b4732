"""`medreg evaluate` measures what NumPy and SimpleITK measure, in the direction that it says."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medreg.report.evaluation import Sheet, show

Run = Callable[..., Any]
DATA = Path(__file__).parents[2] / "sample_data"
LANDMARKS = (DATA / "landmarks.csv", DATA / "landmarks_moved.csv")
HEAD = DATA / "head_t1.nii.gz"
TRUTH = DATA / "head_t1_moved.truth.txt"
BY_TRUTH = ("--transform", TRUTH, "--from", "lps")


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sample data's label maps, every third voxel, in place."""
    folder = tmp_path_factory.mktemp("labels")
    for name in ("labels.nii.gz", "labels_moved.nii.gz"):
        sitk.WriteImage(sitk.ReadImage(str(DATA / name))[::3, ::3, ::3], str(folder / name))
    return folder / "labels.nii.gz", folder / "labels_moved.nii.gz"


@pytest.fixture
def truth() -> np.ndarray:
    return np.loadtxt(TRUTH)


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2, 3)) for path in LANDMARKS)
    return first, second


@pytest.fixture
def shifted(tmp_path: Path, truth: np.ndarray) -> Path:
    """The truth, a millimetre and a half too far."""
    matrix = truth.copy()
    matrix[:3, 3] += (0.5, -1, 1)
    np.savetxt(tmp_path / "shifted.txt", matrix)
    return tmp_path / "shifted.txt"


def test_the_transform_carries_fixed_points_to_the_moving_space(
    medreg: Run, points: tuple[np.ndarray, np.ndarray], shifted: Path
) -> None:
    found = json.loads(medreg("evaluate", "--landmarks", *LANDMARKS, "-t", shifted, "--from", "lps", "--json").stdout)
    matrix = np.loadtxt(shifted)
    wanted = np.linalg.norm(points[0] @ matrix[:3, :3].T + matrix[:3, 3] - points[1], axis=1)
    errors = [point["error"] for point in found["landmarks"]["points"]]
    np.testing.assert_allclose(errors, wanted, atol=1e-9)  # mm
    summary = {name: values["error"] for name, values in found["landmarks"]["summary"].items()}
    assert summary == pytest.approx(
        {
            "mean": wanted.mean(),
            "median": np.median(wanted),
            "max": wanted.max(),
            "rms": np.sqrt((wanted**2).mean()),
        }
    )
    assert found["landmarks"]["matched_by"] == "name"
    inverse = json.loads(
        medreg("evaluate", "--landmarks", *LANDMARKS[::-1], "-t", f"inverse:{TRUTH}", "--from", "lps", "--json").stdout
    )
    assert inverse["landmarks"]["summary"]["mean"]["error"] < 1e-3  # mm; the files have four decimals


def test_points_are_paired_by_name_and_the_pairing_and_the_space_are_told(medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,x,y,z\nAC,1,2,3\nPC,4,5,6\n")
    (tmp_path / "b.fcsv").write_text(
        "# CoordinateSystem = RAS\n# columns = x,y,z,label\n-4,-5,7,PC\n0,0,0,eye\n-1,-2,3,AC\n"
    )
    said = medreg("evaluate", "--landmarks", tmp_path / "a.csv", tmp_path / "b.fcsv").stdout
    assert "fixed points: LPS, which CSV is taken to be where it does not say" in said
    assert "moving points: RAS, as the file says" in said
    assert "2 pairs, matched by name" in said
    assert f"only in {tmp_path / 'b.fcsv'}: eye" in said
    rows = {words[0]: words[1] for line in said.splitlines() if len(words := line.split()) == 2}
    assert (rows["AC"], rows["PC"], rows["mean"]) == ("0.000", "1.000", "0.500")


def test_the_coordinates_asked_for_count_only_where_a_file_does_not_say_them(medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z\n-1,-2,3\n")
    (tmp_path / "b.csv").write_text("L,P,S\n1,2,3\n")
    found = medreg(
        "evaluate", "--landmarks", tmp_path / "a.csv", tmp_path / "b.csv", "--coordinates", "RAS", "--json"
    ).stdout
    assert json.loads(found)["landmarks"]["summary"]["max"]["error"] == 0
    assert json.loads(found)["landmarks"]["fixed_space"] == "RAS, as asked"
    assert json.loads(found)["warnings"] == []


def test_points_of_pictures_are_in_pixels(medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",X,Y\n1,10,20\n")
    (tmp_path / "b.csv").write_text(",X,Y\n1,13,24\n")
    assert "error px" in medreg("evaluate", "--landmarks", tmp_path / "a.csv", tmp_path / "b.csv").stdout


def test_labels_through_the_truth_overlap_as_simpleitk_says(
    medreg: Run, truth: np.ndarray, labels: tuple[Path, Path]
) -> None:
    said = medreg("evaluate", "--labels", *labels, *BY_TRUTH, "--interpolation", "nearest", "--json")
    found = json.loads(said.stdout)["labels"]
    fixed, moving = (sitk.ReadImage(str(path)) for path in labels)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(truth[:3, :3].ravel())
    transform.SetTranslation(truth[:3, 3])
    moved = sitk.Resample(moving, fixed, transform, sitk.sitkNearestNeighbor)
    judge = sitk.LabelOverlapMeasuresImageFilter()
    judge.Execute(fixed, moved)
    for row in found["labels"]:
        # half-way points may be rounded the other way
        assert row["dice"] == pytest.approx(judge.GetDiceCoefficient(row["label"]), abs=2e-3)
    assert found["summary"]["mean"]["dice"] == pytest.approx(np.mean([row["dice"] for row in found["labels"]]))
    assert found["summary"]["mean"]["dice"] > 0.7  # every third voxel alone: thin labels suffer
    assert found["summary"]["mean"]["mean_surface"] < 2.0  # mm; half a voxel of the maps
    by_label = json.loads(medreg("evaluate", "--labels", *labels, *BY_TRUTH, "--json").stdout)["labels"]
    assert by_label["interpolation"] == "label"
    assert by_label["summary"]["mean"]["dice"] >= found["summary"]["mean"]["dice"]


def test_labels_on_different_grids_are_refused_unless_resampling_is_asked_for(
    medreg: Run, labels: tuple[Path, Path]
) -> None:
    refused = medreg("evaluate", "--labels", *labels)
    assert refused.exit_code == 2
    assert "different grids" in refused.stderr
    assert f"medreg apply {labels[1]} --like {labels[0]} --interpolation label" in refused.stderr
    asked = json.loads(medreg("evaluate", "--labels", *labels, "--interpolation", "nearest", "--json").stdout)
    assert asked["labels"]["summary"]["mean"]["dice"] < 0.7  # they were never registered


def test_a_label_map_agrees_with_itself_without_torch(labels: tuple[Path, Path]) -> None:
    code = (
        "import sys\n"
        "from medreg.cli.main import app\n"
        f"app(['evaluate', '--labels', {str(labels[0])!r}, {str(labels[0])!r}, '--json'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)["labels"]
    assert found["interpolation"] is None
    assert all(row["dice"] == 1 and row["hausdorff"] == 0 for row in found["labels"])


def test_transforms_are_compared_over_the_fixed_image(
    medreg: Run, shifted: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    back = tmp_path / "back.txt"
    np.savetxt(back, np.linalg.inv(truth))
    like = ("--like", HEAD, "--from", "lps", "--json")
    found = json.loads(medreg("evaluate", "--transforms", TRUTH, shifted, "--inverse", shifted, back, *like).stdout)
    assert found["transforms"]["apart"]["mean"] == pytest.approx(1.5)
    assert found["transforms"]["apart"]["maximum"] == pytest.approx(1.5)
    wanted = np.linalg.norm(np.linalg.inv(truth)[:3, :3] @ (0.5, -1, 1))
    assert found["inverse"]["apart"]["maximum"] == pytest.approx(wanted)
    same = json.loads(medreg("evaluate", "--transforms", TRUTH, f"inverse:{back}", *like).stdout)
    assert same["transforms"]["apart"]["maximum"] < 1e-9  # mm, rounding


def test_all_at_once_end_in_one_table(medreg: Run, shifted: Path, tmp_path: Path, labels: tuple[Path, Path]) -> None:
    table = tmp_path / "table.csv"
    common = ("--landmarks", *LANDMARKS, "--labels", *labels, *BY_TRUTH, "--transforms", TRUTH, shifted)
    run = medreg("evaluate", *common, "--like", HEAD, "--out", table)
    assert run.exit_code == 0, run.stderr
    assert [line.split()[0] for line in run.stdout.splitlines() if line and not line.startswith(" ")] == [
        "landmarks",
        "labels",
        "transforms",
        "wrote",
    ]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = [row["kind"] for row in rows]
    assert kinds.count("landmark") == len(LANDMARKS[0].read_text().splitlines()) - 1
    assert {"label", "transforms", "landmarks", "labels"} <= set(kinds)
    (apart,) = (row for row in rows if row["kind"] == "transforms")
    assert float(apart["mean"]) == pytest.approx(1.5)
    assert apart["dice"] == ""
    refused = medreg("evaluate", *common, "--like", HEAD, "--out", table)
    assert refused.exit_code == 7
    quiet = medreg("evaluate", "--landmarks", *LANDMARKS, "--out", table, "--overwrite", "-q")
    assert (quiet.exit_code, quiet.stdout) == (0, "")
    assert table.read_text().startswith("kind,name,error\nlandmark,")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "nothing to compare"),
        (("--transforms", TRUTH, TRUTH), 2, "name the fixed one with --like"),
        (
            ("--transforms", TRUTH, TRUTH, "--like", HEAD, "-t", TRUTH),
            2,
            "--transform carries landmarks and labels",
        ),
        (("--landmarks", *LANDMARKS, "--interpolation", "nearest"), 2, "--interpolation is for --labels"),
        (("--labels", HEAD, HEAD, "--coordinates", "RAS"), 2, "--coordinates is for --landmarks"),
        (("--landmarks", *LANDMARKS, "--out", "table.xls"), 7, "written as .csv"),
        (("--landmarks", *LANDMARKS, "-q"), 2, "-q prints nothing"),
        (("--landmarks", *LANDMARKS, "--json", "-q"), 2, "-q prints nothing"),
        (("--landmarks", LANDMARKS[0], "none.csv"), 3, "none.csv: no such file"),
        (("--landmarks", LANDMARKS[0], HEAD), 3, "is no file of points"),
        (("--landmarks", LANDMARKS[0]), 2, ""),
    ],
)
def test_what_does_not_fit_together_is_refused(
    medreg: Run, arguments: tuple[object, ...], code: int, message: str
) -> None:
    run = medreg("evaluate", *arguments)
    assert run.exit_code == code
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_an_image_among_the_labels_is_told(medreg: Run, tmp_path: Path) -> None:
    image = tmp_path / "noise.nii"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(0, 900, (6, 7, 8), np.int16), np.eye(4)), image)
    found = json.loads(medreg("evaluate", "--labels", image, image, "--json").stdout)
    assert found["warnings"] == [f"{image}: does not look like a label map; is it an image?"]


def test_a_series_and_a_picture_of_fractions_are_no_label_maps(medreg: Run, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4)), tmp_path / "series.nii")
    run = medreg("evaluate", "--labels", tmp_path / "series.nii", tmp_path / "series.nii")
    assert run.exit_code == 5
    assert "has 2 channels or volumes, a label map has one" in run.stderr
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), 0.5, np.float32), np.eye(4)), tmp_path / "half.nii")
    run = medreg("evaluate", "--labels", tmp_path / "half.nii", tmp_path / "half.nii")
    assert run.exit_code == 5
    assert "labels are whole numbers, got fractions" in run.stderr


def test_a_terminal_gets_the_same_figures_and_names_in_brackets_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    show([Sheet("title", ("a note [of mine]",), ("point", "error mm"), (("[AC]", "1.250"),), (("mean", "1.250"),))])
    said = capsys.readouterr().out
    for text in ("title", "a note [of mine]", "[AC]", "error mm", "mean"):
        assert text in said
    assert said.count("1.250") == 2
