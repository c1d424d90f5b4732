"""FLIRT matrices beside nitransforms, and beside FSL's definition of scaled voxels."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nitransforms.io.fsl import FSLLinearTransform
from transform_pairs import RAS, Images, pair

from medreg.errors import MedregWarning, TransformError, UsageError
from medreg.geometry.grid import Grid
from medreg.io.transforms import End, Form, form_of_file, read_transform, write_transform
from medreg.io.transforms.fsl import scaled_voxels
from medreg.io.transforms.headers import Header

MM = 1e-9
"""Both sides compute in float64 on some hundred mm."""


def by_hand(image: nib.Nifti1Image) -> np.ndarray:
    """FSL's definition: RAS point -> index times voxel size, x from the other end where the affine is right-handed."""
    zooms = image.header.get_zooms()[:3]
    scale = np.diag([*zooms, 1.0])
    if np.linalg.det(image.affine) > 0:
        scale = (
            np.array([[-1, 0, 0, (image.shape[0] - 1) * zooms[0]], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ scale
        )
    return scale @ np.linalg.inv(image.affine)


def test_nitransforms_reads_the_same_map_from_what_we_write(images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "flirt.mat", form=Form.FSL, **images.ends)
    fixed, moving = images.loaded
    theirs = FSLLinearTransform.from_filename(tmp_path / "flirt.mat").to_ras(moving=moving, reference=fixed)
    assert images.apart(RAS @ theirs @ RAS) < 1e-4  # it keeps its parameters as float32


def test_the_file_is_the_closed_form_of_fsls_definition(images: Images, tmp_path: Path) -> None:
    fixed, moving = images.loaded
    write_transform(images.matrix, tmp_path / "flirt.mat", form=Form.FSL, **images.ends)
    expected = by_hand(fixed) @ np.linalg.inv(RAS @ images.matrix @ RAS) @ np.linalg.inv(by_hand(moving))
    assert np.abs(np.loadtxt(tmp_path / "flirt.mat") - expected).max() < 1e-4  # zooms are float32


def test_what_nitransforms_writes_is_read_as_meant(images: Images, tmp_path: Path) -> None:
    fixed, moving = images.loaded
    writer = FSLLinearTransform.from_ras(RAS @ images.matrix @ RAS, moving=moving, reference=fixed)
    writer.to_filename(tmp_path / "flirt.mat")
    assert images.apart(read_transform(tmp_path / "flirt.mat", **images.ends)) < 1e-4  # it writes eight decimals


def test_a_matrix_comes_back_with_all_its_digits(images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "flirt.mat", form=Form.FSL, **images.ends)
    assert form_of_file(tmp_path / "flirt.mat", **images.ends) is Form.FSL
    assert images.apart(read_transform(tmp_path / "flirt.mat", **images.ends)) < MM


def test_the_voxel_sizes_are_those_that_the_header_states(oblique_images: Images, tmp_path: Path) -> None:
    """FSL goes by pixdim, also where an edited sform says another size."""
    image = nib.load(oblique_images.moving)
    image.header["pixdim"][1:4] = (2.0, 2.0, 4.0)
    edited = nib.Nifti1Image(np.asarray(image.dataobj), None, image.header)
    edited.to_filename(tmp_path / "edited.nii")
    assert nib.load(tmp_path / "edited.nii").header.get_zooms() == (2.0, 2.0, 4.0)
    write_transform(
        oblique_images.matrix,
        tmp_path / "flirt.mat",
        form=Form.FSL,
        fixed=End(path=oblique_images.fixed),
        moving=End(path=tmp_path / "edited.nii"),
    )
    fixed, moving = nib.load(oblique_images.fixed), nib.load(tmp_path / "edited.nii")
    expected = by_hand(fixed) @ np.linalg.inv(RAS @ oblique_images.matrix @ RAS) @ np.linalg.inv(by_hand(moving))
    assert np.abs(np.loadtxt(tmp_path / "flirt.mat") - expected).max() < 1e-4


def test_grids_serve_where_there_are_no_files(tmp_path: Path) -> None:
    grids = [Grid.regular((10, 12, 14), (1.0, 2.0, 3.0)), Grid.regular((9, 8, 7), (2.0, 2.0, 2.0), (5, 6, 7))]
    ends = {"fixed": End(grid=grids[0]), "moving": End(grid=grids[1])}
    matrix = np.eye(4)
    matrix[:3, 3] = (3.0, -4.0, 5.0)
    write_transform(matrix, tmp_path / "flirt.mat", form=Form.FSL, **ends)
    assert np.abs(read_transform(tmp_path / "flirt.mat", **ends) - matrix).max() < MM
    identity = scaled_voxels(Header(grids[0], grids[0].spacing, ""))
    assert np.allclose(identity @ [0, 0, 0, 1], [9.0, 0, 0, 1])  # x from the other end


def test_2d_images_have_matrices_of_four_rows_that_stay_in_the_plane(tmp_path: Path) -> None:
    fixed, moving = Grid.regular((10, 12), (1.0, 2.0)), Grid.regular((9, 8), (2.0, 1.5), (5, -6))
    ends = {"fixed": End(grid=fixed), "moving": End(grid=moving)}
    matrix = np.array([[0.9, 0.2, 5.0], [-0.3, 1.1, -7.0], [0, 0, 1]])
    write_transform(matrix, tmp_path / "flat.mat", form=Form.FSL, **ends)
    stored = np.loadtxt(tmp_path / "flat.mat")
    assert stored.shape == (4, 4)
    assert np.array_equal(stored[2], [0, 0, 1, 0])
    assert np.abs(read_transform(tmp_path / "flat.mat", **ends) - matrix).max() < MM
    stored[2, 0] = 0.1
    np.savetxt(tmp_path / "flat.mat", stored)
    with pytest.raises(TransformError, match="flirt -2D"):
        read_transform(tmp_path / "flat.mat", **ends)


@pytest.mark.parametrize("known", ["fixed", "moving"])
def test_both_images_are_asked_for(known: str, tmp_path: Path) -> None:
    images = pair(tmp_path, "plain", "flipped")
    other = {"fixed": "moving", "moving": "fixed"}[known]
    with pytest.raises(UsageError, match=f"out.mat: .*name the {other} image with --{other}"):
        write_transform(images.matrix, tmp_path / "out.mat", form=Form.FSL, **{known: images.ends[known]})
    assert not (tmp_path / "out.mat").exists()


def test_a_dicom_folder_is_none_of_flirts_images(tmp_path: Path) -> None:
    ends = {"fixed": End(path=tmp_path), "moving": End(path=tmp_path)}
    with pytest.raises(UsageError, match="reads no DICOM"):
        write_transform(np.eye(4), tmp_path / "out.mat", form=Form.FSL, **ends)


def test_images_of_different_dimensions_are_refused(tmp_path: Path) -> None:
    ends = {"fixed": End(grid=Grid.regular((4, 5), (1, 1))), "moving": End(grid=Grid.regular((4, 5, 6), (1, 1, 1)))}
    with pytest.raises(TransformError, match="the fixed image is 2D, the moving one 3D"):
        write_transform(np.eye(3), tmp_path / "out.mat", form=Form.FSL, **ends)


def test_a_bare_mat_that_fits_only_as_ras_is_warned_of(tmp_path: Path) -> None:
    """greedy writes .mat, too. With images far from the world's origin the two readings are far apart."""
    grids = [Grid.regular((20, 20, 20), (2.0, 2.0, 2.0), origin) for origin in ((0, 0, 0), (150, 150, 150))]
    ends = {"fixed": End(grid=grids[0]), "moving": End(grid=grids[1])}
    matrix = np.eye(4)
    matrix[:3, 3] = (148.0, 151.0, 152.0)
    write_transform(matrix, tmp_path / "greedy.mat", form=Form.RAS, **ends)
    with pytest.warns(MedregWarning, match=r"greedy\.mat: is taken for FLIRT's.*add --from ras"):
        read_transform(tmp_path / "greedy.mat", **ends)
    write_transform(matrix, tmp_path / "flirt.mat", form=Form.FSL, **ends)
    assert (
        np.abs(read_transform(tmp_path / "flirt.mat", **ends) - matrix).max() < MM
    )  # and no warning, which would fail
