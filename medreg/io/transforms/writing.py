"""Writing one matrix in the form that a tool reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from medreg.errors import TransformError, UsageError, WriteError
from medreg.io.atomic import written_beside
from medreg.io.transforms import afni, dicom, elastix, freesurfer, fsl, itk, plain, spm, x5
from medreg.io.transforms.draft import LAST_ROW_TOLERANCE, Draft, affine, projective, scaled
from medreg.io.transforms.ends import NOTHING, End
from medreg.io.transforms.form import Form
from medreg.types import FloatArray

Writer = Callable[[Draft, Path], None]

WRITERS: dict[Form, Writer] = {
    Form.ITK: itk.write_text,
    Form.ITK_MAT: itk.write_mat,
    Form.ITK_H5: itk.write_h5,
    Form.FSL: fsl.write,
    Form.LTA: freesurfer.write_ras,
    Form.LTA_VOXELS: freesurfer.write_voxels,
    Form.REGISTER_DAT: freesurfer.write_register_dat,
    Form.AFNI: afni.write,
    Form.RAS: plain.write_ras,
    Form.LPS: plain.write_lps,
    Form.NIIMATH: plain.write_niimath,
    Form.MEDREG: plain.write_medreg,
    Form.ELASTIX: elastix.write_text,
    Form.ELASTIX_TOML: elastix.write_toml,
    Form.SPM: spm.write,
    Form.DICOM: dicom.write,
    Form.X5: x5.write,
}

_BY_NAME = (
    (r".*genericaffine\.mat", Form.ITK_MAT),
    (r"transformparameters.*\.txt", Form.ELASTIX),
    (r".*\.(tfm|txt)", Form.ITK),
    (r".*\.(h5|hdf5|he5)", Form.ITK_H5),
    (r".*\.json", Form.MEDREG),
    (r".*\.lta", Form.LTA),
    (r".*\.dat", Form.REGISTER_DAT),
    (r".*\.1d", Form.AFNI),
    (r".*\.toml", Form.ELASTIX_TOML),
    (r".*\.x5", Form.X5),
    (r".*\.dcm", Form.DICOM),
)
_NOT_WRITTEN = {Form.SLICER: "save it as .tfm, which 3D Slicer opens", Form.MINC: "save it as .tfm"}


def form_of_name(path: str | Path) -> Form:
    """The form that a file's name asks for.

    Raises:
        UsageError: several tools write files of that name, or none does; the message names --to.

    Example:
        >>> form_of_name("sub01_0GenericAffine.mat"), form_of_name("a.lta")
        (<Form.ITK_MAT: 'itk-mat'>, <Form.LTA: 'lta'>)
    """
    name = Path(path).name.lower()
    for pattern, form in _BY_NAME:
        if re.fullmatch(pattern, name):
            return form
    if name.endswith(".mat"):
        raise UsageError(
            f"{path}: four tools write .mat files; name yours with --to: fsl (FLIRT), itk-mat (ANTs), ras (greedy), spm"
        )
    raise UsageError(
        f"{path}: no form of transform has this name; say which with --to ({', '.join(f.value for f in WRITERS)}), or "
        "end it in .tfm, .txt, .h5, .json, .lta, .dat, .1D, .toml, .x5 or .dcm"
    )


def written_files(path: str | Path, form: Form) -> list[Path]:
    """The files that `write_transform` makes or replaces: the named one, and of X5 its sidecar.

    Raises:
        WriteError: something else lies in the place of the sidecar.

    Example:
        >>> [file.name for file in written_files("t.x5", Form.X5)]
        ['t.x5', 't.json']
    """
    path = Path(path)
    return [path, x5.sidecar_of(path)] if form is Form.X5 else [path]


def write_transform(
    matrix: FloatArray,
    path: str | Path,
    *,
    fixed: End = NOTHING,
    moving: End = NOTHING,
    form: Form | None = None,
    centre: Sequence[float] | None = None,
) -> None:
    """Write a transform, whole or not at all; numbers keep the digits that give the same float64 back.

    Args:
        matrix: 4x4, or 3x3 in 2D: fixed points -> moving points, LPS mm.
        path: where to. Its name tells the form: .tfm and .txt are ITK's text, .json is medreg's and holds homographies,
            too; see `docs/transforms.md`.
        fixed: the fixed image, for forms that go by its voxels or keep its grid.
        moving: the moving image.
        form: the form, where the name does not tell it.
        centre: D numbers, LPS mm, the fixed point about which the file is parametrised, if its form has one; the origin
            when None.

    Raises:
        TransformError: the form cannot hold the matrix.
        UsageError: the form cannot be told from the name, or goes by an image that is not named.
        WriteError: the disk refuses.
    """
    path = Path(path)
    form = form or form_of_name(path)
    if form not in WRITERS:
        raise WriteError(f"{path}: medreg reads {form.title} and writes none; {_NOT_WRITTEN[form]}")
    matrix = projective(np.asarray(matrix, dtype=np.float64), path)
    if form is not Form.MEDREG:
        matrix = affine(_without_perspective(matrix, path, form), path)
    draft = Draft(matrix, path, fixed, moving, centre)
    with written_beside(path) as temporary:
        try:
            WRITERS[form](draft, temporary)
        except TransformError as error:
            raise error if path.name in str(error) else TransformError(f"{path}: {error}") from error


def _without_perspective(matrix: FloatArray, path: Path, form: Form) -> FloatArray:
    """The matrix, scaled to end in 1, where it is a linear map.

    Raises:
        TransformError: a homography.
    """
    matrix = scaled(matrix, path)
    if np.abs(matrix[-1, :-1]).max() > LAST_ROW_TOLERANCE:
        raise TransformError(
            f"{path}: the transform is a homography (its last row is {matrix[-1].tolist()}), which {form.title} cannot "
            "hold; write .json, medreg's own"
        )
    return matrix
