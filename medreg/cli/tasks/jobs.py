"""From a file of settings and the command line's flags to one validated Job. The flags win."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medreg.errors import ReadError, RecipeError, UsageError
from medreg.io.content import stem_of
from medreg.io.dicom.choice import Choice, dicom_choice
from medreg.io.failing import missing_file
from medreg.registration.recipe import Job, Start, job_from

_ROLES = (
    "fixed",
    "moving",
    "fixed_mask",
    "moving_mask",
    "fixed_exclude",
    "moving_exclude",
    "fixed_labels",
    "moving_labels",
)


@dataclass(frozen=True)
class Asked:
    """What to do.

    Attributes:
        job: device, threads, volume and the recipe.
        files: what to read, by role: "fixed" and "moving", and masks and label maps where files are given.
        out: the folder of the outputs.
        choices: which image of a DICOM folder, by "fixed" and "moving".
        sha256: of the inputs by role, and of the "initial" transform, as a `run.json` recorded them; empty for other
            files of settings.
    """

    job: Job
    files: Mapping[str, Path]
    out: Path
    choices: Mapping[str, Choice] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)


def job_for(config: Path | None, **flags: Any) -> Asked:
    """Merge the settings of a file with the flags that were given (those that are not None).

    Raises:
        ReadError: the file of settings, one of the images, or the transform to start from is missing.
        RecipeError: an unknown key, or a value out of range.
        UsageError: no images are named.
    """
    settings, sha256 = ({}, {}) if config is None else _load(config)
    given = {name: value for name, value in flags.items() if value is not None}
    if "metric" in given:
        given["metric"] = _same_metric(settings, given["metric"])
    if "spacing" in given:  # that of both on the command line beats that of one in the file
        settings = {name: value for name, value in settings.items() if name not in ("fixed_spacing", "moving_spacing")}
    if "start" in given:
        settings.pop("initial", None)
    job = job_from({**settings, **given}, str(config) if config else "command line")
    files = {role: getattr(job, role) for role in _ROLES if isinstance(getattr(job, role), Path)}
    missing = [role.upper() for role in ("fixed", "moving") if role not in files]
    if missing:
        raise UsageError(
            f"name the images: {' and '.join(missing)} on the command line, "
            "or `fixed:` and `moving:` in a --config file"
        )
    for path in files.values():
        if not path.exists():
            raise missing_file(path)  # now, not after torch was imported
    if job.initial is not None and not job.initial.exists():
        raise _missing_start(job.initial)
    out = job.out or Path(f"{stem_of(files['moving'])}_to_{stem_of(files['fixed'])}")
    series = {"fixed": job.fixed_series, "moving": job.moving_series}
    choices = {role: dicom_choice(asked, job.uneven) for role, asked in series.items()}
    return Asked(job, files, out, choices, sha256)


def _load(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings in a YAML file or a run.json, paths made relative to the file; and the inputs' checksums."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot be read as a recipe, {error}; name a .yaml file or a run.json") from error
    mapping = _parsed(text, path)
    checksums: dict[str, str] = {}
    if "job" in mapping and "transform" in mapping:  # a run.json: the rest says what came out
        checksums = {role: entry.get("sha256", "") for role, entry in mapping.get("inputs", {}).items()}
        if "sha256" in mapping.get("start", {}):
            checksums["initial"] = mapping["start"]["sha256"]
        mapping = mapping["job"]
    for holder in (mapping, mapping.get("recipe")):
        if isinstance(holder, dict) and isinstance(holder.get("start"), str) and holder["start"] not in set(Start):
            mapping["initial"] = holder.pop("start")
    for name in (*_ROLES, "initial", "out", "dicom_out"):
        if isinstance(mapping.get(name), str) and not (name.endswith("_mask") and mapping[name] == "auto"):
            mapping[name] = str(path.parent / Path(mapping[name]).expanduser())
    return mapping, checksums


def _missing_start(path: Path) -> ReadError:
    """The error for a start that is neither one of the choices nor a file."""
    choices = [start.value for start in Start]
    near = difflib.get_close_matches(path.name, choices, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ReadError(f"{missing_file(path)}; a start is {', '.join(choices)}, or the file of a transform{hint}")


def _parsed(text: str, path: Path) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            mapping = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecipeError(f"{path}: is not JSON: {error}") from error
    else:
        import yaml

        try:
            mapping = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, got {type(mapping).__name__}")
    return mapping


def _same_metric(settings: Mapping[str, Any], name: str) -> Any:
    """The metric of the flag, with the file's settings for it where the file chose the same one."""
    nested = settings.get("recipe")
    metric = settings.get("metric", nested.get("metric") if isinstance(nested, dict) else None)
    return metric if isinstance(metric, dict) and metric.get("name") == name else {"name": name}
