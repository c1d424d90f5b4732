"""Transforms made from transforms: read, compose, write, and tell what the result does. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medreg.cli.tasks.chain import Link, check_dimensions, composed
from medreg.cli.tasks.outputs import check_free
from medreg.cli.tasks.telling import Place, lines_of, told_of
from medreg.cli.tasks.warned import collected
from medreg.io.transforms import form_of_name, write_transform, written_files
from medreg.io.transforms.form import form_named


@dataclass(frozen=True)
class Composing:
    """What to compose, and where to.

    Attributes:
        chain: in the order in which the moving image passes them.
        out: the file to write.
        to: the name of its format; None for what its name says.
        fixed: the image to which the result brings the moving one, where known.
        moving: that one.
    """

    chain: Sequence[Link]
    out: Path
    to: str | None = None
    fixed: Path | None = None
    moving: Path | None = None


def compose_to_file(task: Composing, *, overwrite: bool) -> tuple[dict[str, Any], list[str]]:
    """Do it; returns the record, and the lines to tell.

    Raises:
        MedregError: whatever is wrong with the transforms, the images, the format or the disk; nothing is written then.
    """
    form = form_named(task.to, "--to") or form_of_name(task.out)
    for path in written_files(task.out, form):
        check_free(path, overwrite=overwrite)
    with collected() as warned:
        fixed, moving = Place.of(task.fixed), Place.of(task.moving)
        matrix = composed(task.chain, Place.end(moving), Place.end(fixed))
        assert matrix is not None  # the command line asks for one file at least
        named = {str(place.path): place.grid.dimension for place in (fixed, moving) if place is not None}
        check_dimensions({" and ".join(link.name for link in task.chain): len(matrix) - 1, **named})
        told = told_of(matrix, fixed, moving)
        centre = None if fixed is None else fixed.grid.centre
        write_transform(matrix, task.out, fixed=Place.end(fixed), moving=Place.end(moving), form=form, centre=centre)
    record = {
        "passed": [link.name for link in task.chain],
        "fixed": None if task.fixed is None else str(task.fixed),
        "moving": None if task.moving is None else str(task.moving),
        "transform": told,
        "output": {"file": str(task.out), "form": form.value},
        "warnings": warned,
    }
    wrote = f"wrote {task.out} ({form.title})"
    return record, [*lines_of(told, fixed), *(f"warning: {text}" for text in warned), wrote]
