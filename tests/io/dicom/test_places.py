"""Where series lie: files, folders with junk, DICOMDIRs, zips; and which one is meant."""

from __future__ import annotations

import gzip
import re
import shutil
import zipfile

import dicom_series
import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from medreg.errors import MedregWarning, ReadError, UsageError
from medreg.io import read_image, read_stored
from medreg.io.content import Kind, kind_of
from medreg.io.dicom import Choice, list_series, read_dicom
from medreg.io.image import is_dicom_place


@pytest.fixture
def read_here(tmp_path, volume, oblique, assert_same):
    """Claims that a path holds the volume."""

    def read_here(path, **choice):
        image = read_dicom(path, Choice(**choice))
        assert_same(image, volume, oblique)
        return image

    return read_here


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_single_file_of_many_frames_is_read(tmp_path, volume, oblique, read_here):
    (path,) = dicom_series.enhanced(tmp_path, volume, oblique, name="no_suffix_at_all")
    assert read_here(path).metadata["path"] == str(path)


def test_files_without_preamble_are_found(tmp_path, volume, oblique, read_here):
    paths = dicom_series.classic(tmp_path, volume, oblique, bare=True)
    assert paths[0].read_bytes()[128:132] != b"DICM"
    read_here(tmp_path)


def test_a_preamble_may_be_that_of_a_tiff(tmp_path, volume, oblique, read_here):
    for path in dicom_series.classic(tmp_path, volume, oblique):
        path.write_bytes(b"II*\0\x08\0\0\0" + bytes(120) + path.read_bytes()[128:])
        assert kind_of(path.read_bytes()[:400]) is Kind.DICOM
    read_here(tmp_path)
    with pytest.warns(MedregWarning, match="is one slice"):
        assert read_stored(path).metadata["format"] == "DICOM"


def test_the_meta_header_may_be_wrong_about_implicit_and_explicit(tmp_path, volume, oblique, read_here):
    """Some archives rewrite one and not the other; pydicom looks at the data set, and so must the pixels' place."""
    for k, path in enumerate(dicom_series.classic(tmp_path, volume, oblique, syntax=ImplicitVRLittleEndian)):
        content = path.read_bytes()
        told = ImplicitVRLittleEndian.encode() + b"\0"
        assert content.count(told) == 1
        if k % 2:  # explicit little endian, in as many bytes: 18 + padding and 20 differ, so the length is set as well
            at = content.index(told)
            lengths = int.from_bytes(content[140:144], "little")
            content = content[:140] + (lengths + 2).to_bytes(4, "little") + content[144:]
            content = content[: at - 2] + (20).to_bytes(2, "little") + b"1.2.840.10008.1.2.1\0" + content[at + 18 :]
        path.write_bytes(content)
    read_here(tmp_path)


def test_a_gzipped_file_is_unpacked(tmp_path, volume, oblique, read_here):
    (path,) = dicom_series.enhanced(tmp_path, volume, oblique)
    packed = tmp_path / "enhanced.dcm.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    read_here(packed)
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(ReadError, match="cut short"):
        read_dicom(packed)


def test_an_object_without_pixels_says_that_it_is_none(tmp_path):
    paths = {path.name: path for path in dicom_series.junk(tmp_path)}
    for name in ("report.dcm", "structures.dcm", "raw.dcm", "letter.dcm", "state.dcm"):
        with pytest.raises(ReadError, match=rf"{name}: is a DICOM object without pixels"):
            read_stored(paths[name])
    for name in ("README.txt", "Thumbs.db", "empty.dcm", "zeros.dcm", "preview.jpg", "only_the_mark.dcm"):
        with pytest.raises(ReadError, match=re.escape(name)):
            read_stored(paths[name])


def test_a_file_that_is_not_there_says_so(tmp_path):
    (tmp_path / "scan").mkdir()
    for name in ("scam", "scan/IM0001.dcm"):
        with pytest.raises(ReadError, match="no such file"):
            read_dicom(tmp_path / name)


# Folders --------------------------------------------------------------------------------------------------------------


def test_a_folder_is_searched_to_its_depths_with_junk_beside(tmp_path, volume, oblique, read_here):
    names = [f"{'abc'[k % 3]}/deep/er {k}/IM ä{k}" for k in range(7)]
    dicom_series.classic(tmp_path, volume, oblique, names=names)
    dicom_series.junk(tmp_path)
    dicom_series.junk(tmp_path / "a" / "deep", part="again")
    (tmp_path / "b" / ".hidden").mkdir()
    for place in ("._IM0001.dcm", "b/.hidden/IM"):
        shutil.copy(tmp_path / names[0], tmp_path / place)
        made = dcmread(tmp_path / place)
        made.ImagePositionPatient = [0, 0, 0]
        made.save_as(tmp_path / place)
    read_here(tmp_path)
    assert list_series(tmp_path).other_files == 22  # 11 of junk, twice


def test_three_slices_among_a_thousand_other_files(tmp_path, volume, oblique, assert_same):
    dicom_series.classic(tmp_path, volume[:3], oblique)
    for k in range(1000):
        (tmp_path / f"{k:04d}.txt").write_bytes(b"DICM" * (k % 30))
    assert_same(read_dicom(tmp_path), volume[:3], oblique)
    listing = list_series(tmp_path)
    assert (len(listing.rows), listing.other_files) == (1, 1000)


def test_links_to_files_and_to_the_folder_are_followed_once(tmp_path, volume, oblique, read_here):
    paths = dicom_series.classic(tmp_path / "kept", volume, oblique)
    linked = tmp_path / "linked"
    linked.mkdir()
    for k, path in enumerate(paths):
        (linked / f"{k}").symlink_to(path)
        (linked / f"again {k}").symlink_to(path)
    (linked / "round").symlink_to(linked)  # a circle
    (linked / "broken").symlink_to(tmp_path / "nothing")
    read_here(linked)
    (tmp_path / "other name").symlink_to(tmp_path / "kept")
    read_here(tmp_path / "other name")


def test_one_series_in_two_folders_is_one_image(tmp_path, volume, oblique, read_here):
    dicom_series.classic(tmp_path, volume, oblique, names=[f"{'ab'[k % 2]}/{k}" for k in range(7)])
    read_here(tmp_path)
    assert len(list_series(tmp_path).rows) == 1


def test_without_a_series_uid_a_folder_is_a_series(tmp_path, volume, oblique, assert_same):
    for name, more in (("a", 0), ("b", 3)):
        extra = {"SeriesInstanceUID": None}
        dicom_series.classic(tmp_path / name, volume + more, oblique, part=name, extra=extra)
    assert len(list_series(tmp_path).rows) == 2
    assert_same(read_dicom(tmp_path / "b"), volume + 3, oblique)


def test_an_empty_folder_says_that_it_is_empty(tmp_path):
    with pytest.raises(ReadError, match="holds no files at all"):
        read_stored(tmp_path)


def test_a_folder_of_nifti_points_to_a_file_in_it(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / "t1.nii.gz")
    (tmp_path / "a note.txt").write_text("hello")
    with pytest.raises(ReadError, match=r"none of its 2 files is DICOM; name an image file in it, such as t1\.nii\.gz"):
        read_stored(tmp_path)


def test_a_damaged_file_beside_a_series_is_told_and_the_series_read(tmp_path, volume, oblique, read_here):
    dicom_series.classic(tmp_path, volume, oblique)
    extra = {"Rows": None}
    dicom_series.classic(tmp_path, volume[:1], oblique, names=["broken.dcm"], series="other", extra=extra)
    with pytest.warns(MedregWarning, match="1 of its 8 files cannot be read; medreg info"):
        image = read_here(tmp_path)
    assert not any("broken.dcm" in note for note in image.metadata["notes"])  # names of files may name patients
    (told,) = list_series(tmp_path).unreadable
    assert "broken.dcm: has no pixels" in told


def test_a_slice_that_is_cut_short_is_named(tmp_path, volume, oblique):
    paths = dicom_series.classic(tmp_path, volume, oblique)
    dicom_series.cut_short(paths[2], 0.98)
    with pytest.raises(ReadError, match=r"IM0003\.dcm: its pixels are cut short, frame 1 of 5 x 6 needs 60 bytes"):
        read_dicom(tmp_path)


# DICOMDIR and zip -----------------------------------------------------------------------------------------------------


def test_a_dicomdir_names_its_files_whatever_their_case(tmp_path, volume, oblique, read_here):
    paths = dicom_series.classic(tmp_path / "from", volume, oblique)
    directory = dicom_series.dicomdir(tmp_path / "cd", paths)
    read_here(directory)
    read_here(tmp_path / "cd")
    for file in sorted((tmp_path / "cd").rglob("*"), reverse=True):
        if file.name != "DICOMDIR":
            file.rename(file.with_name(file.name.lower()))
    read_here(directory)
    assert is_dicom_place(directory)


def test_a_dicomdir_reads_what_it_names_and_nothing_beside(tmp_path, volume, oblique, read_here):
    paths = dicom_series.classic(tmp_path / "from", volume, oblique)
    directory = dicom_series.dicomdir(tmp_path / "cd", paths)
    dicom_series.classic(tmp_path / "cd" / "more", volume[:3], oblique, series="more", description="more")
    read_here(directory)
    assert len(list_series(tmp_path / "cd").rows) == 2


def test_files_that_a_dicomdir_names_in_vain_are_counted(tmp_path, volume, oblique, assert_same):
    directory = dicom_series.dicomdir(tmp_path / "cd", dicom_series.classic(tmp_path / "from", volume, oblique))
    for file in sorted(file for file in (tmp_path / "cd").rglob("*") if file.is_file() and file != directory):
        if (round(float(dcmread(file).InstanceNumber))) >= 6:  # the last two: no gap tells
            file.unlink()
    with pytest.warns(MedregWarning, match="2 of the 7 files that it names are not beside it"):
        image = read_dicom(directory)
    assert_same(image, volume[:5], oblique)
    assert "2 of the 7" in list_series(directory).unreadable[0]


def test_a_dicomdir_alone_says_that_its_files_are_missing(tmp_path, volume, oblique):
    directory = dicom_series.dicomdir(tmp_path / "cd", dicom_series.classic(tmp_path / "from", volume, oblique))
    alone = shutil.copy(directory, tmp_path / "DICOMDIR")
    with pytest.raises(ReadError, match="none of the 7 files that it names is beside it"):
        read_stored(alone)


def test_a_zip_is_read_as_its_folder_would_be(tmp_path, volume, oblique, read_here):
    paths = dicom_series.classic(tmp_path / "in/side", volume, oblique)
    paths += dicom_series.junk(tmp_path / "in")
    packed = dicom_series.zipped(tmp_path / "all.zip", paths, tmp_path)
    image = read_here(packed)
    assert image.metadata["path"] == str(packed) and image.metadata["files"] == (str(packed),)
    assert read_stored(packed).metadata["format"] == "DICOM"


def test_a_damaged_member_of_a_zip_is_named_as_in_the_zip(tmp_path, volume, oblique):
    paths = dicom_series.classic(tmp_path, volume, oblique)
    dicom_series.cut_short(paths[2], 0.98)
    packed = dicom_series.zipped(tmp_path / "all.zip", paths, tmp_path)
    with pytest.raises(ReadError, match=r"IM0003\.dcm: its pixels are cut short"):
        read_dicom(packed)


def test_members_that_lead_out_of_a_zip_stay_in(tmp_path, volume, oblique, read_here):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for k, path in enumerate(dicom_series.classic(tmp_path / "in", volume, oblique)):
            packed.write(path, f"../../{k}.dcm" if k % 2 else f"/same/{k}/name.dcm")
    before = sorted(tmp_path.parent.rglob("*"))
    read_here(tmp_path / "all.zip")
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_zips_that_cannot_be_read_say_why(tmp_path, volume, oblique):
    paths = dicom_series.classic(tmp_path / "in", volume, oblique)
    packed = dicom_series.zipped(tmp_path / "all.zip", paths, tmp_path)
    content = packed.read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    flipped = bytearray(content)
    flipped[200:220] = bytes(20)
    (tmp_path / "flipped.zip").write_bytes(flipped)
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as other:
        other.writestr("a.txt", "hello")
    told = {"cut.zip": "cut.zip", "flipped.zip": "cannot be unpacked", "text.zip": "its only file is no DICOM"}
    for name, said in told.items():
        with pytest.raises(ReadError, match=said):
            read_stored(tmp_path / name)


# Which one ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path, volume, oblique):
    """A folder of three series."""
    for number, description in ((2, "T1 MPRAGE"), (5, "T2 FLAIR"), (7, "T2 SPACE")):
        dicom_series.classic(
            tmp_path / f"{number}",
            volume + number,
            oblique,
            series=description,
            number=number,
            description=description,
        )
    return tmp_path


def test_several_series_are_listed_by_the_error(three):
    with pytest.raises(UsageError) as refused:
        read_stored(three, option="--fixed-series")
    lines = str(refused.value).splitlines()
    assert "holds 3 images; choose one with --fixed-series NUMBER" in lines[0]
    assert lines[1:] == [
        "  1: MR T1 MPRAGE, 5 x 6 x 7",
        "  2: MR T2 FLAIR, 5 x 6 x 7",
        "  3: MR T2 SPACE, 5 x 6 x 7",
    ]


@pytest.mark.parametrize(
    "asked, number",
    [
        ("1", 2),
        ("2", 5),
        ("3", 7),
        ("mprage", 2),
        ("FLAIR", 5),
        ("t2 sp", 7),
        (dicom_series.uid("series", "T2 FLAIR"), 5),
    ],
)
def test_a_series_is_chosen_by_number_uid_or_description(three, volume, oblique, assert_same, asked, number):
    assert_same(read_dicom(three, Choice(asked)), volume + number, oblique)
    assert read_image(three, series=asked).metadata["description"].startswith("T")


@pytest.mark.parametrize(
    "asked, said",
    [("T2", "more than one of the 2"), ("9", "none of the 3"), ("0", "none"), ("PD", "none"), ("²", "none")],
)
def test_a_choice_that_fits_none_or_several_lists_them(three, asked, said):
    with pytest.raises(UsageError, match=rf"--series '{asked}' fits {said}"):
        read_stored(three, Choice(asked))


def test_the_listing_tells_what_there_is(three, volume):
    dicom_series.localiser(three / "scouts", volume[:3])
    dicom_series.junk(three)
    listing = list_series(three)
    assert [row.number for row in listing.rows] == [1, 2, 3, 4, 5, 6]
    assert [row.series_number for row in listing.rows] == [2, 5, 7, 99, 99, 99]
    assert [row.size for row in listing.rows[:3]] == [(5, 6, 7)] * 3
    assert listing.rows[0].spacing == pytest.approx((0.75, 1.25, 2.5)) and listing.rows[0].files == 7
    assert all("localiser" in row.notes for row in listing.rows[3:])
    assert listing.other_files == 11 and listing.unreadable == ()


def test_the_listing_says_what_would_be_refused(tmp_path, volume, oblique):
    dicom_series.classic(tmp_path, volume, oblique)[3].unlink()
    (row,) = list_series(tmp_path).rows
    assert row.notes[0].startswith("refused: its slices are unevenly spaced")
    assert row.size == (5, 6, 6)


def test_a_patients_name_in_the_description_is_not_told(tmp_path, volume, oblique):
    for series in "ab":
        dicom_series.classic(tmp_path / series, volume, oblique, series=series, description=f"DOE JANE {series}")
    with pytest.raises(UsageError) as refused:
        read_dicom(tmp_path)
    told = str(refused.value).replace(str(tmp_path), "")
    assert not [each for each in dicom_series.identifiers() if each.lower() in told.lower()]
    assert not [row for row in list_series(tmp_path).rows if "JANE" in row.description]


def test_a_choice_where_there_is_none_is_answered(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.int16), np.eye(4)), tmp_path / "t1.nii")
    with pytest.raises(UsageError, match="which holds one image; leave --series out"):
        read_stored(tmp_path / "t1.nii", Choice("2"))
