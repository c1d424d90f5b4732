"""Siemens mosaics: a volume's slices as tiles of one big picture, told apart by the private CSA headers alone.

The layout was learnt from real files and from nibabel's `nicom.csareader`, which is the oracle of the tests.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dicom_attributes import About, Matrix, axes, normal, pixel_spacing, position, put, slice_distance
from dicom_pixels import Stored
from dicom_slices import Voxels, slice_dataset
from pydicom.dataset import Dataset

_SYNGO = {"IS": 6, "DS": 3, "FD": 4, "US": 10, "SH": 22, "LO": 19, "UN": 0, "CS": 16, "UT": 27}
"""The number that a CSA header has for each value representation."""


def mosaic(
    folder: Path,
    array: Voxels,
    affine: Matrix,
    *,
    reverse: bool = False,
    seconds: float = 2.0,
    stored: Stored | None = None,
    names: Sequence[str] | None = None,
    **about: Any,
) -> list[Path]:
    """One file a volume of (z, y, x) or (t, z, y, x); the paths come in the order of time.

    The tiles go along the rows of the smallest square grid, the rest stays black. ImagePositionPatient is where the
    first pixel would be if the whole picture were one slice about the first tile's centre: Siemens writes it so.

    Args:
        folder: where to write.
        array: stored integers.
        affine: index (x, y, z) -> world LPS mm; its third column is along or against row x column, never sheared.
        reverse: the tiles run from the last slice to the first, and SliceNormalVector points the other way; the array
            and the affine say the same as without.
        seconds: between volumes.
        stored: bits stored ...; 12 of 16 by default, as Siemens has it.
        names: of the files.
        **about: of `About`.
    """
    affine = np.asarray(affine, dtype=np.float64)
    step = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    if abs(normal(affine) @ step) < 1 - 1e-9:
        raise ValueError("a mosaic's slices are stacked along their normal; the affine's are not")
    claims = About(**about)
    volumes = array if array.ndim == 4 else array[None]
    slices = volumes.shape[1]
    first, step = (slices - 1, -step) if reverse else (0, step)
    paths = []
    for t, volume in enumerate(volumes):
        picture = tiled(volume[::-1] if reverse else volume)
        made = slice_dataset(picture, affine, first, "MR", stored or Stored(bits=12), claims, t)
        whole = np.multiply(picture.shape, pixel_spacing(affine))  # of the picture, then of a tile: rows, columns
        tile = np.multiply(volume.shape[1:], pixel_spacing(affine))
        across, down = axes(affine)
        corner = position(affine, first) - (down * (whole - tile)[0] + across * (whole - tile)[1]) / 2
        whole_seconds, rest = divmod(14 + t * seconds, 60)
        put(
            made,
            {
                "Manufacturer": "SIEMENS",
                "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
                "ImagePositionPatient": corner,
                "ScanningSequence": "EP",
                "MRAcquisitionType": "2D",
                "RepetitionTime": seconds * 1000,
                "InstanceNumber": t + 1,
                "AcquisitionNumber": t + 1,
                "AcquisitionTime": f"10{13 + int(whole_seconds):02d}{rest:09.6f}",
                "AcquisitionMatrix": [volume.shape[2], 0, 0, volume.shape[1]],
            },
        )
        _put_csa(made, affine, volume.shape, first, step, t * seconds, reverse=reverse)
        name = names[t] if names is not None else f"IM{t + 1:04d}.dcm"
        paths.append(claims.save(made, folder / name, t))
    return paths


def tiled(volume: Voxels) -> Voxels:
    """Slices (z, y, x) side by side in the smallest square grid, row by row, padded with 0."""
    slices, rows, columns = volume.shape
    side = math.ceil(math.sqrt(slices))
    full = np.zeros((side * side, rows, columns), volume.dtype)
    full[:slices] = volume
    return full.reshape(side, side, rows, columns).swapaxes(1, 2).reshape(side * rows, side * columns)


def _put_csa(
    made: Dataset,
    affine: Matrix,
    shape: tuple[int, ...],
    first: int,
    step: Matrix,
    seconds: float,
    *,
    reverse: bool,
) -> None:
    """Put both CSA headers and the private count of tiles."""
    slices, rows, columns = shape
    image = csa_header(
        {
            "EchoLinePosition": ("IS", [rows // 2]),
            "UsedChannelMask": ("UL", []),
            "ProtocolSliceNumber": ("IS", [first]),
            "AcquisitionMatrixText": ("SH", [f"{columns}*{rows}"]),
            "PhaseEncodingDirectionPositive": ("IS", [1]),
            "NumberOfImagesInMosaic": ("US", [slices]),
            "SliceNormalVector": ("FD", [f"{c:.8f}" for c in step]),
            "TimeAfterStart": ("DS", [f"{seconds:.3f}"]),
            "MosaicRefAcqTimes": ("FD", [f"{100.0 * k:.8f}" for k in range(slices)]),
        }
    )
    protocol = (
        '<XProtocol>\n{\n  <Name> "PhoenixMetaProtocol"\n}\n### ASCCONV BEGIN ###\n'
        + "\n".join(f"{key}\t = \t{value}" for key, value in _protocol(affine, shape, reverse=reverse).items())
        + "\n### ASCCONV END ###"
    )
    series = csa_header({"UsedPatientWeight": ("IS", [70]), "MrPhoenixProtocol": ("UN", [protocol])})
    csa = made.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    for offset, vr, value in (
        (0x08, "CS", "IMAGE NUM 4"),
        (0x09, "LO", "20231119"),
        (0x10, "OB", image),
        (0x18, "CS", "MR"),
        (0x19, "LO", "20231119"),
        (0x20, "OB", series),
    ):
        csa.add_new(offset, vr, value)
    header = made.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    header.add_new(0x0A, "US", slices)


def _protocol(affine: Matrix, shape: tuple[int, ...], *, reverse: bool) -> Mapping[str, object]:
    """The protocol's slices: centres and normals in patient axes, in the protocol's own order, never reversed."""
    slices, rows, columns = shape
    found: dict[str, object] = {
        "tProtocolName": '""made protocol""',
        "sSliceArray.lSize": slices,
        "sSliceArray.ucMode": "0x1",
    }
    if reverse:
        found["sSliceArray.ucImageNumbTra"] = "0x1"
    ahead = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    height, width = np.multiply((rows, columns), pixel_spacing(affine))
    for k in range(slices):
        centre = affine[:3] @ (columns / 2, rows / 2, k, 1)
        prefix = f"sSliceArray.asSlice[{k}]"
        for key, vector in (("sPosition", centre), ("sNormal", ahead)):
            for axis, value in zip(("dSag", "dCor", "dTra"), vector, strict=True):
                if value:  # zeros are left out of a protocol
                    found[f"{prefix}.{key}.{axis}"] = f"{value:.10g}"
        found[f"{prefix}.dThickness"] = f"{slice_distance(affine):.10g}"
        found[f"{prefix}.dPhaseFOV"] = f"{height:.10g}"
        found[f"{prefix}.dReadoutFOV"] = f"{width:.10g}"
    return found


def csa_header(tags: Mapping[str, tuple[str, Sequence[object]]]) -> bytes:
    """A CSA header of type 2: "SV10", then tags, each with its name, VR and text items padded to four bytes.

    Args:
        tags: name -> (VR, values).
    """
    made = [b"SV10\4\3\2\1", struct.pack("<2I", len(tags), 77)]
    for name, (vr, values) in tags.items():
        width = 8 if vr in ("IS", "US", "UL") else 0  # whole numbers are padded to eight characters
        items = [f"{value!s:<{width}}".encode("latin-1") + b"\0" for value in values]
        while items and len(items) < 6:  # scanners fill up with empty items
            items.append(b"")
        made.append(
            struct.pack(
                "<64si4s3i",
                name.encode(),
                len(values),
                vr.encode(),
                _SYNGO.get(vr, 9),
                len(items),
                77 if values else 205,
            )
        )
        for item in items:
            made.append(struct.pack("<4i", len(item), len(item), 77 if item else 205, len(item)))
            made.append(item + b"\0" * (-len(item) % 4))
    return b"".join(made) + b"\0" * 4
