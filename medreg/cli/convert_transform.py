"""`medreg convert-transform`: a transform of one tool as another tool's file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medreg.cli.failing import reported
from medreg.cli.options import Json, Overwrite, Quiet, Verbose

FORMS = (
    "itk (.tfm .txt), itk-mat (ANTs' 0GenericAffine.mat), itk-h5, fsl (FLIRT .mat), lta, lta-vox2vox, register-dat, "
    "afni (.1D), ras (NiftyReg, greedy, ITK-SNAP), lps, niimath, elastix, elastix-toml, spm, x5, dicom, medreg (.json)"
)
"""What can be written, by the names of the options; in full, since a person reads it in the help."""


@reported
def convert_transform(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The transform to read.", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.", show_default=False)],
    *,
    fixed: Annotated[
        Path | None,
        typer.Option("--fixed", metavar="IMAGE", help="IN's fixed (reference, base) image; its header is read alone."),
    ] = None,
    moving: Annotated[
        Path | None, typer.Option("--moving", metavar="IMAGE", help="IN's moving (floating, source) image.")
    ] = None,
    from_form: Annotated[
        str | None,
        typer.Option("--from", metavar="FORM", help=f"What IN is, where its content does not tell: {FORMS}."),
    ] = None,
    to_form: Annotated[
        str | None,
        typer.Option("--to", metavar="FORM", help="What OUT is to be, of the same list; if not given, by its name."),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="Write the inverse: from the moving to the fixed image's points.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read OUT back, map 1,000 points through both, and tell the largest distance."),
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Convert a transform between tools: ITK, ANTs, FSL, FreeSurfer, AFNI, elastix, SPM, NiftyReg, DICOM and others.

    What IN is, is told from its content. FSL, register.dat, LTA and elastix go by the voxels of the images: name them.
    """
    from medreg.cli.tasks.converting_transforms import Converting, convert_to_file
    from medreg.cli.tasks.screen import check_shown, show
    from medreg.io.transforms.form import form_named

    check_shown(quiet=quiet, json=json)
    task = Converting(
        source=source,
        out=out,
        fixed=fixed,
        moving=moving,
        from_form=form_named(from_form, "--from"),
        to_form=form_named(to_form, "--to"),
        inverse=inverse,
        verify=verify,
    )
    record, lines = convert_to_file(task, overwrite=overwrite)
    show(record, lines, quiet=quiet, json=json)
