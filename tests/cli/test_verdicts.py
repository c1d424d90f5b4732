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
    assert "look at the result" in line


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
