"""ITK's own: text (.tfm, .txt), binary MATLAB (.mat, as ANTs writes 0GenericAffine.mat), HDF5 (.h5) and MINC's .xfm."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ReadError, TransformError, WriteError
from medreg.io.failing import AGAIN, reason
from medreg.io.itk_text import Entry, entries_of, matrix_of, offset_parameters, to_itk_text
from medreg.io.libraries import simpleitk
from medreg.io.transforms.draft import Draft, Source
from medreg.io.transforms.matlab import to_matlab, variables_of
from medreg.types import FloatArray


def read_text(source: Source) -> FloatArray:
    """Every linear class, and composites of them."""
    try:
        entries = entries_of("\n".join(source.lines))
        composite = entries[0].name == "CompositeTransform"
        parts = entries[1:] if composite else entries
        return _joined(parts, source, ".tfm", composite=composite)
    except TransformError as error:
        raise error if str(source.path) in str(error) else TransformError(f"{source.path}: {error}") from error


def write_text(draft: Draft, target: Path) -> None:
    """An AffineTransform."""
    target.write_text(to_itk_text(draft.matrix, draft.centre), encoding="ascii", newline="\n")


def read_mat(source: Source) -> FloatArray:
    """One transform in MATLAB's level 4 format: a column of its parameters by the name of its class, and "fixed"."""
    variables = variables_of(source.raw, source.path)
    fixed = tuple(variables.pop("fixed", np.zeros(0)).ravel().tolist())
    try:
        entries = [
            Entry.of(name, tuple(numbers.ravel(order="F").tolist()), fixed) for name, numbers in variables.items()
        ]
    except TransformError as error:
        raise TransformError(f"{source.path}: is no transform of ITK, {error}") from error
    return _joined(entries, source, ".mat", composite=False)


def write_mat(draft: Draft, target: Path) -> None:
    """An AffineTransform of doubles, as `antsApplyTransforms -t 0GenericAffine.mat` takes it."""
    numbers, centre = offset_parameters(draft.matrix, draft.centre)
    d = draft.dimension
    target.write_bytes(to_matlab({f"AffineTransform_double_{d}_{d}": numbers[:, None], "fixed": centre[:, None]}))


def read_h5(source: Source) -> FloatArray:
    """HDF5, composites too, through SimpleITK."""
    return _by_itk(source, ".h5")


def read_xfm(source: Source) -> FloatArray:
    """MINC's text, through SimpleITK."""
    return _by_itk(source, ".xfm")


def _by_itk(source: Source, suffix: str) -> FloatArray:
    """Whatever SimpleITK reads; it goes by the file's suffix, so that a file of another one is read from a copy."""
    if source.path.suffix.lower() == suffix:
        return _read_by_itk(source.path, source.path)
    with tempfile.TemporaryDirectory(prefix="medreg-") as folder:
        copy = Path(folder) / f"transform{suffix}"
        copy.write_bytes(source.raw)
        return _read_by_itk(copy, source.path)


def _read_by_itk(file: Path, path: Path) -> FloatArray:
    try:
        transform: Any = simpleitk().ReadTransform(str(file))
    except RuntimeError as error:
        why = reason(error).replace(str(file), path.name)
        raise ReadError(f"{path}: cannot be read as a transform, {why}; {AGAIN}") from error
    if not transform.IsLinear():
        raise TransformError(f"{path}: holds a {transform.GetName()}, which bends; medreg reads linear transforms only")
    whole = np.eye(transform.GetDimension() + 1)
    for part in _parts(transform):  # ITK applies the last of a composite first
        entry = Entry(part.GetName(), part.GetDimension(), part.GetParameters(), part.GetFixedParameters())
        matrix = matrix_of(entry)
        whole = whole @ (_probed(part) if matrix is None else matrix)
    return whole


def write_h5(draft: Draft, target: Path) -> None:
    """An AffineTransform, by SimpleITK."""
    numbers, centre = offset_parameters(draft.matrix, draft.centre)
    sitk = simpleitk()
    transform = sitk.AffineTransform(draft.dimension)
    transform.SetFixedParameters(centre.tolist())
    transform.SetParameters(numbers.tolist())
    named = target.with_name("medreg-transform.h5")  # SimpleITK goes by the suffix
    try:
        sitk.WriteTransform(transform, str(named))
    except RuntimeError as error:
        raise WriteError(f"{draft.path}: cannot be written, {reason(error)}") from error
    named.replace(target)


def _joined(entries: list[Entry], source: Source, suffix: str, *, composite: bool) -> FloatArray:
    if not composite and len(entries) != 1:
        names = ", ".join(entry.name for entry in entries) or "none"
        raise TransformError(
            f"{source.path}: lists {len(entries)} transforms ({names}) without saying how they are joined; keep one in "
            "the file"
        )
    matrices = [matrix for entry in entries if (matrix := matrix_of(entry)) is not None]
    if len(matrices) < len(entries):
        return _by_itk(source, suffix)
    sizes = {len(matrix) for matrix in matrices}
    if len(sizes) > 1:
        raise TransformError(f"{source.path}: joins 2D and 3D transforms")
    whole = np.eye(sizes.pop() if sizes else 4)
    for matrix in matrices:  # ITK applies the last of a composite first
        whole = whole @ matrix
    return whole


def _parts(transform: Any) -> Iterator[Any]:
    if transform.GetName() != "CompositeTransform":
        yield transform
        return
    composite = simpleitk().CompositeTransform(transform)
    for k in range(composite.GetNumberOfTransforms()):
        yield from _parts(composite.GetNthTransform(k))


def _probed(transform: Any) -> FloatArray:
    """The matrix of a linear class that is not known here: where it takes the origin and the unit vectors."""
    d = transform.GetDimension()
    zero = np.array(transform.TransformPoint((0.0,) * d))
    columns = [np.array(transform.TransformPoint(tuple(axis))) - zero for axis in np.eye(d)]
    matrix = np.eye(d + 1)
    matrix[:d] = np.column_stack([*columns, zero])
    return matrix
