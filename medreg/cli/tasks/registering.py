"""One registration as a process: read while torch is imported, register, write all or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medreg.cli.tasks.clock import Clock
from medreg.cli.tasks.dicom_out import check_apart, check_dicom_out, write_dicom_out
from medreg.cli.tasks.files import read_inputs, write_moved, write_onto
from medreg.cli.tasks.folder import ERROR, RECORD, DicomFolder, OutputFolder
from medreg.cli.tasks.initial import Initial, check_initial, read_initial
from medreg.cli.tasks.jobs import Asked
from medreg.cli.tasks.reporting import Report
from medreg.cli.tasks.screen import Screen, Watch
from medreg.cli.tasks.starting import importing_torch
from medreg.cli.tasks.warned import collected
from medreg.errors import FailedError, MedregWarning
from medreg.io.ahead import Ahead, Clerk, Pending, clerk
from medreg.io.dicom.origin import origin_of
from medreg.io.image import Written
from medreg.io.stored import StoredImage
from medreg.io.transforms import transform_name, write_transform
from medreg.registration.recipe import Job
from medreg.transform.kind import Kind

if TYPE_CHECKING:
    from medreg.image import MedImage
    from medreg.registration.result import Result


@dataclass(frozen=True, eq=False)
class Found:
    """What a registration found, and from what.

    Attributes:
        inputs: what was read, by role.
        images: the same as tensors on the device.
        masks: where "fixed" and "moving" count; None for everywhere.
        result: the transform and how it was found.
        device: where it was computed, never "auto".
        threads: CPU threads.
    """

    inputs: Mapping[str, Ahead]
    images: Mapping[str, MedImage]
    masks: Mapping[str, MedImage | None]
    result: Result
    device: str
    threads: int

    @property
    def fixed(self) -> StoredImage:
        """The fixed image as it was read."""
        return self.inputs["fixed"].image

    @property
    def shares(self) -> dict[str, float]:
        """The share of voxels that count, 0 to 1, by the roles that have a mask."""
        return {role: float((m.data != 0).any(0).float().mean()) for role, m in self.masks.items() if m is not None}


@dataclass(frozen=True, eq=False)
class Writing:
    """Images that the clerk writes meanwhile.

    Attributes:
        moved: the moved image.
        derived: the DICOM series, if any.
        error_map: the predicted error, if any.
        error: its values, mm, over the fixed image, on a coarse grid.
    """

    moved: Pending
    derived: Pending | None
    error_map: Pending | None
    error: StoredImage | None

    def ended(self) -> tuple[Written, dict[str, Any] | None]:
        """Wait; what became of the moved image, and what the record tells of the series."""
        written: Written = self.moved.result()
        if self.error_map is not None:
            self.error_map.result()
        return written, None if self.derived is None else self.derived.result()


def run(asked: Asked, screen: Screen, *, overwrite: bool) -> dict[str, Any]:
    """Do the job and fill its folder; returns the record that `run.json` holds.

    Raises:
        MedregError: whatever is wrong with the inputs, the device or the disk; then no output is left.
    """
    clock, job, files = Clock(), asked.job, asked.files
    if job.dicom_out is not None:
        check_apart(job.dicom_out, asked.out, files.values())
    with ExitStack() as open_, collected() as texts:
        initial = None if job.initial is None else read_initial(job.initial, files)
        folder = open_.enter_context(OutputFolder(asked.out, overwrite=overwrite))
        dicom = None if job.dicom_out is None else open_.enter_context(DicomFolder(job.dicom_out, overwrite=overwrite))
        beside = open_.enter_context(clerk())
        reading = beside.submit(read_inputs, files, asked.choices, job.volume, job.spacings)
        report = Report(beside) if job.report else None
        with screen.progress(files["moving"], files["fixed"]) as watch:
            found = _found(asked, initial, reading, watch, clock)
        moved = _moved(found, job)
        clock.lap("resample")
        writing = _writing(moved, found, files["fixed"], folder.inside, beside, None if dicom is None else dicom.inside)
        if report is not None:  # while the moved image is being written
            _draw(report, found, writing.error, files, folder.inside)
            clock.lap("report")
        written, derived = writing.ended()
        clock.lap("write")
        from medreg.report.record import Ran, record_of, to_json

        record = record_of(
            Ran(
                job=job,
                files=files,
                out=asked.out,
                result=found.result,
                inputs=found.inputs,
                written=written,
                warnings=texts,
                seconds={**clock.seconds, "total": clock.total},
                device=found.device,
                threads=found.threads,
                shares=found.shares,
                start_sha256=None if initial is None else initial.sha256,
                derived=None if derived is None else {"folder": str(job.dicom_out), **derived},
                report={} if report is None else report.outputs(),
            )
        )
        if report is not None:
            report.page(record, folder.inside)
        (folder.inside / RECORD).write_text(to_json(record), encoding="utf-8")
        if dicom is not None:
            dicom.publish()
        folder.publish()
    return record


def _found(asked: Asked, initial: Initial | None, reading: Pending, watch: Watch, clock: Clock) -> Found:
    """Import torch while the clerk reads, check what was read, and register."""
    job = asked.job
    with importing_torch():
        from medreg.cli.tasks import engine
    device, threads = engine.compute_on(job.device, job.threads)
    clock.lap("import")
    inputs: Mapping[str, Ahead] = reading.result()
    for role, ahead in inputs.items():
        _compare(ahead.image.name, asked.sha256.get(role), ahead.sha256)
    fixed, moving = inputs["fixed"].image, inputs["moving"].image
    if initial is not None:
        _compare(str(job.initial), asked.sha256.get("initial"), initial.sha256)
        check_initial(initial, job, fixed.grid)
    if job.dicom_out is not None:
        check_dicom_out(fixed, moving, linear=job.recipe.transform is not Kind.HOMOGRAPHY)
    images = {role: engine.image_on(device, ahead.image) for role, ahead in inputs.items()}
    clock.lap("read")
    masks = {role: engine.counting(images, role, getattr(job, f"{role}_mask")) for role in ("fixed", "moving")}
    watch.unit = str(fixed.metadata.get("unit", "mm"))
    result = engine.register(
        images["fixed"],
        images["moving"],
        job.recipe,
        fixed_mask=masks["fixed"],
        moving_mask=masks["moving"],
        fixed_labels=images.get("fixed_labels"),
        moving_labels=images.get("moving_labels"),
        initial=None if initial is None else initial.matrix,
        watch=watch,
    )
    clock.lap("register")
    return Found(inputs, images, masks, result, device, threads)


def _moved(found: Found, job: Job) -> StoredImage:
    """The moving image on the fixed grid."""
    from medreg.cli.tasks import engine

    matrix = found.result.transform.matrix
    return engine.moved_onto(
        found.images["moving"], found.fixed.grid, matrix, job.recipe.interpolation, job.recipe.outside
    )


def _writing(moved: StoredImage, found: Found, like: Path, folder: Path, beside: Clerk, dicom: Path | None) -> Writing:
    """Write the transform, and have the images written beside.

    Args:
        moved: the moved image.
        found: the transform and the fixed image.
        like: the fixed image's file, whose format the moved image gets.
        folder: where to.
        beside: who writes.
        dicom: where the derived series goes, if one is wanted.
    """
    from medreg.cli.tasks import engine

    fixed, transform = found.fixed, found.result.transform
    place = (fixed.grid, fixed.metadata)
    writing = beside.submit(write_moved, moved, folder, like, *place)
    deriving = None
    if dicom is not None:
        deriving = beside.submit(write_dicom_out, moved, dicom, origin_of(fixed.metadata), transform.matrix)
    write_transform(transform.matrix, folder / transform_name(transform.matrix), centre=transform.centre)
    error = engine.error_over(found.result, fixed.grid)
    mapping = None if error is None else beside.submit(write_onto, error, folder / ERROR, *place)
    return Writing(writing, deriving, mapping, error)


def _draw(report: Report, found: Found, error: StoredImage | None, files: Mapping[str, Path], folder: Path) -> None:
    """Look at the images for the report, and write its figure."""
    from medreg.report.record import heading_of

    shown = None if error is None else error.to_image()
    views = report.draw(found.images["fixed"], found.images["moving"], found.result.transform.matrix, shown)
    report.figure(heading_of(found.result, files, found.inputs), views, folder)


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
