"""Recipes: what is refused and what is said about it; JSON gives back what went in."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from medreg.errors import RecipeError
from medreg.registration import recipe
from medreg.registration.recipe import Job, Level, Recipe, Start, job_from
from medreg.transform.kind import Kind

RICH = {
    "transform": "rigid",
    "metric": {"name": "correlation", "bias_order": 1, "powers": 3},
    "start": "header",
    "optimiser": {"name": "sgd", "learning_rate_mm": 2.0, "momentum": 0.5, "clip_norm": 1.5},
    "levels": [{"spacing_mm": 8.0, "samples": 5000}, {"spacing_mm": 2.0, "steps": 7, "tolerance_mm": 0.01}],
    "interpolation": "cubic",
    "outside": -1000.0,
    "seed": 3,
}


def test_flat_and_nested_keys_mean_the_same():
    flat = job_from({"fixed": "a.nii", **RICH}, "job.yaml")
    nested = job_from({"fixed": "a.nii", "recipe": RICH}, "job.yaml")
    assert flat == nested
    assert flat.recipe.metric == recipe.Correlation(bias_order=1, powers=3)
    assert flat.recipe.levels[1] == Level(spacing_mm=2.0, steps=7, tolerance_mm=0.01)


def test_a_flat_key_wins_over_a_nested_one():
    assert job_from({"recipe": {"seed": 1}, "seed": 2}, "job.yaml").recipe.seed == 2


def test_nothing_asked_is_the_default():
    assert job_from({}, "job.yaml") == Job()
    assert Recipe().transform is Kind.AFFINE
    assert Recipe().start is Start.AUTO
    assert isinstance(Recipe().metric, recipe.AutoMetric)
    assert isinstance(Recipe().optimiser, recipe.GaussNewton)


@pytest.mark.parametrize(
    "name", ["auto", "mean_squares", "correlation", "mutual_information", "normalised_mutual_information"]
)
def test_a_metric_may_be_named_alone(name):
    assert Recipe(metric=name) == Recipe(metric={"name": name})
    assert Recipe(metric=name).metric.name == name


@pytest.mark.parametrize("name", ["gauss_newton", "adam", "rmsprop", "sgd", "lbfgs"])
def test_an_optimiser_may_be_named_alone(name):
    assert Recipe(optimiser=name) == Recipe(optimiser={"name": name})
    assert Recipe(optimiser=name).optimiser.name == name


@pytest.mark.parametrize("wanted", [Recipe(), Recipe(**RICH), Recipe(outside="edge", metric="mutual_information")])
def test_json_gives_back_the_same_recipe(wanted):
    text = wanted.model_dump_json()
    assert Recipe.model_validate_json(text) == wanted
    assert Recipe(**json.loads(text)) == wanted
    assert job_from({"recipe": json.loads(text)}, "run.json").recipe == wanted
    assert job_from(json.loads(text), "run.json").recipe == wanted


def test_json_gives_back_the_same_job():
    job = job_from({"fixed": "a.nii", "moving": "b/c.nii", "volume": "mean", "threads": 2, **RICH}, "job.yaml")
    assert job_from(json.loads(job.model_dump_json()), "run.json") == job


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"transfrom": "rigid"}, "unknown key 'transfrom'; did you mean 'transform'?"),
        ({"fixd": "a.nii"}, "unknown key 'fixd'; did you mean 'fixed'?"),
        ({"quux": 1}, "unknown key 'quux'; known keys: device, fixed"),
        ({"recipe": {"metrc": "auto"}}, "unknown key 'metrc'; did you mean 'metric'?"),
        ({"metric": {"name": "correlation", "bias_oder": 2}}, "bias_oder'; did you mean 'bias_order'?"),
        ({"metric": {"name": "mutual_information", "bin": 20}}, "bin'; did you mean 'bins'?"),
        ({"optimiser": {"name": "adam", "learning_rate": 1}}, "learning_rate'; did you mean 'learning_rate_mm'?"),
        ({"optimiser": {"name": "lbfgs", "clip_norm": 1}}, "unknown key 'optimiser.lbfgs.clip_norm'"),
        ({"levels": [{"spacing_mm": 2, "sampels": 500}]}, "unknown key 'levels.0.sampels'; did you mean 'samples'?"),
        ({1: 2}, "unknown key '1'"),
        ({"recipe": {1: 2}}, "unknown key '1'"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(mapping, said):
    with pytest.raises(RecipeError) as refused:
        job_from(mapping, "job.yaml")
    assert str(refused.value).startswith("job.yaml: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"transform": "elastic"}, "transform: Input should be 'translation', 'rigid', 'similarity' or 'affine'"),
        ({"metric": "ssd"}, "'mean_squares'"),
        ({"metric": {"bins": 20}}, "metric"),
        ({"metric": {"name": "mutual_information", "bins": 4}}, "greater than or equal to 8 (got 4)"),
        ({"metric": {"name": "correlation", "bias_order": 5}}, "less than or equal to 4 (got 5)"),
        ({"optimiser": {"name": "adam", "learning_rate_mm": 0}}, "greater than 0"),
        ({"optimiser": {"name": "adam", "learning_rate_mm": float("nan")}}, "finite"),
        ({"optimiser": {"name": "sgd", "momentum": 1}}, "less than 1"),
        ({"levels": []}, "levels"),
        ({"levels": [{"spacing_mm": -1}]}, "levels.0.spacing_mm: Input should be greater than 0 (got -1)"),
        ({"levels": [{"samples": 1000}]}, "levels.0.spacing_mm: Field required"),
        ({"seed": -1}, "seed"),
        ({"outside": "zero"}, "outside"),
        ({"interpolation": "bicubic"}, "interpolation"),
        ({"device": "tpu"}, "device"),
        ({"threads": 0}, "threads"),
        ({"volume": "median"}, "volume"),
        ({"recipe": "rigid"}, "'recipe' holds a mapping"),
        (["rigid"], "a recipe is a mapping of keys to values, got list"),
        (None, "got NoneType"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_place(mapping, said):
    with pytest.raises(RecipeError) as refused:
        job_from(mapping, "job.yaml")
    assert said in str(refused.value)
    assert refused.value.exit_code == 6


def test_all_faults_are_told_at_once():
    with pytest.raises(RecipeError, match="seed.*; .*interpolation|interpolation.*; .*seed"):
        job_from({"seed": -1, "interpolation": "bicubic"}, "job.yaml")


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError):
        Recipe().seed = 4


def test_the_recipe_is_known_without_torch():
    import subprocess
    import sys

    code = "import sys, medreg.registration.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
