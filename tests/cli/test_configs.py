"""Every recipe in configs/ is valid and runs as its comment says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from medreg.cli.tasks.jobs import job_for
from medreg.registration import recipe

if TYPE_CHECKING:
    from conftest import Pair

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))


def test_the_recipes_that_users_are_promised_are_there() -> None:
    names = {path.stem for path in FILES}
    assert names >= {"rigid", "affine", "similarity", "homography", "other-contrast", "fast", "job"}
    assert names >= {"symmetric", "lesion", "several-metrics"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_runs_on_a_small_pair(path: Path, pair: Pair, medreg: Callable[..., Any], tmp_path: Path) -> None:
    result = medreg("register", *pair.both, "--config", path, "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    (transform,) = re.findall(r"^ *transform: (\w+)", path.read_text(), re.MULTILINE)
    assert run["transform"]["asked"] == transform
    name = "transform.json" if run["transform"]["kind"] == "homography" else "transform.tfm"
    assert (tmp_path / "o" / name).is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_shows_a_command_that_names_it(path: Path) -> None:
    (command,) = re.findall(r"^#   (medreg register .*)$", path.read_text(), re.MULTILINE)
    assert command.endswith(f"--config configs/{path.name}")


def test_the_affine_recipe_says_the_defaults(pair: Pair) -> None:
    files = {"fixed": pair.fixed, "moving": pair.moving}
    assert job_for(CONFIGS / "affine.yaml", **files).job.recipe == job_for(None, **files).job.recipe


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("symmetric", "symmetric", True),
        ("lesion", "metric", recipe.RobustCorrelation()),
        ("homography", "outside", "edge"),
    ],
)
def test_a_recipe_asks_for_what_its_name_says(name: str, field: str, value: object, pair: Pair) -> None:
    asked = job_for(CONFIGS / f"{name}.yaml", fixed=pair.fixed, moving=pair.moving).job.recipe
    assert getattr(asked, field) == value


def test_the_sum_of_metrics_has_weights(pair: Pair) -> None:
    asked = job_for(CONFIGS / "several-metrics.yaml", fixed=pair.fixed, moving=pair.moving).job.recipe
    assert isinstance(asked.metric, recipe.Several)
    assert {term.metric.name: term.weight for term in asked.metric.terms} == {
        "mutual_information": 1.0,
        "gradient_fields": 0.5,
    }


def test_the_job_names_images_that_are_there() -> None:
    asked = job_for(CONFIGS / "job.yaml")
    assert {role: path.name for role, path in asked.files.items()} == {
        "fixed": "head_t1.nii.gz",
        "moving": "head_t2_moved.nii.gz",
    }
