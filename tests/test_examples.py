"""The scripts of docs/examples do what DiffImages' demonstrations show, and finish: angle, corners, loss, picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import train_homography
import train_rotation

import medreg

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.mark.parametrize(
    ("start", "target", "seed"),
    [
        (0.05, math.pi / 6, 0),
        (0.0, math.pi / 6, 0),  # sharp dots alone leave this one where it started
        (0.0, math.pi / 6, 3),
        (0.0, math.pi / 12, 1),
        (0.0, -math.pi / 4, 2),
        (-0.3, 0.6, 4),
        (0.4, 0.4, 5),
    ],
)
def test_the_angle_is_learnt_by_plain_descent_from_near_and_from_nothing(
    start: float, target: float, seed: int
) -> None:
    trained = train_rotation.train(start, target, seed)
    assert abs(trained.angle - target) < 1e-3  # radians: 0.06 px at the edge
    assert trained.steps <= 100
    first, *_, last = trained.losses
    assert last <= 0.01 * first or start == target


def test_a_step_of_descent_lowers_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_rotation, "LEVELS", ((0.0, 1),))
    first, last = train_rotation.train(0.5).losses
    assert last < first


@pytest.mark.parametrize(("seed", "shift"), [(1, 8.0), (5, 24.0)])
def test_a_homography_is_learnt_from_the_identity(seed: int, shift: float) -> None:
    trained = train_homography.train(seed, shift)
    first, *_, last = trained.losses
    assert trained.steps <= 100
    assert last <= 0.01 * first
    assert max(trained.corner_errors) < 0.5  # px
    corners = np.array([[x, y] for x in (0.0, 199.0) for y in (0.0, 199.0)])
    missed = np.linalg.norm(trained.found.map(corners) - trained.truth.map(corners), axis=1)
    assert sorted(missed) == pytest.approx(sorted(trained.corner_errors), abs=1e-9)
    assert (
        np.linalg.norm(trained.truth.map(corners) - corners, axis=1).max() > shift / 2
    )  # there was something to learn


def test_the_pair_is_as_hard_as_diffimages_and_its_map_truly_projective() -> None:
    trained = train_homography.train()
    first, *_, last = trained.losses
    assert np.abs(trained.truth.matrix[2, :2]).min() * 200 > 0.01  # w changes over the frame
    assert first > 7000  # theirs 7519, and after 100 steps 7162
    assert last <= 0.01 * first
    assert max(trained.corner_errors) < 0.5  # px


@pytest.mark.parametrize(("name", "size"), [("train_rotation", (135, 125)), ("train_homography", (200, 200))])
def test_a_script_tells_its_result_and_writes_before_after_and_target(
    name: str, size: tuple[int, int], ran: Callable[[list[str], Path], str], tmp_path: Path
) -> None:
    told = ran([str(EXAMPLES / f"{name}.py"), "--out", "picture.png"], tmp_path)
    assert "squared differences" in told
    assert "steps" in told
    picture = medreg.read_image(tmp_path / "picture.png").data.float()
    assert picture.shape == (3, size[1], 3 * size[0] + 8)  # two gaps of 4
    before, after, target = (picture[..., k * (size[0] + 4) :][..., : size[0]] for k in range(3))
    assert float(before.std()) > 20  # grey values: not blank
    assert float((before - target).abs().mean()) > 5
    assert float((after - target).abs().mean()) < 0.2 * float((before - target).abs().mean())
    assert torch.equal(picture[..., size[0] : size[0] + 4], torch.full((3, size[1], 4), 255.0))
