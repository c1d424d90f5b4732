"""Every class of error ends with its exit code, one line on stderr, and no output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from medreg import errors

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]


def constant(folder: Path, affine: np.ndarray | None = None) -> Path:
    """An image of one value."""
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4) if affine is None else affine), folder / "c.nii")
    return folder / "c.nii"


def flat(folder: Path) -> Path:
    """An image whose header's affine is singular."""
    path = constant(folder)
    raw = bytearray(path.read_bytes())
    raw[280:328] = bytes(48)  # srow_x, srow_y, srow_z
    raw[252:256] = b"\0\0\1\0"  # qform_code 0, sform_code 1
    path.write_bytes(raw)
    return path


def recipe(folder: Path) -> Path:
    """A recipe with a value out of range."""
    (folder / "bad.yaml").write_text("metric: {name: mutual_information, bins: 1}")
    return folder / "bad.yaml"


def away(folder: Path, pair: Pair) -> Path:
    """A fixed mask that leaves a single voxel."""
    image = nib.load(pair.fixed)
    mask = np.zeros(image.shape, np.uint8)
    mask[3, 3, 3] = 1
    nib.save(nib.Nifti1Image(mask, image.affine), folder / "mask.nii.gz")
    return folder / "mask.nii.gz"


CASES: dict[type[errors.MedregError], Callable[[Pair, Path], list[object]]] = {
    errors.UsageError: lambda pair, folder: [pair.fixed],
    errors.ReadError: lambda pair, folder: [pair.fixed, folder / "nowhere.nii.gz"],
    errors.GeometryError: lambda pair, folder: [pair.fixed, flat(folder)],
    errors.ImageError: lambda pair, folder: [pair.fixed, constant(folder)],
    errors.RecipeError: lambda pair, folder: [*pair.both, "--config", recipe(folder)],
    errors.WriteError: lambda pair, folder: [*pair.both, "--out", constant(folder)],
    errors.RegistrationError: lambda pair, folder: [*pair.both, "--fixed-mask", away(folder, pair)],
    errors.DeviceError: lambda pair, folder: [*pair.both, "--device", "mps"],
}


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_each_class_of_error_has_its_exit_code_and_leaves_nothing(
    kind: type[errors.MedregError], pair: Pair, medreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = CASES[kind](pair, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    result = medreg("register", *arguments, *([] if "--out" in arguments else ["--out", "deep/out"]))
    assert result.exit_code == kind.exit_code, result.output
    assert result.stderr.startswith("medreg: ")
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_transform_of_another_dimension_is_a_transform_error(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1 0 0\n0 1 0\n0 0 1\n")
    result = medreg(
        "apply", pair.moving, "--transform", tmp_path / "t.txt", "--like", pair.fixed, "--out", tmp_path / "o.nii"
    )
    assert result.exit_code == errors.TransformError.exit_code
    assert not (tmp_path / "o.nii").exists()


def test_the_exit_codes_are_tabled() -> None:
    table = (Path(__file__).parents[2] / "docs" / "exit-codes.md").read_text()
    for kind in [*errors.MedregError.__subclasses__(), errors.MedregError]:
        assert f"| {kind.exit_code} | `{kind.__name__}` |" in table
    for code in (0, 130, 143):
        assert f"| {code} |" in table


def test_a_bug_is_one_line_that_asks_for_a_report_and_v_gives_the_traceback(
    pair: Pair, medreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two lines\nof text")

    monkeypatch.setattr("medreg.cli.tasks.engine.register", broken)
    result = medreg("register", *pair.both, "--out", tmp_path / "o")
    assert result.exit_code == 1
    assert result.stderr.startswith("medreg: internal error, please report it: ZeroDivisionError: of text; run again")
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" in medreg("register", *pair.both, "--out", tmp_path / "o", "-v").stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_leaves_no_partial_outputs(
    pair: Pair, medreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medreg.io.nifti_writing.write_gzip", full)
    result = medreg("register", *pair.both, "-t", "translation", "--out", tmp_path / "o")
    assert result.exit_code == errors.WriteError.exit_code
    assert "No space left" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_with_130_and_leaves_nothing(
    pair: Pair, medreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medreg.cli.tasks.engine.register", interrupted)
    result = medreg("register", *pair.both, "--out", tmp_path / "o")
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []


def test_flags_that_exclude_each_other_are_refused(pair: Pair, medreg: Run) -> None:
    assert medreg("register", *pair.both, "-q", "-v").exit_code == 2
    assert medreg("register", *pair.both, "-q", "--json").exit_code == 2
    assert medreg("register", *pair.both, "--transform", "rigd").exit_code == 2


def test_an_old_record_is_gone_before_new_files_take_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medreg.cli.tasks.folder import OutputFolder

    (tmp_path / "run.json").write_text(json.dumps({"old": True}))
    real = Path.replace

    def fails_at_the_record(self: Path, target: Path) -> Path:
        if self.name == "run.json":
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fails_at_the_record)
    with pytest.raises(errors.WriteError), OutputFolder(tmp_path, overwrite=True) as folder:
        (folder.inside / "transform.tfm").write_text("new")
        (folder.inside / "run.json").write_text("new")
        folder.publish()
    assert [p.name for p in tmp_path.iterdir()] == ["transform.tfm"]  # unfinished, and no record vouches for it
