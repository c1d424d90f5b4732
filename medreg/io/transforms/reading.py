"""Reading a transform file, whatever its form, into one matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from medreg.errors import ReadError, TransformError
from medreg.io.failing import missing_file
from medreg.io.transforms import afni, dicom, elastix, freesurfer, fsl, itk, plain, slicer, spm, x5
from medreg.io.transforms.draft import Source, affine
from medreg.io.transforms.ends import NOTHING, End
from medreg.io.transforms.form import Form
from medreg.io.transforms.recognising import recognise
from medreg.types import FloatArray

Reader = Callable[[Source], FloatArray]

READERS: dict[Form, Reader] = {
    Form.ITK: itk.read_text,
    Form.ITK_MAT: itk.read_mat,
    Form.ITK_H5: itk.read_h5,
    Form.MINC: itk.read_xfm,
    Form.FSL: fsl.read,
    Form.LTA: freesurfer.read_lta,
    Form.LTA_VOXELS: freesurfer.read_lta,
    Form.REGISTER_DAT: freesurfer.read_register_dat,
    Form.AFNI: afni.read,
    Form.RAS: plain.read_ras,
    Form.LPS: plain.read_lps,
    Form.NIIMATH: plain.read_niimath,
    Form.MEDREG: plain.read_medreg,
    Form.ELASTIX: elastix.read,
    Form.ELASTIX_TOML: elastix.read,
    Form.SPM: spm.read,
    Form.SLICER: slicer.read,
    Form.DICOM: dicom.read,
    Form.X5: x5.read,
}


def read_transform(
    path: str | Path, *, fixed: End = NOTHING, moving: End = NOTHING, form: Form | None = None
) -> FloatArray:
    """The matrix that a transform file holds: 4x4, or 3x3 in 2D, fixed points -> moving points, LPS mm.

    Reads what `docs/transforms.md` tables. The form is told from the content; of a bare matrix, from the file's name
    and the images.

    Args:
        path: the file.
        fixed: the fixed image, as far as it is known; FSL, register.dat and the like go by its voxels.
        moving: the moving image. Of a DICOM object of several registrations the origins choose.
        form: how to read the file, where it does not tell that itself.

    Raises:
        ReadError: the file is missing, a directory, or damaged.
        TransformError: what it holds is not one linear transform.
        UsageError: its form cannot be told, or goes by an image that is not named.

    Example:
        >>> import tempfile, numpy as np
        >>> from medreg.io.transforms import write_transform
        >>> path = Path(tempfile.mkdtemp()) / "shift.tfm"
        >>> write_transform(np.array([[1, 0, 0.1], [0, 1, -2], [0, 0, 1]]), path, centre=(30.0, 40.0))
        >>> read_transform(path)[0].round(12).tolist()
        [1.0, 0.0, 0.1]
    """
    return read_with_form(path, fixed=fixed, moving=moving, form=form)[0]


def read_with_form(
    path: str | Path, *, fixed: End = NOTHING, moving: End = NOTHING, form: Form | None = None
) -> tuple[FloatArray, Form]:
    """What `read_transform` returns, and the form that the file was taken to have; the file is read once.

    Raises:
        ReadError, TransformError, UsageError: as `read_transform`.
    """
    source = _source(Path(path), fixed, moving)
    form = form or recognise(source)
    try:
        with np.errstate(all="ignore"):  # what is not finite is told below, by name
            matrix = READERS[form](source)
    except TransformError as error:
        raise error if str(path) in str(error) else TransformError(f"{path}: {error}") from error
    return (matrix if form is Form.MEDREG else affine(matrix, source.path)), form


def form_of_file(path: str | Path, *, fixed: End = NOTHING, moving: End = NOTHING) -> Form:
    """The form that `read_transform` takes a file to have.

    Raises:
        ReadError, TransformError, UsageError: as `read_transform`.
    """
    return recognise(_source(Path(path), fixed, moving))


def _source(path: Path, fixed: End, moving: End) -> Source:
    if path.is_dir():
        raise ReadError(f"{path}: is a directory; name the transform in it, for example {path / 'transform.tfm'}")
    try:
        return Source(path, path.read_bytes(), fixed, moving)
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read, {error.strerror or error}") from error
