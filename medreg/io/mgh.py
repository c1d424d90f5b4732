"""FreeSurfer's MGH and MGZ, by nibabel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ImageError, ReadError
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import flip_lps_ras
from medreg.image import Leading
from medreg.io.failing import AGAIN, reading, warn
from medreg.io.gzipping import write_gzip
from medreg.io.libraries import nibabel
from medreg.io.nifti import load_bytes
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray

_MODULE = "freesurfer.mghformat"
_FIELDS, _START = 90, 284
"""Bytes of the header's fields, and where the voxels begin; a footer with the scan's parameters may follow them."""
_PARAMETERS = ("tr", "flip_angle", "te", "ti", "fov")
"""How the image was taken; true of the voxels wherever they are moved."""


def read_mgh(path: Path) -> StoredImage:
    """Read a .mgh or .mgz file; several frames give a series.

    Raises:
        ReadError: cut short or damaged.
        GeometryError: an affine that is singular or not finite.
        ImageError: an image without voxels.
    """
    mgh = nibabel(_MODULE)
    with reading(path):
        raw = load_bytes(path)
        if len(raw) < _START:
            raise ReadError(f"{path}: is cut short, {len(raw)} bytes where the header alone needs {_START}; {AGAIN}")
        header = mgh.MGHHeader(raw[:_FIELDS].tobytes(), check=False)
        dims = tuple(int(n) for n in header["dims"])
        if min(dims) < 1:
            raise ImageError(f"{path}: the image is empty, its size is {'x'.join(map(str, dims))} voxels")
        try:
            dtype = np.dtype(header.get_data_dtype()).newbyteorder(">")
        except KeyError as error:
            raise ReadError(
                f"{path}: unknown MGH voxel type {int(header['type'])}; the header may be damaged"
            ) from error
        count = int(np.prod(dims, dtype=object))
        if count * dtype.itemsize > len(raw) - _START:
            raise ReadError(
                f"{path}: the header says {'x'.join(map(str, dims))} voxels of {dtype.itemsize} bytes, "
                f"{count * dtype.itemsize} bytes, but {len(raw) - _START} are there; the file is cut short, {AGAIN}"
            )
        notes: list[str] = []
        if int.from_bytes(raw[28:30].tobytes(), "big") == 0:  # goodRASFlag; nibabel has put its default in the header
            warn(notes, f"{path}: no orientation in the file (goodRASFlag is 0); took FreeSurfer's default, coronal")
        grid = Grid.from_affine(dims[:3], flip_lps_ras(np.asarray(header.get_affine(), dtype=np.float64)))
        array = np.frombuffer(raw, dtype, count, _START).reshape(dims[3], *dims[2::-1]).astype(dtype.newbyteorder("="))
        foot = mgh.MGHHeader(raw[:_FIELDS].tobytes() + raw[_START + count * dtype.itemsize :].tobytes(), check=False)
        metadata = {
            "path": str(path),
            "format": "MGH",
            "stored_dtype": array.dtype.name,
            "unit": "mm",
            "grid": grid,
            "notes": tuple(notes),
            "header": {name: float(foot[name]) for name in _PARAMETERS},
        }
        return StoredImage(array, grid, Leading.FRAMES if dims[3] > 1 else Leading.CHANNELS, metadata)


def write_mgh(path: Path, array: VoxelArray, grid: Grid, header: dict[str, Any], *, zipped: bool) -> None:
    """Write (frame, z, y, x) voxels of a dtype that MGH holds; `header` may carry TR, TE and their like."""
    voxels = array.T if array.shape[0] > 1 else array[0].T
    image = nibabel(_MODULE).MGHImage(voxels, flip_lps_ras(grid.affine))
    for name in _PARAMETERS:
        if name in header:
            image.header[name] = header[name]
    file = io.BytesIO()
    image.to_file_map({"image": nibabel("fileholders").FileHolder(fileobj=file)})
    with path.open("wb") as out:
        if zipped:
            write_gzip(out, file.getvalue())
        else:
            out.write(file.getvalue())
