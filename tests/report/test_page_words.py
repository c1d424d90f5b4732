"""The plain words for a motion, beside motions of points that a person can picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medreg.geometry.grid import Grid
from medreg.report.motion import motion_of
from medreg.report.page.words import words_of

NOSE, CROWN = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])
"""Where the front and the head are seen from the centre, LPS."""


def transform(moved: np.ndarray, kind: str = "affine", unit: str = "mm", world: str = "LPS") -> dict[str, Any]:
    """The record's transform of a moving image that has to go through `moved` (moving -> fixed points) to fit."""
    d = len(moved) - 1
    grid = Grid.regular((21,) * d, (2.0,) * d, (-20.0,) * d)  # its centre is the world's origin
    said = motion_of(np.linalg.inv(moved), grid, grid, unit, world)
    return {"kind": kind, "world": world, **said}


def turned(axis: str, degrees: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return matrix


def shifted(*by: float) -> np.ndarray:
    d = len(by)
    matrix = np.eye(d + 1)
    matrix[:d, d] = by
    return matrix


@pytest.mark.parametrize("degrees", [7.4, -7.4, 120.0, -120.0])
def test_a_turn_about_the_head_foot_axis_says_where_the_nose_goes(degrees: float) -> None:
    moved = turned("z", degrees)
    side = "left" if (moved[:3, :3] @ NOSE)[0] > 0 else "right"  # +x is the patient's left
    said = words_of(transform(moved)).turn
    assert said == f"turned {abs(degrees):.1f}° about the head-foot axis (front to the {side})"


@pytest.mark.parametrize("degrees", [12.0, -12.0])
def test_a_nod_says_whether_the_nose_goes_up_or_down(degrees: float) -> None:
    moved = turned("x", degrees)
    way = "up" if (moved[:3, :3] @ NOSE)[2] > 0 else "down"
    assert words_of(transform(moved)).turn == f"turned 12.0° about the left-right axis (front {way})"


@pytest.mark.parametrize("degrees", [12.0, -12.0])
def test_a_tilt_says_where_the_crown_goes(degrees: float) -> None:
    moved = turned("y", degrees)
    side = "left" if (moved[:3, :3] @ CROWN)[0] > 0 else "right"
    assert words_of(transform(moved)).turn == f"turned 12.0° about the front-back axis (head to the {side})"


def test_a_turn_about_no_anatomical_axis_is_told_by_its_parts_largest_first() -> None:
    vector = np.array([3.0, 0.0, -6.0])
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_rotvec(vector, degrees=True).as_matrix()
    said = words_of(transform(moved)).turn
    total = np.linalg.norm(vector)
    assert said == f"turned {total:.1f}°: 6.0° about the head-foot axis (front to the right), " + (
        "3.0° about the left-right axis (front down)"
    )


@pytest.mark.parametrize(
    ("by", "way"),
    [
        ((12.1, 0, 0), "to the left"),
        ((-12.1, 0, 0), "to the right"),
        ((0, 12.1, 0), "to the back"),
        ((0, -12.1, 0), "to the front"),
        ((0, 0, 12.1), "to the head"),
        ((0, 0, -12.1), "to the feet"),
    ],
)
def test_a_move_names_the_way_that_the_moving_image_goes(by: tuple[float, ...], way: str) -> None:
    words = words_of(transform(shifted(*by), "rigid"))
    assert (words.turn, words.move, words.size) == ("not turned", f"moved 12.1 mm {way}", "")


def test_a_move_aslant_is_told_by_its_parts() -> None:
    said = words_of(transform(shifted(3.0, 0.0, -4.0), "translation"))
    assert said.sentence == "Moved 5.0 mm: 4.0 mm to the feet, 3.0 mm to the left."


def test_a_larger_moving_image_has_to_shrink() -> None:
    assert words_of(transform(np.diag([0.9, 0.9, 0.9, 1.0]), "similarity")).size == "shrunk by 10.0 % in all directions"


def test_each_axis_says_by_how_much_it_grew() -> None:
    said = words_of(transform(np.diag([1.02, 0.99, 1.0, 1.0]))).size
    change = 100 * (1.02 * 0.99 - 1)
    assert said == f"grown by {change:.1f} % in volume (+2.0 % left-right, -1.0 % front-back, +0.0 % head-foot)"


def test_a_skew_is_told_in_degrees() -> None:
    moved = np.eye(4)
    moved[0, 1] = np.tan(np.radians(3.0))
    assert "right angles skewed by up to 3.0°" in words_of(transform(moved)).size


def test_the_words_agree_with_the_summary_on_the_angle() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        moved = np.eye(4)
        moved[:3, :3] = Rotation.from_rotvec(rng.normal(0, 0.4, 3)).as_matrix() @ (
            np.eye(3) + rng.normal(0, 0.05, (3, 3))
        )
        said = transform(moved)
        assert words_of(said).turn.startswith(f"turned {said['rotation_angle_deg']:.1f}°")


@pytest.mark.parametrize(("degrees", "way"), [(5.0, "clockwise"), (-5.0, "anticlockwise")])
def test_pictures_turn_clockwise_and_move_down(degrees: float, way: str) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    moved = np.array([[c, -s, 0.0], [s, c, 8.0], [0.0, 0.0, 1.0]])  # y runs down: x to y is clockwise
    words = words_of(transform(moved, "rigid", "px", "picture"))
    assert words.turn == f"turned 5.0° {way}"
    assert "px down" in words.move


def test_a_homography_says_that_it_bends() -> None:
    bent = np.eye(3)
    bent[2, 0] = 1e-3
    assert words_of(transform(bent, "homography", "px", "picture")).bend.startswith("bent by a perspective")


def test_no_motion_is_said() -> None:
    assert words_of(transform(np.eye(4))).sentence == "Not turned; not moved (less than 0.05 mm); volume unchanged."
