"""HDF5 files: many images in one, each with all of its metadata, bit for bit. They can be read lazily, and by blocks.

What another program finds (`h5py.File(path)`): the attributes `medreg` = "images" and `version` at the root, and for
each image a group of its name with

- the dataset `voxels`: (channel or frame, z, y, x), or (channel, y, x) in 2D, of the tensor's dtype;
- the attributes `spacing`, `origin` (mm, x y z, LPS), `direction` (D x D, row-major), all float64;
- the attributes `leading` ("channels" or "frames"), `dtype` (torch's name) and `metadata` (JSON).

h5py is the extra `hdf5`, imported on first use.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.errors import ImageError, MedregError, ReadError, UsageError, WriteError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.io.atomic import written_beside
from medreg.io.failing import AGAIN, missing_file, reason
from medreg.io.hdf5_metadata import Identity, decoded_metadata, encoded_metadata, read_origin, write_origin
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
_KIND = "images"
_INSTALL = "h5py is not installed; run: pip install 'medreg[hdf5]'"


@dataclass(frozen=True)
class Deflate:
    """How voxels are packed: zlib after sorting bytes by their significance. It loses nothing.

    Attributes:
        level: 0 stores them as they are, 1 packs fast, 9 small.
    """

    level: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.level, int) or not 0 <= self.level <= 9:
            raise UsageError(f"level: packing has levels 0 to 9, got {self.level}")


def save_images(
    path: str | Path,
    images: Mapping[str, MedImage],
    *,
    packed: Deflate = Deflate(),
    identity: Identity = Identity.LEFT_OUT,
) -> None:
    """Write images into a new file, whole or not at all; an existing file is replaced.

    The same images give the same bytes.

    Args:
        path: the file, usually .h5.
        images: by the names under which they are found again: no "/", not empty.
        packed: compression.
        identity: what becomes of the DICOM header of an image, which names the patient. Other metadata are kept as they
            are, paths and descriptions among them.

    Raises:
        UsageError: what is no image, packing or choice.
        WriteError: h5py is missing, a name that cannot be, metadata that cannot be kept, or a disk that refuses.

    Example:
        >>> import tempfile, torch
        >>> path = Path(tempfile.mkdtemp()) / "visits.h5"
        >>> grid = Grid.regular((4, 5, 6), (1.0, 1.0, 2.0))
        >>> save_images(path, {"first": MedImage.on(grid, torch.ones(1, 6, 5, 4))})
        >>> append_images(path, {"second": MedImage.on(grid, torch.zeros(1, 6, 5, 4))})
        >>> image_names(path), load_image(path, "first").grid == grid
        (('first', 'second'), True)
    """
    _write(Path(path), images, packed, identity, keep=False)


def append_images(
    path: str | Path,
    images: Mapping[str, MedImage],
    *,
    packed: Deflate = Deflate(),
    identity: Identity = Identity.LEFT_OUT,
) -> None:
    """Write more images into a file of `save_images`, all of them or none.

    The file is copied first, so that a fault leaves it as it was: to write many, give them to one call.

    Args:
        path: the file, which must be there.
        images: by new names.
        packed: compression.
        identity: see `save_images`.

    Raises:
        ReadError: no such file, or not one of medreg's.
        WriteError: a name that is there already; and as `save_images`.
    """
    with _opened(Path(path)):
        pass
    _write(Path(path), images, packed, identity, keep=True)


def image_names(path: str | Path) -> tuple[str, ...]:
    """The names of the images in a file, sorted.

    Raises:
        ReadError: h5py is missing, no such file, damaged, or HDF5 of another kind.
    """
    with _opened(Path(path)) as file:
        return tuple(sorted(file))


def load_image(path: str | Path, name: str | None = None) -> MedImage:
    """One image of a file, as it was saved.

    Args:
        path: of `save_images`.
        name: which image; not needed where there is one only.

    Raises:
        ReadError: as `image_names`.
        UsageError: no such image, or several and no name.
    """
    return LazyImage.in_file(path, name).load()


def read_hdf5(path: Path, name: str | None = None) -> StoredImage:
    """One image of a file as numpy, without importing torch; its `path` is that of the file. See `load_image`."""
    return LazyImage.in_file(path, name).stored()


@dataclass(frozen=True)
class LazyImage:
    """An image in a file, read when asked for. The file is open only meanwhile, so this pickles, and goes to workers.

    Attributes:
        path: the file.
        name: of the image in it.
        grid: where its voxels lie.
        leading: what the first axis counts.
        channels: its length.
        dtype: the name of the tensor's, "int16".
    """

    path: Path
    name: str
    grid: Grid
    leading: Leading
    channels: int
    dtype: str

    @staticmethod
    def in_file(path: str | Path, name: str | None = None) -> LazyImage:
        """Find an image without reading its voxels; see `load_image`."""
        with _opened(Path(path)) as file:
            names = sorted(file)
            chosen = names[0] if name is None and len(names) == 1 else name
            if chosen is None or chosen not in names:
                asked = "choose one by name" if name is None else f"not {name!r}"
                raise UsageError(f"{path}: holds {', '.join(map(repr, names)) or 'no images'}; {asked}")
            group = file[chosen]
            attributes = group.attrs
            direction = tuple(map(tuple, attributes["direction"].tolist()))
            shape = group["voxels"].shape
            spacing, origin = (tuple(attributes[key].tolist()) for key in ("spacing", "origin"))
            grid = Grid(tuple(int(n) for n in shape[:0:-1]), spacing, origin, direction)
            return LazyImage(
                Path(path), chosen, grid, Leading(attributes["leading"]), int(shape[0]), str(attributes["dtype"])
            )

    @property
    def metadata(self) -> dict[str, Any]:
        """What was saved beside voxels and geometry."""
        with _opened(self.path) as file:
            group = file[self.name]
            metadata = decoded_metadata(group.attrs["metadata"])
            origin = read_origin(group)
            return metadata if origin is None else {**metadata, "dicom": origin}

    def load(self) -> MedImage:
        """The whole image."""
        return self._image(self.grid, ...)

    def block(self, start: Sequence[int], size: Sequence[int], channels: slice = slice(None)) -> MedImage:
        """A part of the image, in its place; no more than that is read, but for whole chunks that are packed.

        Args:
            start: index x, y(, z) of its first voxel.
            size: voxels along x, y(, z).
            channels: which channels or frames.

        Raises:
            ImageError: a part that is empty or reaches beyond the image.
        """
        ends = [a + n for a, n in zip(start, size, strict=False)]
        fits = len(start) == len(size) == self.grid.dimension
        if not fits or any(
            a < 0 or n < 1 or b > m for a, n, b, m in zip(start, size, ends, self.grid.size, strict=True)
        ):
            raise ImageError(
                f"{self.path}: a block of {tuple(size)} voxels at {tuple(start)} is not in {self.grid.size}"
            )
        if not range(self.channels)[channels]:
            raise ImageError(f"{self.path}: {channels} leaves none of {self.channels} channels")
        corner = tuple(self.grid.to_world([list(start)])[0].tolist())
        grid = Grid(tuple(int(n) for n in size), self.grid.spacing, corner, self.grid.direction)
        index = tuple(slice(a, b) for a, b in zip(start, ends, strict=True))[::-1]
        return self._image(grid, (channels, *index))

    def stored(self) -> StoredImage:
        """The whole image, without torch."""
        array = self._array(...)
        if self.dtype == "bfloat16":  # the upper half of a float32
            array = (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        told = {"format": "HDF5", "unit": "mm", "notes": (), "header": {}, **self.metadata, "path": str(self.path)}
        return StoredImage(array, self.grid, self.leading, {"stored_dtype": array.dtype.name, **told})

    def _image(self, grid: Grid, index: Any) -> MedImage:
        return MedImage.on(grid, _tensor(self._array(index), self.dtype), self.leading, self.metadata)

    def _array(self, index: Any) -> VoxelArray:
        with _opened(self.path) as file:
            return np.asarray(file[self.name]["voxels"][index])


def _write(path: Path, images: Mapping[str, MedImage], packed: Deflate, identity: Identity, *, keep: bool) -> None:
    _check_arguments(path, images, packed, identity)
    h5py = _h5py(WriteError, path)
    if not images:
        raise WriteError(f"{path}: no images to write")
    with written_beside(path) as temporary:
        if keep:
            shutil.copyfile(path, temporary)
        try:
            with h5py.File(temporary, "a" if keep else "w") as file:
                file.attrs["medreg"], file.attrs["version"] = _KIND, VERSION
                for name, image in images.items():
                    if not isinstance(name, str) or not name or "/" in name or name in (".", ".."):
                        raise WriteError(f"{path}: {name!r} is no name for an image; it needs text without '/'")
                    if name in file:
                        raise WriteError(f"{path}: holds an image {name!r} already; choose another name")
                    _add(file.create_group(name), image, packed, identity, f"{path}: {name}")
        except MedregError:
            raise
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise WriteError(f"{path}: cannot be written, {reason(error)}") from error


def _check_arguments(path: Path, images: object, packed: object, identity: object) -> None:
    if not isinstance(images, Mapping):
        raise UsageError(
            f"{path}: images: takes MedImages by their names, such as {{'first': image}}, got {type(images).__name__}"
        )
    for name, image in images.items():
        if not isinstance(image, MedImage):
            raise UsageError(f"{path}: images: {name!r} is to be a MedImage, got {type(image).__name__}")
    if not isinstance(packed, Deflate):
        raise UsageError(f"{path}: packed: takes Deflate(level), got {packed!r}")
    if not isinstance(identity, Identity):
        raise UsageError(f"{path}: identity: takes {' or '.join(map(str, Identity))}, got {identity!r}")


def _add(group: Any, image: MedImage, packed: Deflate, identity: Identity, place: str) -> None:
    import torch

    data = image.data.detach().cpu().contiguous()
    array = (data.view(torch.int16) if data.dtype is torch.bfloat16 else data).numpy()
    extra = {"compression": packed.level, "shuffle": True} if packed.level else {}
    group.create_dataset("voxels", data=array, chunks=_chunks(array) if packed.level else None, **extra)
    attributes = group.attrs
    attributes["dtype"] = str(data.dtype).removeprefix("torch.")
    attributes["leading"] = image.leading.value
    for key in ("spacing", "origin", "direction"):
        attributes[key] = np.array(getattr(image, key), dtype=np.float64)
    # A str has variable length, which HDF5 keeps in a heap: one of fixed length may have no more than 64 KiB.
    attributes["metadata"] = encoded_metadata(image.metadata, place, identity)
    if identity is Identity.KEPT:
        write_origin(group, image.metadata)


def _chunks(array: VoxelArray) -> tuple[int, ...]:
    """Slabs of whole rows of about a quarter of a megabyte."""
    rows = max(1, (1 << 18) // max(1, array.shape[-1] * array.itemsize))
    y = min(array.shape[-2], rows)
    z = min(array.shape[-3], max(1, rows // y)) if array.ndim == 4 else 1
    return (1, z, y, array.shape[-1]) if array.ndim == 4 else (1, y, array.shape[-1])


def _tensor(array: VoxelArray, dtype: str) -> Tensor:
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, open for reading.

    Raises:
        ReadError: missing, damaged, or none of `save_images`.
    """
    h5py = _h5py(ReadError, path)
    if not path.is_file():
        raise missing_file(path) if not path.exists() else ReadError(f"{path}: is a directory; name a file")
    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("medreg")
            if found != _KIND:
                raise ReadError(f"{path}: is HDF5, but holds no images of medreg; convert it to .nii.gz first")
            if int(file.attrs.get("version", 0)) > VERSION:
                raise ReadError(f"{path}: was written by a later version of medreg; update medreg")
            yield file
    except MedregError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ReadError(f"{path}: cannot be read, {reason(error)}; the file may be damaged, {AGAIN}") from error


def _h5py(failure: type[MedregError], path: Path) -> Any:
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise failure(f"{path}: is for HDF5, and {_INSTALL}") from error
