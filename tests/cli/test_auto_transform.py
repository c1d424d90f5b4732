"""`--transform auto`: what the command says and records of the family that it keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Pair


def test_the_summary_and_the_record_say_which_family_and_why(
    pair: Pair, medreg: Callable[..., Any], tmp_path: Path
) -> None:
    result = medreg("register", *pair.both, "--transform", "auto", "--no-report", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    told = run["transform"]
    assert told["asked"] == "auto"
    assert told["kind"] in ("rigid", "similarity", "affine")
    assert told["reason"].startswith(told["kind"])
    assert f"family   {told['reason']}" in result.output
    assert [family["kind"] for family in told["families"]] == ["rigid", "similarity", "affine"]
    best = min(told["families"], key=lambda family: family["misfit"] + family["cost"])
    assert best["kind"] == told["kind"]
    assert run["levels"][-1]["kind"] == told["kind"]

    again = medreg("register", "--config", tmp_path / "o" / "run.json", "--no-report", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    repeated = json.loads((tmp_path / "again" / "run.json").read_text())["transform"]
    assert repeated == told


def test_a_family_that_was_asked_for_needs_no_reason(pair: Pair, medreg: Callable[..., Any], tmp_path: Path) -> None:
    result = medreg("register", *pair.both, "--transform", "rigid", "--no-report", "--out", tmp_path / "o")
    told = json.loads((tmp_path / "o" / "run.json").read_text())["transform"]
    assert told["reason"] is None
    assert "family   " not in result.output


def test_the_help_names_it(medreg: Callable[..., Any]) -> None:
    assert "auto, the simplest of rigid" in " ".join(medreg("register", "--help").output.replace("│", " ").split())
