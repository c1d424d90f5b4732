#!/usr/bin/env python3
"""Seconds to read a DICOM series: in a running process, and as a whole process from its start.

    python benchmarks/dicom_speed.py
    python benchmarks/dicom_speed.py SERIES_FOLDER --repeat 5

Without a folder, a CT of 500 slices of 512x512 int16 is written first (260 MB, in a temporary folder, files in random
order), and what is read is compared with what was written. Files are in the disk cache. Beside it: pydicom alone, file
after file, with neither sorting nor rescaling. Exit code 1 where the written series is read wrongly, or in process
slower than --bar seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

WHOLE = "import sys; from medreg.io import read_stored; read_stored(sys.argv[1])"


def slice_of(number: int, shape: tuple[int, int], intercept: int) -> np.ndarray:
    """Stored values of a slice: smooth across, noisy in the last bits, other in each slice."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = np.random.default_rng(number).integers(0, 32, shape)
    return ((x * 3 + y * 2 + number * 5) % 3000 + noise - intercept - 1000).astype(np.int16)


def write_series(folder: Path, slices: int, shape: tuple[int, int], intercept: int) -> None:
    """A CT with 0.7 x 0.7 x 1 mm voxels, one file a slice, names that do not sort by position."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    names = np.random.default_rng(0).permutation(slices)
    for number in range(slices):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        path = folder / f"{names[number]:05d}.dcm"
        ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, number + 1
        ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "AXIAL"], "generated"
        ds.ImagePositionPatient = [-180.0, -170.0, float(number)]
        ds.ImageOrientationPatient, ds.PixelSpacing, ds.SliceThickness = [1, 0, 0, 0, 1, 0], [0.7, 0.7], 1
        ds.Rows, ds.Columns = shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, intercept, "HU"
        ds.PixelData = slice_of(number, shape, intercept).tobytes()
        ds.save_as(path, enforce_file_format=True)


def by_pydicom(folder: Path) -> None:
    """Decode every file, and keep all."""
    kept = [pydicom.dcmread(path).pixel_array for path in sorted(folder.iterdir()) if path.is_file()]
    assert kept


def whole_process(folder: Path) -> None:
    """Start Python, import, read, end."""
    subprocess.run([sys.executable, "-c", WHOLE, str(folder)], check=True)


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall time of each repeat."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return times


def main() -> int:
    """Print the table; 1 where the series is read wrongly or too slowly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, metavar="SERIES_FOLDER")
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--size", default="512x512", help="rows and columns; default: 512x512")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--bar", type=float, default=4.0, metavar="S", help="median in process; default: 4")
    options = parser.parse_args()
    rows, columns = (int(n) for n in options.size.split("x"))
    from medreg.io import read_stored

    with tempfile.TemporaryDirectory() as scratch:
        folder, wrong = options.folder, False
        if folder is None:
            folder = Path(scratch)
            write_series(folder, options.slices, (rows, columns), -1024)
        image = read_stored(folder)  # imports, and warms the disk cache
        if options.folder is None:
            for number in range(options.slices):
                wanted = slice_of(number, (rows, columns), -1024).astype(np.int32) - 1024
                wrong |= not np.array_equal(image.array[0, number], wanted)
        size = f"{'x'.join(map(str, image.grid.size))}, {image.array.dtype}"
        print(f"{size}; {os.cpu_count()} cores; load at start {os.getloadavg()[0]:.1f}; {options.repeat} repeats\n")
        del image
        print("| what | fastest s | median s |\n|---|---:|---:|")
        medians = {}
        for name, work in (
            ("medreg, in process", lambda: read_stored(folder)),
            ("medreg, whole process", lambda: whole_process(folder)),
            ("pydicom alone, in process", lambda: by_pydicom(folder)),
        ):
            times = seconds(work, options.repeat)
            medians[name] = statistics.median(times)
            print(f"| {name} | {min(times):.2f} | {medians[name]:.2f} |", flush=True)
    if wrong:
        print("\nwhat was read differs from what was written")
    return 1 if wrong or medians["medreg, in process"] > options.bar else 0


if __name__ == "__main__":
    sys.exit(main())
