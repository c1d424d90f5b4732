"""`medreg register`: find the transform between two images, and write the moved image, the transform and a record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medreg.cli.failing import reported
from medreg.cli.options import (
    Device,
    Json,
    Outside,
    Overwrite,
    Quiet,
    SpacingText,
    Threads,
    UnevenOrNone,
    Verbose,
)


@reported
def register(
    fixed: Annotated[Path | None, typer.Argument(help="The image that stays.", show_default=False)] = None,
    moving: Annotated[Path | None, typer.Argument(help="The image to bring onto it.", show_default=False)] = None,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the outputs (default: MOVING_to_FIXED).")
    ] = None,
    transform: Annotated[
        Literal["auto", "translation", "rigid", "similarity", "affine", "homography"] | None,
        typer.Option(
            "--transform",
            "-t",
            metavar="KIND",
            help="How the moving image may move: translation, rigid, similarity, affine (the default), homography; or "
            "auto, the simplest of rigid, similarity, affine (and in 2D homography) that explains the images.",
        ),
    ] = None,
    metric: Annotated[
        Literal[
            "auto",
            "mean_squares",
            "correlation",
            "robust_correlation",
            "local_correlation",
            "correlation_ratio",
            "mutual_information",
            "normalised_mutual_information",
            "gradient_fields",
            "self_similarity",
            "label_overlap",
        ]
        | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            help="What is compared: auto (the default: correlation for one contrast, mutual_information for two), "
            "mean_squares, correlation, robust_correlation, local_correlation, correlation_ratio, mutual_information, "
            "normalised_mutual_information, gradient_fields, self_similarity, label_overlap.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A YAML recipe, or a run.json to repeat.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="NAME|FILE",
            help="Where to start: auto (the default: a search of all poses where no cheap start wins clearly), header, "
            "centre (of mass), moments (principal axes), search, or the file of a transform.",
        ),
    ] = None,
    symmetric: Annotated[
        bool | None, typer.Option("--symmetric/--no-symmetric", help="Make A to B and B to A exact inverses.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the random samples (default: 0).")] = None,
    fixed_mask: Annotated[
        Path | None,
        typer.Option(
            "--fixed-mask", metavar="FILE|auto", help="Where the fixed image counts: nonzero; auto: its foreground."
        ),
    ] = None,
    moving_mask: Annotated[
        Path | None,
        typer.Option("--moving-mask", metavar="FILE|auto", help="Where the moving image counts; as --fixed-mask."),
    ] = None,
    fixed_exclude: Annotated[
        Path | None, typer.Option("--fixed-exclude", help="Where the fixed image does not count: nonzero.")
    ] = None,
    moving_exclude: Annotated[
        Path | None, typer.Option("--moving-exclude", help="Where the moving image does not count: nonzero.")
    ] = None,
    fixed_labels: Annotated[
        Path | None, typer.Option("--fixed-labels", help="The fixed image's label map, for the metric label_overlap.")
    ] = None,
    moving_labels: Annotated[Path | None, typer.Option("--moving-labels", help="The moving image's label map.")] = None,
    spacing: SpacingText = None,
    fixed_spacing: Annotated[
        str | None, typer.Option("--fixed-spacing", metavar="MM|X,Y[,Z]", help="The same of the fixed image alone.")
    ] = None,
    moving_spacing: Annotated[
        str | None, typer.Option("--moving-spacing", metavar="MM|X,Y[,Z]", help="The same of the moving image alone.")
    ] = None,
    interpolation: Annotated[
        Literal["nearest", "linear", "cubic", "sinc"] | None,
        typer.Option("--interpolation", help="Between voxels; nearest for label maps (default: linear)."),
    ] = None,
    outside: Outside = None,
    volume: Annotated[
        str | None, typer.Option("--volume", metavar="N|mean", help="Which volume of a 4D series, counted from 0.")
    ] = None,
    fixed_series: Annotated[
        str | None,
        typer.Option(
            "--fixed-series", metavar="N|UID|TEXT", help="Which image of a DICOM folder; `medreg info` lists them."
        ),
    ] = None,
    moving_series: Annotated[
        str | None, typer.Option("--moving-series", metavar="N|UID|TEXT", help="The same of the moving image.")
    ] = None,
    uneven: UnevenOrNone = None,
    dicom_out: Annotated[
        Path | None,
        typer.Option(
            "--dicom-out",
            metavar="FOLDER",
            help="Write the moved image as a DICOM series, too, with a Spatial Registration object.",
        ),
    ] = None,
    keep_identifiers: Annotated[
        bool | None, typer.Option("--keep-identifiers", help="Name the patients of DICOM images in run.json.")
    ] = None,
    report: Annotated[
        bool | None,
        typer.Option("--report/--no-report", help="Write report.html and figure.png (the default), or neither."),
    ] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict", help="End with exit code 11 where the verdict is failed.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Bring MOVING onto FIXED.

    Writes moved.nii.gz, transform.tfm (transform.json for a homography), run.json, report.html and figure.png into a
    folder.

    Images: DICOM (a file, folder, DICOMDIR or zip), NIfTI, MGZ, NRRD, MetaImage, PNG, JPEG, TIFF, BMP. Both may also be
    named in --config.
    """
    from medreg.cli.tasks.jobs import job_for
    from medreg.cli.tasks.outside import outside_value
    from medreg.cli.tasks.registering import refuse_failed, run
    from medreg.cli.tasks.screen import screen_for
    from medreg.io.spacing import spacing_choice
    from medreg.io.volumes import volume_choice

    screen = screen_for(quiet=quiet, verbose=verbose, json=json)
    number = None if volume is None else volume_choice(volume)
    asked = job_for(
        config,
        fixed=fixed,
        moving=moving,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        fixed_exclude=fixed_exclude,
        moving_exclude=moving_exclude,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        spacing=spacing_choice(spacing),
        fixed_spacing=spacing_choice(fixed_spacing),
        moving_spacing=spacing_choice(moving_spacing),
        out=out,
        transform=transform,
        metric=metric,
        start=start,
        symmetric=symmetric,
        device=device,
        threads=threads,
        seed=seed,
        interpolation=interpolation,
        outside=None if outside is None else outside_value(outside),
        fixed_series=fixed_series,
        moving_series=moving_series,
        uneven=uneven,
        dicom_out=dicom_out,
        keep_identifiers=keep_identifiers or None,
        report=report,
        strict=strict or None,
        volume=number if number is None or isinstance(number, int) else "mean",
    )
    record = run(asked, screen, overwrite=overwrite)
    screen.show(record)
    if asked.job.strict:
        refuse_failed(record)
