"""`medreg stitch`: one mosaic of several pictures that overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Device, Images, Json, Overwrite, Quiet, Threads, Verbose


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
    from medreg.cli.tasks.screen import check_shown, show
    from medreg.cli.tasks.stitching import Joining, lines_of, stitch_to_file

    check_shown(quiet=quiet, json=json, verbose=verbose)
    task = Joining(
        files=files,
        out=out,
        transform=transform,
        local=local,
        reference=reference,
        seed=seed,
        device=device or "auto",
        threads=threads,
    )
    record = stitch_to_file(task, overwrite=overwrite)
    show(record, lines_of(record), quiet=quiet, json=json)
