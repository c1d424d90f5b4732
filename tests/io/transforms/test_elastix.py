"""elastix's parameter files: its own classes beside SimpleITK's, chains, and the grid that it resamples onto."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from transform_pairs import RAS, Images, motion

from medreg.errors import ReadError, TransformError, UsageError
from medreg.geometry.grid import Grid
from medreg.io.transforms import End, Form, form_of_file, read_transform, write_transform

CENTRE = (12.5, -31.25, 77.0)


def parameter_file(path: Path, **values: object) -> Path:
    """A file of elastix in the form of its suffix; lists become several values."""
    lines = []
    for key, value in values.items():
        if path.suffix == ".toml":
            lines.append(f"{key} = {json.dumps(value)}")
        else:
            words = [
                f'"{v}"' if isinstance(v, str) else repr(v) for v in (value if isinstance(value, list) else [value])
            ]
            lines.append(f"({key} {' '.join(words)})")
    path.write_text("\n".join(["// Image specific" if path.suffix == ".txt" else "# Image specific", *lines, ""]))
    return path


def euler_3d() -> sitk.Transform:
    return sitk.Euler3DTransform(CENTRE, 0.3, -0.5, 1.1, (3.25, -14.5, 100.0))


def similarity_3d() -> sitk.Transform:
    transform = sitk.Similarity3DTransform()
    transform.SetParameters((0.1, -0.3, 0.2, 3.25, -14.5, 100.0, 1.13))
    transform.SetCenter(CENTRE)
    return transform


CLASSES: dict[str, tuple[str, Callable[[], sitk.Transform]]] = {
    "Euler": ("EulerTransform", euler_3d),
    "Similarity": ("SimilarityTransform", similarity_3d),
    "Affine": ("AffineTransform", lambda: sitk.AffineTransform(motion()[:3, :3].ravel().tolist(), (1, 2, 3), CENTRE)),
    "Translation": ("TranslationTransform", lambda: sitk.TranslationTransform(3, (3.0, -4.0, 5.0))),
    "Euler in 2D": ("EulerTransform", lambda: sitk.Euler2DTransform((64.0, 32.0), 0.4, (5.5, -7.25))),
    "Similarity in 2D": (
        "SimilarityTransform",
        lambda: sitk.Similarity2DTransform(1.2, 0.4, (5.5, -7.2), (64.0, 32.0)),
    ),
    "Affine in 2D": (
        "AffineTransform",
        lambda: sitk.AffineTransform((0.9, 0.2, -0.3, 1.1), (5.5, -7.25), (64.0, 32.0)),
    ),
    "Translation in 2D": ("TranslationTransform", lambda: sitk.TranslationTransform(2, (3.0, -4.0))),
}


@pytest.mark.parametrize("suffix", [".txt", ".toml"])
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_maps_as_itks_of_the_same_parameters(name: str, suffix: str, tmp_path: Path) -> None:
    elastix_name, make = CLASSES[name]
    transform = make()
    d = transform.GetDimension()
    path = parameter_file(
        tmp_path / f"TransformParameters.0{suffix}",
        Transform=elastix_name,
        NumberOfParameters=len(transform.GetParameters()),
        TransformParameters=list(transform.GetParameters()),
        CenterOfRotationPoint=list(transform.GetFixedParameters()[:d]),
        FixedImageDimension=d,
        InitialTransformParameterFileName="NoInitialTransform",
        UseDirectionCosines="true",
    )
    assert form_of_file(path) is (Form.ELASTIX if suffix == ".txt" else Form.ELASTIX_TOML)
    matrix = read_transform(path)
    points = np.random.default_rng(4).uniform(-200, 200, (20, d))
    expected = np.array([transform.TransformPoint(p) for p in points.tolist()])
    assert np.abs(points @ matrix[:d, :d].T + matrix[:d, d] - expected).max() < 1e-9


def test_angles_may_be_in_the_order_zyx(tmp_path: Path) -> None:
    transform = euler_3d()
    transform.SetComputeZYX(True)
    numbers = list(transform.GetParameters())
    values = {"Transform": "EulerTransform", "TransformParameters": numbers, "CenterOfRotationPoint": list(CENTRE)}
    matrix = read_transform(parameter_file(tmp_path / "t.txt", **values, FixedImageDimension=3, ComputeZYX="true"))
    assert np.abs(matrix[:3, :3].ravel() - transform.GetMatrix()).max() < 1e-12


@pytest.mark.parametrize("how", ["Compose", "Add"])
@pytest.mark.parametrize("named", ["as it was written", "in another folder since"])
def test_a_chain_begins_with_the_file_that_it_names(how: str, named: str, tmp_path: Path) -> None:
    first, second = motion(1), motion(2)
    end = {"fixed": End(grid=Grid.regular((4, 5, 6), (1, 1, 1)))}
    write_transform(first, tmp_path / "TransformParameters.0.txt", **end)
    write_transform(second, tmp_path / "TransformParameters.1.txt", **end)
    folder = "" if named == "as it was written" else "/home/else/out/"
    text = (tmp_path / "TransformParameters.1.txt").read_text()
    text = text.replace("NoInitialTransform", f"{folder}TransformParameters.0.txt").replace("Compose", how)
    (tmp_path / "TransformParameters.1.txt").write_text(text)
    expected = second @ first if how == "Compose" else second + first - np.eye(4)
    assert np.abs(read_transform(tmp_path / "TransformParameters.1.txt") - expected).max() < 1e-9


def test_chains_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    end = {"fixed": End(grid=Grid.regular((4, 5, 6), (1, 1, 1)))}
    path = tmp_path / "TransformParameters.1.txt"
    write_transform(motion(), path, **end)
    text = path.read_text()
    path.write_text(text.replace("NoInitialTransform", "TransformParameters.1.txt"))
    with pytest.raises(TransformError, match="builds on itself"):
        read_transform(path)
    path.write_text(text.replace("NoInitialTransform", "TransformParameters.0.txt"))
    with pytest.raises(ReadError, match=r"TransformParameters\.0\.txt: no such file.*builds on it"):
        read_transform(path)


@pytest.mark.parametrize("form", [Form.ELASTIX, Form.ELASTIX_TOML])
def test_the_grid_of_the_fixed_image_stands_beside_the_transform(form: Form, images: Images, tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_transform(images.matrix, path, form=form, centre=CENTRE, fixed=images.ends["fixed"])
    assert form_of_file(path) is form
    assert images.apart(read_transform(path)) < 1e-9
    lines = dict(
        line.strip("()").split(" ", 1) if form is Form.ELASTIX else line.split(" = ", 1)
        for line in path.read_text().splitlines()
    )
    numbers = {key: np.array(value.replace(",", " ").strip("[]").split()) for key, value in lines.items()}
    lps = RAS @ images.loaded[0].affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    assert numbers["Size"].astype(int).tolist() == list(images.loaded[0].shape)
    assert np.abs(numbers["Spacing"].astype(float) - spacing).max() < 1e-9
    assert np.abs(numbers["Origin"].astype(float) - lps[:3, 3]).max() < 1e-9
    columns = numbers["Direction"].astype(float).reshape(3, 3).T  # elastix lists the direction column by column
    assert np.abs(columns - lps[:3, :3] / spacing).max() < 1e-9
    assert np.array_equal(numbers["CenterOfRotationPoint"].astype(float), CENTRE)


def test_the_fixed_image_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps the grid of the fixed image.*--fixed"):
        write_transform(np.eye(4), tmp_path / "TransformParameters.0.txt")


BAD = {
    "a class that bends": ('(Transform "BSplineTransform")\n(TransformParameters 1 2)\n', "holds a BSplineTransform"),
    "numbers missing": ('(Transform "EulerTransform")\n(FixedImageDimension 3)\n', "TransformParameters are missing"),
    "too few numbers": (
        '(Transform "EulerTransform")\n(FixedImageDimension 3)\n(TransformParameters 1 2 3)\n',
        "cannot have 3 parameters",
    ),
    "not a number": (
        '(Transform "EulerTransform")\n(FixedImageDimension 2)\n(TransformParameters 1 2 nan)\n',
        "not finite",
    ),
    "another syntax": ('(Transform "EulerTransform")\nTransformParameters 1\n', "no line of elastix"),
    "cut short (TOML)": ('Transform = "EulerTransform"\nTransformParameters = [1, 2\n', "ends within a list"),
    "broken (TOML)": ('Transform = "EulerTransform"\nTransformParameters = 1 2\n', "no line of elastix's TOML"),
    "directions thrown away": (
        '(Transform "TranslationTransform")\n(FixedImageDimension 2)\n(TransformParameters 1 2)\n'
        '(UseDirectionCosines "false")\n(Direction 0 1 -1 0)\n',
        "throws the images' directions away",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_damaged_files_say_what_is_wrong(name: str, tmp_path: Path) -> None:
    text, why = BAD[name]
    (tmp_path / "TransformParameters.0.txt").write_text(text)
    with pytest.raises(TransformError, match=why) as caught:
        read_transform(tmp_path / "TransformParameters.0.txt")
    assert "TransformParameters.0.txt" in str(caught.value)
