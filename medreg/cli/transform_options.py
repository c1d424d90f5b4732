"""The options that verbs of transforms share, each with its help text."""

from __future__ import annotations

from typing import Annotated

import typer

FromForm = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FORM", help="The format of a transform whose file does not tell it: ras, fsl, lps."
    ),
]
ToForm = Annotated[
    str | None, typer.Option("--to", metavar="FORM", help="The format to write, as in medreg convert-transform.")
]
