"""Settings from files and flags: the flags win, paths are the file's, mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medreg.cli.tasks.jobs import job_for
from medreg.errors import ReadError, RecipeError, UsageError
from medreg.io.content import stem_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two (empty) images in it."""
    for name in ("a.nii.gz", "b.nii.gz", "mask.nii.gz"):
        (tmp_path / name).touch()
    return tmp_path


def yaml(folder: Path, text: str) -> Path:
    """A file of settings in the folder."""
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


def test_paths_in_a_file_are_relative_to_the_file(folder: Path) -> None:
    asked = job_for(yaml(folder, "fixed: a.nii.gz\nmoving: b.nii.gz\nfixed_mask: mask.nii.gz\nout: results"))
    assert asked.files == {
        "fixed": folder / "a.nii.gz",
        "moving": folder / "b.nii.gz",
        "fixed_mask": folder / "mask.nii.gz",
    }
    assert asked.out == folder / "results"


def test_flags_win_over_the_file(folder: Path) -> None:
    path = yaml(folder, "fixed: a.nii.gz\nmoving: b.nii.gz\nthreads: 3\nrecipe:\n  transform: rigid\n  seed: 4")
    asked = job_for(path, transform="similarity", moving=folder / "mask.nii.gz", device=None)
    assert asked.job.recipe.transform.value == "similarity"
    assert asked.job.recipe.seed == 4
    assert asked.job.threads == 3
    assert asked.files["moving"] == folder / "mask.nii.gz"


@pytest.mark.parametrize("nested", ["", "recipe:\n  "])
def test_the_flag_of_the_files_own_metric_keeps_its_settings(nested: str, folder: Path) -> None:
    path = yaml(folder, f"fixed: a.nii.gz\nmoving: b.nii.gz\n{nested}metric: {{name: mutual_information, bins: 64}}\n")
    assert job_for(path, metric="mutual_information").job.recipe.metric.model_dump()["bins"] == 64
    assert job_for(path, metric="correlation").job.recipe.metric.name == "correlation"


def test_an_unknown_key_is_refused_with_the_nearest_one(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"job.yaml: unknown key 'tranform'; did you mean 'transform'\?"):
        job_for(yaml(folder, "tranform: rigid"), fixed=folder / "a.nii.gz", moving=folder / "b.nii.gz")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("transform: [", "is not YAML"),
        ("- rigid", "a mapping"),
        ("transform: rigidly", "rigidly"),
        ('{"job": ', "is not JSON"),
    ],
)
def test_what_is_no_recipe_is_refused_with_the_files_name(text: str, why: str, folder: Path) -> None:
    with pytest.raises(RecipeError, match=why) as caught:
        job_for(yaml(folder, text), fixed=folder / "a.nii.gz", moving=folder / "b.nii.gz")
    assert "job.yaml" in str(caught.value)


def test_images_that_nobody_names_are_asked_for(folder: Path) -> None:
    with pytest.raises(UsageError, match="FIXED and MOVING"):
        job_for(None)
    with pytest.raises(UsageError, match="name the images: MOVING on"):
        job_for(None, fixed=folder / "a.nii.gz")


def test_a_missing_image_is_told_before_any_work_with_its_nearest_neighbour(folder: Path) -> None:
    with pytest.raises(ReadError, match="did you mean .*a.nii.gz"):
        job_for(None, fixed=folder / "aa.nii.gz", moving=folder / "b.nii.gz")
    with pytest.raises(ReadError, match="no such file"):
        job_for(folder / "nowhere.yaml")


def test_a_record_gives_its_job_and_checksums(folder: Path) -> None:
    job = {"fixed": str(folder / "a.nii.gz"), "moving": str(folder / "b.nii.gz"), "recipe": {"transform": "rigid"}}
    record = {"transform": {}, "inputs": {"fixed": {"sha256": "ab"}, "moving": {"sha256": "cd"}}, "job": job}
    (folder / "run.json").write_text(json.dumps(record))
    asked = job_for(folder / "run.json")
    assert asked.job.recipe.transform.value == "rigid"
    assert asked.sha256 == {"fixed": "ab", "moving": "cd"}


@pytest.mark.parametrize(
    ("name", "stem"), [("a.nii.gz", "a"), ("sub-1.v2.nrrd", "sub-1.v2"), ("scan", "scan"), (".nii", ".nii")]
)
def test_the_stem_leaves_out_both_parts_of_nii_gz(name: str, stem: str) -> None:
    assert stem_of(Path("dir") / name) == stem


PAIR = "fixed: a.nii.gz\nmoving: b.nii.gz\n"


def test_auto_is_no_file_and_other_masks_are(folder: Path) -> None:
    asked = job_for(yaml(folder, f"{PAIR}fixed_mask: auto\nmoving_exclude: mask.nii.gz"), moving_mask=Path("auto"))
    assert (asked.job.fixed_mask, asked.job.moving_mask) == ("auto", "auto")
    assert set(asked.files) == {"fixed", "moving", "moving_exclude"}
    assert asked.files["moving_exclude"] == folder / "mask.nii.gz"


@pytest.mark.parametrize(
    ("text", "flags", "spacings"),
    [
        ("spacing: 0.5", {}, {"fixed": 0.5, "moving": 0.5}),
        ("spacing: [0.5, 0.25]\nmoving_spacing: 2", {}, {"fixed": (0.5, 0.25), "moving": 2}),
        ("spacing: 0.5", {"fixed_spacing": (3.0,)}, {"fixed": (3,), "moving": 0.5}),
        ("fixed_spacing: 0.5", {"spacing": (3.0,)}, {"fixed": (3,), "moving": (3,)}),
        ("fixed_spacing: 0.5", {}, {"fixed": 0.5}),
        ("", {}, {}),
    ],
)
def test_the_nearer_spacing_wins_and_flags_beat_the_file(folder: Path, text: str, flags: dict, spacings: dict) -> None:
    assert job_for(yaml(folder, PAIR + text), **flags).job.spacings == spacings


@pytest.mark.parametrize("value", ["0", "-1", "wide", "[]", "[1, 2, 3, 4]", ".inf"])
def test_a_spacing_that_cannot_be_is_refused(folder: Path, value: str) -> None:
    with pytest.raises(RecipeError, match=r"job\.yaml: spacing"):
        job_for(yaml(folder, f"{PAIR}spacing: {value}"))
