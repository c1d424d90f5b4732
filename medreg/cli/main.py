"""The `medreg` command: its verbs, and how the process starts and ends."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from medreg.cli.apply import apply
from medreg.cli.compose import compose
from medreg.cli.convert import convert
from medreg.cli.convert_transform import convert_transform
from medreg.cli.crop import crop
from medreg.cli.evaluate import evaluate
from medreg.cli.failing import TERMINATED
from medreg.cli.info import info
from medreg.cli.invert import invert
from medreg.cli.pad import pad
from medreg.cli.register import register
from medreg.cli.reorient import reorient
from medreg.cli.resample import resample
from medreg.cli.rotate import rotate
from medreg.cli.stitch import stitch
from medreg.cli.train_inverse import train_inverse

app = typer.Typer(
    name="medreg",
    help="Bring two medical images of the same anatomy into one space.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut long names short, and take [brackets] for markup
)
for verb in (
    register,
    apply,
    compose,
    invert,
    convert,
    convert_transform,
    rotate,
    resample,
    reorient,
    crop,
    pad,
    stitch,
    train_inverse,
    evaluate,
    info,
):
    app.command()(verb)


def _show_version(asked: bool) -> None:  # the shape of typer's callbacks
    if asked:
        from medreg.version import __version__

        typer.echo(f"medreg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line and end the process with its exit code; `docs/exit-codes.md` tables them."""
    signal.signal(signal.SIGTERM, _terminated)
    code: int | str | None = 0
    try:
        app()
    except SystemExit as end:
        code = end.code
    _leave(code if isinstance(code, int) else int(code is not None))


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)  # unwinds, so that nothing half-written stays


def _leave(code: int) -> NoReturn:
    """End at once. Python would first take apart all of torch, 0.1 to 0.3 s in which the user waits for the prompt."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # a closed pipe: `medreg info x.nii | head -1`
        code = code or 1
    os._exit(code)
