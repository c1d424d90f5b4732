"""The planes of the report lie where SimpleITK finds them, upright, with the right letters."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.spatial.transform import Rotation

from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.report.page.planes import Plane, depths_of, frame_of, planes_of
from medreg.report.page.sampling import views_of

AXES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
"""World axis and sense of each letter."""


def grid(
    code: str, angles: tuple[float, float, float] = (0, 0, 0), spacing: tuple[float, ...] = (1.0, 1.5, 3.0)
) -> Grid:
    """A grid whose index axes point where the letters say, turned by Euler angles, off the world's origin."""
    direction = np.zeros((3, 3))
    for k, letter in enumerate(code):
        axis, sense = AXES[letter]
        direction[axis, k] = sense
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ direction
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = [7.0, -11.0, 23.0]
    return Grid.from_affine((40, 36, 16), affine)


GRIDS = {
    "straight": grid("LPS"),
    "flipped": grid("RAS"),
    "sagittal": grid("PIR"),
    "oblique": grid("LPS", (12, -9, 20)),
    "oblique flipped": grid("ASL", (5, 17, -8), (0.8, 2.0, 1.2)),
}


def image(on: Grid, values: np.ndarray) -> MedImage:
    return MedImage.on(on, torch.from_numpy(np.ascontiguousarray(values))[None])


def textured(on: Grid, seed: int) -> MedImage:
    """Smooth random values."""
    noise = np.random.default_rng(seed).normal(size=on.shape)
    for axis in range(3):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    return image(on, (100 + 50 * noise).astype(np.float32))


def itk(picture: MedImage) -> sitk.Image:
    made = sitk.GetImageFromArray(picture.data[0].numpy())
    made.SetSpacing(picture.spacing)
    made.SetOrigin(picture.origin)
    made.SetDirection(np.array(picture.direction).ravel().tolist())
    return made


def linear(source: sitk.Image, point: tuple[float, ...]) -> float:
    """SimpleITK's value at a point; NaN outside the outer voxels' centres."""
    index = source.TransformPhysicalPointToContinuousIndex(point)
    inside = all(0 <= i <= n - 1 for i, n in zip(index, source.GetSize(), strict=True))
    return float(source.EvaluateAtPhysicalPoint(point, sitk.sitkLinear)) if inside else float("nan")


def points(plane: Plane) -> np.ndarray:
    """World points (height, width, 3) of a plane's pixels."""
    v, u = np.meshgrid(np.arange(plane.height), np.arange(plane.width), indexing="ij")
    return plane.grid.to_world(np.stack([u, v, 0 * u], -1).reshape(-1, 3)).reshape(plane.height, plane.width, 3)


@pytest.mark.parametrize("name", GRIDS)
def test_every_plane_runs_towards_its_letters(name: str) -> None:
    depths = depths_of(GRIDS[name], np.ones((4, 4, 4)), [(0.3, 0.5)] * 3)
    for row in planes_of(GRIDS[name], depths):
        for plane in row:
            at = points(plane)
            left, right, top, bottom = plane.letters
            for ends, step in (((left, right), at[0, 1] - at[0, 0]), ((top, bottom), at[1, 0] - at[0, 0])):
                axis, sense = AXES[ends[1]]
                assert AXES[ends[0]] == (axis, -sense)
                assert np.argmax(np.abs(step)) == axis  # of all world axes the nearest
                assert np.sign(step[axis]) == sense
                assert np.linalg.norm(step) == pytest.approx(plane.pixel, abs=1e-9)  # mm, square pixels


def test_the_head_is_up_and_the_patients_left_on_the_right() -> None:
    letters = {row[0].name: row[0].letters for row in planes_of(GRIDS["oblique"], [[0.0]] * 3)}
    assert letters == {
        "axial": ("R", "L", "A", "P"),
        "coronal": ("R", "L", "S", "I"),
        "sagittal": ("A", "P", "S", "I"),
    }


@pytest.mark.parametrize("name", GRIDS)
def test_planes_cut_at_centres_of_slices_along_the_images_own_axes(name: str) -> None:
    fixed = GRIDS[name]
    for row in planes_of(fixed, depths_of(fixed, np.ones((4, 4, 4)), [(0.3, 0.5, 0.9)] * 3)):
        for plane in row:
            index = fixed.to_index(points(plane).reshape(-1, 3))
            constant = np.ptp(index, axis=0) < 1e-6  # voxels
            assert constant.sum() == 1
            assert np.abs(index[:, constant] - index[:, constant].round()).max() < 1e-6


@pytest.mark.parametrize("name", GRIDS)
def test_planes_cover_the_whole_image_and_no_more(name: str) -> None:
    fixed = GRIDS[name]
    for (plane,) in planes_of(fixed, depths_of(fixed, np.ones((2, 2, 2)), [(0.5,)] * 3)):
        index = fixed.to_index(points(plane).reshape(-1, 3))
        slack = plane.pixel / np.array(fixed.spacing)  # half a pixel of rounding, and half a pixel inwards
        for k, n in enumerate(fixed.size):
            if np.ptp(index[:, k]) > 1e-6:
                assert -0.5 <= index[:, k].min() + 1e-9 < -0.5 + slack[k] + 1e-9
                assert n - 0.5 - slack[k] - 1e-9 < index[:, k].max() - 1e-9 <= n - 0.5


def test_the_place_is_the_worlds_coordinate_across_the_plane() -> None:
    for (plane,) in planes_of(GRIDS["flipped"], depths_of(GRIDS["flipped"], np.ones((2, 2, 2)), [(0.5,)] * 3)):
        axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane.name]
        value = points(plane)[0, 0, axis]
        letter = ("RL", "AP", "IS")[axis][int(value >= 0)]
        assert plane.place == f"{letter} {abs(value):.1f} mm"


@pytest.mark.parametrize("name", GRIDS)
def test_simpleitk_sees_the_same_slices_before_and_after(name: str) -> None:
    fixed, other = textured(GRIDS[name], 1), grid("LPS", (0, 8, 3), (1.9, 2.1, 4.0))
    affine = other.affine.copy()
    affine[:3, 3] += np.subtract(fixed.grid.centre, other.centre)
    moving = textured(Grid.from_affine(other.size, affine), 2)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (4, -6, 9), degrees=True).as_matrix() @ np.diag([1.05, 0.97, 1.0])
    centre = np.array(fixed.grid.centre)
    matrix[:3, 3] = [3.0, -2.0, 1.5] + centre - matrix[:3, :3] @ centre
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    asked = {
        "fixed": (itk(fixed), sitk.Transform()),
        "before": (itk(moving), sitk.Transform()),
        "after": (itk(moving), transform),
    }
    rows = views_of(fixed, moving, matrix).rows
    assert [row[0].plane.name for row in rows] == ["axial", "coronal", "sagittal"]
    for view in (view for row in rows for view in row):
        for which, (source, through) in asked.items():
            at = points(view.plane)[::9, ::9]
            theirs = np.array([linear(source, through.TransformPoint(p)) for p in at.reshape(-1, 3).tolist()])
            theirs = theirs.reshape(at.shape[:2])
            ours = getattr(view, which)[::9, ::9]
            both = np.isfinite(theirs) & np.isfinite(ours) & (ours > 0) & (ours < 1)
            assert both.sum() > 5
            # the window is one line for all pictures of an image: what is left is rounding
            slope, offset = np.polyfit(theirs[both], ours[both], 1)
            assert slope > 0
            assert np.abs(slope * theirs[both] + offset - ours[both]).max() < 2e-4  # of the window, float32


def test_where_the_moving_image_does_not_reach_nothing_is_known() -> None:
    fixed = textured(GRIDS["straight"], 1)
    far = np.eye(4)
    far[:3, 3] = 1000.0
    views = views_of(fixed, fixed, far)
    assert all(np.isnan(view.after).all() and np.isfinite(view.before).any() for row in views.rows for view in row)


def test_a_gantry_tilt_gives_square_upright_planes() -> None:
    affine = grid("LPS").affine.copy()
    affine[:3, 2] += [0.0, 1.0, 0.0]
    frame = frame_of(Grid.from_affine((20, 20, 20), affine))
    assert np.abs(frame.T @ frame - np.eye(3)).max() < 1e-12
    assert np.linalg.det(frame) > 0


def test_slices_go_where_there_is_something_to_see() -> None:
    on = Grid.regular((64, 64, 64), (1.0, 1.0, 1.0))
    values = np.zeros(on.shape, np.float32)
    values[40:56, 8:24, 30:46] = 1.0  # z, y, x
    for row in views_of(image(on, values), image(on, values), np.eye(4)).rows:
        assert all(np.nanmax(view.fixed) > 0.9 for view in row)


def test_a_flat_image_is_cut_evenly() -> None:
    on = Grid.regular((30, 30, 30), (1.0, 1.0, 1.0))
    views = views_of(image(on, np.zeros(on.shape, np.float32)), image(on, np.zeros(on.shape, np.float32)), np.eye(4))
    assert [len(row) for row in views.rows] == [5, 3, 3]


def test_a_slab_of_three_slices_is_not_shown_twice() -> None:
    on = Grid.regular((40, 40, 3), (1.0, 1.0, 5.0))
    axial = views_of(textured(on, 1), textured(on, 2), np.eye(4)).rows[0]
    places = [view.plane.place for view in axial]
    assert len(places) == len(set(places)) <= 3


def test_colour_stays_colour_and_one_plane_serves_a_picture() -> None:
    on = Grid.regular((50, 40), (1.0, 1.0))
    data = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    picture = MedImage.on(on, data, metadata={"unit": "px", "world": "picture"})
    views = views_of(picture, picture, np.eye(3))
    ((view,),) = views.rows
    assert (views.unit, view.plane.name, view.plane.letters, view.plane.place) == ("px", "picture", (), "")
    assert view.fixed.shape == (view.plane.height, view.plane.width, 3)
    middle = np.s_[21:79:2, 21:79:2]  # pixels of half a voxel: the inner ones lie between voxels
    assert np.nanmax(np.abs(view.fixed[middle] - view.after[middle])) == 0.0


def test_the_error_is_sampled_on_the_middle_planes() -> None:
    fixed = textured(GRIDS["oblique"], 1)
    coarse = fixed.grid.subsampled((4, 4, 4))
    error = image(coarse, np.full(coarse.shape, 0.25, np.float32))
    views = views_of(fixed, fixed, np.eye(4), error)
    assert len(views.error) == 3
    for values, view in zip(views.error, views.middles, strict=True):
        assert values.shape == view.fixed.shape
        assert np.nanmax(np.abs(values - 0.25)) < 1e-6  # mm
