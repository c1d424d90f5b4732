"""How much of a transform an overlap can determine: slabs of known thickness, corners of known size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from medreg.geometry.affine import homogeneous
from medreg.geometry.grid import Grid
from medreg.registration import recipe
from medreg.registration.freedom import affordable
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import Pyramid
from medreg.registration.term import Term
from medreg.transform.kind import Kind

MANY = [Kind.SIMILARITY, Kind.AFFINE, Kind.HOMOGRAPHY]
OBLIQUE = Rotation.from_euler("xyz", [25, -40, 60], degrees=True).as_matrix()


def placed(size: tuple[int, ...], spacing: tuple[float, ...], turn: np.ndarray, centre: np.ndarray) -> Grid:
    affine = homogeneous(turn * spacing, np.zeros(len(size)))
    affine[:-1, -1] = centre - affine[:-1, :-1] @ ((np.array(size) - 1) / 2)
    return Grid.from_affine(size, affine)


def side(grid: Grid) -> Side:
    random = torch.Generator().manual_seed(sum(grid.size))
    return Side(Pyramid(torch.rand((1, *grid.shape), generator=random), None, grid), None, grid.centre)


def asked(kind: Kind, fixed: Grid, moving: Grid, matrix: np.ndarray) -> tuple[Kind, str | None]:
    """`affordable` at a level of 8 mm, as `register` asks it."""
    general = recipe.MutualInformation()
    level = PairLevel(0, recipe.Level(spacing_mm=8.0), side(fixed), side(moving), 0)
    (term,) = level.terms(general, matrix)
    assert isinstance(term, Term)
    return affordable(kind, term, matrix, fixed)


WHOLE = placed((40, 40, 40), (4.0, 4.0, 4.0), np.eye(3), np.zeros(3))


@pytest.mark.parametrize("kind", Kind)
def test_whole_images_get_what_they_ask_for(kind):
    assert asked(kind, WHOLE, WHOLE, np.eye(4)) == (kind, None)


@pytest.mark.parametrize("kind", [Kind.TRANSLATION, Kind.RIGID], ids=str)
def test_what_has_no_scale_is_never_cut_down(kind):
    thin = placed((40, 40, 2), (4.0, 4.0, 4.0), OBLIQUE, np.zeros(3))
    assert asked(kind, WHOLE, thin, np.eye(4)) == (kind, None)


@pytest.mark.parametrize("kind", MANY, ids=str)
@pytest.mark.parametrize("slices", [2, 3])
@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_a_slab_of_a_few_slices_is_fitted_rigidly_wherever_it_points(kind, slices, role):
    slab = placed((36, 36, slices), (4.0, 4.0, 5.0), OBLIQUE, np.zeros(3))
    pair = (slab, WHOLE) if role == "fixed" else (WHOLE, slab)
    got, why = asked(kind, *pair, np.eye(4))
    assert got is Kind.RIGID
    assert "slab of only" in why and f"rigid in place of {kind}" in why


@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_a_slab_of_a_dozen_slices_is_enough(role):
    slab = placed((36, 36, 12), (4.0, 4.0, 5.0), OBLIQUE, np.zeros(3))
    pair = (slab, WHOLE) if role == "fixed" else (WHOLE, slab)
    assert asked(Kind.AFFINE, *pair, np.eye(4)) == (Kind.AFFINE, None)


def test_it_is_the_overlap_that_must_be_thick_not_the_images():
    apart = homogeneous(np.eye(3), np.array([0, 0, 40 * 4.0 - 3 * 4.0]))  # three slices of both are left
    assert asked(Kind.AFFINE, WHOLE, WHOLE, apart)[0] is Kind.RIGID


def test_a_corner_in_common_is_too_little_and_is_told_in_percent():
    shift = homogeneous(np.eye(3), np.full(3, 80.0))  # half of each axis: an eighth of the volume
    got, why = asked(Kind.AFFINE, WHOLE, WHOLE, shift)
    assert got is Kind.RIGID
    assert "share only 12% of the smaller one" in why or "share only 13% of the smaller one" in why


def test_the_share_is_that_of_the_smaller_image():
    small = placed((20, 20, 20), (4.0, 4.0, 4.0), OBLIQUE, np.zeros(3))  # an eighth of the large one, all in it
    for pair in ((WHOLE, small), (small, WHOLE)):
        assert asked(Kind.AFFINE, *pair, np.eye(4)) == (Kind.AFFINE, None)


def test_no_overlap_at_all_is_told():
    got, why = asked(Kind.AFFINE, WHOLE, WHOLE, homogeneous(np.eye(3), np.array([1e4, 0, 0])))
    assert got is Kind.RIGID
    assert why == "the images hardly overlap: rigid in place of affine"


def test_flat_images_are_measured_in_their_plane():
    whole = placed((64, 64), (3.0, 3.0), np.eye(2), np.zeros(2))
    strip = placed((60, 3), (3.0, 3.0), Rotation.from_euler("z", 35, degrees=True).as_matrix()[:2, :2], np.zeros(2))
    assert asked(Kind.HOMOGRAPHY, whole, whole, np.eye(3)) == (Kind.HOMOGRAPHY, None)
    assert asked(Kind.AFFINE, whole, strip, np.eye(3))[0] is Kind.RIGID
