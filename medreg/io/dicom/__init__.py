"""DICOM images in and out, by pydicom; every position from the files' own."""

from medreg.io.dicom.choice import Choice, Uneven
from medreg.io.dicom.choosing import Listing, Row
from medreg.io.dicom.origin import Instance, Origin, origin_of
from medreg.io.dicom.reading import list_series, read_dicom

__all__ = ["Choice", "Instance", "Listing", "Origin", "Row", "Uneven", "list_series", "origin_of", "read_dicom"]
