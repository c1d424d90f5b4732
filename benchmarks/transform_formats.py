"""Transforms from every format into every other one, beside the other tools' own readers and appliers.

    python benchmarks/transform_formats.py --cases 20 --out results.json

It installs nothing and uses what is there: SimpleITK, nibabel, scipy and h5py; and, where their wheels are installed
for the same Python, nitransforms, antspyx, itk-elastix, picsl_greedy and niimath. A row without its wheel is left out.

Points: for each of the transforms (rigid and affine, on oblique grids of uneven voxels of both handednesses), each pair
of formats A and B: medreg writes A, reads it, and writes B; the other tool reads B and maps 100 points spread over the
fixed image. The table shows the largest distance, in mm, from where the matrix sends them. Tools that write, too, start
half of the rows ("by"): then medreg reads what they wrote.

Pictures: the other tool brings the moving image onto the fixed grid through the file that medreg wrote, linearly; the
mean absolute difference from medreg's picture, over the voxels that come from inside the moving image, in percent of
the image's range.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy.io import loadmat

from medreg.errors import MedregWarning
from medreg.geometry.affine import map_points, rotation_exp
from medreg.geometry.orientation import conjugate_lps_ras
from medreg.io.transforms import End, Form, read_transform, write_transform
from medreg.io.transforms.differences import spread_points
from medreg.io.transforms.headers import header_of

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Case:
    """A transform and its two images."""

    matrix: np.ndarray
    fixed: Path
    moving: Path
    centre: tuple[float, ...]
    kind: str

    @property
    def points(self) -> np.ndarray:
        return spread_points(header_of(self.fixed).grid, 3, 100)

    @property
    def ends(self) -> dict[str, End]:
        return {"fixed": End(path=self.fixed), "moving": End(path=self.moving)}


Mapped = Callable[[Path, Case], np.ndarray]
"""Where the other tool's reader of a file sends the case's points, LPS mm."""


def image(folder: Path, name: str, random: np.random.Generator) -> Path:
    """A smooth head-sized image on an oblique grid of uneven voxels, of either handedness."""
    size = random.integers(36, 52, 3)
    spacing = random.integers(24, 48, 3) / 10
    turn = np.ones((3, 3))
    while len(set(np.abs(turn).argmax(0))) < 3:  # nitransforms knows no AFNI grid two of whose axes share the nearest
        turn = rotation_exp(random.normal(0, 0.5, 3))
    direction = turn[:, random.permutation(3)] * random.choice([-1, 1], 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = random.uniform(-20, 20, 3) - affine[:3, :3] @ (size - 1) / 2
    index = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), -1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    values = np.zeros(size)
    for k in range(20):
        one = np.random.default_rng(k)
        middle, width, height = one.uniform(-60, 60, 3), one.uniform(10, 25), one.uniform(-80, 200)
        values += height * np.exp(-((points - middle) ** 2).sum(-1) / (2 * width**2))
    stored = nib.Nifti1Image(values.astype(np.float32), affine)
    stored.set_qform(affine, 1)
    stored.set_sform(stored.get_qform(), 1)  # one place in the header: readers differ in which of two they take
    nib.save(stored, folder / name)
    return folder / name


def cases(folder: Path, count: int) -> list[Case]:
    random = np.random.default_rng(6)
    found = []
    for k in range(count):
        fixed, moving = image(folder, f"fixed{k}.nii", random), image(folder, f"moving{k}.nii", random)
        rotation = rotation_exp(random.normal(0, 0.25 if k % 4 else 1.2, 3))
        kind = "affine" if k % 2 else "rigid"
        linear = rotation @ (np.eye(3) + random.uniform(-0.15, 0.15, (3, 3))) if k % 2 else rotation
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = linear, random.uniform(-15, 15, 3)
        found.append(Case(matrix, fixed, moving, tuple(random.uniform(-30, 30, 3).tolist()), kind))
    return found


# --- what reads each format beside medreg -------------------------------------------------------------------------


def by_simpleitk(path: Path, case: Case) -> np.ndarray:
    transform = sitk.ReadTransform(str(path))
    return np.array([transform.TransformPoint(p) for p in case.points.tolist()])


def by_ants(path: Path, case: Case) -> np.ndarray:
    transform = importlib.import_module("ants").read_transform(str(path))
    return np.array([transform.apply_to_point(p) for p in case.points.tolist()])


def by_nitransforms(module: str, name: str) -> Mapped:
    def mapped(path: Path, case: Case) -> np.ndarray:
        reader = getattr(importlib.import_module(f"nitransforms.io.{module}"), name)
        ras = reader.from_filename(str(path)).to_ras(moving=nib.load(case.moving), reference=nib.load(case.fixed))
        return map_points(conjugate_lps_ras(np.squeeze(ras)), case.points)

    return mapped


def x5_by_nitransforms(path: Path, case: Case) -> np.ndarray:
    linear = importlib.import_module("nitransforms.linear")
    moved = linear.load(str(path), fmt="X5").map(case.points @ RAS[:3, :3])
    return moved @ RAS[:3, :3]


def register_dat_by_nibabel(path: Path, case: Case) -> np.ndarray:
    """Closed form, with the RAS of tkregister as nibabel knows it."""
    stored = np.loadtxt(path.read_text().splitlines()[4:8])
    ends = []
    for file in (case.fixed, case.moving):
        loaded = nib.load(file)
        header = nib.freesurfer.MGHImage(np.zeros(loaded.shape, np.float32), loaded.affine).header
        ends.append((loaded.affine, header.get_vox2ras_tkr()))
    (fixed, fixed_tk), (moving, moving_tk) = ends
    ras = moving @ np.linalg.inv(moving_tk) @ stored @ fixed_tk @ np.linalg.inv(fixed)
    return map_points(RAS @ ras @ RAS, case.points)


def ras_by_numpy(path: Path, case: Case) -> np.ndarray:
    return map_points(RAS @ np.loadtxt(path) @ RAS, case.points)


def lps_by_numpy(path: Path, case: Case) -> np.ndarray:
    return map_points(np.loadtxt(path), case.points)


def json_of(key: str) -> Mapped:
    def mapped(path: Path, case: Case) -> np.ndarray:
        loaded = json.loads(path.read_text())
        if key == "niimath":
            return map_points(RAS @ np.array(loaded["fixed_to_moving"]) @ RAS, case.points)
        return map_points(np.array(loaded["transform"]["matrix"]), case.points)

    return mapped


def spm_by_scipy(path: Path, case: Case) -> np.ndarray:
    """SPM's "Reorient Images" gives the moving image the place M @ its place."""
    matrix = RAS @ loadmat(path)["M"] @ RAS
    return map_points(np.linalg.inv(matrix), case.points)


def elastix_by_transformix(path: Path, case: Case) -> np.ndarray:
    itk = importlib.import_module("itk")
    with tempfile.TemporaryDirectory() as folder, quiet():
        points = "\n".join(" ".join(repr(v) for v in p) for p in case.points.tolist())
        (Path(folder) / "in.txt").write_text(f"point\n{len(case.points)}\n{points}\n")
        parameters = itk.ParameterObject.New()
        parameters.ReadParameterFile(str(path))
        moving = itk.imread(str(case.moving), itk.F)
        filter_ = itk.TransformixFilter.New(moving, transform_parameter_object=parameters)
        filter_.SetFixedPointSetFileName(str(Path(folder) / "in.txt"))
        filter_.SetOutputDirectory(folder)
        filter_.UpdateLargestPossibleRegion()
        lines = (Path(folder) / "outputpoints.txt").read_text().splitlines()
        parts = [line.split("OutputPoint = [")[1].split("]")[0] for line in lines]
        return np.array([[float(v) for v in part.split()] for part in parts])


READERS: dict[str, tuple[Form, str, str, Mapped]] = {
    # row: form, file name, module that is needed, reader
    "itk .tfm (SimpleITK)": (Form.ITK, "t.tfm", "SimpleITK", by_simpleitk),
    "itk .h5 (SimpleITK)": (Form.ITK_H5, "t.h5", "SimpleITK", by_simpleitk),
    "itk .mat (SimpleITK)": (Form.ITK_MAT, "t.mat", "SimpleITK", by_simpleitk),
    "ants 0GenericAffine.mat (antspyx)": (Form.ITK_MAT, "t0GenericAffine.mat", "ants", by_ants),
    "itk .mat (nitransforms)": (Form.ITK_MAT, "n.mat", "nitransforms", by_nitransforms("itk", "ITKLinearTransform")),
    "fsl (nitransforms)": (Form.FSL, "fsl.mat", "nitransforms", by_nitransforms("fsl", "FSLLinearTransform")),
    "lta ras2ras (nitransforms)": (Form.LTA, "t.lta", "nitransforms", by_nitransforms("lta", "FSLinearTransform")),
    "lta vox2vox (nitransforms)": (
        Form.LTA_VOXELS,
        "v.lta",
        "nitransforms",
        by_nitransforms("lta", "FSLinearTransform"),
    ),
    "register.dat (nibabel)": (Form.REGISTER_DAT, "register.dat", "nibabel", register_dat_by_nibabel),
    "afni .1D (nitransforms)": (Form.AFNI, "t.1D", "nitransforms", by_nitransforms("afni", "AFNILinearTransform")),
    "ras text (numpy)": (Form.RAS, "ras.txt", "numpy", ras_by_numpy),
    "lps text (numpy)": (Form.LPS, "lps.txt", "numpy", lps_by_numpy),
    "niimath JSON (numpy)": (Form.NIIMATH, "nii.json", "numpy", json_of("niimath")),
    "elastix text (transformix)": (Form.ELASTIX, "TransformParameters.0.txt", "itk", elastix_by_transformix),
    "elastix TOML (transformix)": (Form.ELASTIX_TOML, "TransformParameters.0.toml", "itk", elastix_by_transformix),
    "spm .mat (scipy)": (Form.SPM, "spm.mat", "scipy", spm_by_scipy),
    "x5 (nitransforms)": (Form.X5, "t.x5", "nitransforms", x5_by_nitransforms),
    "medreg JSON (numpy)": (Form.MEDREG, "t.json", "numpy", json_of("medreg")),
}


# --- what writes each format beside medreg ------------------------------------------------------------------------


def sitk_writes(path: Path, case: Case) -> None:
    transform = sitk.AffineTransform(case.matrix[:3, :3].ravel().tolist(), [0.0] * 3, case.centre)
    centre = np.array(case.centre)
    transform.SetTranslation((case.matrix[:3, 3] - centre + case.matrix[:3, :3] @ centre).tolist())
    sitk.WriteTransform(transform, str(path))


def ants_writes(path: Path, case: Case) -> None:
    ants = importlib.import_module("ants")
    transform = ants.create_ants_transform(
        transform_type="AffineTransform",
        precision="double",
        matrix=case.matrix[:3, :3],
        offset=case.matrix[:3, 3].tolist(),
    )
    ants.write_transform(transform, str(path))


def nitransforms_writes(module: str, name: str) -> Callable[[Path, Case], None]:
    def written(path: Path, case: Case) -> None:
        writer = getattr(importlib.import_module(f"nitransforms.io.{module}"), name)
        ras = RAS @ case.matrix @ RAS
        writer.from_ras(ras, moving=nib.load(case.moving), reference=nib.load(case.fixed)).to_filename(str(path))

    return written


def x5_written(path: Path, case: Case) -> None:
    x5 = importlib.import_module("nitransforms.io.x5")
    kinds = ("space", "space", "space", "vector")
    x5.to_filename(path, [x5.X5Transform("linear", RAS @ case.matrix @ RAS, dimension_kinds=kinds)])


WRITERS: dict[str, tuple[Form, str, str, Callable[[Path, Case], None]]] = {
    "SimpleITK .tfm": (Form.ITK, "w.tfm", "SimpleITK", sitk_writes),
    "SimpleITK .mat": (Form.ITK_MAT, "w.mat", "SimpleITK", sitk_writes),
    "SimpleITK .h5": (Form.ITK_H5, "w.h5", "SimpleITK", sitk_writes),
    "antspyx .mat": (Form.ITK_MAT, "w0GenericAffine.mat", "ants", ants_writes),
    "nitransforms lta": (Form.LTA, "w.lta", "nitransforms", nitransforms_writes("lta", "FSLinearTransform")),
    "nitransforms x5": (Form.X5, "w.x5", "nitransforms", x5_written),
}
ROUNDED: dict[str, tuple[Form, str, str, Callable[[Path, Case], None]]] = {
    "nitransforms fsl (8 decimals)": (
        Form.FSL,
        "w_fsl.mat",
        "nitransforms",
        nitransforms_writes("fsl", "FSLLinearTransform"),
    ),
    "nitransforms afni (6 digits)": (
        Form.AFNI,
        "w.1D",
        "nitransforms",
        nitransforms_writes("afni", "AFNILinearTransform"),
    ),
}


def there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@contextlib.contextmanager
def quiet() -> Any:
    """The process's own stdout and stderr to nowhere: C++ writes to them."""
    sys.stdout.flush()
    kept = [os.dup(k) for k in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for k in (1, 2):
            os.dup2(nowhere, k)
        yield
    finally:
        for k, file in zip((1, 2), kept, strict=True):
            os.dup2(file, k)
            os.close(file)
        os.close(nowhere)


def furthest(case: Case, points: np.ndarray) -> float:
    return float(np.linalg.norm(map_points(case.matrix, case.points) - points, axis=1).max())


def pairs(found: list[Case], folder: Path) -> dict[str, dict[str, float]]:
    """mm by format read and format written."""
    rows = {name: row for name, row in READERS.items() if there(row[2])}
    table: dict[str, dict[str, float]] = {}
    written: dict[tuple[str, str, int], float] = {}
    sources = {form: name for _, (form, name, _, _) in rows.items()}
    for source, name in sources.items():
        worst = dict.fromkeys(rows, 0.0)
        for number, case in enumerate(found):
            first = folder / f"a_{name}"
            write_transform(case.matrix, first, form=source, centre=case.centre, **case.ends)
            matrix = read_transform(first, form=source, **case.ends)
            for row, (form, second, _, reader) in rows.items():
                target = folder / f"b_{second}"
                write_transform(matrix, target, form=form, centre=case.centre, **case.ends)
                key = (row, target.read_text() if form in _TEXTS else str(source), number)
                if key not in written:  # the same bytes read by the same tool: once is enough
                    written[key] = furthest(case, reader(target, case))
                worst[row] = max(worst[row], written[key])
        table[source.value] = worst
        print(f"{source.value:>14} -> all: {max(worst.values()):.3g} mm", flush=True)
    return table


_TEXTS = {Form.ELASTIX, Form.ELASTIX_TOML}


def reading(found: list[Case], folder: Path, writers: dict[str, Any]) -> dict[str, float]:
    """mm by tool whose file medreg reads."""
    worst: dict[str, float] = {}
    for row, (_, name, module, writer) in writers.items():
        if not there(module):
            continue
        distances = []
        for case in found:
            with quiet():
                writer(folder / name, case)
            # nitransforms 25.1 names the fixed volume "src" in its LTAs and maps from the moving one all the same
            ends = {} if row == "nitransforms lta" else case.ends
            distances.append(furthest(case, map_points(read_transform(folder / name, **ends), case.points)))
        worst[row] = max(distances)
        print(f"{row:>32}: {worst[row]:.3g} mm", flush=True)
    return worst


# --- pictures -----------------------------------------------------------------------------------------------------


def picture_by_simpleitk(case: Case, folder: Path) -> np.ndarray:
    write_transform(case.matrix, folder / "p.tfm", centre=case.centre)
    fixed, moving = (sitk.ReadImage(str(p), sitk.sitkFloat32) for p in (case.fixed, case.moving))
    done = sitk.Resample(moving, fixed, sitk.ReadTransform(str(folder / "p.tfm")), sitk.sitkLinear, 0.0)
    return sitk.GetArrayFromImage(done)


def picture_by_ants(case: Case, folder: Path) -> np.ndarray:
    ants = importlib.import_module("ants")
    write_transform(case.matrix, folder / "p0GenericAffine.mat", centre=case.centre)
    fixed, moving = (ants.image_read(str(p)) for p in (case.fixed, case.moving))
    done = ants.apply_transforms(fixed, moving, [str(folder / "p0GenericAffine.mat")], interpolator="linear")
    return done.numpy().transpose(2, 1, 0)


def picture_by_greedy(case: Case, folder: Path) -> np.ndarray:
    write_transform(case.matrix, folder / "p_ras.mat", form=Form.RAS)
    out = folder / "greedy.nii"
    with quiet():
        importlib.import_module("picsl_greedy").Greedy3D().execute(
            f"-d 3 -rf {case.fixed} -rm {case.moving} {out} -r {folder / 'p_ras.mat'}"
        )
    return np.asarray(nib.load(out).dataobj).T


def picture_by_transformix(case: Case, folder: Path, form: Form, name: str) -> np.ndarray:
    itk = importlib.import_module("itk")
    write_transform(case.matrix, folder / name, form=form, centre=case.centre, fixed=End(path=case.fixed))
    with quiet():
        parameters = itk.ParameterObject.New()
        parameters.ReadParameterFile(str(folder / name))
        done = itk.transformix_filter(itk.imread(str(case.moving), itk.F), parameters)
        return itk.array_from_image(done)


def picture_by_niimath(case: Case, folder: Path) -> np.ndarray:
    write_transform(case.matrix, folder / "p_niimath.json", form=Form.NIIMATH)
    binary = Path(importlib.import_module("niimath").__file__).parent / "bin" / "niimath"
    subprocess.run(
        [binary, case.moving, "-allineate", case.fixed, "-applymat", folder / "p_niimath.json", "-linear"]
        + [folder / "niimath.nii.gz", "-odt", "float"],
        check=True,
        capture_output=True,
    )
    return np.asarray(nib.load(folder / "niimath.nii.gz").dataobj).T


PICTURES: dict[str, tuple[str, Callable[[Case, Path], np.ndarray]]] = {
    "SimpleITK, .tfm": ("SimpleITK", picture_by_simpleitk),
    "antsApplyTransforms, 0GenericAffine.mat": ("ants", picture_by_ants),
    "greedy, ras .mat": ("picsl_greedy", picture_by_greedy),
    "transformix, .txt": ("itk", lambda c, f: picture_by_transformix(c, f, Form.ELASTIX, "p.0.txt")),
    "transformix, .toml": ("itk", lambda c, f: picture_by_transformix(c, f, Form.ELASTIX_TOML, "p.0.toml")),
    "niimath -applymat, .json": ("niimath", picture_by_niimath),
}


def pictures(found: list[Case], folder: Path) -> dict[str, float]:
    """Largest mean absolute difference of the cases, percent of the range, by tool."""
    import medreg

    worst: dict[str, float] = {}
    for row, (module, picture) in PICTURES.items():
        if not there(module):
            continue
        shares = []
        for case in found:
            fixed, moving = medreg.read_image(case.fixed), medreg.read_image(case.moving)
            ours = medreg.resample(moving, fixed.grid, case.matrix).data[0].numpy()
            theirs = picture(case, folder)
            index = np.stack(np.meshgrid(*[np.arange(n) for n in fixed.grid.shape], indexing="ij"), -1)
            at = moving.grid.to_index(map_points(case.matrix, fixed.grid.to_world(index.reshape(-1, 3)[:, ::-1])))
            inside = ((at >= 0.5) & (at <= np.array(moving.grid.size) - 1.5)).all(1).reshape(ours.shape)
            spread = float(moving.data.max() - moving.data.min())
            shares.append(100 * float(np.abs(ours - theirs)[inside].mean()) / spread)
        worst[row] = max(shares)
        print(f"{row:>40}: {worst[row]:.2g} % of the range", flush=True)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", MedregWarning)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = cases(folder, arguments.cases)
        results = {
            "pictures_percent": pictures(found, folder),
            "read_mm": reading(found, folder, WRITERS),
            "read_mm_of_rounded_files": reading(found, folder, ROUNDED),
            "pairs_mm": pairs(found, folder),
        }
    by_row = {
        row: max(each[row] for each in results["pairs_mm"].values()) for row in next(iter(results["pairs_mm"].values()))
    }
    print("\n| written for | largest distance over all formats read, mm |\n|---|---|")
    for row, distance in by_row.items():
        print(f"| {row} | {distance:.2g} |")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
