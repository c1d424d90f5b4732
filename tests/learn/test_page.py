"""The page about learning holds the tables that were measured, and true counts; the measurements hold the bars."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from medreg.learn.network import count_of, model_for
from medreg.learn.settings import Phantom, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "learning.md").read_text(encoding="utf-8")

spec = importlib.util.spec_from_file_location("train_inverse_benchmark", ROOT / "benchmarks" / "train_inverse.py")
assert spec is not None and spec.loader is not None
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


@pytest.mark.parametrize("name", ["line_rotation", "head_rotation"])
def test_the_tables_are_those_of_the_results(name: str) -> None:
    runs = json.loads((benchmark.RESULTS / f"train_inverse_{name}.json").read_text(encoding="utf-8"))
    assert benchmark.filled(PAGE, name, benchmark.table(runs)) == PAGE
    assert benchmark.table(runs) in PAGE
    assert [run["settings"]["seed"] for run in runs] == [0, 1, 2, 3, 4]
    for run in runs:
        phantom: Phantom = run["settings"]["phantom"]
        assert run["settings"] == Settings.of(phantom, seed=run["settings"]["seed"]).to_dict()  # the defaults
        last, frame = run["epochs"][-1]["test"], run["frame"]
        if phantom == "line":  # as published: 0.001535, 68.7 %
            assert last["mse"] < 0.001535
            assert 1 - last["mse"] / frame["baseline"]["mse"] >= 0.687
            assert last["mse"] <= 1.10 * frame["oracle"]["mse"]
        else:
            assert last["angle_deg"] < 1.0


@pytest.mark.parametrize(("phantom", "said"), [("line", "19,859"), ("head", "273,811")])
def test_the_page_says_how_many_parameters_there_are(phantom: Phantom, said: str) -> None:
    assert f"{count_of(model_for(Settings.of(phantom))):,}" == said
    assert said in PAGE
