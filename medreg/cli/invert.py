"""`medreg invert`: a transform the other way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Json, Overwrite, Quiet, Verbose
from medreg.cli.transform_options import FromForm, ToForm


@reported
def invert(
    transform: Annotated[
        Path, typer.Argument(metavar="TRANSFORM", help="A transform of any tool.", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; its name says the format, or --to.")],
    form: FromForm = None,
    to: ToForm = None,
    fixed: Annotated[
        Path | None, typer.Option("--fixed", help="The fixed image of TRANSFORM, the moving one of the result.")
    ] = None,
    moving: Annotated[
        Path | None, typer.Option("--moving", help="The moving image of TRANSFORM, the fixed one of the result.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn a transform round: the result brings the fixed image onto the moving one, and the roles exchange."""
    from medreg.cli.chain import chain_of
    from medreg.cli.composing import Composing, check_shown, compose_to_file, show

    check_shown(quiet=quiet, json=json)
    task = Composing(chain_of([str(transform)], form, inverse=True), out, to, fixed=moving, moving=fixed)
    record, lines = compose_to_file(task, overwrite=overwrite)
    show(record, lines, quiet=quiet, json=json)
