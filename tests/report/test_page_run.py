"""`medreg register` and its report: on by default, off when asked, and never in the way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from medreg.cli.main import app


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two small heads, 3 mm apart, on different grids."""
    folder = tmp_path_factory.mktemp("pair")
    names = []
    for name, shift, size in (("fixed", 0.0, (32, 30, 28)), ("moving", 3.0, (30, 32, 30))):
        points = np.stack(np.meshgrid(*[3.0 * (np.arange(n) - n / 2) for n in size], indexing="ij"), -1)
        values = np.zeros(size)
        for centre, width, height in (((0, 0, 0), 26, 900), ((18, 10, -6), 8, 700), ((-15, 16, 8), 6, 800)):
            values += height * np.exp(-((points - centre - [shift, 0, 0]) ** 2).sum(-1) / (2 * width**2))
        affine = np.diag([3.0, 3.0, 3.0, 1.0])
        affine[:3, 3] = [-3.0 * n / 2 for n in size]
        nib.save(nib.Nifti1Image(values.astype(np.int16), affine), folder / f"{name}.nii.gz")
        names.append(str(folder / f"{name}.nii.gz"))
    return names[0], names[1]


def run(*arguments: object) -> str:
    quick = ("-t", "translation", "-m", "mean_squares", "--start", "header", "--threads", "1")
    result = CliRunner().invoke(app, ["register", *quick, *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def outputs(folder: Path) -> set[str]:
    """The names of all files but the map of the predicted error, which is there with and without a report."""
    return {path.name for path in folder.iterdir()} - {"error.nii.gz"}


def record(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return loaded


def test_both_files_are_there_by_default_and_the_summary_names_the_page(pair: tuple[str, str], tmp_path: Path) -> None:
    said = run(*pair, "--out", tmp_path)
    names = {"moved.nii.gz", "transform.tfm", "run.json", "report.html", "figure.png"}
    assert outputs(tmp_path) == names
    assert "run.json, report.html" in said
    assert record(tmp_path)["outputs"]["report"] == {"page": "report.html", "figure": "figure.png"}
    # the moving head lies 3 mm further along +x of RAS, to the right: it had to go to the left
    assert "Moved 3.0 mm to the left" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("how", ["flag", "yaml", "again"])
def test_no_report_writes_neither(pair: tuple[str, str], tmp_path: Path, how: str) -> None:
    out, flags = tmp_path / "out", []
    if how == "flag":
        flags = [*pair, "--no-report"]
    elif how == "yaml":
        (tmp_path / "job.yaml").write_text("report: false\n")
        flags = [*pair, "--config", tmp_path / "job.yaml"]
    else:
        run(*pair, "--no-report", "--out", tmp_path / "first")
        flags = ["--config", tmp_path / "first" / "run.json"]
    said = run(*flags, "--out", out)
    assert outputs(out) == {"moved.nii.gz", "transform.tfm", "run.json"}
    assert "report.html" not in said
    assert record(out)["job"]["report"] is False
    assert "report" not in record(out)["outputs"]


def test_an_old_report_does_not_vouch_for_a_new_result(pair: tuple[str, str], tmp_path: Path) -> None:
    run(*pair, "--out", tmp_path)
    run(*pair, "--out", tmp_path, "--overwrite", "--no-report")
    assert outputs(tmp_path) == {"moved.nii.gz", "transform.tfm", "run.json"}


def test_a_report_that_is_there_is_not_replaced_unasked(pair: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    result = CliRunner().invoke(app, ["register", *pair, "--out", str(tmp_path)])
    assert result.exit_code != 0
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.parametrize(
    "broken",
    [
        "medreg.report.page.sampling.views_of",
        "medreg.report.page.writing.draw_figure",
        "medreg.report.page.writing.page",
    ],
)
def test_a_report_that_fails_is_a_warning_and_the_run_succeeds(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("seven\nlegs")

    monkeypatch.setattr(broken, fail)
    said = run(*pair, "--out", tmp_path)
    assert outputs(tmp_path) == {"moved.nii.gz", "transform.tfm", "run.json"}
    assert "no report was made: ValueError: seven legs" in said
    assert [text for text in record(tmp_path)["warnings"] if "no report was made" in text]
    assert "report" not in record(tmp_path)["outputs"]


def test_two_runs_give_the_same_report_but_for_times(pair: tuple[str, str], tmp_path: Path) -> None:
    texts, figures = [], []
    for name in "ab":
        run(*pair, "--out", tmp_path / name / "out")
        text = (tmp_path / name / "out" / "report.html").read_text(encoding="utf-8")
        text = re.sub(r"&#34;seconds&#34;: (\{.*?\}|[\d.e-]+)", "", text, flags=re.DOTALL)  # in the record
        texts.append(re.sub(r"[\d.]+ s on", "", text).replace(str(tmp_path / name), ""))
        figures.append((tmp_path / name / "out" / "figure.png").read_bytes())
    assert texts[0] == texts[1]
    assert figures[0] == figures[1]
