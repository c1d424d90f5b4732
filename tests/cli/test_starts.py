"""`--start`: a way to find a start, or a transform's file, which is then where the run begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from medreg.io.transforms import End, Form, write_transform

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]
BARELY = "levels: [{spacing_mm: 10, samples: 2000, steps: 1, tolerance_mm: 1000}]\nmetric: correlation\n"
"""One step, and not far: where the run ends tells where it began."""


def record(folder: Path) -> dict[str, Any]:
    """The run's record."""
    loaded: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return loaded


@pytest.fixture
def begin(pair: Pair, medreg: Run, tmp_path: Path) -> Run:
    """begin(matrix, *flags, name=): register the pair from a file of this matrix, barely; the result of the command."""

    def run(matrix: np.ndarray, *flags: object, name: str = "start.json", out: str = "o") -> Any:
        write_transform(matrix, tmp_path / name)
        (tmp_path / "barely.yaml").write_text(BARELY)
        files = ["--config", tmp_path / "barely.yaml", "--start", tmp_path / name, "--out", tmp_path / out]
        return medreg("register", *pair.both, *files, *flags)

    return run


def away(pair: Pair) -> np.ndarray:
    """The true pose, but turned by 60 degrees about z."""
    c, s = 0.5, 0.75**0.5
    return pair.truth @ np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def degrees_between(one: np.ndarray, other: np.ndarray) -> float:
    """By how much one pose is turned against another."""
    return float(np.degrees(np.arccos((np.trace(one[:3, :3].T @ other[:3, :3]) - 1) / 2)))


def furthest(matrix: np.ndarray, other: np.ndarray) -> float:
    """mm, at the corners of a cube of 60 mm."""
    corners = np.stack(np.meshgrid(*[(-30.0, 30.0)] * 3), -1).reshape(-1, 3)
    return float(np.linalg.norm(corners @ (matrix - other)[:3, :3].T + (matrix - other)[:3, 3], axis=1).max())


@pytest.mark.parametrize("name", ["start.tfm", "start.json"])
def test_a_run_begins_at_the_given_transform(name: str, pair: Pair, begin: Run, tmp_path: Path) -> None:
    result = begin(away(pair), "-t", "rigid", "--verbose", name=name)
    assert result.exit_code == 0, result.output
    run = record(tmp_path / "o")
    assert run["start"]["used"] == "given"
    assert run["start"]["candidates"] == []
    assert run["start"]["asked"] == str(tmp_path / name)
    found = np.array(run["transform"]["matrix"])
    # one step is cut at a length; no other start is turned by 60 degrees, and the truth is not
    assert degrees_between(found, away(pair)) < 30
    assert f"start    given, {tmp_path / name}" in result.stdout


def test_from_the_truth_it_stays_there(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    write_transform(pair.truth, tmp_path / "truth.tfm")
    result = medreg("register", *pair.both, "-t", "rigid", "--start", tmp_path / "truth.tfm", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert furthest(np.array(record(tmp_path / "o")["transform"]["matrix"]), pair.truth) < 0.5  # mm: as without a start


def test_a_start_in_flirts_voxels_goes_by_the_headers_of_the_images(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    ends = {role: End(path=Path(path)) for role, path in zip(("fixed", "moving"), pair.both, strict=True)}
    write_transform(pair.truth, tmp_path / "flirt.mat", form=Form.FSL, **ends)
    files = ["--start", tmp_path / "flirt.mat", "--out", tmp_path / "o"]
    (tmp_path / "barely.yaml").write_text(BARELY)
    result = medreg("register", *pair.both, "--config", tmp_path / "barely.yaml", *files)
    assert result.exit_code == 0, result.output
    assert furthest(np.array(record(tmp_path / "o")["transform"]["matrix"]), pair.truth) < 2  # one step from it


def test_a_bare_matrix_as_a_start_is_told_to_be_written_anew(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "bare.txt", pair.truth)
    result = medreg("register", *pair.both, "--start", tmp_path / "bare.txt", "--out", tmp_path / "o")
    assert result.exit_code == 2
    assert "medreg convert-transform bare.txt start.tfm --from" in result.stderr


def test_a_rigid_run_from_an_affine_start_is_rigid(pair: Pair, begin: Run, tmp_path: Path) -> None:
    stretched = pair.truth @ np.diag([1.05, 0.95, 1.0, 1.0])
    assert begin(stretched, "-t", "rigid").exit_code == 0
    assert record(tmp_path / "o")["transform"]["scales"] == pytest.approx([1, 1, 1], abs=1e-9)


def test_a_translation_is_not_turned_by_its_start(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    result = medreg("register", *pair.both, "-t", "translation", "--start", "moments", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert record(tmp_path / "o")["transform"]["rotation_angle_deg"] == pytest.approx(0, abs=1e-9)


def test_a_record_repeats_its_start_and_tells_when_it_has_changed(
    pair: Pair, begin: Run, medreg: Run, tmp_path: Path
) -> None:
    assert begin(away(pair), "-t", "rigid").exit_code == 0
    again = ["register", "--config", tmp_path / "o" / "run.json", "--out"]
    assert medreg(*again, tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / "transform.tfm").read_bytes() == (tmp_path / "o" / "transform.tfm").read_bytes()
    write_transform(pair.truth, tmp_path / "start.json")
    assert "start.json: has changed since" in medreg(*again, tmp_path / "changed").stdout
    searched = medreg(*again, tmp_path / "other", "--start", "centre")  # the flag beats the file
    assert searched.exit_code == 0, searched.output
    assert record(tmp_path / "other")["start"]["used"] == "centre of mass"


@pytest.mark.parametrize("holder", ["start: {}", "recipe:\n  start: {}"], ids=["flat", "nested"])
def test_a_recipe_may_name_the_file_from_its_own_folder(holder: str, pair: Pair, medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    write_transform(pair.truth, tmp_path / "recipes" / "rough.tfm")
    (tmp_path / "recipes" / "job.yaml").write_text(BARELY + holder.format("rough.tfm"))
    flags = ["--config", tmp_path / "recipes" / "job.yaml", "-t", "rigid", "--out", tmp_path / "o"]
    assert medreg("register", *pair.both, *flags).exit_code == 0
    assert record(tmp_path / "o")["start"]["asked"] == str(tmp_path / "recipes" / "rough.tfm")


@pytest.mark.parametrize(("word", "meant"), [("nonsense", None), ("serch", "search"), ("center", "centre")])
def test_a_word_that_is_no_start_is_told_the_choices(
    word: str, meant: str | None, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    result = medreg("register", *pair.both, "--start", word, "--out", tmp_path / "o")
    assert result.exit_code == 3
    assert f"{word}: no such file" in result.stderr
    assert "auto, header, centre, moments, search, or the file of a transform" in result.stderr
    assert (f"did you mean {meant}?" in result.stderr) == (meant is not None)
    assert not (tmp_path / "o").exists()


def with_row(*row: float) -> np.ndarray:
    """The identity with another last row."""
    matrix = np.eye(4)
    matrix[3] = row
    return matrix


@pytest.mark.parametrize(
    ("matrix", "kind", "said"),
    [
        (np.eye(3), "rigid", "is a 2D transform, the images are 3D"),
        (with_row(1e-4, 0, 0, 1), "affine", "holds a homography; add --transform homography"),
        (with_row(0.1, 0, 0, 1), "homography", "its horizon (w = 0) crosses the fixed image"),
        (np.diag([-1.0, 1, 1, 1]), "affine", "mirrors the image, its determinant is -1"),
        (np.diag([0.0, 1, 1, 1]), "affine", "cannot be inverted"),
    ],
    ids=["dimension", "family", "horizon", "mirror", "flat"],
)
def test_a_start_that_the_run_cannot_begin_at_is_refused(
    matrix: np.ndarray, kind: str, said: str, begin: Run, tmp_path: Path
) -> None:
    result = begin(matrix, "-t", kind)
    assert result.exit_code == 10, result.output
    assert f"medreg: {tmp_path / 'start.json'}: " in result.stderr
    assert said in result.stderr
    assert not (tmp_path / "o").exists()
