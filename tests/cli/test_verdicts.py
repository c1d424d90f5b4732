"""What the command says of a result that should not be believed, and of a transform that was cut down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]


def texture(path: Path, seed: int) -> Path:
    """A volume of smooth noise, 4 mm voxels."""
    voxels = gaussian_filter(np.random.default_rng(seed).standard_normal((30, 32, 28)), 2.5)
    nib.save(nib.Nifti1Image((1000 * voxels).astype(np.float32), np.diag([-4.0, -4, 4, 1])), path)
    return path


@pytest.mark.parametrize("transform", ["rigid", "affine"])
def test_two_things_that_have_nothing_in_common_are_not_ok(transform: str, medreg: Run, tmp_path: Path) -> None:
    images = texture(tmp_path / "one.nii.gz", 0), texture(tmp_path / "other.nii.gz", 1)
    result = medreg("register", *images, "-t", transform, "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output  # it did what was asked
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    verdict = run["verdict"]
    assert verdict["standing"] in ("suspect", "failed")
    assert verdict["agreement"] is None or verdict["agreement"] < 1.5
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("  verdict "))
    assert line == f"  verdict  {verdict['standing']}: {'; '.join(verdict['reasons'])}"
    tries = [line.strip() for line in result.stdout.splitlines() if line.strip().startswith("try ")]
    assert [line.split(None, 1)[1] for line in tries] == verdict["next"]
    assert f"medreg register {images[0]} {images[1]} -t {transform} --start search" in verdict["next"]


def test_strict_ends_with_11_where_it_failed_and_writes_all_the_same(medreg: Run, tmp_path: Path) -> None:
    images = texture(tmp_path / "one.nii.gz", 0), texture(tmp_path / "other.nii.gz", 1)
    out = tmp_path / "o"
    result = medreg("register", *images, "-t", "rigid", "--out", out, "--strict", "--no-report")
    run = json.loads((out / "run.json").read_text())
    assert run["verdict"]["standing"] == "failed"
    assert run["job"]["strict"] is True
    assert result.exit_code == 11
    assert "medreg: --strict: the verdict is failed: " in result.stderr
    assert {"moved.nii.gz", "transform.tfm", "error.nii.gz", "run.json"} <= {path.name for path in out.iterdir()}


def test_a_good_one_says_its_error_and_maps_it(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    out = tmp_path / "o"
    (tmp_path / "strict.yaml").write_text("strict: true\nreport: false\ntransform: rigid\n")
    result = medreg("register", *pair.both, "--out", out, "--config", tmp_path / "strict.yaml")
    assert result.exit_code == 0, result.output
    verdict = json.loads((out / "run.json").read_text())["verdict"]
    assert (verdict["standing"], verdict["next"]) == ("ok", [])
    error = verdict["predicted_error"]
    low, high = error["interval_mm"]
    assert 0 < low < error["mean_mm"] < high
    assert 0 <= verdict["probability_of_failure"] < 0.3
    assert f"verdict  ok: predicted error {error['mean_mm']:.2g} mm (95 %: {low:.2g} to {high:.2g})" in result.stdout
    mapped, fixed = nib.load(out / "error.nii.gz"), nib.load(pair.fixed)
    values = mapped.get_fdata()
    assert (values > 0).all()
    assert values.min() <= error["mean_mm"] <= values.max()
    assert mapped.header.get_zooms()[0] > 1.4 * max(fixed.header.get_zooms())
    for place in ((-0.5,) * 3, tuple(n - 0.5 for n in fixed.shape)):  # both cover the same box, to its corners
        world = fixed.affine @ (*place, 1)
        index = np.linalg.inv(mapped.affine) @ world
        assert [float(v) for v in index[:3]] == pytest.approx(
            [-0.5 if p < 0 else n - 0.5 for p, n in zip(place, mapped.shape, strict=True)], abs=1e-3
        )


def test_an_old_map_is_not_left_beside_a_new_run(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    out = tmp_path / "o"
    out.mkdir()
    (out / "error.nii.gz").write_bytes(b"old")
    result = medreg("register", *pair.both, "-t", "rigid", "--out", out, "--no-report")
    assert result.exit_code == 7
    assert "error.nii.gz" in result.stderr


@pytest.mark.parametrize(("slices", "kind"), [(3, "rigid"), (35, "affine")])
def test_too_thin_an_overlap_has_fewer_degrees_of_freedom_and_says_so(
    slices: int, kind: str, pair: Pair, medreg: Run, tmp_path: Path
) -> None:
    moving = nib.load(pair.moving)
    low = (moving.shape[2] - slices) // 2
    nib.save(moving.slicer[:, :, low : low + slices], tmp_path / "slab.nii.gz")
    result = medreg("register", pair.fixed, tmp_path / "slab.nii.gz", "-t", "affine", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    transform = json.loads((tmp_path / "o" / "run.json").read_text())["transform"]
    assert (transform["asked"], transform["kind"]) == ("affine", kind)
    if kind == "affine":
        assert transform["fallback"] is None
        assert "in place of" not in result.stdout
    else:
        assert "slices: rigid in place of affine" in transform["fallback"]
        assert f"warning  {transform['fallback']}" in result.stdout
        assert transform["scales"] == pytest.approx([1, 1, 1], abs=1e-9)
