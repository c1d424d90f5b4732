"""One registration as a process: read while torch is imported, register, write all or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from medreg.cli.clock import Clock
from medreg.cli.files import read_inputs, write_moved
from medreg.cli.folder import RECORD, OutputFolder
from medreg.cli.jobs import Asked
from medreg.cli.screen import Screen
from medreg.cli.starting import importing_torch
from medreg.cli.warned import collected
from medreg.errors import MedregWarning
from medreg.io.ahead import Ahead, clerk
from medreg.io.transforms import read_transform, transform_name, write_transform


def run(asked: Asked, screen: Screen, *, overwrite: bool) -> dict[str, Any]:
    """Do the job and fill its folder; returns the record that `run.json` holds.

    Raises:
        MedregError: whatever is wrong with the inputs, the device or the disk; then no output is left.
    """
    clock, job, files = Clock(), asked.job, asked.files
    initial = None if job.initial is None else read_transform(job.initial)
    with OutputFolder(asked.out, overwrite=overwrite) as folder, clerk() as beside, collected() as texts:
        reading = beside.submit(read_inputs, files, job.volume, job.spacings)
        with screen.progress(files["moving"], files["fixed"]) as watch:
            with importing_torch():
                from medreg.cli import engine  # imports torch, while the clerk reads
            device, threads = engine.compute_on(job.device, job.threads)
            clock.lap("import")
            inputs: Mapping[str, Ahead] = reading.result()
            _compare(inputs, asked.sha256)
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
        name = transform_name(matrix)
        write_transform(matrix, folder.inside / name, centre=result.transform.centre)
        from medreg.report.record import Ran, record_of, to_json

        written = writing.result()
        clock.lap("write")
        seconds = {**clock.seconds, "total": clock.total}
        shares = {role: engine.share_of(mask) for role, mask in masks.items() if mask is not None}
        record = record_of(Ran(job, files, asked.out, result, inputs, written, texts, seconds, device, threads, shares))
        (folder.inside / RECORD).write_text(to_json(record), encoding="utf-8")
        folder.publish()
    return record


def _compare(inputs: Mapping[str, Ahead], sha256: Mapping[str, str]) -> None:
    for role, ahead in inputs.items():
        if sha256.get(role, ahead.sha256) != ahead.sha256:
            text = f"{ahead.image.name}: has changed since the run that is repeated; the result will differ"
            warnings.warn(text, MedregWarning, stacklevel=2)
