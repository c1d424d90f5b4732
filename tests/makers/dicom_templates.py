"""Moving images' attributes for tests of what is written: poor ones, as the IOD would not allow, and rich ones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from medreg.geometry import Grid
from medreg.io.dicom.origin import Instance, Origin

STORAGE = "1.2.840.10008.5.1.4.1.1."
CT, MR, PET, SC = STORAGE + "2", STORAGE + "4", STORAGE + "128", STORAGE + "7"
ENHANCED_MR, ENHANCED_CT, ENHANCED_PET = STORAGE + "4.1", STORAGE + "2.1", STORAGE + "130"
CR, DX, US, XA = STORAGE + "1", STORAGE + "1.1", STORAGE + "6.1", STORAGE + "12.1"
STUDY, SERIES, FRAME = "1.2.826.0.1.77.1", "1.2.826.0.1.77.2", "1.2.826.0.1.77.3"

TURN = Rotation.from_euler("xyz", [12, -31, 64], degrees=True).as_matrix()
TILT = np.array([[1, 0, 0], [0, 1, np.tan(np.radians(17))], [0, 0, 1]])  # a CT gantry tilted by 17 degrees
SPACING = np.diag([0.7, 1.3, 2.9])
LINEAR = {
    "straight": np.eye(3),
    "anisotropic": SPACING,
    "flipped": np.diag([1.0, 1.0, -1.0]) @ SPACING,
    "oblique": TURN @ SPACING,
    "oblique and flipped": TURN @ np.diag([-1.0, 1.0, 1.0]) @ SPACING,
    "tilted": TURN @ TILT @ SPACING,
}


def grid_named(name: str, size: tuple[int, int, int] = (5, 6, 4)) -> Grid:
    """A 3D grid far from the origin."""
    affine = np.eye(4)
    affine[:3, :3] = LINEAR[name]
    affine[:3, 3] = (-171.123456789, 233.25, -1012.987654321)
    return Grid.from_affine(size, affine)


def poor(sop_class: str, **attributes: Any) -> Origin:
    """An image of which hardly anything is known but its study."""
    template = Dataset()
    template.SOPClassUID = sop_class
    template.StudyInstanceUID, template.SeriesInstanceUID = STUDY, SERIES
    for keyword, value in attributes.items():
        setattr(template, keyword, value)
    return Origin(template, tuple(Instance(sop_class, f"{SERIES}.{n}") for n in (1, 2)), FRAME)


def rich(sop_class: str, **attributes: Any) -> Origin:
    """An image with a patient, a scanner, and attributes that are untrue of anything derived from it."""
    origin = poor(
        sop_class,
        PatientName="Doe^Jane",
        PatientID="JD-1",
        PatientBirthDate="19700101",
        PatientSex="F",
        PatientAge="054Y",
        StudyDate="20240102",
        StudyTime="030405",
        StudyID="7",
        AccessionNumber="A7",
        ReferringPhysicianName="House^Gregory",
        SeriesNumber=5,
        SeriesDescription="axial",
        Manufacturer="ACME",
        ManufacturerModelName="Scan",
        BodyPartExamined="HEAD",
        AcquisitionDate="20240102",
        AcquisitionTime="030506",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        WindowCenter=["40", "300"],
        WindowWidth=["80", "1500"],
        LossyImageCompression="01",
        LossyImageCompressionRatio="8",
        GantryDetectorTilt="17",
        PixelPaddingValue=0,
        ImagePositionPatient=["0", "0", "0"],
        PositionReferenceIndicator="XY",
    )
    template = origin.template
    template.add_new((0x0029, 0x0010), "LO", "ACME HEADER")
    template.add_new((0x0029, 0x1010), "OB", b"private")
    template.add_new((0x6000, 0x0010), "US", 4)  # an overlay's rows
    for keyword, value in attributes.items():
        setattr(template, keyword, value)
    return origin


def enhanced(sop_class: str = ENHANCED_MR) -> Origin:
    """An enhanced MR image, its echo time and window in functional groups."""
    origin = rich(sop_class, MRAcquisitionType="3D", EchoPulseSequence="GRADIENT", MagneticFieldStrength="3.0")
    template = origin.template
    for keyword in ("WindowCenter", "WindowWidth"):
        delattr(template, keyword)
    timing, echo, window = Dataset(), Dataset(), Dataset()
    timing.RepetitionTime, timing.FlipAngle, timing.EchoTrainLength = 2000.0, 9.0, 1
    echo.EffectiveEchoTime = 30.25
    window.WindowCenter, window.WindowWidth = "500", "900"
    shared, frame = Dataset(), Dataset()
    shared.MRTimingAndRelatedParametersSequence = [timing]
    frame.MREchoSequence = [echo]
    frame.FrameVOILUTSequence = [window]
    template.SharedFunctionalGroupsSequence, template.PerFrameFunctionalGroupsSequence = [shared], [frame]
    return origin


def validator_errors(path: Path) -> list[str]:
    """What dciodvfy calls errors; skips the test where it is not installed."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run([program, str(path)], capture_output=True, text=True, errors="replace", check=False)
    return [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error")]
