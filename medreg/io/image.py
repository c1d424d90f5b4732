"""Images in and out of files: the backend follows the file's content, on writing its suffix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medreg.errors import MedregError, ReadError, UsageError, WriteError
from medreg.image import Leading, MedImage
from medreg.io.atomic import written_beside
from medreg.io.content import KIND_OF_SUFFIX, PIXEL_KINDS, Kind, head_of, kind_of, known_suffixes, suffix_of
from medreg.io.dicom.choice import Choice, Uneven
from medreg.io.encoding import Encoded, Encoding, encode, encoding_for
from medreg.io.failing import reading, reason
from medreg.io.pixels import check_picture
from medreg.io.spacing import with_spacing
from medreg.io.stored import StoredImage
from medreg.io.volumes import Mean, select_volume


@dataclass(frozen=True)
class Written:
    """What was written and what became of the values on the way.

    Attributes:
        path: the file.
        dtype: the numbers that it stores, "int16".
        rounded: whether values had to be rounded to fit the dtype.
        clipped: voxels outside the dtype's range, stored as its nearest end.
        not_finite: NaN voxels that an integer dtype stores as 0.
    """

    path: Path
    dtype: str
    rounded: bool
    clipped: int
    not_finite: int = 0

    @property
    def sentence(self) -> str:
        """For a summary: "rounded to int16, 12 voxels clipped"."""
        parts = [f"rounded to {self.dtype}" if self.rounded else f"stored as {self.dtype}"]
        for count, what in ((self.clipped, "clipped"), (self.not_finite, "not finite, stored as 0")):
            if count:
                parts.append(f"{count} voxel{'s' if count > 1 else ''} {what}")
        return ", ".join(parts)


def read_stored(path: str | Path, choice: Choice | None = None, option: str = "--series") -> StoredImage:
    """Read an image file as numpy, without importing torch; or the DICOM series in a folder, a DICOMDIR or a zip.

    The format is told from the content, so that a wrong or missing suffix does no harm. See `read_nifti`, `read_mgh`,
    `read_itk`, `read_picture` and `read_dicom` for what becomes of each.

    Args:
        path: a file, or a folder of DICOM files.
        choice: which image of several in DICOM, and what to do with uneven slices.
        option: the flag by which a person makes that choice, for messages.

    Raises:
        ReadError: missing, empty, of a kind that medreg does not read, cut short or damaged.
        GeometryError: a header that describes no place in space.
        ImageError: complex numbers, no voxels, too many axes.
        UsageError: several images and no choice, or a choice where there is none.
    """
    path = Path(path)
    with reading(path):
        if path.is_dir():
            kind = Kind.DICOM
        elif path.stat().st_size == 0:
            raise ReadError(f"{path}: is empty (0 bytes); the program that wrote it failed, or the disk was full")
        else:
            kind = _readable(path, kind_of(head_of(path)))
    if kind in (Kind.DICOM, Kind.ZIP):
        from medreg.io.dicom import read_dicom

        return read_dicom(path, choice, option)
    if kind is Kind.HDF5:
        from medreg.io.hdf5 import read_hdf5

        return read_hdf5(path, choice.series if choice else None)
    if choice is not None and choice.series is not None:
        raise UsageError(f"{path}: is {kind.value}, which holds one image; leave {option} out")
    if kind is Kind.NIFTI:
        from medreg.io.nifti import read_nifti

        return read_nifti(path)
    if kind is Kind.MGH:
        from medreg.io.mgh import read_mgh

        return read_mgh(path)
    if kind in PIXEL_KINDS:
        from medreg.io.pictures import read_picture

        return read_picture(path, kind)
    from medreg.io.itk import read_itk

    return read_itk(path, kind)


def is_dicom_place(path: Path) -> bool:
    """Whether a path is read as DICOM: a folder, a zip, a DICOMDIR or a DICOM file."""
    if path.is_dir():
        return True
    return path.is_file() and (path.name.upper() == "DICOMDIR" or kind_of(head_of(path)) in (Kind.DICOM, Kind.ZIP))


def _readable(path: Path, kind: Kind | None) -> Kind:
    suffix = suffix_of(path)
    if kind is None and (suffix in (".dcm", ".ima") or path.name.upper() == "DICOMDIR"):
        return Kind.DICOM  # its reader says what is wrong with it
    if kind in (Kind.NIFTI_PAIR, Kind.ANALYZE):
        raise ReadError(
            f"{path}: is one half of a pair of files ({kind.value}); convert it to .nii.gz, for example with nibabel"
        )
    if kind is not None:
        return kind
    if suffix in KIND_OF_SUFFIX:
        raise ReadError(
            f"{path}: its content is not {KIND_OF_SUFFIX[suffix].value}, whatever its suffix says; it is damaged, cut "
            "short or another kind of file; copy or download it again"
        )
    raise ReadError(f"{path}: unknown kind of file (suffix {suffix!r}); medreg reads DICOM, {known_suffixes()}")


def read_image(
    path: str | Path,
    volume: int | Mean | None = None,
    spacing: float | Sequence[float] | None = None,
    *,
    series: int | str | None = None,
    uneven: Uneven = Uneven.REFUSE,
) -> MedImage:
    """Read an image file, or a DICOM series, as a MedImage; a 4D one as frames, or as the one volume that is asked for.

    Args:
        path: the file; of DICOM also a folder, a DICOMDIR or a zip.
        volume: number from 0, or `Mean()`; None keeps all frames of a series.
        spacing: millimetres between pixels, of a picture whose file does not say: one number, or x, y(, z).
        series: which DICOM image of several: the number that `medreg info` shows, a UID, or a piece of the description.
        uneven: what to do with DICOM slices whose distances differ.

    Raises:
        ReadError, GeometryError, ImageError: see `read_stored` and `select_volume`.
        UsageError: a spacing other than the file's own; see `with_spacing`.

    Example:
        >>> import tempfile, torch
        >>> from medreg.geometry import Grid
        >>> image = MedImage.on(Grid.regular((4, 5, 6), (1, 1, 2)), torch.ones(1, 6, 5, 4))
        >>> path = Path(tempfile.mkdtemp()) / "ones.nii.gz"
        >>> write_image(image, path).sentence
        'stored as float32'
        >>> read_image(path).grid == image.grid
        True
    """
    choice = Choice(None if series is None else str(series), uneven)
    stored = with_spacing(read_stored(path, choice, "series"), spacing)
    return (stored if volume is None else select_volume(stored, volume)).to_image()


def write_image(
    image: MedImage | StoredImage,
    path: str | Path,
    *,
    dtype: str | None = None,
    like: MedImage | StoredImage | None = None,
) -> Written:
    """Write an image in the format that the suffix names, whole or not at all.

    Integers come back as integers: values are rounded (half to even) and clipped to the dtype that the image was read
    with, in `metadata["stored_dtype"]`; `Written` says what happened. The same input gives the same bytes.

    Args:
        image: what to write.
        path: where to; an existing file is replaced.
        dtype: to store another dtype than the one that was read: "float32".
        like: the image on whose grid this one lies (the fixed image): NIfTI's sform and qform codes are its. Without it
            they are the image's own while it lies where it was read, and 2, aligned, where not.

    Raises:
        WriteError: unknown suffix, a format that cannot hold the dtype or the geometry, or a disk that refuses.
        UsageError: `dtype` is no number type.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix not in KIND_OF_SUFFIX:
        raise WriteError(f"{path}: unknown suffix {suffix!r}; medreg writes {known_suffixes()}")
    kind = KIND_OF_SUFFIX[suffix]
    stored = image if isinstance(image, StoredImage) else StoredImage.of(image)
    place = _place(stored, like)
    if kind in PIXEL_KINDS:
        check_picture(stored, kind, path, place)
    encoding = encoding_for(kind, stored.array.dtype, dtype, stored.metadata, path)
    encoded = encode(stored.array, encoding)
    with written_beside(path) as temporary:
        try:
            _write(temporary, kind, suffix, stored, encoded, encoding, place)
        except MedregError:
            raise
        except (RuntimeError, ValueError, TypeError, MemoryError) as error:
            raise WriteError(f"{path}: {kind.value} cannot hold this image, {reason(error)}; try .nii.gz") from error
    return Written(path, encoding.dtype.name, encoded.rounded, encoded.clipped, encoded.not_finite)


def _write(
    path: Path,
    kind: Kind,
    suffix: str,
    stored: StoredImage,
    encoded: Encoded,
    encoding: Encoding,
    place: Mapping[str, Any],
) -> None:
    array, grid, leading = encoded.array, stored.grid, stored.leading
    metadata = {**stored.metadata, "header": _true_header(stored, kind)}
    if kind is Kind.NIFTI:
        from medreg.io.nifti_writing import write_nifti

        write_nifti(path, array, grid, leading, encoding, metadata, place, zipped=suffix == ".nii.gz")
    elif kind is Kind.MGH:
        from medreg.io.mgh import write_mgh

        if grid.dimension != 3 or (leading is Leading.CHANNELS and array.shape[0] > 1):
            raise WriteError(f"{path.name}: MGH holds volumes and series, not 2D images or channels; try .nii.gz")
        write_mgh(path, array, grid, metadata["header"], zipped=suffix != ".mgh")
    else:
        from medreg.io.itk import write_itk

        write_itk(path, kind, array, grid, leading, metadata["header"])


def _place(stored: StoredImage, like: MedImage | StoredImage | None) -> Mapping[str, Any]:
    """Metadata of whichever image says, in its header, what space this grid is in."""
    for metadata in (like.metadata if like is not None else {}, stored.metadata):
        if metadata.get("grid") == stored.grid:
            return metadata
    return {}


def _true_header(stored: StoredImage, kind: Kind) -> dict[str, Any]:
    """The fields of the header that was read that are still true of this image."""
    from medreg.io.nifti import fingerprint

    header = dict(stored.metadata.get("header", {}))
    if "cal" in header and header.get("fingerprint") != fingerprint(stored.array):
        del header["cal"]  # a window of grey values, true of the old ones
    if stored.metadata.get("grid") != stored.grid or stored.metadata.get("format") != kind.value:
        header.pop("keys", None)  # free text that may speak of directions
    return header
