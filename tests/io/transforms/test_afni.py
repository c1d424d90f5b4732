"""AFNI's .1D beside nitransforms, which undoes AFNI's loss of obliquity, too."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from nitransforms.io.afni import AFNILinearTransform
from transform_pairs import RAS, Images, pair

from medreg.errors import MedregWarning, TransformError
from medreg.geometry.grid import Grid
from medreg.io.transforms import End, Form, form_of_file, read_transform, write_transform

UNSHEARED = [("plain", "flipped"), ("swapped", "oblique"), ("oblique", "oblique and flipped")]


@pytest.mark.parametrize("kinds", UNSHEARED)
def test_nitransforms_reads_the_same_map_from_what_we_write(kinds: tuple[str, str], tmp_path: Path) -> None:
    images = pair(tmp_path, *kinds)
    write_transform(images.matrix, tmp_path / "t.aff12.1D", **images.ends)
    fixed, moving = images.loaded
    reader = AFNILinearTransform.from_filename(tmp_path / "t.aff12.1D")
    theirs = reader.to_ras(moving=moving, reference=fixed)
    assert images.apart(RAS @ theirs @ RAS) < 1e-4  # it keeps float32


def test_upright_images_have_the_matrix_itself_in_dicom_order(tmp_path: Path) -> None:
    images = pair(tmp_path, "flipped", "swapped")
    write_transform(images.matrix, tmp_path / "t.1D", **images.ends)
    header, line = (tmp_path / "t.1D").read_text().splitlines()
    assert header == "# 3dAllineate matrices (DICOM-to-DICOM, row-by-row):"
    assert np.abs(np.array(line.split(), float).reshape(3, 4) - images.matrix[:3]).max() < 1e-12


def test_oblique_images_are_reckoned_with_as_afni_does(oblique_images: Images, tmp_path: Path) -> None:
    """AFNI's coordinates: the place of the first voxel, then voxel sizes along the nearest axes of the scanner."""
    write_transform(oblique_images.matrix, tmp_path / "t.1D", **oblique_images.ends)
    stored = np.vstack([np.loadtxt(tmp_path / "t.1D").reshape(3, 4), [0, 0, 0, 1]])
    cardinal = []
    for image in oblique_images.loaded:
        lps = RAS @ image.affine
        upright = np.eye(4)
        upright[:3, 3] = lps[:3, 3]
        upright[:3, :3] = np.where(np.abs(lps[:3, :3]) == np.abs(lps[:3, :3]).max(0), np.sign(lps[:3, :3]), 0)
        upright[:3, :3] *= np.linalg.norm(lps[:3, :3], axis=0)
        cardinal.append(upright @ np.linalg.inv(lps))
    index = np.linalg.inv(cardinal[1]) @ stored @ cardinal[0]
    assert oblique_images.apart(index) < 1e-9


def test_a_matrix_comes_back_with_all_its_digits(images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "t.1D", **images.ends)
    assert form_of_file(tmp_path / "t.1D") is Form.AFNI
    assert images.apart(read_transform(tmp_path / "t.1D", **images.ends)) < 1e-9


@pytest.mark.parametrize("layout", ["one line", "three rows", "four rows"])
def test_each_layout_is_read_as_lps_with_a_warning_where_no_images_are_named(layout: str, tmp_path: Path) -> None:
    rows = np.array([[0.9, 0.1, 0.0, 5.0], [-0.1, 0.9, 0.0, -6.0], [0.0, 0.0, 1.1, 7.5], [0.0, 0.0, 0.0, 1.0]])
    lines = {"one line": [rows[:3].ravel()], "three rows": rows[:3], "four rows": rows}[layout]
    (tmp_path / "t.1D").write_text("# 3dvolreg matrices\n" + "\n".join(" ".join(map(str, line)) for line in lines))
    with pytest.warns(MedregWarning, match=r"t\.1D: .*oblique"):
        assert np.array_equal(read_transform(tmp_path / "t.1D"), rows)


def test_named_images_leave_nothing_to_warn_of(oblique_images: Images, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_transform(oblique_images.matrix, tmp_path / "t.1D", **oblique_images.ends)


def test_a_line_for_each_volume_is_refused(tmp_path: Path) -> None:
    line = " ".join(["0"] * 12) + "\n"
    (tmp_path / "moco.aff12.1D").write_text(3 * line)
    with pytest.raises(TransformError, match="holds 3 matrices, one for each volume"):
        read_transform(tmp_path / "moco.aff12.1D")


def test_a_file_of_parameters_is_no_matrix(tmp_path: Path) -> None:
    (tmp_path / "params.1D").write_text("1.5 -2 3 0.1 0.2 0.3\n")
    with pytest.raises(TransformError, match="-1Dparam_save"):
        read_transform(tmp_path / "params.1D")


def test_2d_images_are_refused(tmp_path: Path) -> None:
    flat = End(grid=Grid.regular((4, 5), (1, 1)))
    with pytest.raises(TransformError, match="2D"):
        write_transform(np.eye(4), tmp_path / "t.1D", fixed=flat, moving=flat)
