"""Which form a transform file has: told from its content, and from its name where the content cannot tell."""

from __future__ import annotations

import re
import warnings

from medreg.errors import MedregWarning, ReadError, TransformError, UsageError
from medreg.io.content import Kind, kind_of
from medreg.io.itk_text import HEADER
from medreg.io.transforms import fsl, plain
from medreg.io.transforms.differences import share_inside
from medreg.io.transforms.draft import Source
from medreg.io.transforms.elastix import TEXT_MARK, TOML_MARK
from medreg.io.transforms.ends import header_at
from medreg.io.transforms.form import Form
from medreg.io.transforms.matlab import is_matlab, variables_of
from medreg.io.transforms.plain import LPS_HEADER, is_niimath

_DOUBTFUL = 4.0
"""How many times more of the image another reading must bring into view before one doubts."""
_LTA = re.compile(r"^\s*type\s*=\s*\d+.*\n(?:.*\n)*?\s*nxforms\s*=", re.MULTILINE)
_READS = (
    "ITK's .tfm, .txt, .mat, .h5 or .xfm, FSL, FreeSurfer, AFNI, elastix, SPM, NiftyReg, greedy, niimath, X5, DICOM, "
    "medreg's run.json, or plain text of 4 rows of 4 numbers (3 of 3 in 2D)"
)


def recognise(source: Source) -> Form:
    """The form of a file.

    Raises:
        ReadError: an empty file.
        TransformError: no form that medreg reads.
        UsageError: a bare matrix of which nothing says whose it is; the message names --from.
    """
    if not source.raw.strip():
        raise ReadError(f"{source.path}: is empty; the program that wrote it failed, or the disk was full")
    kind = kind_of(source.raw[:4096])
    if kind is Kind.DICOM:
        return Form.DICOM
    if kind is Kind.HDF5:
        return Form.X5 if b"ITKVersion" not in source.raw and b"Format" in source.raw else Form.ITK_H5
    if source.text is None:
        return _binary(source)
    return _of_text(source, source.text)


def _binary(source: Source) -> Form:
    suffix = source.path.suffix.lower()
    if not is_matlab(source.raw):
        if suffix in (".mat", ".xfm", ".h5", ".hdf5", ".he5"):
            return Form.ITK_MAT if suffix == ".mat" else Form.MINC if suffix == ".xfm" else Form.ITK_H5
        raise TransformError(f"{source.path}: is not a transform that medreg reads: {_READS}")
    names = variables_of(source.raw, source.path)
    if any(re.fullmatch(r"\w+_(double|float)_\d_\d", name) for name in names):
        return Form.ITK_MAT
    return Form.SPM


def _of_text(source: Source, text: str) -> Form:
    start = text.lstrip()
    if start.startswith(HEADER):
        return Form.ITK
    if start.startswith("MNI Transform File") or source.path.suffix.lower() == ".xfm":
        return Form.MINC
    if start.startswith("{"):
        return Form.NIIMATH if is_niimath(text) else Form.MEDREG
    if start.startswith("<") and "MRML" in text[:4096]:
        return Form.SLICER
    if TEXT_MARK.search(text):
        return Form.ELASTIX
    if TOML_MARK.search(text) and "TransformParameters" in text:
        return Form.ELASTIX_TOML
    if _LTA.search(text):
        return Form.LTA
    if start.startswith(LPS_HEADER):
        return Form.LPS
    if _is_register_dat(text):
        return Form.REGISTER_DAT
    return _of_numbers(source, text)


def _of_numbers(source: Source, text: str) -> Form:
    suffix = source.path.suffix.lower()
    lines = [line.partition("#")[0].replace(",", " ").split() for line in text.splitlines()]
    counts = [len(line) for line in lines if line]
    if not all(_is_number(word) for line in lines for word in line):
        raise TransformError(f"{source.path}: is not a transform that medreg reads: {_READS}")
    if set(counts) == {12} or suffix == ".1d" or "(DICOM-to-DICOM" in text:
        return Form.AFNI
    if counts not in ([4] * 4, [4] * 3):
        return Form.LPS  # 2D, of which there is one kind; its reader says what is wrong with others
    if suffix == ".mat" and source.fixed.known and source.moving.known:
        _warn_of_ras(source)
        return Form.FSL
    images = "" if suffix != ".mat" else " (FSL's needs both images, too: --fixed and --moving)"
    raise UsageError(
        f"{source.path}: is a bare matrix, and nothing in it says whose; name it with --from: ras (NiftyReg, greedy, "
        f"c3d_affine_tool, ITK-SNAP, MRtrix), fsl (FLIRT), afni, or lps{images}; for --start write it anew, by "
        f"medreg convert-transform {source.path.name} start.tfm --from NAME"
    )


def _warn_of_ras(source: Source) -> None:
    """Warn where a bare .mat brings the images together as greedy's (RAS), but hardly so as FLIRT's."""
    fixed, moving = (
        header_at(end, role, str(source.path)).grid
        for end, role in ((source.fixed, "fixed"), (source.moving, "moving"))
    )
    if fixed.dimension != 3 or moving.dimension != 3:
        return
    try:
        shares = [share_inside(reader(source), fixed, moving) for reader in (fsl.read, plain.read_ras)]
    except TransformError:
        return  # its reader says what is wrong
    if shares[0] < shares[1] / _DOUBTFUL:
        text = (
            f"is taken for FLIRT's, but brings {shares[0]:.0%} of the fixed image into the moving one, and as a RAS "
            f"matrix {shares[1]:.0%}; add --from ras if it is greedy's or c3d's"
        )
        warnings.warn(f"{source.path}: {text}", MedregWarning, stacklevel=5)


def _is_register_dat(text: str) -> bool:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 8 or _is_number(lines[0][0]):
        return False
    counts = [len(line) for line in lines[1:8]]
    return counts == [1, 1, 1, 4, 4, 4, 4] and all(_is_number(word) for line in lines[1:8] for word in line)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
