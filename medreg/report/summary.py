"""The summary of a run: what a person reads in five seconds. Made from the record alone."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medreg.io.content import suffix_of

Tone = Literal["plain", "strong", "good", "warning", "faint"]


LISTED = 8
"""Starts that are shown in detail; `run.json` lists all."""


@dataclass(frozen=True)
class Line:
    """A line of the summary: a label in the margin, its text, and how it is meant."""

    label: str
    text: str
    tone: Tone = "plain"


def summary(record: Mapping[str, Any], *, detailed: bool = False) -> list[Line]:
    """The lines.

    Args:
        record: as in `run.json`.
        detailed: every phase, start and level too.
    """
    moving, fixed = record["inputs"]["moving"]["file"], record["inputs"]["fixed"]["file"]
    outcome = record["outcome"]
    tone: Tone = "good" if outcome["name"] in ("converged", "flat") else "warning"
    metric, seconds = record["metric"], record["seconds"]
    reason = f" ({metric['reason'].rstrip('.')})" if metric["asked"] == "auto" and metric["reason"] else ""
    lines = [
        Line("", f"{title_of(moving, fixed, _series(record))}, {record['transform']['kind']}", "strong"),
        Line("found", motion(record["transform"])),
        _verdict(record["verdict"], record["transform"]["unit"]),
        *(Line("try", command) for command in record["verdict"].get("next", ())),
        Line("ended", _ended(outcome, record["verdict"]), tone),
        Line("metric", f"{_compared(metric)} {_final(record)}{reason}"),
    ]
    if why := record["transform"].get("reason"):
        lines.insert(2, Line("family", why))
    if masks := record.get("masks"):
        lines.append(Line("counted", ", ".join(_counted(role, mask) for role, mask in masks.items())))
    fewer = [record["transform"]["fallback"]] if record["transform"]["fallback"] else []
    lines += [Line("warning", text, "warning") for text in (*fewer, *record["warnings"])]
    if detailed:
        lines.append(Line("start", _start(record["start"])))
        lines += [Line("level", _level(level)) for level in record["levels"]]
        lines.append(Line("phases", ", ".join(f"{k} {v:.2f} s" for k, v in seconds.items() if k != "total")))
    lines.append(Line("took", f"{seconds['total']:.1f} s on {place_of(record)}", "faint"))
    outputs = record["outputs"]
    moved = f"{outputs['moved']['file']} ({outputs['moved']['note']})"
    report = f", {outputs['report']['page']}" if "report" in outputs else ""
    lines.append(Line("wrote", f"{outputs['folder']}/: {moved}, {outputs['transform']['file']}, run.json{report}"))
    if "dicom" in outputs:
        derived = outputs["dicom"]
        registration = f", {derived['registration']}" if "registration" in derived else ""
        lines.append(Line("DICOM", f"{derived['folder']}/: {derived['note']}{registration}"))
    return [
        *lines,
        Line("", ""),
        Line("", "Move another image the same way:", "faint"),
        Line("", apply_command(record)),
    ]


def _verdict(verdict: Mapping[str, Any], unit: str) -> Line:
    """Of what is ok the predicted error, else the reasons."""
    good, error = verdict["standing"] == "ok", verdict.get("predicted_error")
    said = "; ".join(verdict["reasons"])
    if good and error:
        mean, low, high = (f"{v:.2g}" for v in (error["mean_mm"], *error["interval_mm"]))
        said = f"predicted error {mean} {unit} (95 %: {low} to {high})"
    return Line("verdict", f"{verdict['standing']}: {said}", "good" if good else "warning")


def _ended(outcome: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """How the finest level ended; the advice is not said again where the verdict gives it."""
    name, advice = _words(outcome["name"]), outcome["advice"]
    return name if advice in verdict["reasons"] else f"{name}: {advice}"


def _compared(metric: Mapping[str, Any]) -> str:
    """The metric by name; of several, their sum."""
    terms = metric.get("terms") or [{"name": metric["used"], "weight": 1.0}]
    return " + ".join(("" if t["weight"] == 1 else f"{t['weight']:g} × ") + _words(t["name"]) for t in terms)


def _start(start: Mapping[str, Any]) -> str:
    """The start that won, and the best of those that were tried; or the file that was given."""
    best = sorted(start["candidates"], key=lambda c: float(c["value"]))
    tried = ", ".join(f"{c['name']} {c['value']:.4f}" for c in best[:LISTED])
    more = f" and {len(best) - LISTED} more" if len(best) > LISTED else ""
    if start["used"] == "given":
        return f"given, {start['asked']}"
    return f"{start['used']} (tried {tried}{more})" if tried else str(start["used"])


def title_of(moving: str, fixed: str, series: tuple[str, str] = ("", "")) -> str:
    """What goes onto what, by file name where that tells the two apart; `series` says which image of each."""
    names = Path(moving).name, Path(fixed).name
    names = names if names[0] != names[1] else (moving, fixed)
    return " → ".join(f"{name}{which}" for name, which in zip(names, series, strict=True))


def _series(record: Mapping[str, Any]) -> tuple[str, str]:
    """Of the moving and the fixed image which one of a DICOM folder was asked for."""
    asked = [record.get("job", {}).get(f"{role}_series") for role in ("moving", "fixed")]
    moving, fixed = ("" if number is None else f" series {number}" for number in asked)
    return moving, fixed


def motion(transform: Mapping[str, Any]) -> str:
    """In words: turned 7.4°, moved 12.1 mm, scaled 1.020; what cannot have happened in its family is left out."""
    parts = []
    if transform["kind"] != "translation":
        parts.append(f"turned {abs(transform['rotation_angle_deg']):.1f}°")
    parts.append(f"moved {transform['translation_length_mm']:.1f} {transform['unit']}")
    scales = transform["scales"]
    if transform["kind"] == "similarity":
        parts.append(f"scaled {scales[0]:.3f}")
    elif transform["kind"] not in ("translation", "rigid"):
        parts.append("scaled " + " × ".join(f"{s:.3f}" for s in scales))
    return ", ".join(parts)


def apply_command(record: Mapping[str, Any]) -> str:
    """A command to copy that moves another image of the moving image's space."""
    folder, like = Path(record["outputs"]["folder"]), record["inputs"]["fixed"]["file"]
    transform = shlex.quote(str(folder / record["outputs"]["transform"]["file"]))
    suffix = suffix_of(Path(record["outputs"]["moved"]["file"]))
    job = record.get("job", {})
    series = "" if job.get("fixed_series") is None else f" --like-series {job['fixed_series']}"
    uneven = f" --uneven {job['uneven']}" if "uneven" in job else ""
    onto = f"{shlex.quote(like)}{series}{uneven}{_spacings(record)}"
    return f"  medreg apply IMAGE --transform {transform} --like {onto} --out MOVED{suffix}"


def _spacings(record: Mapping[str, Any]) -> str:
    """The flags that give the images again the spacings that they were given."""
    job = record.get("job", {})
    names = {"moving_spacing": "--image-spacing", "fixed_spacing": "--like-spacing"}
    given = {flag: job[name] for name, flag in names.items() if job.get(name) is not None}
    if len(given) == 2 and len({str(v) for v in given.values()}) == 1:
        given = {"--spacing": job["fixed_spacing"]}
    return "".join(f" {flag} {_commas(value)}" for flag, value in given.items())


def _commas(value: float | Sequence[float]) -> str:
    return ",".join(repr(v) for v in (value if isinstance(value, list | tuple) else (value,)))


def show(lines: Sequence[Line]) -> None:
    """Print to stdout, in colour on a terminal only; never wrapped, so that commands can be copied."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        sys.stdout.write("".join(f"{_margin(line)}{line.text}".rstrip() + "\n" for line in lines))
        return
    from rich.console import Console
    from rich.text import Text

    styles = {"plain": "", "strong": "bold", "good": "green", "warning": "yellow", "faint": "dim"}
    console = Console(highlight=False)
    for line in lines:
        console.print(Text.assemble((_margin(line), "dim"), (line.text, styles[line.tone])), soft_wrap=True)


def _margin(line: Line) -> str:
    return f"  {line.label:<9}" if line.label else ""


def _words(name: str) -> str:
    return name.replace("_", " ")


def _final(record: Mapping[str, Any]) -> str:
    steps = record["levels"][-1]["steps"] if record["levels"] else []
    value = steps[-1]["value"] if steps else None
    return "" if value is None else f"{value:.4f}"


def _counted(role: str, mask: Mapping[str, Any]) -> str:
    kind = "its foreground" if mask["mask"] == "auto" else "inside its mask" if mask["mask"] else "not excluded"
    also = ", without what is excluded" if mask["mask"] and mask["exclude"] else ""
    return f"{mask['share']:.0%} of {role} ({kind}{also})"


def _level(level: Mapping[str, Any]) -> str:
    last = level["steps"][-1] if level["steps"] else {"number": 0, "value": float("nan"), "step_mm": float("nan")}
    unit = level.get("unit", "mm")
    return (
        f"{level['kind']} at {level['spacing_mm']:.3g} {unit}: {last['number']} steps, metric {last['value']:.5f}, "
        f"last step {last['step_mm']:.4f} {unit}, {_words(level['outcome'])}, {level['seconds']:.2f} s"
    )


def place_of(record: Mapping[str, Any]) -> str:
    """Where it was computed, in words: "2 threads", or "cuda and 2 threads"."""
    threads = f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}"
    return threads if record["device"] == "cpu" else f"{record['device']} and {threads}"
