"""RAS and LPS text, niimath's JSON, SPM, 3D Slicer and X5 beside numpy, scipy, SimpleITK and nitransforms."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from nitransforms import linear
from nitransforms.io import x5 as theirs
from scipy.io import loadmat, savemat
from transform_pairs import RAS, Images, motion

from medreg.errors import ReadError, TransformError, UsageError, WriteError
from medreg.geometry.grid import Grid
from medreg.io.transforms import End, Form, form_of_file, read_transform, write_transform, written_files

MATRIX = motion()
IN_RAS = RAS @ MATRIX @ RAS


def test_a_ras_matrix_is_bare_rows_for_tools_that_know_no_comments(tmp_path: Path) -> None:
    write_transform(MATRIX, tmp_path / "greedy.mat", form=Form.RAS)
    assert np.array_equal(np.loadtxt(tmp_path / "greedy.mat", comments=None), IN_RAS)
    assert np.array_equal(read_transform(tmp_path / "greedy.mat", form=Form.RAS), MATRIX)


def test_an_lps_matrix_says_what_it_is(tmp_path: Path) -> None:
    write_transform(MATRIX, tmp_path / "m.txt", form=Form.LPS)
    assert np.array_equal(np.loadtxt(tmp_path / "m.txt"), MATRIX)
    assert form_of_file(tmp_path / "m.txt") is Form.LPS
    assert np.array_equal(read_transform(tmp_path / "m.txt"), MATRIX)


@pytest.mark.parametrize("name", ["m.txt", "m.mat", "m.aff", "m"])
def test_a_bare_matrix_is_refused_until_somebody_says_whose_it_is(name: str, tmp_path: Path) -> None:
    np.savetxt(tmp_path / name, IN_RAS)
    with pytest.raises(UsageError, match=rf"{name}: is a bare matrix.*--from: ras .*fsl .*afni, or lps"):
        read_transform(tmp_path / name)


def test_niimaths_json_holds_fixed_to_moving_in_ras(tmp_path: Path) -> None:
    """The keys of a file that niimath 1.0.20261016 wrote with -savemat; its comment says the direction."""
    keys = {"type": "allineate_affine", "version": 1, "space": "world", "units": "mm", "dof": 6, "cost": "hel"}
    content = {**keys, "fixed_to_moving": IN_RAS.tolist(), "moving_to_fixed": np.linalg.inv(IN_RAS).tolist()}
    (tmp_path / "n.json").write_text(json.dumps(content))
    assert form_of_file(tmp_path / "n.json") is Form.NIIMATH
    assert np.array_equal(read_transform(tmp_path / "n.json"), MATRIX)


def test_a_niimath_json_that_we_write_has_both_matrices(tmp_path: Path) -> None:
    write_transform(MATRIX, tmp_path / "n.json", form=Form.NIIMATH)
    loaded = json.loads((tmp_path / "n.json").read_text())
    assert np.array_equal(loaded["fixed_to_moving"], IN_RAS)
    assert np.abs(np.array(loaded["moving_to_fixed"]) @ IN_RAS - np.eye(4)).max() < 1e-12
    assert (loaded["type"], loaded["space"], loaded["units"]) == ("allineate_affine", "world", "mm")
    assert np.array_equal(read_transform(tmp_path / "n.json"), MATRIX)


def test_spms_m_moves_the_moving_image_to_the_fixed_one(tmp_path: Path) -> None:
    """SPM's "Reorient Images" gives an image the place M @ its place: old mm -> new mm."""
    write_transform(MATRIX, tmp_path / "reorient.mat", form=Form.SPM)
    stored = loadmat(tmp_path / "reorient.mat")["M"]
    assert np.abs(stored @ IN_RAS - np.eye(4)).max() < 1e-12
    assert form_of_file(tmp_path / "reorient.mat") is Form.SPM
    assert np.abs(read_transform(tmp_path / "reorient.mat") - MATRIX).max() < 1e-12


@pytest.mark.parametrize("level", [{"format": "4"}, {"format": "5"}, {"format": "5", "do_compression": True}])
def test_every_level_of_matlab_file_is_read(level: dict[str, object], tmp_path: Path) -> None:
    extra = {} if level["format"] == "4" else {"note": "text", "cell": np.array([[1, "a"]], dtype=object)}
    savemat(tmp_path / "r.mat", {"M": np.linalg.inv(IN_RAS), **extra}, **level)
    assert np.abs(read_transform(tmp_path / "r.mat") - MATRIX).max() < 1e-12


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.uint8])
def test_matlab_stores_small_whole_numbers_in_fewer_bytes(dtype: type, tmp_path: Path) -> None:
    stored = np.eye(4)
    stored[:3, 3] = (3, 4, 5)
    savemat(tmp_path / "r.mat", {"M": stored.astype(dtype)})
    expected = np.eye(4)
    expected[:3, 3] = (3, 4, -5)
    assert np.array_equal(read_transform(tmp_path / "r.mat"), expected)


def test_spms_mat_is_the_new_place_of_the_moving_image(images: Images, tmp_path: Path) -> None:
    """SPM counts voxels from 1. New place = inverse of the transform after the old place, so that T(new) = old."""
    moving = images.loaded[1].affine
    new = np.linalg.inv(RAS @ images.matrix @ RAS) @ moving
    from_one = new @ np.array([[1, 0, 0, -1], [0, 1, 0, -1], [0, 0, 1, -1], [0, 0, 0, 1]])
    savemat(tmp_path / "moving.mat", {"mat": np.repeat(from_one[..., None], 3, axis=2), "M": from_one})
    assert images.apart(read_transform(tmp_path / "moving.mat", moving=images.ends["moving"])) < 1e-9
    with pytest.raises(UsageError, match="name the moving image"):
        read_transform(tmp_path / "moving.mat")
    places = np.stack([from_one, from_one + 1], axis=2)
    savemat(tmp_path / "moving.mat", {"mat": places})
    with pytest.raises(TransformError, match="places of 2 volumes that differ"):
        read_transform(tmp_path / "moving.mat", moving=images.ends["moving"])


def test_spms_normalisations_are_refused_by_name(tmp_path: Path) -> None:
    savemat(tmp_path / "a_sn.mat", {"Affine": np.eye(4), "M": np.eye(4)})
    with pytest.raises(TransformError, match="Affine of a normalisation"):
        read_transform(tmp_path / "a_sn.mat")
    savemat(tmp_path / "b.mat", {"x": np.eye(4)})
    with pytest.raises(TransformError, match="neither M nor mat.*: x"):
        read_transform(tmp_path / "b.mat")


SCENE = """<?xml version="1.0"?>
<MRML version="Slicer4.4.0">
 <View id="a" name="View1"/>
 <LinearTransform id="vtkMRMLLinearTransformNode4" name="T" {attribute}="{numbers}"/>
</MRML>
"""


@pytest.mark.parametrize("attribute", ["matrixTransformToParent", "matrixTransformFromParent"])
def test_slicers_scene_holds_the_transform_to_its_parent_in_ras(attribute: str, tmp_path: Path) -> None:
    """To the parent is moving -> fixed; Slicer's .tfm of the same node holds the inverse, in LPS."""
    stored = np.linalg.inv(IN_RAS) if "To" in attribute else IN_RAS
    text = SCENE.format(attribute=attribute, numbers=" ".join(map(repr, stored.ravel().tolist())))
    (tmp_path / "scene.mrml").write_text(text)
    assert form_of_file(tmp_path / "scene.mrml") is Form.SLICER
    assert np.abs(read_transform(tmp_path / "scene.mrml") - MATRIX).max() < 1e-12
    with pytest.raises(WriteError, match="3D Slicer opens"):
        write_transform(MATRIX, tmp_path / "scene.mrml", form=Form.SLICER)


def test_nitransforms_reads_the_same_map_from_our_x5(oblique_images: Images, tmp_path: Path) -> None:
    write_transform(oblique_images.matrix, tmp_path / "t.x5", **oblique_images.ends)
    found = linear.load(tmp_path / "t.x5", fmt="X5")
    points = np.random.default_rng(0).uniform(-90, 90, (9, 3))
    expected = np.column_stack([points, np.ones(9)]) @ (RAS @ oblique_images.matrix @ RAS)[:3].T
    assert np.abs(found.map(points) - expected).max() < 1e-4  # it maps in float32
    node = theirs.from_filename(tmp_path / "t.x5")[0]
    assert node.domain is not None
    assert np.abs(node.domain.mapping - oblique_images.loaded[0].affine).max() < 1e-6
    assert tuple(node.domain.size) == oblique_images.loaded[0].shape
    sidecar = json.loads((tmp_path / "t.json").read_text())
    assert (sidecar["FixedImage"], sidecar["Orientation"]) == ("fixed.nii.gz", "RAS")


def test_we_read_what_nitransforms_writes_as_x5(tmp_path: Path) -> None:
    kinds = ("space", "space", "space", "vector")
    theirs.to_filename(tmp_path / "t.x5", [theirs.X5Transform("linear", IN_RAS, dimension_kinds=kinds)])
    assert form_of_file(tmp_path / "t.x5") is Form.X5
    assert np.array_equal(read_transform(tmp_path / "t.x5"), MATRIX)


def test_x5_of_several_or_of_bending_transforms_is_refused(tmp_path: Path) -> None:
    kinds = ("space", "space", "space", "vector")
    one = theirs.X5Transform("linear", IN_RAS, dimension_kinds=kinds)
    theirs.to_filename(tmp_path / "two.x5", [one, one])
    with pytest.raises(TransformError, match="holds 2 transforms"):
        read_transform(tmp_path / "two.x5")
    field = theirs.X5Transform("nonlinear", np.zeros((2, 2, 2, 3)), dimension_kinds=kinds)
    theirs.to_filename(tmp_path / "field.x5", [field])
    with pytest.raises(TransformError, match="holds a nonlinear transform"):
        read_transform(tmp_path / "field.x5")


def test_x5_replaces_its_own_sidecar_and_nothing_else(tmp_path: Path) -> None:
    for _ in range(2):
        write_transform(MATRIX, tmp_path / "t.x5")
    write_transform(MATRIX, tmp_path / "transform.json")
    before = (tmp_path / "transform.json").read_text()
    with pytest.raises(WriteError, match="its sidecar .*transform.json is there already"):
        write_transform(MATRIX, tmp_path / "transform.x5")
    with pytest.raises(WriteError, match="end the file itself in .x5"):
        write_transform(MATRIX, tmp_path / "transform.json", form=Form.X5)
    assert (tmp_path / "transform.json").read_text() == before


def test_x5_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(TransformError, match=r"pip install 'medreg\[hdf5\]'"):
        write_transform(MATRIX, tmp_path / "t.x5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [Form.RAS, Form.NIIMATH, Form.SPM, Form.X5])
def test_2d_transforms_are_refused_by_3d_forms(form: Form, tmp_path: Path) -> None:
    with pytest.raises(TransformError, match=r"holds 3D transforms, this one is 2D"):
        write_transform(np.eye(3), tmp_path / "t", form=form)
    flat = End(grid=Grid.regular((4, 5), (1, 1)))
    with pytest.raises((TransformError, ReadError)):
        write_transform(np.eye(4), tmp_path / "t", form=Form.ELASTIX, fixed=flat)


def test_the_files_of_an_x5_transform_are_known_before_it_is_written(tmp_path: Path) -> None:
    told = written_files(tmp_path / "t.x5", Form.X5)
    write_transform(MATRIX, tmp_path / "t.x5")
    assert sorted(told) == sorted(tmp_path.iterdir())
