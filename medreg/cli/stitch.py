"""`medreg stitch`: one mosaic of several pictures that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Device, Images, Json, Overwrite, Quiet, Threads, Verbose

if TYPE_CHECKING:
    from medreg.io.ahead import Ahead
    from medreg.vision.stitching import Mosaic


@reported
def stitch(
    files: Images,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", show_default=False)],
    transform: Annotated[
        Literal["translation", "rigid", "similarity", "affine", "homography"],
        typer.Option("--transform", "-t", help="How the pictures may differ."),
    ] = "homography",
    local: Annotated[
        bool, typer.Option("--local", help="Then bend each picture where overlaps still differ: parallax, lenses.")
    ] = False,
    reference: Annotated[
        int | None,
        typer.Option(
            "--reference", min=0, help="Number, from 0, of the picture that stays. [default: the central one]"
        ),
    ] = None,
    device: Device = None,
    threads: Threads = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random samples.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Join 2D pictures that overlap, in any order, into one; which of them overlap is found out."""
    from medreg.cli.files import check_output
    from medreg.cli.screen import screen_for
    from medreg.errors import UsageError
    from medreg.io.failing import missing_file

    screen_for(quiet=quiet, verbose=verbose, json=json)  # refuses flags that exclude each other
    if len(files) < 2:
        raise UsageError(f"stitching needs two pictures or more, got {len(files)}")
    if reference is not None and reference >= len(files):
        raise UsageError(f"--reference {reference}: the {len(files)} pictures are numbered 0 to {len(files) - 1}")
    check_output(out, overwrite=overwrite)
    for path in files:
        if not path.exists():
            raise missing_file(path)
    choices = {"transform": transform, "local": local, "reference": reference, "seed": seed}
    record = _stitched(files, out, choices, device or "auto", threads)
    if json:
        from medreg.report.record import to_json

        typer.echo(to_json(record), nl=False)
    elif not quiet:
        typer.echo("\n".join(_lines(record)))


def _stitched(
    files: Sequence[Path], out: Path, choices: dict[str, Any], device: str, threads: int | None
) -> dict[str, Any]:
    """Read while torch is imported, stitch, write; returns the record."""
    from medreg.cli.clock import Clock
    from medreg.cli.files import write_onto
    from medreg.cli.starting import importing_torch
    from medreg.cli.warned import collected
    from medreg.geometry.grid import Grid
    from medreg.io.ahead import Wanted, clerk, read_files
    from medreg.io.registrable import check_registrable
    from medreg.report.versions import versions

    clock = Clock()
    with clerk() as beside, collected() as warned:
        reading = beside.submit(read_files, [Wanted(path) for path in files])
        with importing_torch():
            from medreg.cli import engine
            from medreg.io.stored import StoredImage
            from medreg.transform.kind import Kind
            from medreg.vision import stitching
            from medreg.vision.bending import Bending
        used, count = engine.compute_on(device, threads)
        clock.lap("import")
        read: list[Ahead] = reading.result()
        images = [engine.image_on(used, check_registrable(ahead.image)) for ahead in read]
        unit = _common_unit(read)
        clock.lap("read")
        asked = stitching.Stitching(
            transform=Kind(choices["transform"]),
            bending=Bending() if choices["local"] else None,
            reference=choices["reference"],
            seed=choices["seed"],
        )
        mosaic = stitching.stitch(images, asked)
        clock.lap("stitch")
        stored = StoredImage.of(mosaic.image)
        grid, like = stored.grid, read[mosaic.reference].image.metadata
        if like.get("world") == "picture":  # a file of pixels begins at 0
            grid = Grid.regular(grid.size, grid.spacing)
        stored = StoredImage(stored.array, grid, stored.leading, stored.metadata)
        written = beside.submit(write_onto, stored, out, grid, like).result()
        clock.lap("write")
    return {
        "mosaic": {
            "file": str(out),
            "size": list(grid.size),
            "unit": unit,
            "covered": float(mosaic.covered.float().mean()),
            "reference": mosaic.reference,
            "dtype": written.dtype,
            "note": written.sentence,
        },
        "images": _images(files, read, mosaic),
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
        **choices,
        "device": used,
        "threads": count,
        "seconds": {**clock.seconds, "total": clock.total},
        "versions": versions(),
        "warnings": list(warned),
    }


def _common_unit(read: Sequence[Ahead]) -> str:
    """The unit of all pictures.

    Raises:
        UsageError: some are in millimetres and some in pixels.
    """
    from medreg.errors import UsageError

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
    import numpy as np

    from medreg.geometry.affine import invert, map_points

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


def _lines(record: dict[str, Any]) -> list[str]:
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
