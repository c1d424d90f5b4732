"""Files of every form that are cut short, hold no numbers, or hold other things: errors of medreg's, with the name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from transform_pairs import Images, motion

from medreg.errors import MedregError, MedregWarning, ReadError, TransformError, UsageError
from medreg.io.transforms import Form, read_transform, write_transform
from medreg.io.transforms.reading import READERS
from medreg.io.transforms.writing import WRITERS

WRITTEN = [form for form in WRITERS if form is not Form.DICOM]  # tested with the registration objects
ROWS = "[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"
TEXTS = {
    Form.FSL: "1 0 0 {0}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    Form.RAS: "1 0 0 {0}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    Form.LPS: "1 0 0 {0}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    Form.AFNI: "1 0 0 {0} 0 1 0 0 0 0 1 0\n",
    Form.REGISTER_DAT: "bert\n1\n1\n0.15\n1 0 0 {0}\n0 1 0 0\n0 0 1 0\n0 0 0 1\nround\n",
    Form.LTA: "type      = 1\nnxforms   = 1\nmean = 0 0 0\nsigma = 1\n1 4 4\n1 0 0 {0}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    Form.ITK: "#Insight Transform File V1.0\nTransform: TranslationTransform_double_3_3\nParameters: {0} 0 0\n",
    Form.NIIMATH: '{{"type": "allineate_affine", "fixed_to_moving": [[1, 0, 0, {0}], ' + f"{ROWS}}}}}",
    Form.MEDREG: '{{"transform": {{"matrix": [[1, 0, 0, {0}], ' + f"{ROWS}}}}}}}}}",
    Form.ELASTIX: '(Transform "TranslationTransform")\n(FixedImageDimension 3)\n(TransformParameters {0} 0 0)\n',
    Form.SLICER: '<MRML><LinearTransform matrixTransformToParent="1 0 0 {0} 0 1 0 0 0 0 1 0 0 0 0 1"/></MRML>',
}
"""A small file of each text form, with one number left open."""


@pytest.mark.parametrize("form", WRITTEN)
def test_no_cut_gives_anything_but_an_error_of_medregs(form: Form, oblique_images: Images, tmp_path: Path) -> None:
    """Where only trailing lines are lost the transform may still be read; nothing else may escape."""
    path = tmp_path / "whole"
    write_transform(oblique_images.matrix, path, form=form, **oblique_images.ends)
    raw = path.read_bytes()
    refused = 0
    for length in np.linspace(0, len(raw) - 1, 40).astype(int):
        for asked in (form, None):
            path.write_bytes(raw[:length])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", MedregWarning)
                    read_transform(path, form=asked, **oblique_images.ends)
            except MedregError as error:
                assert str(path) in str(error)
                refused += 1
    assert refused > 20


@pytest.mark.parametrize("value", ["nan", "inf", "x"])
@pytest.mark.parametrize("form", TEXTS)
def test_what_is_no_finite_number_is_refused(form: Form, value: str, oblique_images: Images, tmp_path: Path) -> None:
    value = {"nan": "NaN", "inf": "Infinity", "x": '"x"'}[value] if form in (Form.NIIMATH, Form.MEDREG) else value
    (tmp_path / "good").write_text(TEXTS[form].format("5"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MedregWarning)  # an LTA without volumes, AFNI's obliquity
        read_transform(tmp_path / "good", form=form, **oblique_images.ends)
        (tmp_path / "bad").write_text(TEXTS[form].format(value))
        with pytest.raises(TransformError, match="bad: ") as caught:
            read_transform(tmp_path / "bad", form=form, **oblique_images.ends)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("form", [form for form in READERS if form is not Form.DICOM])
@pytest.mark.parametrize(
    "junk", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", bytes(range(256)) * 8, b"hello world\n", b"1 2 3\n"]
)
def test_junk_is_refused_by_every_reader(form: Form, junk: bytes, oblique_images: Images, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(junk)
    with pytest.raises(MedregError, match="junk"):
        read_transform(tmp_path / "junk", form=form, **oblique_images.ends)
    with pytest.raises(MedregError, match="junk"):
        read_transform(tmp_path / "junk", **oblique_images.ends)


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.tfm").write_bytes(b"\n \n")
    with pytest.raises(ReadError, match=r"t\.tfm: is empty"):
        read_transform(tmp_path / "t.tfm")


@pytest.mark.parametrize("form", [form for form in WRITTEN if form is not Form.MEDREG])
def test_a_homography_is_refused_by_every_form_but_ours(form: Form, oblique_images: Images, tmp_path: Path) -> None:
    matrix = oblique_images.matrix.copy()
    matrix[3, 0] = 1e-3
    with pytest.raises(TransformError, match=r"is a homography .* write \.json, medreg's own"):
        write_transform(matrix, tmp_path / "t", form=form, **oblique_images.ends)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("form", WRITTEN)
def test_every_form_comes_back_with_its_digits(form: Form, images: Images, tmp_path: Path) -> None:
    write_transform(images.matrix, tmp_path / "t", form=form, **images.ends)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.apart(read_transform(tmp_path / "t", form=form, **images.ends)) < 1e-9


def test_missing_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the moving image with --moving"):
        write_transform(motion(), tmp_path / "t.lta")
