"""DICOM series of every kind that scanners and archives make, small and with known truth.

    import dicom_series
    paths = dicom_series.classic(folder, voxels, affine, modality="CT", slope=2, intercept=-1024)

Voxels are stored integers, (z, y, x), with time (t, z, y, x) or colour (..., 3) as the maker says; `affine` takes an
index (x, y, z) to world LPS mm. The files' paths come back in the order of the voxels. What all makers share (seeds of
UIDs, patient, transfer syntax, `extra` attributes) are keywords of `About`. The same call writes the same bytes.

`dicom_slices` has classic files and their 4D, `dicom_enhanced` multi-frame ones, `dicom_mosaic` Siemens mosaics,
`dicom_others` what is no plain volume, `dicom_folders` what lies about in folders. Tests import them all from here.
"""

from dicom_attributes import IDENTIFYING, JANE, JOHN, SITE, About, Attributes, identifiers, uid
from dicom_enhanced import Part, enhanced, multi_frame
from dicom_folders import cut_short, dicomdir, junk, zipped
from dicom_mosaic import csa_header, mosaic
from dicom_others import cine, localiser, pet, rt_dose, secondary_capture
from dicom_pixels import Stored
from dicom_slices import (
    by_acquisition_time,
    by_b_value,
    by_echo,
    by_instance_number,
    by_temporal_position,
    classic,
    classic_4d,
    shuffled,
)

__all__ = [
    "IDENTIFYING",
    "JANE",
    "JOHN",
    "SITE",
    "About",
    "Attributes",
    "Part",
    "Stored",
    "by_acquisition_time",
    "by_b_value",
    "by_echo",
    "by_instance_number",
    "by_temporal_position",
    "cine",
    "classic",
    "classic_4d",
    "csa_header",
    "cut_short",
    "dicomdir",
    "enhanced",
    "identifiers",
    "junk",
    "localiser",
    "mosaic",
    "multi_frame",
    "pet",
    "rt_dose",
    "secondary_capture",
    "shuffled",
    "uid",
    "zipped",
]
