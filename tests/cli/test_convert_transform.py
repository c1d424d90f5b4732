"""`medreg convert-transform`: what it writes, tells, verifies and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from transform_pairs import RAS, Images, motion, pair

from medreg.cli.convert_transform import FORMS
from medreg.errors import TransformError, UsageError, WriteError
from medreg.io.transforms import End, Form, read_transform, write_transform
from medreg.io.transforms.writing import WRITERS

ZIPS = Path(__file__).parents[2] / "sample_data"
Run = Callable[..., Any]


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Two images, one of two slices, and `tmp_path / "t.tfm"` between them, centred somewhere."""
    found = pair(tmp_path, "oblique", "swapped")
    write_transform(found.matrix, tmp_path / "t.tfm", centre=(10, 20, 30))
    return found


def named(images: Images) -> list[object]:
    """The options that name both images."""
    return ["--fixed", images.fixed, "--moving", images.moving]


def test_a_conversion_says_what_it_read_wrote_and_how_far_they_differ(
    images: Images, medreg: Run, tmp_path: Path
) -> None:
    result = medreg(
        "convert-transform", tmp_path / "t.tfm", tmp_path / "t.mat", "--to", "fsl", "--verify", *named(images)
    )
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first == f"wrote {tmp_path / 't.mat'} (an FSL FLIRT matrix, from an ITK text file)"
    assert second.startswith("largest difference of 1,000 points over the fixed image: ")
    assert float(second.split(": ")[1].removesuffix(" mm")) < 1e-9
    assert images.apart(read_transform(tmp_path / "t.mat", form=Form.FSL, **images.ends)) < 1e-9


def test_there_and_back_through_every_form_is_the_same_transform(images: Images, medreg: Run, tmp_path: Path) -> None:
    before = tmp_path / "t.tfm"
    for form in WRITERS:
        if form is not Form.DICOM:
            after = tmp_path / f"out-{form.value}"
            done = medreg("convert-transform", before, after, "--to", form.value, "--quiet", *named(images))
            assert (done.exit_code, done.stdout) == (0, ""), done.output
            flags = ["--from", form.value, "--to", "itk", "--overwrite", "-q", *named(images)]
            assert medreg("convert-transform", after, before, *flags).exit_code == 0
    transform = sitk.ReadTransform(str(before))
    centre = images.loaded[0].affine @ [5, 3, 4, 1] @ RAS
    assert np.abs(transform.TransformPoint(centre[:3].tolist()) - (images.matrix @ centre)[:3]).max() < 1e-9


def test_the_record_holds_the_matrix_and_the_difference(images: Images, medreg: Run, tmp_path: Path) -> None:
    flags = ["--verify", "--json", *named(images)]
    done = medreg("convert-transform", tmp_path / "t.tfm", tmp_path / "t.lta", *flags)
    record = json.loads(done.stdout)
    assert (record["input"]["form"], record["output"]["form"]) == ("itk", "lta")
    assert np.abs(np.array(record["matrix"]) - images.matrix).max() < 1e-12
    assert record["verified"]["points"] == 1000
    assert record["verified"]["largest_difference_mm"] < 1e-9
    assert record["warnings"] == []


def test_the_inverse_changes_sides_of_the_images(images: Images, medreg: Run, tmp_path: Path) -> None:
    flags = ["--inverse", "--verify", "--to", "fsl", "--json", *named(images)]
    done = medreg("convert-transform", tmp_path / "t.tfm", tmp_path / "back.mat", *flags)
    assert json.loads(done.stdout)["verified"]["largest_difference_mm"] < 1e-9
    ends = images.ends
    back = read_transform(tmp_path / "back.mat", form=Form.FSL, fixed=ends["moving"], moving=ends["fixed"])
    assert np.abs(back @ images.matrix - np.eye(4)).max() < 1e-9


def test_a_difference_is_warned_of(
    images: Images, medreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medreg.io.transforms import plain, writing

    monkeypatch.setitem(
        writing.WRITERS, Form.LPS, lambda draft, target: target.write_text(f"{plain.LPS_HEADER}\n1 0 0\n0 1 0\n0 0 1\n")
    )
    flat = np.eye(3)
    flat[0, 2] = 0.25
    write_transform(flat, tmp_path / "flat.tfm")
    done = medreg("convert-transform", tmp_path / "flat.tfm", tmp_path / "o.txt", "--to", "lps", "--verify")
    assert "warning: " in done.stdout
    assert "sends a point 0.25 mm from where" in done.stdout
    assert "in a box of 200 mm: 0.25 mm" in done.stdout


def test_the_centre_of_what_is_written_is_the_middle_of_the_fixed_image(
    images: Images, medreg: Run, tmp_path: Path
) -> None:
    medreg("convert-transform", tmp_path / "t.tfm", tmp_path / "c.tfm", "--fixed", images.fixed)
    image = images.loaded[0]
    middle = RAS @ image.affine @ [*(np.array(image.shape) - 1) / 2, 1]
    assert sitk.ReadTransform(str(tmp_path / "c.tfm")).GetFixedParameters() == pytest.approx(middle[:3].tolist())


def test_dicom_images_get_a_registration_object(medreg: Run, tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3, 3] = (4.0, -5.0, 6.5)
    write_transform(matrix, tmp_path / "t.tfm")
    ends = ["--fixed", ZIPS / "head_t1_dicom.zip", "--moving", ZIPS / "head_t2_dicom.zip"]
    done = medreg("convert-transform", tmp_path / "t.tfm", tmp_path / "reg.dcm", "--verify", "--json", *ends)
    assert json.loads(done.stdout)["verified"]["largest_difference_mm"] < 1e-9
    back = medreg("convert-transform", tmp_path / "reg.dcm", tmp_path / "back.tfm", *ends)
    assert back.exit_code == 0, back.output
    assert np.abs(read_transform(tmp_path / "back.tfm") - matrix).max() < 1e-9


def test_a_registration_object_of_images_that_are_no_dicom_is_refused(
    images: Images, medreg: Run, tmp_path: Path
) -> None:
    done = medreg("convert-transform", tmp_path / "t.tfm", tmp_path / "reg.dcm", *named(images))
    assert done.exit_code == UsageError.exit_code
    assert "refers to two DICOM images" in done.stderr


REFUSED: dict[str, tuple[list[str], type[Exception], str]] = {
    "a .mat of nobody": (["t.tfm", "o.mat"], UsageError, "name yours with --to"),
    "an unknown form": (["t.tfm", "o.txt", "--to", "matlab"], UsageError, "--to: unknown form 'matlab'"),
    "a form that is nearly right": (["t.tfm", "o.txt", "--to", "elastx"], UsageError, "did you mean elastix?"),
    "missing images": (["t.tfm", "o.lta"], UsageError, "name the moving image with --moving FILE"),
    "both silent and talkative": (["t.tfm", "o.txt", "-q", "--json"], UsageError, "choose one"),
    "a bare matrix": (["bare.txt", "o.tfm"], UsageError, "name it with --from: ras"),
    "an output that is there": (["t.tfm", "t.tfm"], WriteError, "add --overwrite"),
    "a scene to write": (["t.tfm", "o.mrml", "--to", "slicer"], WriteError, "medreg reads a 3D Slicer scene"),
    "a homography": (["h.json", "o.tfm"], TransformError, "1.0]), which an ITK text file cannot hold"),
    "what is singular": (["flat.txt", "o.tfm", "--from", "ras", "--inverse"], TransformError, "cannot be inverted"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_and_leaves_nothing(name: str, images: Images, medreg: Run, tmp_path: Path) -> None:
    words, error, why = REFUSED[name]
    np.savetxt(tmp_path / "bare.txt", motion())
    np.savetxt(tmp_path / "flat.txt", np.diag([1.0, 0, 1, 1]))
    matrix = motion()
    matrix[3, 0] = 1e-4
    write_transform(matrix, tmp_path / "h.json")
    before = sorted(tmp_path.iterdir())
    done = medreg("convert-transform", *(tmp_path / word if "." in word else word for word in words))
    assert done.exit_code == error.exit_code, done.output  # type: ignore[attr-defined]
    assert why in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_homography_stays_one_in_our_json(medreg: Run, tmp_path: Path) -> None:
    matrix = motion()
    matrix[3, 0] = 1e-4
    write_transform(matrix, tmp_path / "h.json")
    assert medreg("convert-transform", tmp_path / "h.json", tmp_path / "o.json", "--verify").exit_code == 0
    assert np.array_equal(read_transform(tmp_path / "o.json"), matrix)


def test_the_help_lists_every_form_that_is_written(medreg: Run) -> None:
    assert all(form.value in FORMS for form in WRITERS)
    shown = "".join(medreg("convert-transform", "--help").stdout.split())
    assert all(form.value in shown for form in WRITERS)


@pytest.mark.parametrize("verb", [["convert-transform"], ["compose", "--out"], ["invert", "--out"]], ids=lambda v: v[0])
def test_the_sidecar_of_an_x5_file_is_replaced_only_with_overwrite(
    images: Images, medreg: Run, tmp_path: Path, verb: list[str]
) -> None:
    arguments = [verb[0], tmp_path / "t.tfm", *verb[1:], tmp_path / "new.x5"]
    write_transform(images.matrix, tmp_path / "new.x5", moving=End(path=images.moving))
    (tmp_path / "new.x5").unlink()
    before = (tmp_path / "new.json").read_text()
    refused = medreg(*arguments)
    assert refused.exit_code == WriteError.exit_code
    assert "new.json: is there already; add --overwrite" in refused.stderr
    assert (tmp_path / "new.json").read_text() == before
    assert not (tmp_path / "new.x5").exists()
    assert medreg(*arguments, "--overwrite").exit_code == 0
    assert (tmp_path / "new.json").read_text() != before  # it named the moving image
