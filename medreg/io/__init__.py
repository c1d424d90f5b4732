"""Image files: DICOM, NIfTI, MGH, NRRD, MetaImage, PNG, JPEG, TIFF, BMP; their libraries are imported on first use."""

from medreg.io.image import Written, read_image, read_stored, write_image
from medreg.io.registrable import check_registrable
from medreg.io.stored import StoredImage
from medreg.io.volumes import Mean, select_volume, volume_choice

__all__ = [
    "Mean",
    "StoredImage",
    "Written",
    "check_registrable",
    "read_image",
    "read_stored",
    "select_volume",
    "volume_choice",
    "write_image",
]
