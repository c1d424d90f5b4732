"""Overlap and outline distances are those of SimpleITK and SciPy, on any grid."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from medreg.errors import ImageError
from medreg.evaluate import label_overlaps, labels_in, same_place, surface_distances
from medreg.geometry.grid import Grid

SPACING = (0.75, 1.25, 2.5)
SIZE = (23, 19, 11)
TURN = Rotation.from_euler("xyz", [12, -31, 64], degrees=True).as_matrix()
SHEAR = np.array([[1, 0, 0], [0, 1, np.tan(np.radians(17))], [0, 0, 1]])
LINEAR = {
    "identity": np.diag(SPACING),
    "flipped": np.diag([-1.0, 1.0, -1.0]) @ np.diag(SPACING),
    "oblique": TURN @ np.diag(SPACING),
    "sheared": TURN @ SHEAR @ np.diag(SPACING),
}
LABELS = (2, 7, 300)


def grid_named(name: str) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = LINEAR[name]
    affine[:3, 3] = (-71.5, 33.25, 12.125)
    return Grid.from_affine(SIZE, affine)


def maps(seed: int = 0, dtype: str = "int16") -> tuple[np.ndarray, np.ndarray]:
    """Two maps of smooth blobs of three labels, one of which reaches the image's border."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(4, *SIZE[::-1])), (0, 1.5, 2.5, 3.0))
    other = fields + 0.5 * ndimage.gaussian_filter(rng.normal(size=fields.shape), (0, 1.5, 2.5, 3.0))
    values = np.array([0, *LABELS])
    return values[fields.argmax(0)].astype(dtype), values[other.argmax(0)].astype(dtype)


def image_of(data: np.ndarray, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(data)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(np.array(grid.direction).ravel())
    return image


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32", "float32", "float64"])
def test_dice_jaccard_and_volumes_are_those_of_simpleitk(dtype: str) -> None:
    a, b = maps(dtype=dtype)
    judge = sitk.LabelOverlapMeasuresImageFilter()
    judge.Execute(sitk.GetImageFromArray(a.astype("uint16")), sitk.GetImageFromArray(b.astype("uint16")))
    found = label_overlaps(a, b)
    assert tuple(overlap.label for overlap in found) == LABELS
    for overlap in found:
        assert overlap.dice == pytest.approx(judge.GetDiceCoefficient(overlap.label), rel=1e-12)
        assert overlap.jaccard == pytest.approx(judge.GetJaccardCoefficient(overlap.label), rel=1e-12)
        # ITK's is 2 (|A| - |B|) / (|A| + |B|), with a sign
        similarity = 1 - abs(judge.GetVolumeSimilarity(overlap.label)) / 2
        assert overlap.volume_similarity == pytest.approx(similarity, rel=1e-12)


def test_masks_negative_huge_and_narrow_labels_are_counted_right() -> None:
    (one,) = label_overlaps(np.array([[True, True, False]]), np.array([[True, False, False]]))
    assert (one.label, one.voxels, one.both) == (1, (2, 1), 1)
    whole = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    found = label_overlaps(whole, whole)
    assert [overlap.label for overlap in found] == [label for label in range(-128, 128) if label]
    assert all(overlap.dice == 1 for overlap in found)
    huge = np.array([[0, 2**40, 2**40 + 1, 3]])
    assert {overlap.label: overlap.dice for overlap in label_overlaps(huge, np.array([[3, 2**40, 0, 3]]))} == {
        3: 2 / 3,
        2**40: 1.0,
        2**40 + 1: 0.0,
    }
    assert labels_in(np.array([[2**40, -5]])).tolist() == [-5, 2**40]


def test_a_label_of_one_map_alone_overlaps_nothing_and_has_no_distance() -> None:
    a, b = np.array([[0, 1, 2]]), np.array([[0, 1, 1]])
    found = {overlap.label: overlap.dice for overlap in label_overlaps(a, b)}
    assert found == {1: 2 / 3, 2: 0.0}
    first, second = surface_distances(a, b, Grid.regular((3, 1), (1.0, 1.0)), [1, 2])
    assert first is not None
    assert second is None


def test_fractions_background_and_other_sizes_are_refused() -> None:
    ones = np.ones((2, 2), int)
    with pytest.raises(ImageError, match="labels are whole numbers, got fractions"):
        label_overlaps(ones, ones + 0.5)
    for value in (np.nan, np.inf):
        with pytest.raises(ImageError, match="labels are whole numbers"):
            label_overlaps(ones, np.full((2, 2), value))
    with pytest.raises(ImageError, match="only background"):
        label_overlaps(0 * ones, 0 * ones)
    with pytest.raises(ImageError, match="need one grid"):
        label_overlaps(ones, np.ones((2, 3), int))
    with pytest.raises(ImageError, match=r"neither map holds the labels \[9\]"):
        label_overlaps(ones, ones, [1, 9])
    with pytest.raises(ImageError, match="do not fill a grid"):
        surface_distances(ones, ones, Grid.regular((3, 2), (1.0, 1.0)), [1])


def outline(data: np.ndarray, label: int) -> np.ndarray:
    """By SciPy: a label without its erosion by the cross of its dimension, the border being outside."""
    return (data == label) & ~ndimage.binary_erosion(data == label)


@pytest.mark.parametrize("name", list(LINEAR))
def test_outline_distances_are_all_those_between_voxel_centres_in_the_world(name: str) -> None:
    a, b = maps()
    grid = grid_named(name)
    for label, found in zip(LABELS, surface_distances(a, b, grid, LABELS), strict=True):
        ends = [grid.to_world(np.argwhere(outline(data, label))[:, ::-1]) for data in (a, b)]
        apart = cdist(*ends)
        assert found is not None
        there, back = apart.min(1), apart.min(0)
        np.testing.assert_allclose(np.sort(found.from_a), np.sort(there), atol=1e-9)  # mm, rounding
        np.testing.assert_allclose(np.sort(found.from_b), np.sort(back), atol=1e-9)
        assert found.mean == pytest.approx(np.concatenate([there, back]).mean())
        assert found.hausdorff == pytest.approx(max(there.max(), back.max()))
        assert found.hausdorff_95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))


@pytest.mark.parametrize("name", ["identity", "flipped", "oblique"])
def test_hausdorff_is_that_of_simpleitk_between_outlines(name: str) -> None:
    a, b = maps(1)
    grid = grid_named(name)
    for label, found in zip(LABELS, surface_distances(a, b, grid, LABELS), strict=True):
        judge = sitk.HausdorffDistanceImageFilter()
        judge.Execute(*(image_of(outline(data, label).astype("uint8"), grid) for data in (a, b)))
        assert found is not None
        assert found.hausdorff == pytest.approx(judge.GetHausdorffDistance(), abs=1e-4)  # mm; ITK keeps float32
        average = (found.from_a.mean() + found.from_b.mean()) / 2  # ITK gives both ways one weight
        assert average == pytest.approx(judge.GetAverageHausdorffDistance(), abs=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_moved_by_whole_voxels_is_off_by_their_length(axis: int) -> None:
    data = np.zeros((12, 12, 12), np.uint8)
    data[3:8, 3:8, 3:8] = 4
    grid = Grid.regular((12, 12, 12), SPACING)
    (found,) = surface_distances(data, np.roll(data, 2, axis), grid, [4])
    assert found is not None
    assert found.hausdorff == pytest.approx(2 * SPACING[2 - axis], abs=1e-12)
    (same,) = surface_distances(data, data, grid, [4])
    assert same is not None
    assert (same.mean, same.hausdorff, same.hausdorff_95) == (0.0, 0.0, 0.0)


def test_grids_are_one_place_within_the_precision_of_headers() -> None:
    grid = grid_named("oblique")
    stored = Grid.from_affine(SIZE, grid.affine.astype(np.float32).astype(float))
    assert same_place(grid, stored)
    for change in ((0, 0.1), (1, 0.1), (2, 0.1)):
        moved = grid.affine.copy()
        moved[change[0], 3] += change[1]
        assert not same_place(grid, Grid.from_affine(SIZE, moved))
    assert not same_place(grid, grid_named("identity"))
    assert not same_place(grid, Grid.from_affine((23, 19, 12), grid.affine))


def test_what_is_no_label_is_told_for_what_it_is() -> None:
    for value, message in ((np.nan, "got NaN"), (np.inf, "got NaN or infinity"), (0.5, "got fractions")):
        with pytest.raises(ImageError, match=message):
            labels_in(np.array([0.0, 1.0, value]))
    with pytest.raises(ImageError, match="got 18446744073709551615; number them anew"):
        labels_in(np.array([0, 2**64 - 1], np.uint64))
