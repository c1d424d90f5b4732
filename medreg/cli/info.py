"""`medreg info`: where an image lies and what it holds; with two, how much of them overlaps."""

from __future__ import annotations

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Images, Json, SpacingText, Verbose


@reported
def info(files: Images, *, spacing: SpacingText = None, json: Json = False, verbose: Verbose = False) -> None:
    """Show geometry, orientation, type and range of images; of two, their overlap.

    World coordinates are LPS millimetres: +x to the patient's left, +y to the back, +z to the head; of pictures that do
    not say how large a pixel is, pixels.
    """
    from medreg.cli.warned import collected
    from medreg.io.image import read_stored
    from medreg.io.spacing import spacing_choice, with_spacing
    from medreg.report.description import describe, overlap
    from medreg.report.tables import description_lines, overlap_lines

    with collected() as warned:
        asked = spacing_choice(spacing)
        images = [with_spacing(read_stored(path), asked) for path in files]
    described = [describe(image) for image in images]
    alike = len(images) == 2 and images[0].grid.dimension == images[1].grid.dimension
    alike = alike and described[0]["unit"] == described[1]["unit"]
    between = {**overlap(images[0].grid, images[1].grid), "unit": described[0]["unit"]} if alike else None
    if json:
        from medreg.report.record import to_json

        typer.echo(to_json({"images": described, "overlap": between, "warnings": warned}), nl=False)
        return
    lines = [line for image in described for line in description_lines(image)]
    typer.echo("\n".join([*lines, *overlap_lines(between), *(f"warning: {text}" for text in warned)]))
