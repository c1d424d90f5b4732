"""The options that verbs share, each with its help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; all cores of this process if not given.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"] | None,
    typer.Option("--device", help="Where to compute; auto takes a CUDA GPU if there is one, else the CPU."),
]
Interpolation = Annotated[
    Literal["nearest", "linear", "cubic", "sinc", "label"] | None,
    typer.Option("--interpolation", help="Between voxels (default: label for label maps, linear for the rest)."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there already.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print every step; tracebacks of internal errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the record as JSON, and nothing else.")]
Images = Annotated[list[Path], typer.Argument(metavar="FILE...", help="One image or more.", show_default=False)]
SpacingText = Annotated[
    str | None,
    typer.Option(
        "--spacing",
        metavar="MM|X,Y[,Z]",
        help="Size of a pixel in mm, of both images, where their files do not say it.",
    ),
]
Outside = Annotated[
    str | None,
    typer.Option("--outside", metavar="VALUE|edge", help="For voxels that the image does not reach (default: 0)."),
]
Series = Annotated[
    str | None,
    typer.Option(
        "--series",
        metavar="N|UID|TEXT",
        help="Which image of a DICOM folder: number, UID or a piece of its description.",
    ),
]
_UNEVEN = typer.Option(
    "--uneven", help="DICOM slices whose distances differ: refuse them (the default), or resample onto an even grid."
)
Uneven = Annotated[Literal["refuse", "resample"], _UNEVEN]
UnevenOrNone = Annotated[Literal["refuse", "resample"] | None, _UNEVEN]
Image = Annotated[
    Path,
    typer.Argument(help="The image: a file, or a place of DICOM files; all volumes of a 4D one.", show_default=False),
]
ImageSpacing = Annotated[
    str | None,
    typer.Option(
        "--image-spacing", metavar="MM|X,Y[,Z]", help="Size of a pixel in mm, where the image's file does not say it."
    ),
]
Surroundings = Annotated[
    str,
    typer.Option(
        "--outside",
        metavar="VALUE|edge|background",
        help="For voxels that the image does not reach (background: its border's median).",
    ),
]
FromForm = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FORM", help="The format of a transform whose file does not tell it: ras, fsl, lps."
    ),
]
ToForm = Annotated[
    str | None, typer.Option("--to", metavar="FORM", help="The format to write, as in medreg convert-transform.")
]
TransformOut = Annotated[
    Path, typer.Option("--out", "-o", help="The file to write; its name says the format, or --to.")
]
