"""Starts: the cheap ones where they suffice, and the search over all poses where a head is tumbled or cut.

A start has only to come so near that the levels find the rest: 12 mm at the head's points is one and a half of the
8 mm voxels that starts are compared at. Two slices are compared at 2D pixels of 10 mm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import phantom
import pytest
import torch
from scipy.spatial.transform import Rotation

from medreg.errors import RegistrationError
from medreg.geometry.affine import axis_angle, homogeneous
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.registration import recipe
from medreg.registration.level import Side
from medreg.registration.levels import Pyramid
from medreg.registration.moments import centre_of_mass
from medreg.registration.pairwise import register
from medreg.registration.recipe import Recipe, Start
from medreg.registration.start import Started, find_start
from medreg.transform.kind import Kind

NEAR_MM = 12.0
FAR = np.array([400.0, -300.0, 250.0])
WIDE = phantom.Grid.centred((56, 56, 56), (4.2, 4.2, 4.2), (2, 1, -1), phantom.rotation((4, -3, 5)))
"""Room for a head in any pose."""


def shoved(image: MedImage, offset: np.ndarray) -> MedImage:
    """The same voxels with another origin."""
    return replace(image, origin=tuple(np.add(image.origin, offset).tolist()))


def side(image: MedImage) -> Side:
    pyramid = Pyramid(image.data.float(), None, image.grid)
    coarse = pyramid.at(4 * max(image.grid.spacing), recipe.MutualInformation())
    return Side(pyramid, None, centre_of_mass(coarse))


def started(start: Start, fixed: MedImage, moving: MedImage, kind: Kind = Kind.AFFINE) -> Started:
    return find_start(start, side(fixed), side(moving), kind, 0)


def tumbled(turn: Rotation) -> tuple[MedImage, np.ndarray]:
    """The T2 head turned about its middle, and how its points moved."""
    motion = homogeneous(turn.as_matrix(), np.array([6.0, -5.0, 4.0]))
    voxels = phantom.render(WIDE, phantom.T2, motion, noise=0.02, seed=2)
    data = torch.from_numpy(np.ascontiguousarray(voxels.T))[None]
    return MedImage.on(Grid.from_affine(WIDE.size, WIDE.affine), data), motion


def cropped(image: MedImage, low: tuple[int, ...], high: tuple[int, ...]) -> MedImage:
    """Voxels low to high along x, y, z."""
    box = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    origin = image.grid.to_world(np.array([low], dtype=float))[0]
    return MedImage(image.data[(slice(None), *box)], image.spacing, tuple(origin.tolist()), image.direction)


def names(found: Started) -> set[str]:
    return {candidate.name for candidate in found.candidates}


# Cheap starts -------------------------------------------------------------------------------------------------------


def test_the_recipe_says_which_starts_are_tried(fixed, moved_head, truths):
    moving = moved_head(truths[Kind.RIGID])
    axes = {f"principal axes {k}" for k in (1, 2, 3, 4)}
    assert names(started(Start.HEADER, fixed, moving)) == {"header"}
    assert names(started(Start.CENTRE, fixed, moving)) == {"centre of mass"}
    assert names(started(Start.MOMENTS, fixed, moving)) == axes
    cheap = {"header", "centre of mass", "centre of view"}
    assert cheap <= names(started(Start.AUTO, fixed, moving, Kind.TRANSLATION)) <= cheap | {"search"}
    assert cheap | axes <= names(started(Start.AUTO, fixed, moving)) <= cheap | axes | {"search"}
    assert names(started(Start.SEARCH, fixed, moving)) == cheap | axes | {"search"}


def test_the_header_is_kept_as_it_is(fixed, moved_head, truths):
    found = started(Start.HEADER, fixed, moved_head(truths[Kind.RIGID]))
    assert found.name == "header"
    assert np.array_equal(found.matrix, np.eye(4))


@pytest.mark.parametrize("small", [False, True], ids=["as large", "smaller"])
def test_the_centre_carries_one_centre_of_mass_to_the_other_and_turns_nothing(fixed, moved_head, truths, small):
    moving = shoved(moved_head(truths[Kind.RIGID]), FAR)
    if small:  # then the images exchange their roles
        moving = cropped(moving, (5, 8, 5), (40, 45, 40))
    sides = side(fixed), side(moving)
    found = find_start(Start.CENTRE, *sides, Kind.AFFINE, 0)
    np.testing.assert_allclose(found.matrix @ [*sides[0].centre, 1.0], [*sides[1].centre, 1.0], atol=1e-9)
    np.testing.assert_allclose(found.matrix[:3, :3], np.eye(3), atol=1e-12)


def test_every_candidate_says_where_it_came(fixed, moved_head, truths):
    found = started(Start.AUTO, fixed, moved_head(truths[Kind.RIGID]))
    best = min(found.candidates, key=lambda c: c.value)
    assert found.name == best.name
    assert best.degrees == pytest.approx(abs(axis_angle(found.matrix[:3, :3])[1]), abs=1e-6)
    assert all(0 <= c.overlap <= 1 and 0 <= c.degrees <= 180 for c in found.candidates)


def test_translations_start_by_translating(fixed, moved_head, truths, furthest):
    truth = truths[Kind.TRANSLATION].copy()
    truth[:3, 3] += FAR
    moving = shoved(moved_head(truths[Kind.TRANSLATION]), FAR)
    for start in (Start.AUTO, Start.SEARCH):
        found = started(start, fixed, moving, Kind.TRANSLATION)
        assert np.array_equal(found.matrix[:3, :3], np.eye(3))
        assert furthest(found.matrix, truth) < NEAR_MM


def test_no_start_that_overlaps_is_an_error_that_names_what_was_tried(fixed, moved_head, truths):
    away = shoved(moved_head(truths[Kind.RIGID]), FAR * 3)
    said = r"do not overlap from any start that was tried \(header\).*--start search"
    with pytest.raises(RegistrationError, match=said):
        started(Start.HEADER, fixed, away)


def test_centres_are_chosen_when_the_headers_lie_far_apart(fixed, moved_head, truths, furthest):
    truth = truths[Kind.RIGID].copy()
    truth[:3, 3] += FAR
    moving = shoved(moved_head(truths[Kind.RIGID]), FAR)
    result = register(fixed, moving, Recipe(transform="rigid"))
    assert result.start != "header"
    assert furthest(result.transform, truth) < 0.25  # mm, 1/16 of a voxel
    with pytest.raises(RegistrationError, match="do not overlap"):
        register(fixed, moving, Recipe(transform="rigid", start="header"))
    by_mass = register(fixed, moving, Recipe(transform="rigid", start="centre"))
    assert by_mass.start == "centre of mass"
    assert furthest(by_mass.transform, truth) < 0.25


def test_a_given_start_is_used_as_it_is(fixed, moved_head, truths, furthest):
    truth = truths[Kind.RIGID]
    off = truth @ homogeneous(Rotation.from_rotvec([0.05, -0.05, 0.05]).as_matrix(), np.array([2.0, 0, 0]))
    asked = Recipe(transform="rigid", metric="correlation", start="search")
    seen = []
    result = register(fixed, moved_head(truth), asked, initial=off, watch=seen.append)
    assert (result.start, result.candidates) == ("given", ())
    assert furthest(result.transform, truth) < 0.25
    levels = [{"spacing_mm": 8.0, "samples": 2000, "steps": 1, "tolerance_mm": 1000.0}]
    asked = Recipe(transform="rigid", metric="correlation", levels=levels)
    barely = register(fixed, moved_head(truth), asked, initial=off)
    assert furthest(barely.transform, off) < 15  # mm: one step from there
    assert seen[0].step_mm == 0


# Any pose -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [Start.AUTO, Start.SEARCH])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_head_in_any_pose_is_found(fixed, furthest, start, seed):
    moving, truth = tumbled(Rotation.random(random_state=seed))
    found = started(start, fixed, moving)
    assert furthest(found.matrix, truth) < NEAR_MM
    assert np.linalg.det(found.matrix[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_half_turn_is_told_apart(fixed, furthest, axis):
    moving, truth = tumbled(Rotation.from_euler(axis, 180, degrees=True))
    assert furthest(started(Start.AUTO, fixed, moving).matrix, truth) < NEAR_MM


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirror_image_is_never_mirrored_back(fixed, axis):
    mirrored = fixed.with_data(fixed.data.flip(3 - axis))
    for start in (Start.AUTO, Start.SEARCH, Start.MOMENTS):
        found = started(start, fixed, mirrored)
        assert np.linalg.det(found.matrix[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_part_of_a_turned_head_is_found_in_the_whole(fixed, furthest, which):
    """Whichever of the two is the smaller: then they exchange their roles, or not."""
    moving, truth = tumbled(Rotation.from_euler("xyz", [-100, 20, 40], degrees=True))
    pair = fixed, cropped(moving, (10, 10, 10), (46, 46, 36))
    if which == "fixed":
        pair = cropped(fixed, (6, 6, 20), (42, 50, 48)), moving
    result = register(*pair, Recipe(transform="rigid"))
    assert result.start == "search"
    assert all(c.overlap <= 1.001 for c in result.candidates)
    assert furthest(result.transform, truth) < 0.5  # mm, an 8th of a voxel


@pytest.mark.parametrize("degrees", [95, -170])
@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE], ids=str)
def test_a_turned_slice_is_found(fixed, furthest, flat_pair, degrees, kind):
    still, moving, truth = flat_pair(Kind.RIGID, contrast="T2")
    turn = homogeneous(Rotation.from_euler("z", degrees, degrees=True).as_matrix()[:2, :2], np.array([10.0, 20.0]))
    turned = MedImage.on(Grid.from_affine(moving.size, turn @ moving.affine), moving.data)
    found = started(Start.AUTO, still, turned, kind)
    assert furthest(found.matrix, turn @ truth) < NEAR_MM
    assert np.linalg.det(found.matrix[:2, :2]) > 0


def test_two_runs_start_at_the_same_bytes(fixed):
    moving, _ = tumbled(Rotation.random(random_state=0))
    one, other = (started(Start.SEARCH, fixed, moving) for _ in range(2))
    assert one.matrix.tobytes() == other.matrix.tobytes()
    assert one.candidates == other.candidates


def test_pictures_of_shifted_parts_of_one_scene_are_brought_together():
    scene = torch.from_numpy(np.random.default_rng(3).standard_normal((96, 150)).cumsum(0).cumsum(1)).float()
    scene = torch.nn.functional.avg_pool2d(scene[None, None], 5, 1, 2)[0]
    scene = scene - torch.nn.functional.avg_pool2d(scene[None], 31, 1, 15, count_include_pad=False)[0]
    grid = Grid.regular((96, 96), (1.0, 1.0))
    one, other = (MedImage.on(grid, scene[:, :, k : k + 96].contiguous()) for k in (0, 38))
    found = register(one, other, Recipe(transform="translation"))
    assert found.transform.matrix[:2, 2] == pytest.approx([-38, 0], abs=0.1)  # px
