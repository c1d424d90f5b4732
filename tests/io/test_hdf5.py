"""HDF5 files against h5py itself, which reads what medreg wrote, and against the images that went in, bit for bit."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dicom_series
import h5py
import numpy as np
import pytest
import torch

from medreg.errors import ImageError, ReadError, UsageError, WriteError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.io import read_image
from medreg.io.hdf5 import Deflate, LazyImage, append_images, image_names, load_image, read_hdf5, save_images
from medreg.io.hdf5_metadata import Identity

DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
)
METADATA = {
    "path": "ct.nii.gz",
    "notes": ("one", "two"),
    "slope": 0.1,
    "inter": -1024.0,
    "header": {"qform": np.eye(4) / 3, "cal": (0.0, float("inf")), "raw": b"\x00\xff", "codes": [1, None, True]},
    "grid": Grid.regular((2, 3, 4), (0.1, 0.2, 0.3)),
    "count": np.int64(3),
    "text": "µm « é",
}


def on(affine: np.ndarray, data: torch.Tensor, leading: Leading = Leading.CHANNELS, metadata=None) -> MedImage:
    return MedImage.on(Grid.from_affine(tuple(data.shape[:0:-1]), affine), data, leading, metadata)


@pytest.fixture
def image(oblique: np.ndarray) -> MedImage:
    data = torch.randn(2, 7, 6, 5, generator=torch.Generator().manual_seed(0))
    return on(oblique, data, Leading.FRAMES, METADATA)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def check_same(ours: MedImage, theirs: MedImage) -> None:
    assert ours.data.dtype == theirs.data.dtype
    assert ours.data.shape == theirs.data.shape
    assert bits(ours.data) == bits(theirs.data)
    assert (ours.spacing, ours.origin, ours.direction) == (theirs.spacing, theirs.origin, theirs.direction)
    assert ours.leading is theirs.leading


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_voxels_come_back_bit_for_bit(tmp_path, named_affine, dtype):
    raw = torch.randint(0, 256, (3, 7, 6, 5 * dtype.itemsize), dtype=torch.uint8)
    data = raw.view(dtype) if dtype is not torch.bool else raw > 127  # every pattern, those of NaN among them
    image = on(named_affine[1], data)
    save_images(tmp_path / "a.h5", {"x": image})
    check_same(load_image(tmp_path / "a.h5"), image)


def test_pictures_and_geometry_of_many_digits_come_back(tmp_path):
    grid = Grid((5, 4), (1 / 3, 0.1), (1e-17, -7e5 / 3), ((0.6, -0.8), (0.8, 0.6)))
    image = MedImage.on(grid, torch.arange(60).reshape(3, 4, 5))
    save_images(tmp_path / "a.h5", {"x": image}, packed=Deflate(0))
    check_same(load_image(tmp_path / "a.h5"), image)


def test_metadata_come_back_with_their_types(tmp_path, image):
    save_images(tmp_path / "a.h5", {"x": image})
    found = dict(load_image(tmp_path / "a.h5").metadata)
    wanted = {**METADATA, "header": dict(METADATA["header"])}
    assert type(found["count"]) is np.int64
    ours, theirs = found["header"].pop("qform"), wanted["header"].pop("qform")
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    assert found == wanted


def test_what_a_file_told_comes_back(tmp_path, save_nifti, voxels, oblique):
    image = read_image(save_nifti(voxels, oblique, scl_slope=2.5, scl_inter=-3))
    save_images(tmp_path / "a.h5", {"x": image})
    found = load_image(tmp_path / "a.h5")
    check_same(found, image)
    assert repr(found.metadata) == repr(image.metadata)  # repr: arrays have no ==
    from medreg.io import write_image

    write_image(image, tmp_path / "direct.nii")
    write_image(found, tmp_path / "through.nii")
    assert (tmp_path / "direct.nii").read_bytes() == (tmp_path / "through.nii").read_bytes()


def test_h5py_alone_reads_the_file(tmp_path, image):
    save_images(tmp_path / "a.h5", {"first": image})
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file.attrs["medreg"], file.attrs["version"], list(file)) == ("images", 1, ["first"])
        group = file["first"]
        np.testing.assert_array_equal(group["voxels"][()], image.data.numpy())
        np.testing.assert_array_equal(group.attrs["spacing"], image.spacing)
        np.testing.assert_array_equal(group.attrs["origin"], image.origin)
        np.testing.assert_array_equal(group.attrs["direction"], image.direction)
        assert group.attrs["origin"].dtype == np.float64
        assert (group.attrs["leading"], group.attrs["dtype"]) == ("frames", "float32")
        assert json.loads(group.attrs["metadata"])["slope"] == 0.1


def test_many_images_live_in_one_file_and_more_can_come(tmp_path, image):
    path = tmp_path / "a.h5"
    other = image.with_data(-image.data)
    save_images(path, {"b": image, "a": other})
    append_images(path, {"c d é": image.frame(1)})
    assert image_names(path) == ("a", "b", "c d é")
    check_same(load_image(path, "a"), other)
    check_same(load_image(path, "c d é"), image.frame(1))
    with pytest.raises(UsageError, match="'a', 'b'.*choose one"):
        load_image(path)
    with pytest.raises(UsageError, match="not 'd'"):
        load_image(path, "d")


def test_a_name_is_never_overwritten_and_a_fault_leaves_the_file_as_it_was(tmp_path, image):
    path = tmp_path / "a.h5"
    save_images(path, {"a": image})
    before = path.read_bytes()
    for bad in ({"b": image, "a": image}, {"b": image, "c/d": image}, {"b": image, "": image}, {}):
        with pytest.raises(WriteError):
            append_images(path, bad)
        with pytest.raises(WriteError):
            save_images(path, {**bad, "x/y": image} if bad else bad)
    with pytest.raises(WriteError, match=r"metadata\['who'\].*object"):
        append_images(path, {"b": image.with_metadata(who=object())})
    with pytest.raises(WriteError, match="holds an image 'a' already; choose another"):
        append_images(path, {"a": image})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    with pytest.raises(ReadError, match="no such file"):
        append_images(tmp_path / "none.h5", {"a": image})


def test_the_same_images_give_the_same_bytes(tmp_path, image):
    for name in ("a.h5", "b.h5"):
        save_images(tmp_path / name, {"x": image, "y": image})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_metadata_longer_than_an_attribute_may_be_are_kept(tmp_path, image):
    files = tuple(f"series/IM{k:06d}.dcm" for k in range(20000))  # 400 kB
    save_images(tmp_path / "a.h5", {"x": image.with_metadata(files=files)})
    assert load_image(tmp_path / "a.h5").metadata["files"] == files


@pytest.mark.parametrize("packed", [Deflate(0), Deflate(9)], ids=["plain", "packed"])
def test_a_block_is_read_in_its_place(tmp_path, sheared, packed):
    image = on(sheared, torch.arange(2 * 7 * 6 * 5).reshape(2, 7, 6, 5))
    save_images(tmp_path / "a.h5", {"x": image}, packed=packed)
    lazy = pickle.loads(pickle.dumps(LazyImage.in_file(tmp_path / "a.h5")))
    assert (lazy.grid, lazy.channels, lazy.dtype) == (image.grid, 2, "int64")
    block = lazy.block((1, 2, 3), (4, 3, 2), channels=slice(1, 2))
    assert torch.equal(block.data, image.data[1:2, 3:5, 2:5, 1:5])
    corners = image.grid.to_world(block.grid.to_index(block.grid.corners) + [1, 2, 3])
    np.testing.assert_allclose(block.grid.corners, corners, atol=1e-12)  # mm, float64 rounding
    for start, size in [((0, 0, 0), (6, 1, 1)), ((-1, 0, 0), (1, 1, 1)), ((0, 0), (1, 1)), ((0, 0, 0), (1, 0, 1))]:
        with pytest.raises(ImageError, match="block"):
            lazy.block(start, size)


def test_the_patients_header_is_left_out_unless_it_is_asked_for(tmp_path):
    stored = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    dicom_series.pet(tmp_path / "pet", stored, np.diag([2.0, 2.0, 3.0, 1.0]))
    image = read_image(tmp_path / "pet").with_metadata(files=(), description="")
    for name, identity in (("without.h5", Identity.LEFT_OUT), ("with.h5", Identity.KEPT)):
        save_images(tmp_path / name, {"pet": image}, identity=identity, packed=Deflate(0))
    raw = (tmp_path / "without.h5").read_bytes()
    assert not [secret for secret in dicom_series.identifiers() if secret.encode() in raw]
    assert "dicom" not in load_image(tmp_path / "without.h5").metadata
    found, origin = load_image(tmp_path / "with.h5").metadata["dicom"], image.metadata["dicom"]
    assert found.template == origin.template
    assert found.template.PatientName == "DOE^JANE"
    assert (found.instances, found.frame_of_reference) == (origin.instances, origin.frame_of_reference)


def test_suv_can_be_computed_from_a_file_that_keeps_the_header(tmp_path):
    from medreg.io.suv import suv

    stored = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    dicom_series.pet(tmp_path / "pet", stored, np.diag([2.0, 2.0, 3.0, 1.0]), bare=True)
    image = read_image(tmp_path / "pet")
    save_images(tmp_path / "a.h5", {"pet": image}, identity=Identity.KEPT)
    assert torch.equal(suv(load_image(tmp_path / "a.h5")).data, suv(image).data)


def test_a_file_is_read_without_torch_for_the_command_line(tmp_path, image):
    save_images(tmp_path / "a.h5", {"x": image, "half": image.with_data(image.data.bfloat16())})
    found = read_hdf5(tmp_path / "a.h5", "x")
    np.testing.assert_array_equal(found.array, image.data.numpy())
    assert (found.grid, found.leading) == (image.grid, image.leading)
    assert found.metadata["path"] == str(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_hdf5(tmp_path / "a.h5", "half").array, image.data.bfloat16().float().numpy())
    code = "\n".join(
        [
            "import sys",
            "from pathlib import Path",
            "from medreg.io.hdf5 import read_hdf5",
            "read_hdf5(Path(sys.argv[1]), 'x')",
            "assert 'torch' not in sys.modules",
        ]
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "a.h5")]
    subprocess.run(arguments, check=True, cwd=Path(__file__).parents[2])


def test_other_hdf5_and_damaged_files_are_told_apart(tmp_path, image):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1, 2]
    with pytest.raises(ReadError, match="holds no images of medreg"):
        image_names(tmp_path / "other.h5")
    save_images(tmp_path / "a.h5", {"x": image}, packed=Deflate(0))
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.h5").write_text("no HDF5")
    for name in ("cut.h5", "text.h5"):
        with pytest.raises(ReadError, match=f"{name}: cannot be read"):
            load_image(tmp_path / name)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["version"] = 2
    with pytest.raises(ReadError, match="later version"):
        load_image(tmp_path / "a.h5")


def test_without_h5py_the_error_says_how_to_install_it(tmp_path, image, monkeypatch):
    known: Callable[[str], object] = importlib.import_module

    def absent(name: str) -> object:
        if name == "h5py":
            raise ModuleNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(WriteError, match=r"pip install 'medreg\[hdf5\]'"):
        save_images(tmp_path / "a.h5", {"x": image})
    with pytest.raises(ReadError, match=r"pip install 'medreg\[hdf5\]'"):
        load_image(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"images": torch.zeros(1, 2, 3)}, "images: takes MedImages by their names"),
        ({"images": [1]}, "images: takes MedImages by their names"),
        ({"images": None}, "images: takes MedImages by their names"),
        ({"images": {"a": torch.zeros(1, 2, 3)}}, "images: 'a' is to be a MedImage, got Tensor"),
        ({"packed": 5}, r"packed: takes Deflate\(level\), got 5"),
        ({"identity": "kept"}, "identity: takes Identity"),
    ],
)
def test_what_is_no_image_or_choice_is_told_and_nothing_is_written(arguments, told, image, tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(UsageError, match=told):
        save_images(path, **{"images": {"a": image}, **arguments})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="level: packing"):
        Deflate("high")
