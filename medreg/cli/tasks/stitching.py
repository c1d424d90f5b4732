"""One mosaic as a process: read while torch is imported, stitch, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.cli.tasks.clock import Clock
from medreg.cli.tasks.files import write_onto
from medreg.cli.tasks.outputs import check_image
from medreg.cli.tasks.starting import importing_torch
from medreg.cli.tasks.warned import collected
from medreg.errors import UsageError
from medreg.geometry.affine import invert, map_points
from medreg.geometry.grid import Grid
from medreg.io.ahead import Ahead, Wanted, clerk, read_files
from medreg.io.failing import missing_file
from medreg.io.registrable import check_registrable
from medreg.io.stored import StoredImage
from medreg.report.versions import versions

if TYPE_CHECKING:
    from medreg.vision.stitching import Mosaic


@dataclass(frozen=True, kw_only=True)
class Joining:
    """Which pictures to join, how, and where to; see the options of `medreg stitch`."""

    files: Sequence[Path]
    out: Path
    transform: str
    local: bool
    reference: int | None
    seed: int
    device: str
    threads: int | None


def stitch_to_file(task: Joining, *, overwrite: bool) -> dict[str, Any]:
    """Do it; returns the record.

    Raises:
        MedregError: whatever is wrong with the pictures, the device or the disk; then nothing is written.
    """
    _check(task, overwrite=overwrite)
    clock = Clock()
    with clerk() as beside, collected() as warned:
        reading = beside.submit(read_files, [Wanted(path) for path in task.files])
        with importing_torch():
            from medreg.cli.tasks import engine
            from medreg.transform.kind import Kind
            from medreg.vision import stitching
            from medreg.vision.bending import Bending
        used, count = engine.compute_on(task.device, task.threads)
        clock.lap("import")
        read: list[Ahead] = reading.result()
        images = [engine.image_on(used, check_registrable(ahead.image)) for ahead in read]
        unit = _common_unit(read)
        clock.lap("read")
        bending = Bending() if task.local else None
        asked = stitching.Stitching(Kind(task.transform), bending=bending, reference=task.reference, seed=task.seed)
        mosaic = stitching.stitch(images, asked)
        clock.lap("stitch")
        stored = StoredImage.of(mosaic.image)
        like = read[mosaic.reference].image.metadata
        if like.get("world") == "picture":  # a file of pixels begins at 0
            stored = replace(stored, grid=Grid.regular(stored.grid.size, stored.grid.spacing))
        written = beside.submit(write_onto, stored, task.out, stored.grid, like).result()
        clock.lap("write")
    return {
        "mosaic": {
            "file": str(task.out),
            "size": list(stored.grid.size),
            "unit": unit,
            "covered": float(mosaic.covered.float().mean()),
            "reference": mosaic.reference,
            "dtype": written.dtype,
            "note": written.sentence,
        },
        "images": _images(task.files, read, mosaic),
        "pairs": [
            {
                "first": o.match.first,
                "second": o.match.second,
                "overlap": o.match.overlap,
                "correlation": o.match.correlation,
                "psnr_db": o.psnr_db,
                "psnr_without_bends_db": o.psnr_unbent_db,
            }
            for o in mosaic.overlaps
        ],
        "convention": "mosaic_to_image maps pixels (x, y) of the mosaic's file, from 0, to pixels of the image, "
        "homogeneous: divide by the third; where an image is bent it is only near",
        **{name: getattr(task, name) for name in ("transform", "local", "reference", "seed")},
        "device": used,
        "threads": count,
        "seconds": {**clock.seconds, "total": clock.total},
        "versions": versions(),
        "warnings": list(warned),
    }


def _check(task: Joining, *, overwrite: bool) -> None:
    """Refuse, before any work, what cannot be stitched or written."""
    count = len(task.files)
    if count < 2:
        raise UsageError(f"stitching needs two pictures or more, got {count}")
    if task.reference is not None and task.reference >= count:
        raise UsageError(f"--reference {task.reference}: the {count} pictures are numbered 0 to {count - 1}")
    check_image(task.out, overwrite=overwrite)
    for path in task.files:
        if not path.exists():
            raise missing_file(path)


def _common_unit(read: Sequence[Ahead]) -> str:
    """The unit of all pictures.

    Raises:
        UsageError: some are in millimetres and some in pixels.
    """
    units = [str(ahead.image.metadata.get("unit", "mm")) for ahead in read]
    for ahead, unit in zip(read, units, strict=True):
        if unit != units[0]:
            raise UsageError(
                f"{ahead.image.name} is in {unit}, {read[0].image.name} in {units[0]}: store all pictures with the "
                "size of their pixels, or none"
            )
    return units[0]


def _images(files: Sequence[Path], read: Sequence[Ahead], mosaic: Mosaic) -> list[dict[str, Any]]:
    """Of each picture its file, and its place: how its centre lies to the reference's, in pixels of the mosaic."""
    placed = []
    for number, (path, ahead) in enumerate(zip(files, read, strict=True)):
        grid = ahead.image.grid
        across = grid.inverse_affine @ mosaic.matrices[number] @ mosaic.image.grid.affine
        back = invert(across)
        middle = (np.array(grid.size) - 1) / 2
        near = map_points(back, middle + np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [-0.5, 0.0], [0.0, -0.5]]))
        turn = np.stack([near[1] - near[3], near[2] - near[4]], 1)
        placed.append(
            {
                "file": str(path),
                "sha256": ahead.sha256,
                "size": list(grid.size),
                "mosaic_to_image": (across / across[2, 2]).tolist(),
                "centre": near[0].tolist(),
                "turned_deg": float(np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))),
                "scaled": float(np.sqrt(abs(np.linalg.det(turn)))),
                "gain": mosaic.gains[number].tolist(),
                "offset": mosaic.offsets[number].tolist(),
                "bent": mosaic.bends[number] is not None,
            }
        )
    home = np.array(placed[mosaic.reference]["centre"])
    return [{**each, "moved": (np.array(each["centre"]) - home).tolist()} for each in placed]


def lines_of(record: dict[str, Any]) -> list[str]:
    """What a person reads."""
    lines = []
    for number, image in enumerate(record["images"]):
        x, y = image["moved"]
        place = f"moved ({x:+.1f}, {y:+.1f}) px, turned {image['turned_deg']:+.1f}°, scaled {image['scaled']:.3f}"
        if number == record["mosaic"]["reference"]:
            place = "stays"
        gains = ", ".join(f"{gain:.2f}" for gain in image["gain"])
        light = "" if set(image["gain"]) == {1.0} else f", brightness times {gains}"
        lines.append(f"{number} {image['file']}: {place}{light}")
    for pair in record["pairs"]:
        before = pair["psnr_without_bends_db"]
        bent = "" if before is None else f" (before bending {before:.1f} dB)"
        share = f"{pair['overlap']:.0%} overlap, {pair['psnr_db']:.1f} dB{bent}"
        lines.append(f"{pair['first']} and {pair['second']}: {share}")
    lines += [f"warning: {text}" for text in record["warnings"]]
    mosaic = record["mosaic"]
    width, height = mosaic["size"]
    lines.append(f"wrote {mosaic['file']} ({width} x {height} px, {mosaic['covered']:.0%} covered, {mosaic['note']})")
    return lines
