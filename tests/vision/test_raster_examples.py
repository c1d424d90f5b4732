"""The scripts of docs/examples that go from points to images do what they say, and their pictures show it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import draw_by_points
import project_volume
import pytest
import reconstruct_points
import recover_pose
import torch
from torch import Tensor

Told = Callable[..., str]
Thirds = Callable[[Path], list[Tensor]]

RECOVER, RECONSTRUCT = cache(recover_pose.recover), cache(reconstruct_points.reconstruct)
"""Each run that a script makes, too, is made once."""


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_pose_of_a_particle_is_recovered_to_a_hundredth_of_a_degree(seed: int) -> None:
    found = RECOVER(10.0, seed=seed)
    assert found.start_degrees == pytest.approx(10, abs=1e-6)
    assert found.degrees < 0.01
    assert found.shift < 1e-4  # half widths; 0.003 px
    assert found.losses[-1] < 1e-6 * found.losses[0]


@pytest.mark.parametrize(("seed", "noise"), [(0, 0.0), (1, 0.1)])
def test_points_are_reconstructed_from_32_projections_to_half_a_voxel(seed: int, noise: float) -> None:
    found = RECONSTRUCT(seed, noise=noise)
    assert found.guess_voxels > 0.5  # there was something to do
    assert found.voxels < 0.5


@pytest.mark.parametrize("script", [recover_pose, reconstruct_points], ids=lambda s: s.__name__)
def test_a_script_tells_its_result_and_its_picture_shows_before_after_and_truth(
    script: ModuleType, tmp_path: Path, told: Told, thirds: Thirds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover_pose, "recover", RECOVER)
    monkeypatch.setattr(reconstruct_points, "reconstruct", RECONSTRUCT)
    assert "squared differences" in told(script, "--out", tmp_path / "picture.png")
    before, after, truth = thirds(tmp_path / "picture.png")
    assert float(truth.std()) > 10  # grey values
    assert float(truth.max()) == 255  # the brightest is white
    assert float((after - truth).abs().max()) <= 1
    assert float((before - truth).abs().max()) > 50


def test_a_volume_is_found_by_one_projection_of_it(tmp_path: Path, told: Told, thirds: Thirds) -> None:
    printed = told(project_volume, "--out", tmp_path / "picture.png")
    numbers = [float(word) for word in printed.replace("%", "").split() if word.replace(".", "").isdigit()]
    degrees_before, degrees, mm_before, mm, points_percent = numbers
    assert degrees_before > 5
    assert degrees < 0.5
    assert mm_before > 5
    assert mm < 1
    assert points_percent < 5
    before, after, _ = thirds(tmp_path / "picture.png")
    assert float((after - 127.5).abs().max()) < 0.3 * float((before - 127.5).abs().max())


def test_points_draw_a_picture_and_the_picture_shows_it(
    tmp_path: Path, told: Told, thirds: Thirds, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, mark = draw_by_points.draw(), draw_by_points.mark()
    monkeypatch.setattr(draw_by_points, "draw", lambda seed: drawn)  # once is enough
    printed = told(draw_by_points, "--out", tmp_path / "picture.png")
    assert float(printed.split(" % left")[0].split()[-1]) < 1
    assert drawn.losses[-1] < 0.01 * drawn.losses[0]
    inside = drawn.points[(drawn.points.abs() < 1).all(1)]
    assert len(inside) * drawn.weight == pytest.approx(float(mark.sum()), rel=0.02)  # the mass is that of the picture
    size = torch.tensor(draw_by_points.SIZE)
    x, y = ((inside + 1) * size / 2 - 0.5).round().long().clamp(min=0).minimum(size - 1).unbind(1)
    assert float(mark[y, x].mean()) > 0.8  # and lies where it is bright
    before, after, goal = thirds(tmp_path / "picture.png")
    assert before.shape == draw_by_points.SIZE[::-1]
    assert float((before - goal).abs().mean()) > 50  # grey values
    assert float((after - goal).abs().mean()) < 5
    assert 0.1 < float((goal > 127).float().mean()) < 0.5  # there is something to draw, on something empty
