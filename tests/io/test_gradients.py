"""Directions of diffusion: FSL's rule in closed form, and a series whose content turns with its directions."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medreg.errors import ReadError, TransformError, UsageError, WriteError
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import flip_lps_ras
from medreg.io.gradients import Gradients, read_gradients, rotation_of, voxel_axes, write_gradients

OBLIQUE = Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix()
DIRECTIONS = {
    "LAS, radiological": np.diag([1.0, -1.0, 1.0]),
    "RAS, neurological": np.diag([-1.0, -1.0, 1.0]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]),
    "oblique": OBLIQUE,
    "oblique and flipped": OBLIQUE * [-1.0, 1.0, 1.0],
}
"""LPS."""
TURN = Rotation.from_euler("xyz", [10, 20, -30], degrees=True).as_matrix()


def grid(direction: np.ndarray) -> Grid:
    return Grid((10, 11, 12), (1.0, 1.5, 2.5), (3.0, -4.0, 5.0), tuple(map(tuple, direction.tolist())))


def unit(count: int = 12) -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[0] = 0.0
    return vectors


def in_ras(vectors: np.ndarray, place: Grid) -> np.ndarray:
    """By FSL's rule, from the RAS affine that FSL sees: x is turned round where its determinant is positive."""
    affine = flip_lps_ras(place.affine)[:3, :3]
    axes = affine / np.linalg.norm(affine, axis=0)
    flip = np.diag([-1.0 if np.linalg.det(affine) > 0 else 1.0, 1.0, 1.0])
    return vectors @ (axes @ flip).T


@pytest.mark.parametrize("name", DIRECTIONS)
def test_voxel_axes_are_those_of_fsls_rule_in_ras(name: str) -> None:
    place, vectors = grid(DIRECTIONS[name]), unit()
    world = vectors @ voxel_axes(place).T
    np.testing.assert_allclose(world * [-1, -1, 1], in_ras(vectors, place), atol=1e-12)


@pytest.mark.parametrize("moving", DIRECTIONS)
@pytest.mark.parametrize("onto", DIRECTIONS)
def test_a_direction_stays_with_its_tissue_whatever_the_grids(moving: str, onto: str) -> None:
    """In the world, moved directions are the rotation of the old ones: closed form in RAS."""
    here, there, vectors = grid(DIRECTIONS[moving]), grid(DIRECTIONS[onto]), unit()
    matrix = np.eye(4)
    matrix[:3, :3] = TURN.T  # fixed -> moving points: the tissue turns by TURN
    matrix[:3, 3] = (40.0, -3.0, 9.0)
    moved = Gradients(vectors).turned(matrix, here, there).directions
    flip = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(in_ras(moved, there), in_ras(vectors, here) @ (flip @ TURN @ flip).T, atol=1e-12)
    assert (moved[0] == 0).all()
    still = Gradients(vectors).turned(None, here, here).directions
    np.testing.assert_allclose(still, vectors, atol=1e-12)


def test_only_the_rotation_counts_not_scales_and_shears() -> None:
    place, vectors = grid(OBLIQUE), unit()
    stretch = np.array([[1.2, 0.1, 0.0], [0.1, 0.9, 0.05], [0.0, 0.05, 1.1]])  # symmetric: the polar part is the turn
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.inv(TURN @ stretch)
    np.testing.assert_allclose(rotation_of(matrix, place), TURN, atol=1e-12)
    moved = Gradients(vectors).turned(matrix, place, place).directions
    np.testing.assert_allclose(np.linalg.norm(moved[1:], axis=1), 1.0, atol=1e-12)


def test_a_transform_that_mirrors_mirrors_the_directions() -> None:
    place, vectors = grid(np.eye(3)), unit()
    moved = Gradients(vectors).turned(np.diag([-1.0, 1, 1, 1]), place, place).directions
    np.testing.assert_allclose(moved, vectors * [-1, 1, 1], atol=1e-12)


def test_a_tensors_long_axis_turns_with_the_image() -> None:
    """A signal exp(-b g'Dg) made from a fibre, seen by the turned directions, shows the turned fibre."""
    here, there = grid(DIRECTIONS["oblique"]), grid(DIRECTIONS["RAS, neurological"])
    fibre = np.array([0.6, 0.48, 0.64])  # RAS
    vectors = unit(40)[1:]
    signal = np.exp(-1.7 * (in_ras(vectors, here) @ fibre) ** 2)
    matrix = np.eye(4)
    matrix[:3, :3] = TURN.T
    moved = in_ras(Gradients(vectors).turned(matrix, here, there).directions, there)
    quadratic = np.stack([moved[:, i] * moved[:, j] for i, j in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]], 1)
    a, b, c, d, e, f = np.linalg.lstsq(quadratic, -np.log(signal), rcond=None)[0]
    tensor = np.array([[a, d / 2, e / 2], [d / 2, b, f / 2], [e / 2, f / 2, c]])
    found = np.linalg.eigh(tensor)[1][:, -1]
    flip = np.diag([-1.0, -1.0, 1.0])
    assert abs(found @ (flip @ TURN @ flip) @ fibre) == pytest.approx(1, abs=1e-9)


def test_files_of_both_layouts_are_read_and_fsls_is_written(tmp_path: Path) -> None:
    vectors = unit(7)
    np.savetxt(tmp_path / "rows.bvec", vectors.T, fmt="%.8f")
    np.savetxt(tmp_path / "columns.bvec", vectors, fmt="%.8f", delimiter=",")
    np.savetxt(tmp_path / "b.bval", [[0, *[1000] * 6]], fmt="%d")
    for name in ("rows.bvec", "columns.bvec"):
        read = read_gradients(tmp_path / name, tmp_path / "b.bval")
        np.testing.assert_allclose(read.directions, vectors, atol=1e-8)
        assert read.values is not None and read.values.tolist() == [0, *[1000] * 6]
    write_gradients(read, tmp_path / "o.bvec", tmp_path / "o.bval")
    assert np.loadtxt(tmp_path / "o.bvec").shape == (3, 7)
    assert (tmp_path / "o.bval").read_text() == "0 1000 1000 1000 1000 1000 1000\n"
    np.savetxt(tmp_path / "three.bvec", np.array([[0.6, 1, 0], [0.8, 0, 0], [0, 0, 1.0]]))
    np.testing.assert_allclose(read_gradients(tmp_path / "three.bvec").directions[0], [0.6, 0.8, 0])  # rows of three


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("1 0\n0 1\n", "2 rows of 2 numbers"),
        ("1 0\n0 1 0\n0 0\n", "2 or 3 numbers"),
        ("1 2\n0 0\n0 0\n", "length 2"),
        ("1 x\n0 0\n0 0\n", "no text of numbers"),
        ("nan 0\n0 0\n0 1\n", "not finite"),
        ("", "no numbers"),
    ],
)
def test_what_is_no_table_of_directions_is_refused(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.bvec").write_text(content)
    with pytest.raises(ReadError, match=told):
        read_gradients(tmp_path / "x.bvec")


def test_other_numbers_of_volumes_and_dimensions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has 5 volumes, the b-vectors are 12"):
        Gradients(unit()).check_fits(5, "dwi.nii")
    flat = Grid.regular((3, 3), (1.0, 1.0))
    with pytest.raises(TransformError, match="3D"):
        Gradients(unit()).turned(np.eye(3), flat, flat)
    with pytest.raises(ReadError, match="no such file"):
        read_gradients(tmp_path / "none.bvec")


def test_apply_turns_the_b_vectors_of_a_series_beside_it(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from medreg.cli.main import app

    moving, like = grid(DIRECTIONS["oblique"]), grid(DIRECTIONS["RAS, neurological"])
    for name, place, shape in (("dwi", moving, (10, 11, 12, 6)), ("t1", like, (10, 11, 12))):
        data = np.random.default_rng(1).integers(0, 900, shape).astype(np.int16)
        nib.save(nib.Nifti1Image(data, flip_lps_ras(place.affine)), tmp_path / f"{name}.nii.gz")
    vectors, matrix = unit(6), np.eye(4)
    matrix[:3, :3] = TURN.T
    np.savetxt(tmp_path / "dwi.bvec", vectors.T)
    np.savetxt(tmp_path / "dwi.bval", [[0, *[1000] * 5]], fmt="%d")
    np.savetxt(tmp_path / "t.txt", matrix)

    def apply(*more: object, out: str = "o.nii.gz") -> object:
        flags = ["--bvecs", "dwi.bvec", "-t", "t.txt", "--from", "lps", *map(str, more)]
        paths = [str(tmp_path / f) if (tmp_path / f).exists() else f for f in flags]
        return CliRunner().invoke(app, ["apply", str(tmp_path / "dwi.nii.gz"), "-o", str(tmp_path / out), *paths])

    result = apply("--like", "t1.nii.gz", "--bvals", "dwi.bval")
    assert result.exit_code == 0, result.output
    assert "o.bvec" in result.stdout
    expected = Gradients(vectors).turned(matrix, moving, like).directions
    np.testing.assert_allclose(np.loadtxt(tmp_path / "o.bvec").T, expected, atol=1e-6)  # float32 affines
    assert (tmp_path / "o.bval").read_text().split() == ["0", *["1000"] * 5]
    header = apply(out="h.nii.gz")  # the header turns instead: the axes of the voxels turn with the tissue
    assert header.exit_code == 0, header.output
    np.testing.assert_allclose(np.loadtxt(tmp_path / "h.bvec").T, vectors, atol=1e-6)
    again = apply("--like", "t1.nii.gz", out="new.nii.gz")
    assert again.exit_code == 0
    (tmp_path / "new.nii.gz").unlink()
    assert "new.bvec: is there already" in apply("--like", "t1.nii.gz", out="new.nii.gz").stderr


@pytest.mark.parametrize("more", [["--like", "dwi.nii.gz"], []], ids=["resampled", "by the header"])
def test_no_image_comes_without_its_b_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    """The place of the b-vectors is a link into a folder that is gone: free by its looks, and not to be written."""
    from typer.testing import CliRunner

    from medreg.cli.main import app

    monkeypatch.chdir(tmp_path)
    nib.save(nib.Nifti1Image(np.ones((4, 5, 6, 3), np.int16), np.eye(4)), "dwi.nii.gz")
    np.savetxt("dwi.bvec", unit(3).T)
    np.savetxt("t.txt", np.eye(4))
    Path("o.bvec").symlink_to(tmp_path / "gone" / "o.bvec")
    before = sorted(tmp_path.iterdir())
    told = CliRunner().invoke(
        app, ["apply", "dwi.nii.gz", "-o", "o.nii.gz", "--bvecs", "dwi.bvec", "-t", "t.txt", "--from", "lps", *more]
    )
    assert told.exit_code == WriteError.exit_code
    assert "o.bvec: the folder" in told.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_b_vectors_and_b_values_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="does not exist"):
        write_gradients(Gradients(unit(3), np.zeros(3)), tmp_path / "a.bvec", tmp_path / "none" / "a.bval")
    assert list(tmp_path.iterdir()) == []
