"""ITK's and medreg's own transform files beside SimpleITK, which maps the same points."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.io import loadmat, savemat

from medreg.errors import ReadError, TransformError, UsageError, WriteError
from medreg.io.transforms import (
    Form,
    form_of_file,
    form_of_name,
    read_transform,
    transform_name,
    write_transform,
)

MM = 1e-9
"""Both sides compute in float64 on coordinates of some hundred mm: 1e-9 mm leaves four digits for rounding."""
CENTRE = (12.5, -31.25, 77.0)
SHIFT = (3.25, -14.5, 100.125)
OBLIQUE = (0.91, 0.23, -0.11, -0.3, 1.07, 0.2, 0.05, -0.17, 0.88)


def points(dimension: int) -> np.ndarray:
    """A few points (N, D) all over a head, mm."""
    return np.random.default_rng(4).uniform(-200, 200, (20, dimension))


def mapped(matrix: np.ndarray) -> np.ndarray:
    """The points through our matrix."""
    d = len(matrix) - 1
    return points(d) @ matrix[:d, :d].T + matrix[:d, d]


def mapped_by_itk(transform: sitk.Transform) -> np.ndarray:
    """The points through SimpleITK."""
    return np.array([transform.TransformPoint(p) for p in points(transform.GetDimension()).tolist()])


def affine_3d() -> sitk.Transform:
    return sitk.AffineTransform(OBLIQUE, SHIFT, CENTRE)


def affine_2d() -> sitk.Transform:
    return sitk.AffineTransform((0.9, 0.2, -0.3, 1.1), (5.5, -7.25), (64.0, 32.0))


def euler() -> sitk.Transform:
    return sitk.Euler3DTransform(CENTRE, 0.3, -0.5, 1.1, SHIFT)


def euler_zyx() -> sitk.Transform:
    transform = euler()
    transform.SetComputeZYX(True)
    return transform


def versor_rigid() -> sitk.Transform:
    transform = sitk.VersorRigid3DTransform()
    transform.SetCenter(CENTRE)
    transform.SetRotation((0.6, -0.48, 0.64), 2.2)
    transform.SetTranslation(SHIFT)
    return transform


def similarity_3d() -> sitk.Transform:
    transform = sitk.Similarity3DTransform()
    transform.SetParameters((0.1, -0.3, 0.2, *SHIFT, 1.13))
    transform.SetCenter(CENTRE)
    return transform


def versor() -> sitk.Transform:
    return sitk.VersorTransform((0.6, -0.48, 0.64), 0.7, CENTRE)


def composite() -> sitk.Transform:
    return sitk.CompositeTransform([affine_3d(), versor_rigid(), sitk.TranslationTransform(3, SHIFT)])


def skewed() -> sitk.Transform:
    transform = sitk.ScaleSkewVersor3DTransform()
    transform.SetParameters((0.1, -0.3, 0.2, *SHIFT, 1.1, 0.9, 1.05, 0.01, 0.02, -0.03, 0.04, 0.05, -0.06))
    transform.SetCenter(CENTRE)
    return transform


CLASSES: dict[str, Callable[[], sitk.Transform]] = {
    "affine": affine_3d,
    "affine in 2D": affine_2d,
    "Euler": euler,
    "Euler ZYX": euler_zyx,
    "versor rigid": versor_rigid,
    "versor": versor,
    "similarity": similarity_3d,
    "translation": lambda: sitk.TranslationTransform(3, SHIFT),
    "translation in 2D": lambda: sitk.TranslationTransform(2, (3.0, -4.5)),
    "scale": lambda: sitk.ScaleTransform(3, (1.1, 0.9, 1.3)),
    "identity": lambda: sitk.Transform(3, sitk.sitkIdentity),
    "Euler in 2D": lambda: sitk.Euler2DTransform((64.0, 32.0), 0.4, (5.5, -7.25)),
    "similarity in 2D": lambda: sitk.Similarity2DTransform(1.2, 0.4, (5.5, -7.25), (64.0, 32.0)),
    "composite": composite,
    "scale, skew and versor (through SimpleITK)": skewed,
}


@pytest.mark.parametrize("suffix", [".tfm", ".txt"])
@pytest.mark.parametrize("name", CLASSES)
def test_every_linear_class_that_simpleitk_writes_maps_the_same_points(name: str, suffix: str, tmp_path: Path) -> None:
    transform = CLASSES[name]()
    sitk.WriteTransform(transform, str(tmp_path / f"t{suffix}"))
    assert np.abs(mapped(read_transform(tmp_path / f"t{suffix}")) - mapped_by_itk(transform)).max() < MM


@pytest.mark.parametrize("suffix", [".mat", ".h5"])
@pytest.mark.parametrize("name", [name for name in CLASSES if name != "composite"])
def test_binary_transforms_map_the_same_points(name: str, suffix: str, tmp_path: Path) -> None:
    transform = CLASSES[name]()
    sitk.WriteTransform(transform, str(tmp_path / f"t{suffix}"))
    assert np.abs(mapped(read_transform(tmp_path / f"t{suffix}")) - mapped_by_itk(transform)).max() < MM


@pytest.mark.parametrize("form", [Form.ITK_MAT, Form.ITK_H5])
@pytest.mark.parametrize("dimension", [2, 3])
def test_simpleitk_maps_the_same_points_through_our_binary_files(form: Form, dimension: int, tmp_path: Path) -> None:
    d = dimension
    matrix = np.eye(d + 1)
    matrix[:d, :d] += np.random.default_rng(7).uniform(-0.3, 0.3, (d, d))
    matrix[:d, d] = np.random.default_rng(8).uniform(-90, 90, d)
    path = tmp_path / ("t.mat" if form is Form.ITK_MAT else "t.h5")
    write_transform(matrix, path, form=form, centre=CENTRE[:d])
    read_by_itk = sitk.ReadTransform(str(path))
    assert np.abs(mapped_by_itk(read_by_itk) - mapped(matrix)).max() < MM
    assert read_by_itk.GetFixedParameters() == CENTRE[:d]
    assert form_of_file(path) is form
    assert np.abs(read_transform(path) - matrix).max() < 1e-12


def test_a_mat_file_has_the_layout_of_ants(tmp_path: Path) -> None:
    """0GenericAffine.mat: a column of 12 under the class's name, and the centre under "fixed"."""
    matrix = np.eye(4)
    matrix[:3] = np.arange(12).reshape(3, 4) + 0.1
    write_transform(matrix, tmp_path / "x_0GenericAffine.mat")
    stored = loadmat(tmp_path / "x_0GenericAffine.mat")
    assert stored["fixed"].tolist() == [[0.0]] * 3
    assert np.array_equal(stored["AffineTransform_double_3_3"].ravel(), [*matrix[:3, :3].ravel(), *matrix[:3, 3]])


def test_a_mat_file_of_floats_is_read_as_its_floats(tmp_path: Path) -> None:
    """antsRegistration --float 1."""
    numbers = np.array([*OBLIQUE, *SHIFT], dtype=np.float32)
    content = {"AffineTransform_float_3_3": numbers[:, None], "fixed": np.array(CENTRE, np.float32)[:, None]}
    savemat(tmp_path / "t.mat", content, format="4")
    transform = sitk.AffineTransform(numbers[:9].astype(float).tolist(), numbers[9:].astype(float).tolist(), CENTRE)
    assert np.abs(mapped(read_transform(tmp_path / "t.mat")) - mapped_by_itk(transform)).max() < MM


def test_a_composite_in_hdf5_maps_the_same_points(tmp_path: Path) -> None:
    sitk.WriteTransform(composite(), str(tmp_path / "t.h5"))
    assert np.abs(mapped(read_transform(tmp_path / "t.h5")) - mapped_by_itk(composite())).max() < MM


@pytest.mark.parametrize("suffix", [".tfm", ".h5", ".mat"])
def test_a_file_is_known_by_its_content_whatever_its_name(suffix: str, tmp_path: Path) -> None:
    sitk.WriteTransform(skewed(), str(tmp_path / f"t{suffix}"))
    (tmp_path / f"t{suffix}").rename(tmp_path / "transform")
    assert np.abs(mapped(read_transform(tmp_path / "transform")) - mapped_by_itk(skewed())).max() < MM


def test_digits_survive_a_composite_in_hdf5(tmp_path: Path) -> None:
    """Not by mapping the origin and unit vectors: far from the origin that loses some."""
    far = sitk.TranslationTransform(3, (1e6, 0.0, 0.0))
    near = sitk.AffineTransform(OBLIQUE, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    sitk.WriteTransform(sitk.CompositeTransform([far, near]), str(tmp_path / "t.h5"))
    assert np.array_equal(read_transform(tmp_path / "t.h5")[:3, :3].ravel(), OBLIQUE)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("centred", ["about the origin", "about a centre"])
def test_simpleitk_maps_the_same_points_through_what_we_write(dimension: int, centred: str, tmp_path: Path) -> None:
    d = dimension
    matrix = np.eye(d + 1)
    matrix[:d, :d] += np.random.default_rng(7).uniform(-0.3, 0.3, (d, d))
    matrix[:d, d] = np.random.default_rng(8).uniform(-90, 90, d)
    centre = CENTRE[:d] if centred == "about a centre" else None
    write_transform(matrix, tmp_path / "t.tfm", centre=centre)
    read_by_itk = sitk.ReadTransform(str(tmp_path / "t.tfm"))
    assert np.abs(mapped_by_itk(read_by_itk) - mapped(matrix)).max() < MM
    assert read_by_itk.GetFixedParameters() == (centre or (0.0,) * d)
    assert np.abs(read_transform(tmp_path / "t.tfm") - matrix).max() < 1e-12


def test_no_digit_is_lost_on_the_way_through_a_file(tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] += np.random.default_rng(9).uniform(-0.3, 0.3, (3, 3))
    matrix[:3, 3] = (123.456789012345678, 1 / 3, -1e-17)
    write_transform(matrix, tmp_path / "t.tfm")
    assert (read_transform(tmp_path / "t.tfm") == matrix).all()


def test_the_matrix_of_a_run_record_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    matrix = np.eye(4) + np.pad(np.random.default_rng(1).normal(size=(3, 4)), ((0, 1), (0, 0)))
    (tmp_path / "run.json").write_text(json.dumps({"transform": {"matrix": matrix.tolist()}}))
    assert (read_transform(tmp_path / "run.json") == matrix).all()


def bent(dimension: int) -> np.ndarray:
    """A homography with awkward digits."""
    d = dimension
    matrix = np.eye(d + 1) + np.random.default_rng(d).uniform(-0.3, 0.3, (d + 1, d + 1))
    matrix[d, :d] *= 1e-3
    return matrix


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_homography_comes_back_from_json_to_the_last_bit(dimension: int, tmp_path: Path) -> None:
    matrix = bent(dimension)
    write_transform(matrix, tmp_path / transform_name(matrix), centre=CENTRE[:dimension])
    assert [p.name for p in tmp_path.iterdir()] == ["transform.json"]
    assert np.array_equal(read_transform(tmp_path / "transform.json"), matrix)
    said = json.loads((tmp_path / "transform.json").read_text())["transform"]
    assert (said["kind"], said["dimension"]) == ("homography", dimension)


def test_a_linear_transform_has_itks_name_and_may_be_json_too(tmp_path: Path) -> None:
    matrix = np.eye(4) + np.pad(np.random.default_rng(1).normal(size=(3, 4)), ((0, 1), (0, 0)))
    assert transform_name(matrix) == "transform.tfm"
    write_transform(matrix, tmp_path / "t.json")
    assert np.array_equal(read_transform(tmp_path / "t.json"), matrix)
    assert json.loads((tmp_path / "t.json").read_text())["transform"]["kind"] == "affine"


def test_itks_text_cannot_hold_a_homography_and_says_what_can(tmp_path: Path) -> None:
    with pytest.raises(TransformError, match=r"t\.tfm: .*is a homography .* write \.json, medreg's own"):
        write_transform(bent(3), tmp_path / "t.tfm")
    assert list(tmp_path.iterdir()) == []


def test_a_multiple_of_a_linear_transform_is_the_same_map(tmp_path: Path) -> None:
    matrix = np.eye(3)
    matrix[:2] = [[0.5, 0.25, 3.0], [-0.25, 0.5, -7.0]]
    (tmp_path / "t.json").write_text(json.dumps({"transform": {"matrix": (4 * matrix).tolist()}}))
    assert np.array_equal(read_transform(tmp_path / "t.json"), matrix)


@pytest.mark.parametrize("separator", [" ", ", ", "\t"])
def test_plain_rows_of_numbers_are_a_matrix(separator: str, tmp_path: Path) -> None:
    rows = ["# fixed to moving", *(separator.join(map(str, row)) for row in [[1, 0, 5.5], [0, 1, -2], [0, 0, 1]])]
    (tmp_path / "matrix.txt").write_text("\n".join(rows))
    assert read_transform(tmp_path / "matrix.txt").tolist() == [[1, 0, 5.5], [0, 1, -2], [0, 0, 1]]


BAD = {
    "transposed.txt": (
        "# medreg: fixed points -> moving points, LPS mm\n1 0 0 0\n0 1 0 0\n0 0 1 0\n5 6 7 1\n",
        "is it transposed",
    ),
    "ragged.txt": ("1 0 0\n0 1\n", "rows of one length"),
    "small.txt": ("1 0\n0 1\n", "4 rows of 4"),
    "words.txt": ("hello world\n", "not a transform that medreg reads"),
    "nan.txt": ("1 0 nan\n0 1 0\n0 0 1\n", "not finite"),
    "other.json": ('{"a": 1}', "no run.json"),
    "ragged.json": ('{"transform": {"matrix": [[1, 0, 0], [0, 1]]}}', "no run.json"),
    "shape.json": ('{"transform": {"matrix": [[1, 0], [0, 1]]}}', "4 rows of 4"),
    "nan.json": ('{"transform": {"matrix": [[1, 0, NaN], [0, 1, 0], [0, 0, 1]]}}', "not finite"),
    "zero.json": ('{"transform": {"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 0]]}}', "last row of the matrix is zero"),
    "short.tfm": (
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: 1 2\n",
        "cannot have 2 parameters",
    ),
    "none.tfm": ("#Insight Transform File V1.0\n", "lists no transform"),
    "two.tfm": (
        "#Insight Transform File V1.0\n" + 2 * "Transform: TranslationTransform_double_2_2\nParameters: 1 2\n",
        "without saying how",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_linear_transform_is_refused_by_name_and_reason(name: str, tmp_path: Path) -> None:
    text, why = BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(TransformError, match=why) as caught:
        read_transform(tmp_path / name)
    assert name in str(caught.value)


def test_a_deformation_is_refused(tmp_path: Path) -> None:
    field = sitk.DisplacementFieldTransform(sitk.Image([4, 4, 4], sitk.sitkVectorFloat64))
    sitk.WriteTransform(field, str(tmp_path / "warp.h5"))
    with pytest.raises(TransformError, match="bends"):
        read_transform(tmp_path / "warp.h5")


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "transform.tfm").write_text("")
    with pytest.raises(ReadError, match="did you mean transform.tfm"):
        read_transform(tmp_path / "transfrom.tfm")


def test_a_directory_is_refused_with_the_file_to_name(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="is a directory"):
        read_transform(tmp_path)


def test_damaged_binary_files_are_read_errors(tmp_path: Path) -> None:
    (tmp_path / "t.h5").write_bytes(b"\x89HDF\r\n\x1a\n\0\0\0\0 cut short")
    with pytest.raises(ReadError, match="t.h5"):
        read_transform(tmp_path / "t.h5")


def test_a_matrix_that_is_not_affine_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TransformError, match="last row"):
        write_transform(np.eye(4).T + np.eye(4, k=-3), tmp_path / "t.tfm")
    with pytest.raises(WriteError, match="does not exist"):
        write_transform(np.eye(4), tmp_path / "nowhere" / "t.tfm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["t.mat", "t", "t.xyz", "t.nii.gz"])
def test_a_name_that_tells_no_form_is_refused_with_the_option(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--to"):
        write_transform(np.eye(4), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


NAMES = {
    "sub_0GenericAffine.mat": Form.ITK_MAT,
    "TransformParameters.0.txt": Form.ELASTIX,
    "TransformParameters.1.toml": Form.ELASTIX_TOML,
    "T.TFM": Form.ITK,
    "t.txt": Form.ITK,
    "t.h5": Form.ITK_H5,
    "t.json": Form.MEDREG,
    "t.lta": Form.LTA,
    "register.dat": Form.REGISTER_DAT,
    "t.aff12.1D": Form.AFNI,
    "t.x5": Form.X5,
    "reg.dcm": Form.DICOM,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_the_form_to_write(name: str) -> None:
    assert form_of_name(name) is NAMES[name]
