"""The images are the published ones, and the motions are undone by what is said to undo them."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from medreg.errors import UsageError
from medreg.learn.measures import angles_between, empty, oracle_images, squared
from medreg.learn.motions import drawn
from medreg.learn.phantoms import centre_of, head, line, phantom_of
from medreg.learn.settings import Model, Phantom, Settings


def test_the_line_is_the_published_one() -> None:
    volume = line(16)[0]
    assert volume.shape == (16, 16, 16)
    assert (volume[:, 7, 7] == 1).all()  # x = y = 8, counted from 1
    for y, x in ((6, 7), (8, 7), (7, 6), (7, 8)):
        assert (volume[:, y, x] == 0.3).all()
    assert int((volume > 0).sum()) == 16 * 5
    # the published error of an empty image: 16 (1 + 4 * 0.09) / 4096
    assert empty(line(16)).mse == pytest.approx(0.0053125, abs=1e-9)


def test_no_turn_or_mirror_takes_the_head_to_itself() -> None:
    volume = head(20)[0]
    energy = float(volume.square().mean())
    for order, mirrored in product(permutations(range(3)), product((False, True), repeat=3)):
        if order == (0, 1, 2) and not any(mirrored):
            continue
        other = volume.permute(order).flip([k for k in range(3) if mirrored[k]])
        assert float((other - volume).square().mean()) > 0.03 * energy, (order, mirrored)


def test_the_head_fits_its_image() -> None:
    volume = head(20)[0]
    borders = torch.cat([volume[[0, -1]].flatten(), volume[:, [0, -1]].flatten(), volume[:, :, [0, -1]].flatten()])
    assert float(borders.max()) < 0.1 * float(volume.max())  # the soft edge of the nose


def test_a_line_is_turned_as_published_one_axis_after_the_other() -> None:
    """out3(p) = in(R1 R2 R3 (p - c) + c), interpolated linearly each time, with 0 outside: here by scipy."""
    settings = Settings.of("line", images=1, test_images=1, seed=4)
    samples, _ = drawn(settings)
    angles = (torch.rand(1, 3, generator=torch.Generator().manual_seed(4)) * 2 - 1)[0].numpy() * 30
    centre = np.full(3, 7.0)
    volume, whole = line(16)[0].numpy().astype(np.float64), np.eye(3)
    for axis, angle in zip("xyz", angles, strict=True):
        turn = Rotation.from_euler(axis, angle, degrees=True).as_matrix()
        back = turn.T[::-1, ::-1]  # z, y, x; from the result to the image
        volume = ndimage.affine_transform(volume, back, centre - back @ centre, order=1, mode="constant")
        whole = turn @ whole
    # Half a voxel beyond the outermost centres ITK takes the edge, scipy nothing. No turn brings that within 5 voxels.
    near = np.linalg.norm(np.indices(volume.shape) - centre[:, None, None, None], axis=0) < 5
    assert np.abs(samples.images[0, 0].numpy() - volume)[near].max() < 1e-5  # float32 angles and voxels
    np.testing.assert_allclose(samples.undoing[0, :3, :3].numpy(), whole, atol=1e-6)


@pytest.mark.parametrize("model", ["rotation", "affine"])
@pytest.mark.parametrize("phantom", ["line", "head"])
def test_what_undoes_a_motion_undoes_it(phantom: Phantom, model: Model) -> None:
    settings = Settings.of(phantom, model, images=12, test_images=1)
    samples, _ = drawn(settings)
    target = phantom_of(phantom, settings.size)
    before, after = squared(samples.images, target), squared(oracle_images(samples.images, samples.undoing), target)
    # three interpolations blur a line of one voxel much, a head little
    assert float(after.mean()) < (0.4 if phantom == "line" else 0.2) * float(before.mean())
    wrong = squared(oracle_images(samples.images, torch.linalg.inv(samples.undoing)), target)
    assert float(wrong.mean()) > float(before.mean())
    centre = torch.tensor([*centre_of(phantom, settings.size), 1.0], dtype=torch.float64)
    if model == "rotation":
        torch.testing.assert_close(samples.undoing @ centre, centre.expand(12, 4), rtol=0, atol=1e-5)


def test_a_seed_names_the_images_and_those_to_test_on_are_others() -> None:
    settings = Settings.of("line", images=3, test_images=3, seed=5)
    (train, test), (again, _) = drawn(settings), drawn(settings)
    assert torch.equal(train.images, again.images)
    assert not torch.equal(train.images, test.images)
    assert not torch.equal(train.images, drawn(Settings.of("line", images=3, test_images=3, seed=6))[0].images)


@pytest.mark.parametrize("angle", [1e-6, 0.01, 1.0, 90.0, 179.9])
def test_the_angle_between_rotations_is_right_even_where_it_is_tiny(angle: float) -> None:
    axis = np.array([1.0, -2.0, 0.5]) / np.linalg.norm([1.0, -2.0, 0.5])
    first = Rotation.from_euler("xyz", [10, 20, 30], degrees=True)
    second = first * Rotation.from_rotvec(np.radians(angle) * axis)
    a, b = (torch.from_numpy(r.as_matrix())[None] for r in (first, second))
    assert float(angles_between(a, b)) == pytest.approx(angle, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 4}, "size must be 8 to 128 voxels, got 4"),
        ({"images": 0}, "images must be 1 or more, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"seed": -1}, "seed must be 0 to"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Settings.of("line", **given)


def test_unknown_phantoms_and_models_are_refused() -> None:
    with pytest.raises(UsageError, match="phantom must be one of line, head, got 'cube'"):
        Settings.of("cube")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="model must be one of rotation, affine, got 'rigid'"):
        Settings.of("line", "rigid")  # type: ignore[arg-type]
