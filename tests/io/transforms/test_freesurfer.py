"""LTA and register.dat beside nitransforms, and nibabel's RAS of tkregister."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nitransforms.io.lta import FSLinearTransform
from transform_pairs import RAS, Images

from medreg.errors import MedregWarning, TransformError, UsageError
from medreg.geometry.grid import Grid
from medreg.io.transforms import End, Form, form_of_file, read_transform, write_transform

MM = 1e-9


def tkregister(image: nib.Nifti1Image) -> np.ndarray:
    """Voxel -> the RAS of tkregister, by nibabel, which goes by sizes alone."""
    header = nib.freesurfer.MGHImage(np.zeros(image.shape, np.uint8), image.affine).header
    return header.get_vox2ras_tkr()


@pytest.mark.parametrize("form", [Form.LTA, Form.LTA_VOXELS])
def test_nitransforms_reads_the_same_map_from_what_we_write(form: Form, images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "t.lta", form=form, **images.ends)
    theirs = FSLinearTransform.from_filename(tmp_path / "t.lta").to_ras()
    assert images.apart(RAS @ theirs @ RAS) < 2e-4  # it reads the matrix and the sizes as float32


@pytest.mark.parametrize("form", [Form.LTA, Form.LTA_VOXELS])
def test_the_volumes_of_the_file_are_the_images(form: Form, images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "t.lta", form=form, **images.ends)
    theirs = FSLinearTransform.from_filename(tmp_path / "t.lta")
    for volume, image in (("dst", images.loaded[0]), ("src", images.loaded[1])):
        assert np.abs(theirs[volume].as_affine() - image.affine).max() < 1e-5
        assert tuple(theirs[volume]["volume"]) == image.shape


@pytest.mark.parametrize("form", [Form.LTA, Form.LTA_VOXELS])
def test_an_lta_comes_back_without_the_images(form: Form, images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "t.lta", form=form, **images.ends)
    assert form_of_file(tmp_path / "t.lta") is Form.LTA
    assert images.apart(read_transform(tmp_path / "t.lta")) < MM
    assert images.apart(read_transform(tmp_path / "t.lta", **images.ends)) < MM


def test_a_matrix_of_voxels_is_the_voxels_map_from_moving_to_fixed(images: Images, tmp_path: Path) -> None:
    """FreeSurfer's definition (transform.cpp): destination voxel = m_L @ source voxel, counted from 0."""
    write_transform(images.matrix, tmp_path / "t.lta", form=Form.LTA_VOXELS, **images.ends)
    lines = (tmp_path / "t.lta").read_text().splitlines()
    stored = np.loadtxt(lines[lines.index("1 4 4") + 1 :][:4])
    fixed, moving = images.loaded
    ras = RAS @ images.matrix @ RAS
    expected = np.linalg.inv(fixed.affine) @ np.linalg.inv(ras) @ moving.affine
    assert np.abs(stored - expected).max() < 1e-9


def test_what_is_missing_in_a_file_is_taken_from_the_images(oblique_images: Images, tmp_path: Path) -> None:
    write_transform(oblique_images.matrix, tmp_path / "t.lta", form=Form.LTA_VOXELS, **oblique_images.ends)
    text = (tmp_path / "t.lta").read_text().replace("valid = 1 ", "valid = 0 ")
    (tmp_path / "t.lta").write_text(text)
    assert oblique_images.apart(read_transform(tmp_path / "t.lta", **oblique_images.ends)) < MM
    with pytest.raises(UsageError, match="name the moving image"):
        read_transform(tmp_path / "t.lta")


def test_a_ras_to_ras_matrix_needs_no_volumes(oblique_images: Images, tmp_path: Path) -> None:
    write_transform(oblique_images.matrix, tmp_path / "t.lta", **oblique_images.ends)
    text = (tmp_path / "t.lta").read_text()
    (tmp_path / "t.lta").write_text(text[: text.index("src volume info")])
    assert oblique_images.apart(read_transform(tmp_path / "t.lta")) < MM


def test_a_file_from_fixed_to_moving_is_told_by_its_volumes(oblique_images: Images, tmp_path: Path) -> None:
    """FreeSurfer inverts such a file, too (LTAconcat); e.g. one of tkregister2 or of `lta_convert --invert`."""
    ends = oblique_images.ends
    write_transform(
        np.linalg.inv(oblique_images.matrix), tmp_path / "t.lta", fixed=ends["moving"], moving=ends["fixed"]
    )
    with pytest.warns(MedregWarning, match="maps the fixed to the moving image"):
        found = read_transform(tmp_path / "t.lta", **ends)
    assert oblique_images.apart(found) < MM


def test_volumes_of_other_images_are_warned_of(oblique_images: Images, tmp_path: Path) -> None:
    write_transform(oblique_images.matrix, tmp_path / "t.lta", **oblique_images.ends)
    other = End(grid=Grid.regular((4, 5, 6), (1, 1, 1)))
    with pytest.warns(MedregWarning, match="another geometry"):
        read_transform(tmp_path / "t.lta", fixed=other, moving=oblique_images.ends["moving"])


def test_type_14_is_tkregisters_matrix_from_fixed_to_moving(images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "t.lta", **images.ends)
    fixed, moving = images.loaded
    ras = RAS @ images.matrix @ RAS
    stored = tkregister(moving) @ np.linalg.inv(moving.affine) @ ras @ fixed.affine @ np.linalg.inv(tkregister(fixed))
    lines = (tmp_path / "t.lta").read_text().splitlines()
    start = lines.index("1 4 4") + 1
    lines[start : start + 4] = [" ".join(map(repr, row)) for row in stored.tolist()]
    lines = ["type      = 14 # REGISTER_DAT" if line.startswith("type") else line for line in lines]
    (tmp_path / "t.lta").write_text("\n".join([*lines, "subject bert", "fscale 0.15", ""]))
    assert images.apart(read_transform(tmp_path / "t.lta")) < 1e-4  # nibabel's sizes are float32


def test_register_dat_is_the_closed_form_with_nibabels_tkregister(images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "register.dat", **images.ends)
    lines = (tmp_path / "register.dat").read_text().splitlines()
    fixed, moving = images.loaded
    stored = np.loadtxt(lines[4:8])
    theirs = (
        moving.affine @ np.linalg.inv(tkregister(moving)) @ stored @ tkregister(fixed) @ np.linalg.inv(fixed.affine)
    )
    assert images.apart(RAS @ theirs @ RAS) < 1e-4  # nibabel's sizes are float32
    sizes = nib.affines.voxel_sizes(moving.affine)
    assert [float(v) for v in lines[1:3]] == pytest.approx([sizes[0], sizes[2]])
    assert (lines[8], len(lines)) == ("round", 9)
    assert form_of_file(tmp_path / "register.dat") is Form.REGISTER_DAT
    assert images.apart(read_transform(tmp_path / "register.dat", **images.ends)) < MM


def test_register_dat_needs_both_images(oblique_images: Images, tmp_path: Path) -> None:
    write_transform(oblique_images.matrix, tmp_path / "register.dat", **oblique_images.ends)
    with pytest.raises(UsageError, match="name the fixed image"):
        read_transform(tmp_path / "register.dat", moving=oblique_images.ends["moving"])


@pytest.mark.parametrize("name", ["t.lta", "register.dat"])
def test_2d_transforms_are_refused(name: str, tmp_path: Path) -> None:
    flat = End(grid=Grid.regular((4, 5), (1, 1)))
    with pytest.raises(TransformError, match="2D"):
        write_transform(np.eye(3), tmp_path / name, fixed=flat, moving=flat)
    with pytest.raises(TransformError, match="image is 2D"):
        write_transform(np.eye(4), tmp_path / name, fixed=flat, moving=flat)


def test_images_in_mgz_keep_their_axes(tmp_path: Path) -> None:
    """FreeSurfer's own images: coronal slices, x to the right."""
    affine = np.array([[-1.0, 0, 0, 20], [0, 0, 1.5, -30], [0, -1.2, 0, 25], [0, 0, 0, 1]])
    for name in ("fixed.mgz", "moving.mgz"):
        nib.save(nib.freesurfer.MGHImage(np.zeros((5, 6, 7), np.float32), affine), tmp_path / name)
    ends = {"fixed": End(path=tmp_path / "fixed.mgz"), "moving": End(path=tmp_path / "moving.mgz")}
    write_transform(np.eye(4), tmp_path / "t.lta", form=Form.LTA_VOXELS, **ends)
    theirs = FSLinearTransform.from_filename(tmp_path / "t.lta")
    assert np.abs(theirs["src"].as_affine() - affine).max() < 1e-5
    write_transform(np.eye(4), tmp_path / "register.dat", **ends)
    assert np.abs(np.loadtxt((tmp_path / "register.dat").read_text().splitlines()[4:8]) - np.eye(4)).max() < 1e-5
