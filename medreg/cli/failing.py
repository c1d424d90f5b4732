"""From exceptions to one clear line and an exit code."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, TypeVar, cast

import typer

from medreg.errors import MedregError

INTERRUPTED = 130
TERMINATED = 143
INTERNAL = 1

Verb = TypeVar("Verb", bound=Callable[..., None])


def reported(verb: Verb) -> Verb:
    """A verb whose failures are told on stderr and end the process with their class's exit code."""

    @functools.wraps(verb)
    def run(**arguments: Any) -> None:
        try:
            verb(**arguments)
        except MedregError as error:
            _say(f"medreg: {error}", typer.colors.RED)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _say("medreg: interrupted; nothing was written", typer.colors.YELLOW)
            raise typer.Exit(INTERRUPTED) from None
        except MemoryError:
            _say("medreg: out of memory; close other programs, or use a smaller image", typer.colors.RED)
            raise typer.Exit(INTERNAL) from None
        except (typer.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if "allocate memory" in str(error):  # torch's; NumPy's is a MemoryError
                _say("medreg: out of memory; ask for fewer or larger voxels, or close other programs", typer.colors.RED)
                raise typer.Exit(INTERNAL) from None
            if arguments.get("verbose"):
                typer.echo(traceback.format_exc(), err=True)
            what = (str(error) or "no message").strip().splitlines()[-1]
            hint = "" if arguments.get("verbose") else "; run again with -v for the traceback"
            _say(f"medreg: internal error, please report it: {type(error).__name__}: {what}{hint}", typer.colors.RED)
            raise typer.Exit(INTERNAL) from None

    return cast(Verb, run)


def _say(text: str, colour: str) -> None:
    typer.secho(text, fg=colour, err=True)  # typer leaves the colour out where stderr is no terminal
