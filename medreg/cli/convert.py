"""`medreg convert`: a DICOM series, or any image, as a file of another format, and facts of its acquisition beside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Overwrite, Quiet, Series, Uneven, Verbose


@reported
def convert(
    image: Annotated[
        Path, typer.Argument(help="A DICOM file, folder, DICOMDIR or zip, or an image file.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Argument(help="The file to write: .nii.gz, or another format that medreg writes.", show_default=False),
    ],
    *,
    series: Series = None,
    uneven: Uneven = "refuse",
    keep_identifiers: Annotated[
        bool, typer.Option("--keep-identifiers", help="Keep names, dates and UIDs in the sidecar.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Convert one image, all volumes of a 4D series, without resampling it.

    Beside it, of DICOM, lies a JSON sidecar of acquisition facts by their BIDS names, free of what identifies a person.
    """
    from medreg.cli.tasks.converting import convert_file
    from medreg.io.dicom.choice import dicom_choice

    told = convert_file(image, out, dicom_choice(series, uneven), overwrite=overwrite, identifiers=keep_identifiers)
    if not quiet:
        typer.echo(told)
