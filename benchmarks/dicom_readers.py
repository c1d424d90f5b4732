#!/usr/bin/env python3
"""medreg beside dcm2niix and dicom2nifti over DICOM series, as a markdown table.

    python benchmarks/dicom_readers.py SERIES_FOLDER ...
    python benchmarks/dicom_readers.py --cases cases.json --out readers.md

Each tool converts each series in a process of its own, from start to end, into an uncompressed NIfTI file. Corner
voxels and random ones of the peer's image are looked up in medreg's by their place in the world: how far the nearest
voxel centre of medreg's lies (mm), and how far its value is off, over the range of the peer's values. Axes may be
flipped or swapped. Where a peer writes several images, the one that is nearest to medreg's counts; where dcm2niix
writes none, a reference that the case names stands in for it.

A case file holds {"name": {"in": FOLDER, "ref": NIFTI, "series": TEXT}, ...}, paths relative to it; `ref` and `series`
(which one of several, for medreg) may be missing. Peers are optional: dcm2niix is taken from the PATH or from the
package of that name, dicom2nifti from the PATH. Exit code 1 where medreg fails or differs from dcm2niix.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

SAMPLES = 5000


@dataclass(frozen=True)
class Case:
    """A series to read."""

    name: str
    folder: Path
    reference: Path | None = None
    series: str | None = None


@dataclass(frozen=True)
class Conversion:
    """What one tool made of one series."""

    images: tuple[nib.Nifti1Image, ...]
    seconds: float
    said: str


@dataclass(frozen=True)
class Agreement:
    """How far two images of one series are apart; `said` where they cannot be compared."""

    mm: float = math.inf
    value: float = math.inf
    said: str = ""


@dataclass
class Row:
    """A line of the table."""

    case: str
    cells: list[str]
    notes: list[str] = field(default_factory=list)
    ok: bool = True


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """How each tool that is there is started; the folder and the output follow."""
    found = {"medreg": shlex.split(options.medreg)}
    dcm2niix = options.dcm2niix or shutil.which("dcm2niix") or _packaged()
    if dcm2niix:
        found["dcm2niix"] = [*shlex.split(dcm2niix), "-b", "n", "-z", "n"]
    if dicom2nifti := options.dicom2nifti or shutil.which("dicom2nifti"):
        found["dicom2nifti"] = [*shlex.split(dicom2nifti), "-C", "-G", "-R"]
    return found


def _packaged() -> str | None:
    found = importlib.util.find_spec("dcm2niix")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).with_name("dcm2niix")
    return str(path) if path.exists() else None


def convert(tool: str, command: list[str], case: Case, scratch: Path, timeout: float) -> Conversion:
    """Run one tool on one series and read what it wrote into memory."""
    out = scratch / tool
    out.mkdir()
    if tool == "medreg":
        which = ["--series", case.series] if case.series else []
        whole = [*command, str(case.folder), str(out / "image.nii"), *which]
    elif tool == "dcm2niix":
        whole = [*command, "-o", str(out), str(case.folder)]
    else:
        whole = [*command, str(case.folder), str(out)]
    begun = time.perf_counter()
    try:
        done = subprocess.run(whole, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
        said = f"exit {done.returncode}: {telling(done.stderr) or telling(done.stdout)}"
    except subprocess.TimeoutExpired:
        said = f"stopped after {timeout:g} s"
    seconds = time.perf_counter() - begun
    images = []
    for path in sorted(out.rglob("*.nii")):
        image = nib.load(path)
        images.append(nib.Nifti1Image(voxels_of(image), image.affine))
    return Conversion(tuple(images), seconds, said)


def telling(text: str) -> str:
    """The last error that a tool told, or else its last words, short enough for a table."""
    lines = [line.strip(" │╭╮╰╯─") for line in text.splitlines()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors[-1][:300] if errors else " ".join(line for line in lines if line)[-300:]).replace("|", "/")


def voxels_of(image: nib.Nifti1Image) -> np.ndarray:
    """Values as (x, y, z, volume or channel), float64."""
    data = np.asanyarray(image.dataobj)
    if data.dtype.fields:  # RGB is a structured type
        data = np.stack([data[name] for name in data.dtype.names], -1)
    shape = (*data.shape, 1, 1, 1)[:3]
    return data.reshape(*shape, -1).astype(np.float64)


def compare(image: nib.Nifti1Image, wanted: nib.Nifti1Image) -> Agreement:
    """Look voxels of `wanted` up in `image` by their place in the world."""
    ours, theirs = voxels_of(image), voxels_of(wanted)
    if sorted(ours.shape[:3]) != sorted(theirs.shape[:3]) or ours.shape[3] != theirs.shape[3]:
        return Agreement(said=f"{size_of(wanted)} for {size_of(image)}")
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in theirs.shape[:3]], indexing="ij"), -1).reshape(-1, 3)
    index = np.concatenate([ends, np.random.default_rng(0).integers(0, theirs.shape[:3], (SAMPLES, 3))])
    exact = nib.affines.apply_affine(np.linalg.inv(image.affine) @ wanted.affine, index)
    nearest = np.rint(exact).astype(int).clip(0, np.array(ours.shape[:3]) - 1)
    mm = float(np.linalg.norm((exact - nearest) @ image.affine[:3, :3].T, axis=1).max())
    apart = np.abs(ours[tuple(nearest.T)] - theirs[tuple(index.T)]).max()
    return Agreement(mm, float(apart / max(np.ptp(theirs), 1e-9)))


def closest(image: nib.Nifti1Image, candidates: tuple[nib.Nifti1Image, ...]) -> Agreement:
    """The best agreement with any of the images that a peer wrote."""
    found = [compare(image, candidate) for candidate in candidates]
    return min(found, key=lambda a: (a.mm, a.value), default=Agreement(said="no image"))


def size_of(image: nib.Nifti1Image) -> str:
    """Voxels along x, y, z, and volumes where there are several."""
    shape = voxels_of(image).shape
    return "x".join(map(str, shape[:3])) + (f", {shape[3]} volumes or channels" if shape[3] > 1 else "")


def measure(case: Case, tools: dict[str, list[str]], options: argparse.Namespace) -> Row:
    """Run all tools on one series."""
    with tempfile.TemporaryDirectory() as scratch:
        done = {tool: convert(tool, command, case, Path(scratch), options.timeout) for tool, command in tools.items()}
    ours = done["medreg"]
    image = ours.images[0] if ours.images else None
    row = Row(case.name, [size_of(image) if image else "-"], ok=image is not None)
    for tool, made in done.items():
        if not made.images:
            row.notes.append(f"{tool} {made.said}")
        elif len(made.images) > 1:
            row.notes.append(f"{tool} wrote {len(made.images)} images")
    for peer in ("dcm2niix", "dicom2nifti"):
        if peer not in done and not (peer == "dcm2niix" and case.reference):
            row.cells += ["", ""]
            continue
        images = done[peer].images if peer in done else ()
        if not images and peer == "dcm2niix" and case.reference:
            images = (nib.load(case.reference),)
            row.notes.append("compared with the case's reference")
        found = closest(image, images) if image else Agreement(said="no image")
        row.cells += [f"{found.mm:.1e}", f"{found.value:.1e}"] if not found.said else ["-", "-"]
        if found.said and image and images:
            row.notes.append(f"{peer}: {found.said}")
        if peer == "dcm2niix" and images:
            row.ok &= found.mm <= options.max_mm and found.value <= options.max_value
    row.cells += [f"{done[tool].seconds:.2f}" if tool in done else "" for tool in ("medreg", "dcm2niix", "dicom2nifti")]
    return row


def cases_of(options: argparse.Namespace) -> list[Case]:
    """The cases of the file and the folders of the command line."""
    found = [Case(str(folder), folder) for folder in options.folders]
    if options.cases:
        home = options.cases.parent
        for name, entry in json.loads(options.cases.read_text()).items():
            reference = home / entry["ref"] if "ref" in entry else None
            found.append(Case(name, home / entry["in"], reference, entry.get("series")))
    only = options.only.split(",") if options.only else []
    return [case for case in found if not only or case.name in only]


def main() -> int:
    """Print the table; 1 where medreg fails or differs from dcm2niix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="SERIES_FOLDER")
    parser.add_argument("--cases", type=Path, metavar="JSON")
    parser.add_argument("--only", default="", metavar="a,b", help="some of the cases")
    parser.add_argument("--medreg", default="medreg convert", help="default: medreg convert")
    parser.add_argument("--dcm2niix", metavar="PROGRAM", help="default: found on the PATH or in the package")
    parser.add_argument("--dicom2nifti", metavar="PROGRAM", help="default: found on the PATH")
    parser.add_argument("--timeout", type=float, default=300, metavar="S")
    parser.add_argument("--max-mm", type=float, default=1e-3, help="largest distance that holds; default: 1e-3")
    parser.add_argument(
        "--max-value", type=float, default=1e-4, help="largest difference over the range; default: 1e-4"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table there, too")
    options = parser.parse_args()
    cases = cases_of(options)
    if not cases:
        parser.error("name series' folders, or --cases")
    tools = commands(options)
    missing = [tool for tool in ("dcm2niix", "dicom2nifti") if tool not in tools]
    lines = [f"{os.cpu_count()} cores; not installed: {', '.join(missing) or 'none'}.", ""]
    lines.append(
        "| series | size | dcm2niix mm | dcm2niix value | dicom2nifti mm | dicom2nifti value "
        "| medreg s | dcm2niix s | dicom2nifti s | | note |"
    )
    lines.append("|---|---|" + "---:|" * 7 + "---|---|")
    print("\n".join(lines))
    rows = []
    for case in cases:
        rows.append(row := measure(case, tools, options))
        mark = "holds" if row.ok else "FALLS SHORT"
        lines.append(f"| {row.case} | {' | '.join(row.cells)} | {mark} | {'; '.join(row.notes)} |")
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
