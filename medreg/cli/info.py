"""`medreg info`: where an image lies and what it holds; with two, how much of them overlaps."""

from __future__ import annotations

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Images, Json, Verbose


@reported
def info(files: Images, *, json: Json = False, verbose: Verbose = False) -> None:
    """Show geometry, orientation, type and range of images; of two, their overlap in mm.

    World coordinates are LPS: +x to the patient's left, +y to the back, +z to the head.
    """
    from medreg.cli.warned import collected
    from medreg.io.image import read_stored
    from medreg.report.description import describe, overlap
    from medreg.report.tables import description_lines, overlap_lines

    with collected() as warned:
        images = [read_stored(path) for path in files]
    described = [describe(image) for image in images]
    alike = len(images) == 2 and images[0].grid.dimension == images[1].grid.dimension
    between = overlap(images[0].grid, images[1].grid) if alike else None
    if json:
        from medreg.report.record import to_json

        typer.echo(to_json({"images": described, "overlap": between, "warnings": warned}), nl=False)
        return
    lines = [line for image in described for line in description_lines(image)]
    typer.echo("\n".join([*lines, *overlap_lines(between), *(f"warning: {text}" for text in warned)]))
