"""NIfTI-1 and NIfTI-2, .nii and .nii.gz: header by nibabel, voxels straight from the bytes."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ImageError, ReadError
from medreg.geometry.grid import Grid
from medreg.image import Leading
from medreg.io.failing import AGAIN, reading
from medreg.io.gzipping import gunzip
from medreg.io.libraries import nibabel
from medreg.io.nifti_affine import Placement, placement
from medreg.io.stored import StoredImage
from medreg.types import FloatArray, VoxelArray

_SECONDS_PER_UNIT = {8: 1.0, 16: 1e-3, 24: 1e-6}
_IN_PLANE = 1e-6
"""Largest slope of a 2D file's axes out of the x-y plane for which it still counts as a 2D image."""


def read_nifti(path: Path) -> StoredImage:
    """Read a .nii or .nii.gz file.

    A 4D file gives frames, a 5D file of one time point channels, RGB24 and RGBA32 channels; trailing axes of length
    1 are dropped. A file of two axes gives a 2D image, or one slice in 3D where its plane is not the world's x-y plane.
    Integers with scl_slope or scl_inter become float32, or float64 where that loses digits.

    Raises:
        ReadError: cut short, damaged, or a header that disagrees with the file's length.
        GeometryError: see `placement`.
        ImageError: complex numbers, or axes that are neither space, frames nor channels.
    """
    with reading(path):
        raw = load_bytes(path)
        header = header_in(raw, path)
        shape = _shape(header, path)
        dtype = _dtype(header, path)
        array = _voxels(raw, header, shape, dtype, path)
        slope, inter = _scaling(header, path)
        leading = Leading.CHANNELS
        if dtype.names is None and len(shape) == 4:
            leading = Leading.FRAMES
        size = (shape[0], shape[1], shape[2] if len(shape) > 2 else 1)
        place = placement(header, size, path)
        grid, array = _grid(place.affine, shape, array)
        if (slope, inter) != (1.0, 0.0) and dtype.names is None:
            array = scaled(array, slope, inter)
        metadata = {
            "path": str(path),
            "format": "NIfTI-2" if int(header["sizeof_hdr"]) == 540 else "NIfTI-1",
            "stored_dtype": "uint8" if dtype.names else dtype.newbyteorder("=").name,
            "slope": slope,
            "inter": inter,
            "unit": "mm",
            "grid": grid,
            "notes": place.notes,
            **_codes(place),
            "header": _kept(header, place.unit, array),
        }
        return StoredImage(array, grid, leading, metadata)


def header_in(raw: VoxelArray | bytes, path: Path) -> Any:
    """The header in a file's first bytes, NIfTI-1 or NIfTI-2, by nibabel.

    Raises:
        ReadError: too few bytes.
    """
    two = bytes(raw[:4]) in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    kind = nibabel("nifti2").Nifti2Header if two else nibabel("nifti1").Nifti1Header
    size = kind.template_dtype.itemsize
    if len(raw) < size:
        raise ReadError(f"{path}: is cut short, {len(raw)} bytes where the header alone needs {size}; {AGAIN}")
    # no checks: nibabel's would silently turn zero spacing into 1 mm and print the rest to stderr
    return kind(bytes(raw[:size]), check=False)


def load_bytes(path: Path) -> VoxelArray:
    """The whole file as uint8, unzipped where it is gzipped and its checksum verified."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return np.fromfile(file, np.uint8)
        file.seek(0)
        return np.frombuffer(gunzip(file.read()), np.uint8)


def scaled(array: VoxelArray, slope: float, inter: float) -> VoxelArray:
    """The stored values times slope plus inter, in the smallest float that gives the stored integers back."""
    dtype = scaling_dtype(array.dtype, slope, inter)
    result: VoxelArray = array.astype(dtype)
    result *= dtype.type(slope)
    result += dtype.type(inter)
    return result


def scaling_dtype(stored: np.dtype[Any], slope: float, inter: float) -> np.dtype[Any]:
    """float32 for integers of up to 16 bits and float32, unless the offset would swallow their last digit."""
    wide = stored.itemsize > (4 if stored.kind == "f" else 2) or abs(inter) > abs(slope) * 2.0**21
    return np.dtype(np.float64 if wide else np.float32)


def fingerprint(array: VoxelArray) -> int:
    """A cheap checksum of a few thousand voxels: equal before and after means that nobody changed the values."""
    flat = array.reshape(-1)
    return zlib.crc32(flat[:: max(1, flat.size // 4096)].astype(np.float64).tobytes())


def _shape(header: Any, path: Path) -> tuple[int, ...]:
    """x, y(, z(, frames)) or x, y, z, 1, channels, without trailing ones."""
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7 or (header["dim"][1 : axes + 1] < 0).any():
        raise ReadError(f"{path}: the header is damaged, dim = {header['dim'].tolist()}")
    shape = tuple(int(n) for n in header["dim"][1 : axes + 1])
    if 0 in shape:
        raise ImageError(f"{path}: the image is empty, its size is {'x'.join(map(str, shape))} voxels")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 1:
        raise ImageError(f"{path}: holds one row of {shape[0]} numbers; an image has 2 or 3 axes")
    if len(shape) > 5 or (len(shape) == 5 and shape[3] != 1):
        raise ImageError(
            f"{path}: has {len(shape)} axes ({'x'.join(map(str, shape))}); medreg reads x, y, z and either frames or "
            "channels; split it first"
        )
    return shape


def _dtype(header: Any, path: Path) -> np.dtype[Any]:
    code = int(header["datatype"])
    try:
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    except Exception as error:  # nibabel's HeaderDataError
        raise ReadError(f"{path}: unknown NIfTI datatype {code}; the header may be damaged") from error
    if dtype.kind == "c":
        raise ImageError(
            f"{path}: holds complex numbers ({dtype.newbyteorder('=')}); save the magnitude or the phase on its own"
        )
    if dtype.names is None and dtype.kind not in "iuf":
        raise ReadError(f"{path}: NIfTI datatype {code} is not one that medreg reads; convert it to a number type")
    return dtype


def _voxels(raw: VoxelArray, header: Any, shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> VoxelArray:
    """(channel or frame, z, y, x), or (channel, y, x): NIfTI runs x fastest, so this is the file's own order."""
    least = 544 if int(header["sizeof_hdr"]) == 540 else 352
    offset = int(header["vox_offset"]) or least
    count = int(np.prod(shape, dtype=object))
    need, have = count * dtype.itemsize, len(raw) - offset
    if offset < least or need > have:
        raise ReadError(
            f"{path}: the header says {'x'.join(map(str, shape))} voxels of {dtype.itemsize} bytes from byte {offset}, "
            f"{need} bytes, but {max(have, 0)} are there; the file is cut short or its header wrong, {AGAIN}"
        )
    array = np.frombuffer(raw, dtype, count, offset)
    if dtype.names is not None:
        colours = array.view(np.uint8).reshape(*shape[:3][::-1], len(dtype.names))
        return np.ascontiguousarray(np.moveaxis(colours, -1, 0))
    space = shape[:3][::-1]
    lead = shape[3] if len(shape) == 4 else shape[4] if len(shape) == 5 else 1
    array = array.reshape(lead, *space)
    return np.require(array.astype(dtype.newbyteorder("="), copy=False), requirements=["C", "A", "W"])


def _scaling(header: Any, path: Path) -> tuple[float, float]:
    """scl_slope and scl_inter; a slope that is 0 or not finite means none."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):
        return 1.0, 0.0
    if not np.isfinite(inter):
        raise ReadError(f"{path}: scl_slope is {slope} but scl_inter is {inter}; the header is damaged")
    return slope, inter


def _grid(affine: FloatArray, shape: tuple[int, ...], array: VoxelArray) -> tuple[Grid, VoxelArray]:
    if len(shape) > 2:
        return Grid.from_affine(shape[:3], affine), array
    linear = affine[:3, :2]
    if np.abs(linear[2]).max() <= _IN_PLANE * np.abs(linear).max():
        return Grid.from_affine(shape, affine[np.ix_([0, 1, 3], [0, 1, 3])]), array
    return Grid.from_affine((*shape, 1), affine), array[:, None]


def _codes(place: Placement) -> dict[str, Any]:
    return {
        "sform_code": place.sform_code,
        "qform_code": place.qform_code,
        "affine_from": place.source,
        "qform": None if place.qform is None else place.qform.tolist(),
        "sform_qform_mm": place.difference_mm,
    }


def _kept(header: Any, unit: str, array: VoxelArray) -> dict[str, Any]:
    """Header fields that stay true, or that the writer can tell whether they do, as plain Python values."""
    time = int(header["xyzt_units"]) & 56
    step = float(header["pixdim"][4]) * _SECONDS_PER_UNIT.get(time, 1.0)
    return {
        "unit": unit,
        "descrip": _text(header["descrip"]),
        "aux_file": _text(header["aux_file"]),
        "intent_code": int(header["intent_code"]),
        "intent_name": _text(header["intent_name"]),
        "intent_p": tuple(float(header[f"intent_p{i}"]) for i in (1, 2, 3)),
        "dim_info": int(header["dim_info"]),
        "cal": (float(header["cal_min"]), float(header["cal_max"])),
        "fingerprint": fingerprint(array),
        "frame_seconds": step if np.isfinite(step) and step > 0 else None,
    }


def _text(value: Any) -> str:
    return bytes(value).split(b"\0")[0].decode("latin-1")
