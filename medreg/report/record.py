"""The record of a run: all that `run.json` holds."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.geometry.orientation import orientation_code
from medreg.io.dicom.origin import origin_of
from medreg.io.dicom.sidecar import identifiers_of
from medreg.io.transforms import transform_name
from medreg.registration.recipe import Several
from medreg.report.motion import motion_of
from medreg.report.versions import versions

if TYPE_CHECKING:
    from medreg.io.ahead import Ahead
    from medreg.io.image import Written
    from medreg.optimise.record import StageRecord
    from medreg.registration.recipe import Job
    from medreg.registration.result import Result

_STEP = ("number", "value", "step_mm", "overlap")


@dataclass(frozen=True, eq=False, kw_only=True)
class Ran:
    """A run that has ended well.

    Attributes:
        job: what was asked.
        files: the inputs as they were named, by role.
        out: the folder of the outputs.
        result: what was found.
        inputs: what was read, by role.
        written: the moved image.
        warnings: texts of all warnings.
        seconds: wall time by phase.
        device: where it was computed, never "auto".
        threads: CPU threads.
        shares: share of the voxels that count, of "fixed" and "moving" where they have masks.
        start_sha256: of the transform that was given as the start.
        derived: the DICOM series that was written, as the record tells it.
        report: the files of the report by what they are; empty without one.
    """

    job: Job
    files: Mapping[str, Path]
    out: Path
    result: Result
    inputs: Mapping[str, Ahead]
    written: Written
    warnings: Sequence[str]
    seconds: Mapping[str, float]
    device: str
    threads: int
    shares: Mapping[str, float] = field(default_factory=dict)
    start_sha256: str | None = None
    derived: Mapping[str, Any] | None = None
    report: Mapping[str, str] = field(default_factory=dict)


def record_of(ran: Ran) -> dict[str, Any]:
    """The record, of plain JSON values."""
    result = ran.result
    transform = _transform(result, ran.inputs)
    unit, world = transform["unit"], transform["world"]
    return {
        "transform": transform,
        "metric": _metric(result),
        "start": {
            **_start(ran),
            "used": result.start,
            "candidates": [asdict(candidate) for candidate in result.candidates],
        },
        "verdict": _verdict(result, ran.files, unit),
        "outcome": {"name": result.outcome.value, "advice": result.outcome.advice},
        "levels": [_level(stage, unit) for stage in result.stages],
        "seconds": {**_phases(ran), "total": ran.seconds["total"]},
        "inputs": {role: _input(path, ran.inputs[role], ran.job) for role, path in ran.files.items()},
        "masks": {role: _mask(ran.job, role, share) for role, share in ran.shares.items()},
        "outputs": {
            "folder": str(ran.out),
            "moved": {
                "file": ran.written.path.name,
                "dtype": ran.written.dtype,
                "rounded": ran.written.rounded,
                "clipped": ran.written.clipped,
                "note": ran.written.sentence,
            },
            "transform": {
                "file": transform_name(result.transform.matrix),
                "format": ("medreg JSON" if result.transform.matrix[-1, :-1].any() else "ITK text, AffineTransform")
                + ", fixed -> moving points, "
                + {"px": "px", "mm": "mm" if world == "picture" else "LPS mm"}[unit],
            },
            **({} if result.verdict.predicted_error is None else {"error": {"file": "error.nii.gz"}}),
            **({} if ran.derived is None else {"dicom": dict(ran.derived)}),
            **({"report": dict(ran.report)} if ran.report else {}),
        },
        "warnings": list(ran.warnings),
        "versions": versions(),
        "device": ran.device,
        "threads": ran.threads,
        "seed": result.recipe.seed,
        "job": _job(ran),
    }


def heading_of(result: Result, files: Mapping[str, Path], inputs: Mapping[str, Ahead]) -> dict[str, Any]:
    """What is known of the record before anything is written: the inputs' names, the transform and the verdict."""
    transform = _transform(result, inputs)
    return {
        "inputs": {role: {"file": str(path)} for role, path in files.items()},
        "transform": transform,
        "verdict": _verdict(result, files, transform["unit"]),
    }


def _transform(result: Result, inputs: Mapping[str, Ahead]) -> dict[str, Any]:
    fixed, moving = inputs["fixed"].image, inputs["moving"].image
    unit = "px" if fixed.metadata.get("unit") == "px" == moving.metadata.get("unit") else "mm"
    worlds = {str(image.metadata.get("world", "LPS")) for image in (fixed, moving)}
    world = "picture" if worlds == {"picture"} else "LPS"
    return {
        "kind": str(result.transform.kind.value),
        "asked": str(result.recipe.transform),
        "fallback": result.fallback,
        **_choice(result),
        "dimension": result.transform.dimension,
        "world": world,
        **motion_of(result.transform.matrix, fixed.grid, moving.grid, unit, world),
        "centre": list(result.transform.centre),
    }


def _choice(result: Result) -> dict[str, Any]:
    """Why the family, and how those that were tried compare, where the images were to choose; nats and mm."""
    if result.choice is None:
        return {"reason": None}
    names = ("parameters", "misfit", "cost", "furthest")
    families = [{"kind": str(f.kind), **{name: getattr(f, name) for name in names}} for f in result.choice.families]
    return {"reason": result.choice.reason, "families": families}


def _verdict(result: Result, files: Mapping[str, Path], unit: str) -> dict[str, Any]:
    verdict, error = result.verdict, result.verdict.predicted_error
    told = None
    if error is not None:
        told = {"mean_mm": error.mean_mm, "p95_mm": error.p95_mm, "interval_mm": list(error.interval_mm)}
    names = {role.upper(): shlex.quote(str(files[role])) for role in ("fixed", "moving")}
    return {
        "standing": verdict.standing.value,
        "reasons": [re.sub(r"(?<=\d) mm\b", f" {unit}", reason) for reason in verdict.reasons],
        "next": [" ".join(names.get(word, word) for word in command.split(" ")) for command in verdict.next],
        "agreement": verdict.agreement,
        "probability_of_failure": verdict.probability_of_failure,
        "predicted_error": told,
        "features": dict(verdict.features),
    }


def to_json(record: Mapping[str, Any]) -> str:
    """Readable JSON that gives every float64 back to the last bit: lists of numbers on one line, NaN as null."""
    text = json.dumps(_finite(record), indent=2, ensure_ascii=False, allow_nan=False)
    # strings hold no line breaks (JSON escapes them), so only the layout changes
    return re.sub(r"[\[{]\n\s+[^\[\]{}]*?\n\s+[\]}]", _on_one_line, text) + "\n"


def _on_one_line(match: re.Match[str]) -> str:
    line = re.sub(r"\n\s+", " ", match[0])
    line = f"{line[0]}{line[1:-1].strip()}{line[-1]}"
    return line if len(line) <= 140 else match[0]


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _metric(result: Result) -> dict[str, Any]:
    """What was asked for and used; of several, each by name and weight."""
    asked = result.recipe.metric
    said: dict[str, Any] = {"asked": asked.name, "used": result.metric, "reason": result.metric_reason}
    if isinstance(asked, Several):
        said["terms"] = [{"name": term.metric.name, "weight": term.weight} for term in asked.terms]
    return said


def _start(ran: Ran) -> dict[str, Any]:
    """What was asked for: a way to find a start, or a transform's file."""
    if ran.job.initial is None:
        return {"asked": str(ran.result.recipe.start.value)}
    return {"asked": str(ran.job.initial), "sha256": ran.start_sha256}


def _phases(ran: Ran) -> dict[str, float]:
    """Wall seconds, the registration's own phases in the place of its whole."""
    inside = dict(ran.result.seconds)
    phases: dict[str, float] = {}
    for name, seconds in ran.seconds.items():
        if name == "register":
            phases.update(inside)
        elif name != "total":
            phases[name] = seconds
    return phases


def _level(stage: StageRecord, unit: str) -> dict[str, Any]:
    return {
        "level": stage.level,
        "spacing_mm": stage.spacing_mm,
        "unit": unit,
        "kind": str(stage.kind),
        "metric": stage.metric,
        "samples": stage.samples,
        "steps": [{name: getattr(step, name) for name in _STEP} for step in stage.steps],
        "outcome": stage.outcome.value,
        "advice": stage.outcome.advice,
        "evaluations": stage.evaluations,
        "seconds": stage.seconds,
    }


def _input(path: Path, ahead: Ahead, job: Job) -> dict[str, Any]:
    """One image; of DICOM without what identifies a person, unless that was asked for."""
    image = ahead.image
    origin = origin_of(image.metadata)
    dicom = {} if origin is None else {name: image.metadata[name] for name in ("series", "modality", "description")}
    if origin is not None and job.keep_identifiers:
        dicom["identifiers"] = identifiers_of(origin.template)
    return {
        "file": str(path),
        "sha256": ahead.sha256,
        "size": list(image.grid.size),
        "spacing": list(image.grid.spacing),
        "unit": image.metadata.get("unit", "mm"),
        "orientation": orientation_code(np.array(image.grid.direction)),
        "dtype": str(image.metadata.get("stored_dtype", image.array.dtype.name)),
        "seconds": ahead.seconds,
        **dicom,
    }


def _series(ran: Ran, role: str) -> str | None:
    """The DICOM image that was asked for, by its number: a UID would identify a person."""
    if getattr(ran.job, f"{role}_series") is None:
        return None
    return str(ran.inputs[role].image.metadata["series"])


def _mask(job: Job, role: str, share: float) -> dict[str, Any]:
    asked = {name: getattr(job, f"{role}_{name}") for name in ("mask", "exclude")}
    return {**{name: None if path is None else str(path) for name, path in asked.items()}, "share": share}


def _job(ran: Ran) -> dict[str, Any]:
    """What `--config run.json` repeats: inputs by absolute path, the device and threads that were used, no folder."""
    return {
        **{role: str(path.resolve()) for role, path in ran.files.items()},
        **{f"{role}_mask": "auto" for role in ("fixed", "moving") if getattr(ran.job, f"{role}_mask") == "auto"},
        **({} if ran.job.initial is None else {"initial": str(ran.job.initial.resolve())}),
        **{f"{role}_spacing": spacing for role, spacing in ran.job.spacings.items()},
        **{f"{role}_series": _series(ran, role) for role in ("fixed", "moving") if _series(ran, role) is not None},
        **({} if ran.job.uneven == "refuse" else {"uneven": ran.job.uneven}),
        **({} if ran.job.report else {"report": False}),
        **({"strict": True} if ran.job.strict else {}),
        "volume": ran.job.volume,
        "device": ran.device,
        "threads": ran.threads,
        "recipe": ran.job.recipe.model_dump(mode="json"),
    }
