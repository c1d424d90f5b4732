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


METRICS = [
    "auto",
    "mean_squares",
    "correlation",
    "robust_correlation",
    "local_correlation",
    "correlation_ratio",
    "mutual_information",
    "normalised_mutual_information",
    "gradient_fields",
    "self_similarity",
    "label_overlap",
]


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_may_be_named_alone(name):
    assert Recipe(metric=name) == Recipe(metric={"name": name})
    assert Recipe(metric=name).metric.name == name


def test_every_metric_is_named_here():
    names = {model.model_fields["name"].default for model in recipe.Metric.__origin__.__args__}
    assert names == {*METRICS, "several"}


def test_a_list_is_a_weighted_sum():
    asked = job_from({"metric": [{"name": "correlation", "bias_order": 1, "weight": 2}, "label_overlap"]}, "job.yaml")
    assert asked.recipe.metric == recipe.Several(
        terms=(
            recipe.Weighted(metric=recipe.Correlation(bias_order=1), weight=2.0),
            recipe.Weighted(metric=recipe.LabelOverlap()),
        )
    )
    assert [term.weight for term in recipe.weighted(asked.recipe.metric)] == [2.0, 1.0]
    assert recipe.weighted(recipe.GradientFields()) == (recipe.Weighted(metric=recipe.GradientFields()),)


@pytest.mark.parametrize(
    ("metric", "compares"),
    [("label_overlap", True), (["correlation", "label_overlap"], True), (["correlation"], False), ("auto", False)],
)
def test_label_maps_go_with_the_metric_that_compares_them(metric, compares):
    assert recipe.has_labels(Recipe(metric=metric).metric) == compares
    maps = {"fixed_labels": "a.nii", "moving_labels": "b.nii"}
    if compares:
        assert job_from({"metric": metric, **maps}, "job.yaml").moving_labels.name == "b.nii"
        return
    with pytest.raises(RecipeError, match="compared by the metric label_overlap, which is not asked for"):
        job_from({"metric": metric, **maps}, "job.yaml")


def test_one_label_map_alone_is_refused():
    with pytest.raises(RecipeError, match="give label maps of both images"):
        job_from({"metric": "label_overlap", "fixed_labels": "a.nii"}, "job.yaml")


@pytest.mark.parametrize("start", ["auto", "header", "centre", "moments", "search"])
def test_a_word_for_a_start_is_none_of_a_file(start):
    job = job_from({"start": start}, "job.yaml")
    assert (job.recipe.start.value, job.initial) == (start, None)


def test_any_other_start_is_the_file_of_a_transform():
    job = job_from({"start": "rough.tfm"}, "job.yaml")
    assert (job.recipe.start, str(job.initial)) == (Start.AUTO, "rough.tfm")
    assert job_from(json.loads(job.model_dump_json(exclude_none=True)), "run.json") == job


@pytest.mark.parametrize("name", ["gauss_newton", "adam", "rmsprop", "sgd", "lbfgs"])
def test_an_optimiser_may_be_named_alone(name):
    assert Recipe(optimiser=name) == Recipe(optimiser={"name": name})
    assert Recipe(optimiser=name).optimiser.name == name


@pytest.mark.parametrize(
    "wanted",
    [Recipe(), Recipe(**RICH), Recipe(outside="edge", metric=["self_similarity", "label_overlap"], symmetric=True)],
)
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
        ({"quux": 1}, "unknown key 'quux'; known keys: device, dicom_out, fixed"),
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
        (
            {"transform": "elastic"},
            "transform: Input should be 'auto', 'translation', 'rigid', 'similarity', 'affine' or 'homog",
        ),
        ({"metric": "ssd"}, "'mean_squares'"),
        ({"metric": ["correlation", "ssd"]}, "metric.several.terms.1.metric"),
        ({"metric": [{"name": "correlation", "weight": 0}]}, "weight: Input should be greater than 0 (got 0)"),
        ({"metric": ["auto"]}, "metric.several.terms.0.metric"),
        ({"metric": []}, "metric.several.terms"),
        ({"metric": {"name": "robust_correlation", "cutoff": 1}}, "greater than 1 (got 1)"),
        ({"metric": {"name": "local_correlation", "patch": 13}}, "should be 3, 5, 7, 9 or 11 (got 13)"),
        ({"symmetric": "perhaps"}, "symmetric"),
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
