"""The scripts of docs/examples that go from points to images do what they say, and their pictures show it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import medreg

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def script(name: str) -> ModuleType:
    """A script of docs/examples, imported."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their own module
    spec.loader.exec_module(module)
    return module


def run(name: str, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a script tells when it is called with `--out path`."""
    module = script(name)
    monkeypatch.setattr(sys, "argv", [name, "--out", str(path)])
    module.main()
    return capsys.readouterr().out


def thirds(path: Path) -> list[torch.Tensor]:
    """The three pictures side by side, with 4 pixels of white between them."""
    row = medreg.read_image(path).data[0].float()
    width = (row.shape[1] - 8) // 3
    assert torch.equal(row[:, width : width + 4], torch.full((len(row), 4), 255.0))
    return [row[:, k * (width + 4) :][:, :width] for k in range(3)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_pose_of_a_particle_is_recovered_to_a_hundredth_of_a_degree(seed: int) -> None:
    found = script("recover_pose").recover(seed=seed)
    assert found.start_degrees == pytest.approx(10, abs=1e-6)
    assert found.degrees < 0.01
    assert found.shift < 1e-4  # half widths; 0.003 px
    assert found.losses[-1] < 1e-6 * found.losses[0]


@pytest.mark.parametrize(("seed", "noise"), [(0, 0.0), (1, 0.1)])
def test_points_are_reconstructed_from_32_projections_to_half_a_voxel(seed: int, noise: float) -> None:
    found = script("reconstruct_points").reconstruct(seed, noise=noise)
    assert found.guess_voxels > 0.5  # there was something to do
    assert found.voxels < 0.5


@pytest.mark.parametrize("name", ["recover_pose", "reconstruct_points"])
def test_a_script_tells_its_result_and_its_picture_shows_before_after_and_truth(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "squared differences" in run(name, tmp_path / "picture.png", monkeypatch, capsys)
    before, after, truth = thirds(tmp_path / "picture.png")
    assert float(truth.std()) > 10  # grey values
    assert float((after - truth).abs().max()) <= 1
    assert float((before - truth).abs().max()) > 50


def test_a_volume_is_found_by_one_projection_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run("project_volume", tmp_path / "picture.png", monkeypatch, capsys)
    numbers = [float(word) for word in told.replace("%", "").split() if word.replace(".", "").isdigit()]
    degrees_before, degrees, mm_before, mm, points_percent = numbers
    assert degrees_before > 5
    assert degrees < 0.5
    assert mm_before > 5
    assert mm < 1
    assert points_percent < 5
    before, after, _ = thirds(tmp_path / "picture.png")
    assert float((after - 127.5).abs().max()) < 0.3 * float((before - 127.5).abs().max())
