"""The summary, from records made up here."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from medreg.optimise.record import Outcome
from medreg.report.summary import apply_command, motion, show, summary, title_of

RECORD: dict[str, Any] = {
    "transform": {
        "kind": "affine",
        "asked": "affine",
        "fallback": None,
        "rotation_angle_deg": 7.42,
        "translation_length_mm": 12.13,
        "unit": "mm",
        "scales": [1.02, 0.98, 1.0],
    },
    "metric": {"asked": "auto", "used": "mutual_information", "reason": "different contrasts."},
    "start": {"asked": "auto", "used": "header", "candidates": [{"name": "header", "value": -0.5}]},
    "verdict": {"standing": "ok", "agreement": 3.2, "reasons": ["the images share 3.20 times the information"]},
    "outcome": {"name": "converged", "advice": Outcome.CONVERGED.advice},
    "levels": [
        {
            "kind": "affine",
            "spacing_mm": 1.0,
            "steps": [{"number": 3, "value": -0.98765, "step_mm": 0.002, "overlap": 1.0}],
            "outcome": "converged",
            "seconds": 0.5,
        }
    ],
    "seconds": {"import": 1.5, "optimise": 0.9, "total": 3.21},
    "inputs": {"fixed": {"file": "sub 1/t1.nii.gz"}, "moving": {"file": "sub 1/t2.nii.gz"}},
    "outputs": {
        "folder": "t2_to_t1",
        "moved": {"file": "moved.nii.gz", "note": "rounded to int16"},
        "transform": {"file": "transform.tfm"},
    },
    "warnings": [],
    "device": "cpu",
    "threads": 2,
}


def text(record: dict[str, Any], *, detailed: bool = False) -> str:
    """The summary as one string."""
    return "\n".join(f"{line.label}: {line.text}" for line in summary(record, detailed=detailed))


def test_it_says_what_moved_how_far_how_it_ended_and_where_it_is() -> None:
    said = text(RECORD)
    assert "t2.nii.gz → t1.nii.gz, affine" in said
    assert "found: turned 7.4°, moved 12.1 mm, scaled 1.020 × 0.980 × 1.000" in said
    assert "verdict: ok: the images share 3.20 times the information" in said
    assert "ended: converged: The last step was smaller than the tolerance." in said
    assert "metric: mutual information -0.9877 (different contrasts)" in said
    assert "took: 3.2 s on 2 threads" in said
    assert "wrote: t2_to_t1/: moved.nii.gz (rounded to int16), transform.tfm, run.json" in said
    assert len(said.splitlines()) <= 12  # five seconds


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("translation", "moved 12.1 mm"),
        ("rigid", "turned 7.4°, moved 12.1 mm"),
        ("similarity", "turned 7.4°, moved 12.1 mm, scaled 1.020"),
    ],
)
def test_what_cannot_have_happened_is_left_out(kind: str, said: str) -> None:
    assert motion({**RECORD["transform"], "kind": kind}) == said


def test_a_poor_end_is_marked_and_advised() -> None:
    record = copy.deepcopy(RECORD)
    record["outcome"] = {"name": "steps_spent", "advice": Outcome.STEPS_SPENT.advice}
    (line,) = [line for line in summary(record) if line.label == "ended"]
    assert (line.tone, line.text) == ("warning", f"steps spent: {Outcome.STEPS_SPENT.advice}")


@pytest.mark.parametrize(("standing", "tone"), [("ok", "good"), ("suspect", "warning"), ("failed", "warning")])
def test_the_verdict_is_marked_and_all_its_reasons_given(standing: str, tone: str) -> None:
    record = {**RECORD, "verdict": {"standing": standing, "agreement": None, "reasons": ["one thing", "another"]}}
    (line,) = [line for line in summary(record) if line.label == "verdict"]
    assert (line.tone, line.text) == (tone, f"{standing}: one thing; another")


def test_advice_that_the_verdict_gives_is_not_given_twice() -> None:
    advice = Outcome.NO_OVERLAP.advice
    record = {
        **RECORD,
        "outcome": {"name": "no_overlap", "advice": advice},
        "verdict": {"standing": "failed", "agreement": 0.9, "reasons": [advice]},
    }
    assert text(record).count(advice) == 1
    (line,) = [line for line in summary(record) if line.label == "ended"]
    assert (line.tone, line.text) == ("warning", "no overlap")


def test_fewer_degrees_of_freedom_are_a_warning() -> None:
    why = "the images share a slab of only 3.0 slices: rigid in place of affine"
    record = {**RECORD, "transform": {**RECORD["transform"], "kind": "rigid", "fallback": why}}
    (line,) = [line for line in summary(record) if line.label == "warning"]
    assert (line.tone, line.text) == ("warning", why)


def test_several_metrics_are_told_as_their_sum() -> None:
    terms = [{"name": "correlation", "weight": 2.0}, {"name": "label_overlap", "weight": 1.0}]
    record = {**RECORD, "metric": {"asked": "several", "used": "several", "reason": "asked for", "terms": terms}}
    assert "metric: 2 × correlation + label overlap -0.9877" in text(record)


def test_of_many_starts_the_best_are_shown_and_the_rest_counted() -> None:
    starts = [{"name": f"s{n}", "value": -n / 10} for n in range(11)]
    record = {**RECORD, "start": {"asked": "auto", "used": "s10", "candidates": starts}}
    said = text(record, detailed=True)
    assert "start: s10 (tried s10 -1.0000, s9 -0.9000, " in said
    assert "s3 -0.3000 and 3 more)" in said


def test_a_given_start_is_told_by_its_file() -> None:
    record = {**RECORD, "start": {"asked": "rough.tfm", "used": "given", "candidates": []}}
    assert "start: given, rough.tfm" in text(record, detailed=True)


def test_warnings_are_shown() -> None:
    assert "warning: t1.nii.gz: looks odd" in text({**RECORD, "warnings": ["t1.nii.gz: looks odd"]})


def test_details_show_starts_levels_and_phases() -> None:
    said = text(RECORD, detailed=True)
    assert "start: header (tried header -0.5000)" in said
    assert "level: affine at 1 mm: 3 steps" in said
    assert "phases: import 1.50 s, optimise 0.90 s" in said


def test_the_command_to_copy_quotes_what_a_shell_would_split() -> None:
    assert apply_command(RECORD) == (
        "  medreg apply IMAGE --transform t2_to_t1/transform.tfm --like 'sub 1/t1.nii.gz' --out MOVED.nii.gz"
    )


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    assert title_of("b/t1.nii", "a/t1.nii") == "b/t1.nii → a/t1.nii"


def test_away_from_a_terminal_it_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    show(summary(RECORD))
    assert "\x1b" not in (said := capsys.readouterr().out)
    assert "  found    turned" in said


def test_levels_of_pictures_are_told_in_pixels() -> None:
    record = copy.deepcopy(RECORD)
    record["levels"][0]["unit"] = "px"
    (line,) = [line.text for line in summary(record, detailed=True) if line.label == "level"]
    assert line.startswith("affine at 1 px: 3 steps, metric -0.98765, last step 0.0020 px")


def test_masks_are_told_by_what_they_leave() -> None:
    masks = {
        "fixed": {"mask": "auto", "exclude": "lesion.nii", "share": 0.4312},
        "moving": {"mask": None, "exclude": "table.nii", "share": 0.9},
    }
    assert ("counted: 43% of fixed (its foreground, without what is excluded), 90% of moving (not excluded)") in text(
        {**RECORD, "masks": masks}
    )


@pytest.mark.parametrize(
    ("job", "flags"),
    [
        ({"fixed_spacing": 0.5, "moving_spacing": 0.5}, " --spacing 0.5"),
        ({"fixed_spacing": [0.5, 0.25]}, " --like-spacing 0.5,0.25"),
        ({"fixed_spacing": 2.5e-4, "moving_spacing": 1}, " --image-spacing 1 --like-spacing 0.00025"),
    ],
)
def test_the_command_to_copy_says_the_spacings_again(job: dict[str, Any], flags: str) -> None:
    assert apply_command({**RECORD, "job": job}).endswith(f"t1.nii.gz'{flags} --out MOVED.nii.gz")
