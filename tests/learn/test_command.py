"""`medreg train-inverse`: what it writes, shows and refuses; stopped and resumed it ends as if it had not been."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.learn.checkpoint import read_model
from medreg.learn.training import Training
from medreg.report.training import shown_epochs

SMALL = ("--images", 6, "--test-images", 4, "--epochs", 4, "--batch", 2)

Verb = Callable[..., Any]


def metrics(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return record


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    """The record without times and places."""
    kept = {k: v for k, v in record.items() if k not in ("seconds", "outputs")}
    kept["epochs"] = [{k: v for k, v in e.items() if k != "seconds"} for e in record["epochs"]]
    return kept


def test_it_writes_metrics_model_and_pictures_and_shows_a_table(verb: Verb, tmp_path: Path) -> None:
    out = tmp_path / "o"
    ran = verb(*SMALL, "--out", out)
    assert ran.exit_code == 0, ran.output
    assert sorted(p.name for p in out.iterdir()) == ["losses.png", "metrics.json", "model.safetensors", "slices.png"]
    record = metrics(out)
    assert record["settings"]["images"] == 6
    assert record["parameters"] == 19_859
    assert [e["number"] for e in record["epochs"]] == [1, 2, 3, 4]
    assert record["test"]["empty"]["mse"] == pytest.approx(0.0053125)
    assert record["test"]["oracle"]["mse"] < 0.5 * record["test"]["baseline"]["mse"]
    result, baseline = record["result"], record["test"]["baseline"]["mse"]
    assert result["better_by"] == pytest.approx(100 * (1 - result["test"] / baseline))
    assert result["over_oracle"] == pytest.approx(result["test"] / record["test"]["oracle"]["mse"])
    assert {"medreg", "torch", "safetensors"} <= set(record["versions"])
    for said in ("no correction", "exact inverse", "empty image", "better by", f"{result['test']:.6f}"):
        assert said in ran.stdout
    assert ran.stderr == ""
    for name, shape in (("losses.png", (960, 560)), ("slices.png", (1292, 528))):
        picture = sitk.GetArrayFromImage(sitk.ReadImage(str(out / name)))
        assert picture.shape == (*shape[::-1], 3)
        assert len(np.unique(picture)) > 30  # drawn on
    assert read_model(out / "model.safetensors")(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 1, 16, 16, 16)


def test_json_prints_the_record_and_quiet_prints_nothing(verb: Verb, tmp_path: Path) -> None:
    told = verb(*SMALL, "--out", tmp_path / "a", "--json")
    assert json.loads(told.stdout) == metrics(tmp_path / "a")
    assert verb(*SMALL, "--out", tmp_path / "b", "-q").output == ""
    assert verb(*SMALL, "--out", tmp_path / "c", "-q", "--json").exit_code == 2
    assert numbers(metrics(tmp_path / "a")) == numbers(metrics(tmp_path / "b"))


def test_verbose_says_a_line_each_epoch(verb: Verb, tmp_path: Path) -> None:
    ran = verb("--phantom", "head", "--size", 8, *SMALL, "--out", tmp_path / "o", "-v")
    assert ran.exit_code == 0, ran.output
    said = ran.stderr.splitlines()
    assert [line.split()[1] for line in said] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("angle off" in line and "°" in line for line in said)
    assert "angles are off by" in ran.stdout


@pytest.mark.parametrize("chosen", [(), ("--phantom", "head", "--model", "affine", "--size", "8")])
def test_a_stopped_and_resumed_run_writes_what_an_uninterrupted_one_does(
    verb: Verb, chosen: tuple[str, ...], tmp_path: Path
) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert verb(*chosen, *SMALL, "--out", whole).exit_code == 0
    stopped = verb(*chosen, *SMALL, "--out", parted, "--until", 3)
    assert stopped.exit_code == 0, stopped.output
    assert f"go on with: medreg train-inverse --resume --out {parted}" in stopped.stdout
    assert [p.name for p in parted.iterdir()] == ["checkpoint.safetensors"]
    resumed = verb("--resume", "--out", parted)
    assert resumed.exit_code == 0, resumed.output
    assert numbers(metrics(parted)) == numbers(metrics(whole))
    for name in ("model.safetensors", "losses.png", "slices.png"):
        assert (parted / name).read_bytes() == (whole / name).read_bytes()
    assert sorted(p.name for p in parted.iterdir()) == sorted(p.name for p in whole.iterdir())


def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(
    verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "o"
    assert verb(*SMALL, "--out", whole).exit_code == 0
    true_epoch = Training._epoch

    def interrupted(training: Training) -> Any:
        if len(training.history) == 2:
            raise KeyboardInterrupt
        return true_epoch(training)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_epoch", interrupted)
        ran = verb(*SMALL, "--out", out)
    assert ran.exit_code == 130
    assert "interrupted after epoch 2 of 4; go on with: medreg train-inverse --resume" in ran.stderr
    assert [p.name for p in out.iterdir()] == ["checkpoint.safetensors"]
    assert verb("--resume", "--out", out).exit_code == 0
    assert numbers(metrics(out)) == numbers(metrics(whole))


def test_nothing_is_replaced_or_resumed_unasked(verb: Verb, tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert verb("--resume", "--out", out).exit_code == 2
    assert not out.exists()
    assert verb(*SMALL, "--out", out, "--until", 1).exit_code == 0
    unfinished = verb(*SMALL, "--out", out)
    assert unfinished.exit_code == 7
    assert "holds an unfinished training; go on with --resume" in unfinished.stderr
    other = verb("--resume", "--out", out, "--epochs", 9)
    assert other.exit_code == 2
    assert "--epochs 9: the training in" in other.stderr and "has 4" in other.stderr
    assert verb("--resume", "--out", out, "--epochs", 4).exit_code == 0
    there = verb(*SMALL, "--out", out)
    assert there.exit_code == 7
    assert "holds losses.png, model.safetensors, slices.png, metrics.json already; add --overwrite" in there.stderr
    ended = verb("--resume", "--out", out)
    assert ended.exit_code == 2
    assert "the training in it has ended" in ended.stderr
    assert verb(*SMALL, "--out", out, "--overwrite").exit_code == 0


@pytest.mark.parametrize(("flag", "value"), [("--size", 4), ("--epochs", 0), ("--learning-rate", -1), ("--batch", 0)])
def test_values_out_of_range_are_refused_before_any_work(verb: Verb, flag: str, value: int, tmp_path: Path) -> None:
    ran = verb(flag, value, "--out", tmp_path / "o")
    assert ran.exit_code == 2
    assert f"got {value}" in ran.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("all_epochs", [1, 2, 7, 19, 20, 50, 100, 1000])
def test_the_table_shows_the_first_and_last_epoch_and_not_too_many(all_epochs: int) -> None:
    for done in range(1, all_epochs + 1, max(1, all_epochs // 13)):
        shown = shown_epochs(done, all_epochs)
        assert shown[0] == 1
        assert shown[-1] == done
        assert shown == sorted(set(shown))
        assert len(shown) <= 20
    assert shown_epochs(50, 50) == [1, 10, 20, 30, 40, 50]  # as published
    assert shown_epochs(0, 50) == []


def test_a_model_that_is_no_better_than_an_empty_image_is_told() -> None:
    from medreg.cli.train_inverse import _warnings

    def told(mse: float) -> list[str]:
        frame = {"empty": {"mse": 0.0053}, "baseline": {"mse": 0.0048}}
        return _warnings({"result": {"test": mse}, "test": frame})

    assert told(0.0014) == told(0.0048) == []
    (same,), (worse,) = told(0.0053), told(0.01)
    assert "is no better than that of an empty image, 0.005300" in same
    assert "out of sight" in same
    assert "is worse than that of an empty image" in worse


def test_a_training_that_diverges_is_told(verb: Verb, tmp_path: Path) -> None:
    flags = ["--model", "affine", "--learning-rate", "1e9", "--size", 8]
    ran = verb(*SMALL, *flags, "--out", tmp_path / "o")
    assert ran.exit_code == 2, ran.output
    assert "the training has diverged in epoch" in ran.stderr
    assert "smaller --learning-rate than 1e+09" in ran.stderr
