"""`medreg compose`: several transforms as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import FromForm, Json, Overwrite, Quiet, ToForm, TransformOut, Verbose


@reported
def compose(
    transforms: Annotated[
        list[str],
        typer.Argument(
            metavar="[inverse:]FILE...",
            help="Transforms of any tool, in the order in which the moving image passes them.",
            show_default=False,
        ),
    ],
    *,
    out: TransformOut,
    form: FromForm = None,
    to: ToForm = None,
    fixed: Annotated[
        Path | None, typer.Option("--fixed", help="The fixed image of the last, where a format asks for it.")
    ] = None,
    moving: Annotated[
        Path | None, typer.Option("--moving", help="The moving image of the first, where a format asks for it.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compose transforms into one: the first moves the image first. `inverse:FILE` takes one the other way.

    A to B by the first and B to C by the second become A to C. antsApplyTransforms lists them the other way round.
    """
    from medreg.cli.tasks.chain import chain_of
    from medreg.cli.tasks.composing import Composing, compose_to_file
    from medreg.cli.tasks.screen import check_shown, show

    check_shown(quiet=quiet, json=json)
    record, lines = compose_to_file(Composing(chain_of(transforms, form), out, to, fixed, moving), overwrite=overwrite)
    show(record, lines, quiet=quiet, json=json)
