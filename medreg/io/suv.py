"""SUV, the standardised uptake value, from the activity that a PET shows: closed forms, and images read from DICOM.

Follows the vendor-neutral pseudo-code of QIBA (Quantitative Imaging Biomarkers Alliance, FDG-PET/CT profile, "SUV
calculation": happy path and robust version, where the series time was changed after the scan), and DICOM PS3.3 C.8.9.1.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias, TypeVar

from medreg.batch import MedImageBatch
from medreg.errors import ImageError
from medreg.image import MedImage
from medreg.io.dicom.origin import origin_of


@dataclass(frozen=True)
class BodyWeight:
    """SUVbw = activity (Bq/ml) * weight (g) / dose (Bq), in g/ml. Needs PatientWeight."""

    kind: ClassVar[str] = "BW"
    units: ClassVar[str] = "GML"


@dataclass(frozen=True)
class LeanBodyMass:
    """SUL: body weight replaced by lean body mass, in g/ml. Needs PatientWeight, PatientSize and PatientSex.

    Janmahasatian et al. 2005 (doi:10.2165/00003088-200544100-00004); see `lean_body_mass_kg`.
    """

    kind: ClassVar[str] = "LBMJANMA"
    units: ClassVar[str] = "GML"


@dataclass(frozen=True)
class BodySurfaceArea:
    """Body weight replaced by the surface of the body, in cm2/ml. Needs PatientWeight and PatientSize.

    Du Bois and Du Bois 1916 (doi:10.1001/archinte.1916.00080130010002); see `body_surface_area_cm2`.
    """

    kind: ClassVar[str] = "BSA"
    units: ClassVar[str] = "CM2ML"


Per: TypeAlias = BodyWeight | LeanBodyMass | BodySurfaceArea
Pet = TypeVar("Pet", MedImage, MedImageBatch)
"""What the uptake is related to."""


def suv_factor(normaliser: float, dose_bq: float, half_life_s: float, elapsed_s: float) -> float:
    """The factor normaliser / (dose * exp(-ln 2 * elapsed / half life)): times activity in Bq/ml this is the SUV.

    Args:
        normaliser: body weight in g, lean body mass in g, or body surface in cm2.
        dose_bq: injected activity at the time of injection, Bq.
        half_life_s: of the radionuclide, s.
        elapsed_s: from the injection to the time that the image's values are corrected to, s.

    Raises:
        ImageError: numbers that are not above 0 (`elapsed_s`: finite).

    Example:
        >>> round(suv_factor(75500.0, 370e6, 6586.2, 3600.0), 12)
        0.00029804885
    """
    if not (0 < normaliser < math.inf and 0 < dose_bq < math.inf and 0 < half_life_s < math.inf):
        raise ImageError(
            f"SUV needs a body, a dose and a half-life above 0, got {normaliser:g}, {dose_bq:g} Bq and "
            f"{half_life_s:g} s"
        )
    if not math.isfinite(elapsed_s):
        raise ImageError(f"SUV needs the time from injection to scan, got {elapsed_s:g} s")
    return normaliser / (dose_bq * math.exp(-math.log(2) * elapsed_s / half_life_s))


def lean_body_mass_kg(weight_kg: float, height_m: float, sex: str) -> float:
    """9270 w / (6680 + 216 BMI) for men, 9270 w / (8780 + 244 BMI) for women, with BMI = w / h^2.

    Janmahasatian et al. 2005 (doi:10.2165/00003088-200544100-00004).

    Args:
        weight_kg: body weight.
        height_m: body height.
        sex: "M" or "F", as in DICOM.

    Raises:
        ImageError: another sex: the formula has no third.

    Example:
        >>> round(lean_body_mass_kg(75.5, 1.78, "M"), 3)
        59.176
    """
    if sex not in ("M", "F"):
        raise ImageError(f"lean body mass needs PatientSex M or F, got {sex or 'none'!r}; take BodyWeight()")
    base, slope = (6680, 216) if sex == "M" else (8780, 244)
    return 9270 * weight_kg / (base + slope * weight_kg / height_m**2)


def body_surface_area_cm2(weight_kg: float, height_m: float) -> float:
    """71.84 w^0.425 h^0.725, with h in cm: Du Bois and Du Bois 1916 (doi:10.1001/archinte.1916.00080130010002).

    Example:
        >>> round(body_surface_area_cm2(75.5, 1.78))
        19322
    """
    return float(71.84 * weight_kg**0.425 * (100 * height_m) ** 0.725)


def mean_time_s(duration_s: float, half_life_s: float) -> float:
    """Seconds into a frame at which the activity is the mean over it: ln(a / (1 - exp(-a))) / k, k = ln 2 / half life.

    a is k times the duration. This is where FrameReferenceTime lies in the frame.

    Example:
        >>> round(mean_time_s(180.0, 6586.2), 3)
        89.858
    """
    decay = math.log(2) / half_life_s
    a = decay * duration_s
    return math.log(a / -math.expm1(-a)) / decay if a > 1e-9 else duration_s / 2


def suv(image: Pet, per: Per = BodyWeight()) -> Pet:
    """A PET read from DICOM, in SUV; of a batch each item by its own header.

    Units BQML are multiplied by `suv_factor`; CNTS by Philips' own factors (7053,1000 to SUV, 7053,1009 to Bq/ml); GML
    and CM2ML are SUV already, and converted if they are of another kind. By DecayCorrection the values stand for

    - START: the start of the scan, so the dose is decayed from the injection to then. That is SeriesTime, unless it is
      after AcquisitionTime, which means that the series was made later: then GE's private scan time (0009,100D), else
      acquisition - FrameReferenceTime + `mean_time_s` of the frame.
    - ADMIN: the injection, so the dose is taken as it is.
    - NONE: the middle of the frame, acquisition + `mean_time_s`. Only for a static image of one frame and bed.

    The injection is RadiopharmaceuticalStartDateTime; else RadiopharmaceuticalStartTime, at most 24 h before.

    Args:
        image: as `read_image` gave it, its values those of the file (`metadata["units"]` says so).
        per: what the uptake is related to.

    Returns:
        The image in SUV, with `metadata["units"]` "GML" or "CM2ML" and `metadata["suv_type"]`, floating point.
        Differentiable: it is a factor.

    Raises:
        ImageError: not a PET from DICOM, an attribute that is missing or cannot be (it is named), units that cannot be
            converted, values without attenuation correction.
    """
    if isinstance(image, MedImageBatch):
        return MedImageBatch.stack([suv(item, per) for item in image.unstack()])
    origin = origin_of(image.metadata)
    if origin is None:
        raise ImageError(
            f"{image.name}: SUV needs the weight, dose and times of a DICOM header, and this image was not read from "
            "DICOM; read the series itself, or multiply by suv_factor(...)"
        )
    from medreg.io.suv_header import factor_of

    factor = factor_of(origin.template, image, per)
    exact = image.data if image.data.is_floating_point() else image.data.double()
    data = exact * factor if image.data.is_floating_point() else (exact * factor).float()
    template = deepcopy(origin.template)  # so that a series derived from this image says what its values are
    template.Units, template.SUVType = per.units, per.kind
    kept = {key: value for key, value in image.metadata.items() if key not in ("slope", "inter")}
    changed = {
        "units": per.units,
        "suv_type": per.kind,
        "stored_dtype": str(data.dtype).removeprefix("torch."),
        "dicom": replace(origin, template=template),
    }
    return MedImage.on(image.grid, data, image.leading, {**kept, **changed})
