"""Label maps and metrics in a weighted sum, through flags, recipes and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from medreg.io.transforms import read_transform

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]
DATA = Path(__file__).parents[2] / "sample_data"
IMAGES = [DATA / "head_t1.nii.gz", DATA / "head_t1_moved.nii.gz"]
LABELS = ["--fixed-labels", DATA / "labels.nii.gz", "--moving-labels", DATA / "labels_moved.nii.gz"]
QUICK = "start: centre\nlevels: [{spacing_mm: 12, samples: 20000}, {spacing_mm: 5, samples: 20000}]\n"


def missed(folder: Path) -> float:
    """Largest distance at the landmarks, mm."""
    points = np.loadtxt(DATA / "landmarks.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))
    error = read_transform(folder / "transform.tfm") - np.loadtxt(DATA / "head_t1_moved.truth.txt")
    return float(np.linalg.norm(np.column_stack([points, np.ones(len(points))]) @ error.T, axis=1).max())


def test_labels_alone_register_the_head(medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK)
    flags = ["-m", "label_overlap", *LABELS, "--config", tmp_path / "quick.yaml", "--out", tmp_path / "o"]
    result = medreg("register", *IMAGES, *flags)
    assert result.exit_code == 0, result.output
    assert missed(tmp_path / "o") < 1.0  # mm, a fifth of the level's voxel
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    assert run["metric"]["used"] == "label_overlap"
    assert run["inputs"]["moving_labels"]["file"] == str(DATA / "labels_moved.nii.gz")


def test_several_metrics_stand_in_a_list_with_their_weights_and_the_record_repeats_them(
    medreg: Run, tmp_path: Path
) -> None:
    metric = "metric:\n  - {name: correlation, bias_order: 1, weight: 2}\n  - label_overlap\n"
    labels = f"fixed_labels: {DATA / 'labels.nii.gz'}\nmoving_labels: {DATA / 'labels_moved.nii.gz'}\n"
    (tmp_path / "several.yaml").write_text(QUICK + metric + labels)
    result = medreg("register", *IMAGES, "--config", tmp_path / "several.yaml", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert "metric   2 × correlation + label overlap 0." in result.stdout
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    assert run["metric"]["terms"] == [
        {"name": "correlation", "weight": 2.0},
        {"name": "label_overlap", "weight": 1.0},
    ]
    assert missed(tmp_path / "o") < 0.5  # mm
    assert medreg("register", "--config", tmp_path / "o" / "run.json", "--out", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / "transform.tfm").read_bytes() == (tmp_path / "o" / "transform.tfm").read_bytes()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["-m", "label_overlap", *LABELS[:2]], "give label maps of both images"),
        (LABELS, "compared by the metric label_overlap, which is not asked for"),
    ],
    ids=["one", "another metric"],
)
def test_label_maps_that_cannot_be_used_are_refused(
    flags: list[object], said: str, medreg: Run, tmp_path: Path
) -> None:
    result = medreg("register", *IMAGES, *flags, "--out", tmp_path / "o")
    assert result.exit_code == 6
    assert said in result.stderr
    assert not (tmp_path / "o").exists()


def test_an_image_that_is_no_label_map_is_refused_by_name(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    result = medreg("register", *IMAGES, "-m", "label_overlap", "--out", tmp_path / "o")
    assert result.exit_code == 5
    assert "head_t1.nii.gz is no label map" in result.stderr
