"""`--symmetric`: A to B and B to A, run by themselves, are each other's inverse; and the sample pair's verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from medreg.cli.main import app
from medreg.io.transforms import read_transform

DATA = Path(__file__).parents[2] / "sample_data"
IMAGES = {"a": DATA / "head_t1.nii.gz", "b": DATA / "head_t1_moved.nii.gz"}
LEVELS = "levels: [{spacing_mm: 12, samples: 20000}, {spacing_mm: 4, samples: 30000}]\n"
"""Half-way sums are exact inverses at any resolution; a coarse one is quick."""
MM = 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both ways by --symmetric in `ab` and `ba`, and one of them again from its record."""
    path = tmp_path_factory.mktemp("symmetric")
    (path / "quick.yaml").write_text(LEVELS)

    def run(*arguments: object) -> None:
        result = CliRunner().invoke(app, ["register", *map(str, arguments)])
        assert result.exit_code == 0, result.output

    for name in ("ab", "ba"):
        images = [IMAGES[letter] for letter in name]
        run(*images, "--config", path / "quick.yaml", "--symmetric", "--out", path / name)
    run("--config", path / "ba" / "run.json", "--out", path / "again")
    return path


def record(folder: Path) -> dict[str, Any]:
    """The run's record."""
    loaded: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return loaded


def test_there_and_back_is_where_one_began(folder: Path) -> None:
    there, back = (read_transform(folder / name / "transform.tfm") for name in ("ab", "ba"))
    head = np.stack(np.meshgrid(*[(-90.0, 0.0, 90.0)] * 3), -1).reshape(-1, 3)
    points = np.column_stack([head, np.ones(len(head))])
    assert np.abs(points @ (back @ there).T - points).max() < MM


def test_both_ways_find_the_head(folder: Path) -> None:
    truth = np.loadtxt(DATA / "head_t1_moved.truth.txt")
    landmarks = np.loadtxt(DATA / "landmarks.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))
    points = np.column_stack([landmarks, np.ones(len(landmarks))])
    there = read_transform(folder / "ab" / "transform.tfm")
    assert np.linalg.norm(points @ (there - truth).T, axis=1).max() < 0.3  # mm, of levels of 4 mm


def test_a_record_repeats_it(folder: Path) -> None:
    assert record(folder / "ba")["job"]["recipe"]["symmetric"] is True
    for name in ("transform.tfm", "moved.nii.gz"):
        assert (folder / "again" / name).read_bytes() == (folder / "ba" / name).read_bytes()


def test_the_sample_pair_is_believed(folder: Path) -> None:
    for name in ("ab", "ba"):
        verdict = record(folder / name)["verdict"]
        assert verdict["standing"] == "ok"
        assert verdict["agreement"] > 1.5
        assert verdict["reasons"] == [
            f"inside their outlines the images share {verdict['agreement']:.2f} times the information of nearby poses"
        ]
