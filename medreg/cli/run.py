"""One registration as a process: read while torch is imported, register, write all or nothing."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from medreg.cli.clock import Clock
from medreg.cli.dicom_out import check_apart, check_dicom_out, write_dicom_out
from medreg.cli.files import read_inputs, write_moved, write_onto
from medreg.cli.folder import ERROR, RECORD, DicomFolder, OutputFolder
from medreg.cli.jobs import Asked
from medreg.cli.reporting import Report
from medreg.cli.screen import Screen
from medreg.cli.starting import importing_torch
from medreg.cli.warned import collected
from medreg.errors import FailedError, MedregWarning, TransformError
from medreg.geometry.affine import derivative_at
from medreg.geometry.grid import Grid
from medreg.io.ahead import Ahead, clerk
from medreg.io.dicom.origin import origin_of
from medreg.io.image import is_dicom_place
from medreg.io.transforms import End, read_transform, transform_name, write_transform
from medreg.registration.recipe import Job
from medreg.transform.kind import Kind
from medreg.types import FloatArray


def run(asked: Asked, screen: Screen, *, overwrite: bool) -> dict[str, Any]:
    """Do the job and fill its folder; returns the record that `run.json` holds.

    Raises:
        MedregError: whatever is wrong with the inputs, the device or the disk; then no output is left.
    """
    clock, job, files = Clock(), asked.job, asked.files
    if job.dicom_out is not None:
        check_apart(job.dicom_out, asked.out, files.values())
    with ExitStack() as open_, collected() as texts:
        initial, start_sha256 = (None, None) if job.initial is None else _read_start(job.initial, files)
        folder = open_.enter_context(OutputFolder(asked.out, overwrite=overwrite))
        dicom = None if job.dicom_out is None else open_.enter_context(DicomFolder(job.dicom_out, overwrite=overwrite))
        beside = open_.enter_context(clerk())
        reading = beside.submit(read_inputs, files, asked.choices, job.volume, job.spacings)
        report = Report(beside) if job.report else None
        with screen.progress(files["moving"], files["fixed"]) as watch:
            with importing_torch():
                from medreg.cli import engine  # imports torch, while the clerk reads
            device, threads = engine.compute_on(job.device, job.threads)
            clock.lap("import")
            inputs: Mapping[str, Ahead] = reading.result()
            for role, ahead in inputs.items():
                _compare(ahead.image.name, asked.sha256.get(role), ahead.sha256)
            if initial is not None:
                _compare(str(job.initial), asked.sha256.get("initial"), start_sha256)
                _check_start(initial, job, inputs["fixed"].image.grid)
            if dicom is not None:
                check_dicom_out(
                    inputs["fixed"].image,
                    inputs["moving"].image,
                    linear=job.recipe.transform is not Kind.HOMOGRAPHY,
                )
            images = {role: engine.image_on(device, ahead.image) for role, ahead in inputs.items()}
            clock.lap("read")
            masks = {role: engine.counting(images, role, getattr(job, f"{role}_mask")) for role in ("fixed", "moving")}
            watch.unit = str(inputs["fixed"].image.metadata.get("unit", "mm"))
            result = engine.register(
                images["fixed"],
                images["moving"],
                job.recipe,
                fixed_mask=masks["fixed"],
                moving_mask=masks["moving"],
                fixed_labels=images.get("fixed_labels"),
                moving_labels=images.get("moving_labels"),
                initial=initial,
                watch=watch,
            )
            clock.lap("register")
        fixed, matrix = inputs["fixed"].image, result.transform.matrix
        moved = engine.moved_onto(images["moving"], fixed.grid, matrix, job.recipe.interpolation, job.recipe.outside)
        clock.lap("resample")
        writing = beside.submit(write_moved, moved, folder.inside, files["fixed"], fixed.grid, fixed.metadata)
        deriving = None
        if dicom is not None:
            deriving = beside.submit(write_dicom_out, moved, dicom.inside, origin_of(fixed.metadata), matrix)
        name = transform_name(matrix)
        write_transform(matrix, folder.inside / name, centre=result.transform.centre)
        from medreg.report.record import Ran, heading_of, record_of, to_json

        error, mapping = engine.error_over(result, fixed.grid), None
        if error is not None:
            mapping = beside.submit(write_onto, error, folder.inside / ERROR, fixed.grid, fixed.metadata)

        if report is not None:  # while the moved image is being written
            shown = None if error is None else error.to_image()
            views = report.draw(images["fixed"], images["moving"], matrix, shown)
            report.figure(heading_of(result, files, inputs), views, folder.inside)
            clock.lap("report")
        written = writing.result()
        if mapping is not None:
            mapping.result()
        derived = None if deriving is None else {"folder": str(job.dicom_out), **deriving.result()}
        clock.lap("write")
        seconds = {**clock.seconds, "total": clock.total}
        shares = {role: engine.share_of(mask) for role, mask in masks.items() if mask is not None}
        record = record_of(
            Ran(
                job,
                files,
                asked.out,
                result,
                inputs,
                written,
                texts,
                seconds,
                device,
                threads,
                shares,
                start_sha256,
                derived,
                {} if report is None else report.outputs(),
            )
        )
        if report is not None:
            report.page(record, folder.inside)
        (folder.inside / RECORD).write_text(to_json(record), encoding="utf-8")
        if dicom is not None:
            dicom.publish()
        folder.publish()
    return record


def refuse_failed(record: Mapping[str, Any]) -> None:
    """For `--strict`, once all is written and shown.

    Raises:
        FailedError: where the verdict is failed.
    """
    verdict = record["verdict"]
    if verdict["standing"] == "failed":
        raise FailedError(
            f"--strict: the verdict is failed: {'; '.join(verdict['reasons'])}; "
            f"{record['outputs']['folder']}/ holds the outputs all the same"
        )


def _compare(name: str, recorded: str | None, now: str | None) -> None:
    """Warn where a file's checksum is not the one that a `run.json` recorded."""
    if recorded not in (None, now):
        text = f"{name}: has changed since the run that is repeated; the result will differ"
        warnings.warn(text, MedregWarning, stacklevel=2)


def _read_start(path: Path, files: Mapping[str, Path]) -> tuple[FloatArray, str]:
    """The given start and its checksum; what counts in voxels goes by the headers of the images."""
    fixed, moving = (End(path=None if is_dicom_place(files[r]) else files[r]) for r in ("fixed", "moving"))
    matrix = read_transform(path, fixed=fixed, moving=moving)
    return matrix, hashlib.sha256(path.read_bytes()).hexdigest()


def _check_start(initial: FloatArray, job: Job, fixed: Grid) -> None:
    """Refuse a start that the asked family cannot begin at.

    Raises:
        TransformError: another dimension, a homography for a linear family, a mirror image, or w <= 0 in the image.
    """
    d, name = fixed.dimension, job.initial
    if len(initial) != d + 1:
        raise TransformError(f"{name}: is a {len(initial) - 1}D transform, the images are {d}D; start from a {d}D one")
    if initial[d, :d].any() and job.recipe.transform is not Kind.HOMOGRAPHY:
        raise TransformError(f"{name}: holds a homography; add --transform homography, or start from a linear one")
    w = np.column_stack([fixed.corners, np.ones(2**d)]) @ initial[d]  # of one sign, since multiples are one map
    if not (w > 0).all() and not (w < 0).all():
        raise TransformError(f"{name}: its horizon (w = 0) crosses the fixed image; start from another transform")
    determinant = float(np.linalg.det(derivative_at(initial, np.array(fixed.centre))))
    if not determinant > 0:
        raise TransformError(
            f"{name}: {'mirrors the image' if determinant < 0 else 'cannot be inverted'}, its determinant is "
            f"{determinant:.3g}, wanted above 0; start from another transform"
        )
