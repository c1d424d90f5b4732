"""Form: the ways in which tools write a linear transform into a file."""

from __future__ import annotations

import difflib
from enum import Enum

from medreg.errors import UsageError


class Form(Enum):
    """A file format of transforms, with the meaning that its tool gives it; the value is the name on the command line.

    `docs/transforms.md` says of each which way it goes, in which space, and what it needs.
    """

    ITK = "itk"
    ITK_MAT = "itk-mat"
    ITK_H5 = "itk-h5"
    FSL = "fsl"
    LTA = "lta"
    LTA_VOXELS = "lta-vox2vox"
    REGISTER_DAT = "register-dat"
    AFNI = "afni"
    RAS = "ras"
    LPS = "lps"
    NIIMATH = "niimath"
    ELASTIX = "elastix"
    ELASTIX_TOML = "elastix-toml"
    SPM = "spm"
    X5 = "x5"
    DICOM = "dicom"
    SLICER = "slicer"
    MINC = "minc"
    MEDREG = "medreg"

    @property
    def title(self) -> str:
        """What a person calls it: "an FSL FLIRT matrix"."""
        return _TITLES[self]

    @property
    def goes_by_images(self) -> bool:
        """Whether the two images have a say in what a file means, by their voxels, their tilt or their identity."""
        return self in _BY_IMAGES


_BY_IMAGES = frozenset({Form.FSL, Form.LTA, Form.LTA_VOXELS, Form.REGISTER_DAT, Form.AFNI, Form.SPM, Form.DICOM})

_TITLES = {
    Form.ITK: "an ITK text file",
    Form.ITK_MAT: "a binary .mat of ITK or ANTs",
    Form.ITK_H5: "an HDF5 file of ITK",
    Form.FSL: "an FSL FLIRT matrix",
    Form.LTA: "a FreeSurfer LTA",
    Form.LTA_VOXELS: "a FreeSurfer LTA of voxels",
    Form.REGISTER_DAT: "a FreeSurfer register.dat",
    Form.AFNI: "an AFNI .1D matrix",
    Form.RAS: "a RAS matrix in text",
    Form.LPS: "an LPS matrix in text",
    Form.NIIMATH: "a niimath JSON",
    Form.ELASTIX: "an elastix parameter file",
    Form.ELASTIX_TOML: "an elastix TOML file",
    Form.SPM: "an SPM .mat",
    Form.X5: "an X5 file",
    Form.DICOM: "a DICOM Spatial Registration",
    Form.SLICER: "a 3D Slicer scene",
    Form.MINC: "an MNI .xfm",
    Form.MEDREG: "medreg's JSON",
}

NAMES = ", ".join(form.value for form in Form)
"""All forms in one line, for messages and help."""


_ALSO = {
    "ants": Form.ITK_MAT,
    "flirt": Form.FSL,
    "freesurfer": Form.LTA,
    "greedy": Form.RAS,
    "itk-snap": Form.RAS,
    "niftyreg": Form.RAS,
    "json": Form.MEDREG,
}
"""Tools' names that stand for their form, too."""


def form_named(text: str | None, option: str) -> Form | None:
    """The form that an option names, by its own or by its tool's name; None for None.

    Raises:
        UsageError: no form has that name.

    Example:
        >>> form_named("fsl", "--from")
        <Form.FSL: 'fsl'>
        >>> form_named("NiftyReg", "--from")
        <Form.RAS: 'ras'>
    """
    if text is None:
        return None
    if text.lower() in _ALSO:
        return _ALSO[text.lower()]
    try:
        return Form(text.lower())
    except ValueError:
        near = difflib.get_close_matches(text.lower(), [*(form.value for form in Form), *_ALSO], n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise UsageError(f"{option}: unknown form {text!r}{hint} There are {NAMES}") from None
