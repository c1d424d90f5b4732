"""Transfer syntaxes: how the bytes of a made DICOM object are swapped or compressed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, JPEGLosslessSV1, JPEGLSLossless


def encode(made: Dataset, syntax: str) -> None:
    """Bring an explicit little endian dataset into a transfer syntax: bytes swapped, or pixels compressed.

    RLE and JPEG 2000 need pylibjpeg's plug-ins, and JPEG 2000 at least 32 rows and columns; JPEG-LS and JPEG lossless
    need gdcm.
    """
    if syntax in (JPEGLSLossless, JPEGLosslessSV1):
        _encode_by_gdcm(made, syntax)
    elif UID(syntax).is_encapsulated:
        made.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        for element in made:
            width = int(made.BitsAllocated) // 8 if element.keyword == "PixelData" else 2
            if element.VR == "OW" and width > 1:
                element.value = np.frombuffer(element.value, f"<u{width}").byteswap().tobytes()
    made.file_meta.TransferSyntaxUID = syntax


def _encode_by_gdcm(made: Dataset, syntax: str) -> None:
    """Take the compressed pixels, and nothing else, of what gdcm writes."""
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        plain, packed = (str(Path(folder) / name) for name in ("plain", "packed"))
        made.save_as(plain, enforce_file_format=True)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(plain)
        change.SetTransferSyntax(
            gdcm.TransferSyntax(
                gdcm.TransferSyntax.JPEGLSLossless
                if syntax == JPEGLSLossless
                else gdcm.TransferSyntax.JPEGLosslessProcess14_1
            )
        )
        if not reader.Read():
            raise ValueError("gdcm cannot read what is to be compressed")
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise ValueError(f"gdcm cannot compress into {UID(syntax).name}")
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(packed)
        if not writer.Write():
            raise ValueError(f"gdcm cannot write {UID(syntax).name}")
        recoded = dcmread(packed)
        made.add_new("PixelData", "OB", recoded.PixelData)
        made["PixelData"].is_undefined_length = True
