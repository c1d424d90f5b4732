"""`medreg reorient`: the same image stored with its axes in another order and direction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Image, Overwrite, Quiet, Series, Uneven, Verbose
from medreg.errors import UsageError
from medreg.geometry.orientation import AXIS_LETTERS

if TYPE_CHECKING:
    from medreg.image import MedImage
    from medreg.ops import Between


@reported
def reorient(
    image: Image,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="CODE", help="Where x, y and z are to lead: RAS, LPS, ... 48 in all.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: IMAGE_CODE.nii.gz).")
    ] = None,
    series: Series = None,
    uneven: Uneven = "refuse",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Store IMAGE with other axes: voxels are exchanged, never interpolated, and stay where they are in the world."""
    from medreg.cli.tasks.operating import Operating, operate
    from medreg.io.content import stem_of
    from medreg.io.dicom.choice import dicom_choice

    code = _checked(to)

    def change(medical: MedImage, _: Between) -> MedImage:
        from medreg import ops

        if len(code) != medical.dimension:
            raise UsageError(
                f"--to {to}: {medical.name} has {medical.dimension} axes; it takes one letter for each, such as "
                f"{'LPS'[: medical.dimension]}"
            )
        return ops.reorient(medical, code)

    target = out or Path(f"{stem_of(image)}_{code}.nii.gz")
    told = operate(Operating(image, dicom_choice(series, uneven), device="cpu"), {target: change}, overwrite=overwrite)
    if not quiet:
        typer.echo(told)


def _checked(text: str) -> str:
    """The code of an orientation, in capitals.

    Raises:
        UsageError: not one letter of each pair, for two axes or three.

    Example:
        >>> _checked("ras")
        'RAS'
    """
    code = text.strip().upper()
    pairs = [next((k for k, pair in enumerate(AXIS_LETTERS) if letter in pair), -1) for letter in code]
    if sorted(pairs) not in ([0, 1], [0, 1, 2]):
        raise UsageError(
            f"--to takes one letter each of R or L, A or P, I or S (a picture: the first two), in any order, such as "
            f"RAS, got {text!r}"
        )
    return code
