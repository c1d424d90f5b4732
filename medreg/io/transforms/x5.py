"""X5, the draft of an exchange format on HDF5, in nitransforms' layout: fixed -> moving points, RAS mm.

h5py is the extra `hdf5`, imported on first use.
"""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ReadError, TransformError, WriteError
from medreg.geometry.orientation import conjugate_lps_ras, flip_lps_ras
from medreg.io.failing import AGAIN
from medreg.io.transforms.draft import Draft, Source, in_space
from medreg.io.transforms.ends import header_at
from medreg.types import FloatArray
from medreg.version import __version__


def read(source: Source) -> FloatArray:
    """The file's only transform."""
    h5py = _h5py(source.path)
    try:
        with h5py.File(io.BytesIO(source.raw), "r") as file:
            if file.attrs.get("Format") != "X5":
                raise TransformError(f"{source.path}: is an HDF5 file, but neither X5 nor ITK's")
            group = file["TransformGroup"]
            if len(group) != 1:
                raise TransformError(f"{source.path}: holds {len(group)} transforms, wanted one")
            return conjugate_lps_ras(_matrix(next(iter(group.values())), source.path))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ReadError(f"{source.path}: the X5 file is damaged or cut short ({error}); {AGAIN}") from error


def write(draft: Draft, target: Path) -> None:
    """One transform, with the grid of the fixed image where that is known; a sidecar .json says what it is."""
    h5py = _h5py(draft.path)
    sidecar = sidecar_of(draft.path)
    matrix = conjugate_lps_ras(in_space(draft, "X5"))
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["Format"] = "X5"
        file.attrs["Version"] = np.uint16(1)
        group = file.create_group("TransformGroup").create_group("0")
        group.attrs["Type"] = "linear"
        group.attrs["ArrayLength"] = 1
        group.create_dataset("Transform", data=matrix)
        group.create_dataset("Inverse", data=np.linalg.inv(matrix))
        group.create_dataset("DimensionKinds", data=np.array(["space", "space", "space", "vector"], dtype="S"))
        if draft.fixed.known:
            _write_domain(group, draft)
    target.write_bytes(content.getvalue())
    target.with_name(sidecar.name).write_text(json.dumps(_sidecar(draft), indent=2) + "\n", encoding="utf-8")


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of a file is written.

    Raises:
        WriteError: what is there is no sidecar, such as a run's transform.json beside its transform.x5.
    """
    place = path.with_suffix(".json")
    if place == path:
        raise WriteError(f"{path}: is the name of an X5 file's sidecar; end the file itself in .x5")
    if place.exists() and '"Orientation": "RAS"' not in place.read_text(encoding="utf-8", errors="replace"):
        raise WriteError(f"{path}: its sidecar {place} is there already and is another thing; choose another name")
    return place


def _write_domain(group: Any, draft: Draft) -> None:
    grid = header_at(draft.fixed, "fixed", str(draft.path)).grid
    if grid.dimension != 3:
        raise TransformError(f"{draft.path}: the fixed image is 2D, the transform 3D")
    domain = group.create_group("Domain")
    domain.create_dataset("Grid", data=np.uint8(1))
    domain.create_dataset("Size", data=np.array(grid.size))
    domain.create_dataset("Mapping", data=flip_lps_ras(grid.affine))
    domain.attrs["Coordinates"] = "cartesian"


def _sidecar(draft: Draft) -> dict[str, Any]:
    names = {
        role: end.path.name
        for role, end in (("FixedImage", draft.fixed), ("MovingImage", draft.moving))
        if end.path is not None
    }
    return {
        "Type": "linear",
        "Direction": "points of the fixed image -> points of the moving image",
        "Units": "mm",
        "Orientation": "RAS",
        **names,
        "GeneratedBy": [{"Name": "medreg", "Version": __version__}],
    }


def _matrix(node: Any, path: Path) -> FloatArray:
    kind = node.attrs["Type"]
    if kind != "linear":
        raise TransformError(f"{path}: holds a {kind} transform; medreg reads linear ones only")
    matrix = np.asarray(node["Transform"], dtype=np.float64)
    if matrix.ndim == 3 and len(matrix) > 1:
        raise TransformError(f"{path}: holds {len(matrix)} matrices, one for each volume of a series; keep one")
    matrix = matrix[0] if matrix.ndim == 3 else matrix
    if matrix.shape not in ((3, 3), (4, 4)):
        raise TransformError(f"{path}: its matrix has 4 rows of 4 numbers, got shape {matrix.shape}")
    return matrix


def _h5py(path: Path) -> Any:
    try:
        return importlib.import_module("h5py")
    except ModuleNotFoundError as error:
        raise TransformError(f"{path}: X5 needs h5py, which is not installed; pip install 'medreg[hdf5]'") from error
