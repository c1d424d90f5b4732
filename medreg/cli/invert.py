"""`medreg invert`: a transform the other way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import FromForm, Json, Overwrite, Quiet, ToForm, TransformOut, Verbose


@reported
def invert(
    transform: Annotated[
        Path, typer.Argument(metavar="TRANSFORM", help="A transform of any tool.", show_default=False)
    ],
    *,
    out: TransformOut,
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
    from medreg.cli.tasks.chain import chain_of
    from medreg.cli.tasks.composing import Composing, compose_to_file
    from medreg.cli.tasks.screen import check_shown, show

    check_shown(quiet=quiet, json=json)
    task = Composing(chain_of([str(transform)], form, inverse=True), out, to, fixed=moving, moving=fixed)
    record, lines = compose_to_file(task, overwrite=overwrite)
    show(record, lines, quiet=quiet, json=json)
