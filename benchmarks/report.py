"""The three files that a comparison leaves: results.json (every run), results.csv and results.md (medians)."""

import csv
import datetime
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

FIGURES = {"tre_mm": "TRE mm", "dice": "Dice", "landmark_mm": "landmarks mm", "inverse_mm": "inverse mm"}
COSTS = {"wall_s": "wall s", "cpu_s": "CPU s", "peak_mb": "peak MB"}
DIGITS = {"wall_s": 1, "cpu_s": 1, "peak_mb": 0}


@dataclass(frozen=True)
class Run:
    """One process, or the reason why there was none. Figures are missing where a run has no transform to score."""

    case: str
    kind: str
    tool: str
    version: str
    repeat: int
    status: str
    costs: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def scored(self) -> bool:
        """Whether the run left a transform."""
        return bool(self.figures)

    @property
    def failed(self) -> bool:
        """Whether the run should have left a transform and did not."""
        return not self.scored and not self.status.startswith(("not offered", "not a volume"))


@dataclass(frozen=True)
class Row:
    """The runs of one tool on one case in one line: medians over those that left a transform."""

    case: str
    kind: str
    tool: str
    version: str
    runs: int
    status: str
    medians: dict[str, float]


def machine(threads: int) -> dict[str, str | int | float]:
    """What a reader needs to judge the times; neither host name nor path."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "threads": threads,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "load_at_start": round(os.getloadavg()[0], 2),
        "date": datetime.date.today().isoformat(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each case and tool, in the order of their first run."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.case, run.tool), []).append(run)
    return [_row(group) for group in groups.values()]


def _row(group: Sequence[Run]) -> Row:
    scored = [run for run in group if run.scored]
    values = [{**run.costs, **run.figures} for run in scored]  # the seconds of a failure are in results.json only
    names = [name for name in (*COSTS, *FIGURES) if any(name in value for value in values)]
    medians = {name: median(value[name] for value in values if name in value) for name in names}
    statuses = list(dict.fromkeys(run.status for run in group))
    first = group[0]
    return Row(first.case, first.kind, first.tool, first.version, len(group), "; ".join(statuses), medians)


def write(folder: Path, about: dict[str, str | int | float], runs: Sequence[Run]) -> None:
    """Write all three files into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = {"machine": about, "runs": [asdict(run) for run in runs]}
    (folder / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    table = rows(runs)
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "transform", "tool", "version", "runs", *COSTS, *FIGURES, "status"])
        for row in table:
            numbers = [_number(row.medians, name) for name in (*COSTS, *FIGURES)]
            writer.writerow([row.case, row.kind, row.tool, row.version, row.runs, *numbers, row.status])
    (folder / "results.md").write_text("\n".join(_markdown(about, table)) + "\n")


def _markdown(about: dict[str, str | int | float], table: Sequence[Row]) -> Iterable[str]:
    yield (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']}; "
        f"{about['threads']} threads a tool; load at start {about['load_at_start']}; {about['date']}."
    )
    versions = {row.version: None for row in table if row.version and not row.version.startswith("cannot")}
    yield f"Versions: {', '.join(versions) or 'none'}. Medians over the runs. Made by `benchmarks/compare.py`."
    for case in dict.fromkeys(row.case for row in table):
        shown = [row for row in table if row.case == case]
        columns = [name for name in (*COSTS, *FIGURES) if any(name in row.medians for row in shown)]
        titles = [(COSTS | FIGURES)[name] for name in columns]
        yield from ("", f"### {case} ({shown[0].kind})", "")
        yield "| " + " | ".join(["tool", *titles, "runs", "note"]) + " |"
        yield "|---|" + "---:|" * (len(titles) + 1) + "---|"
        for row in shown:
            numbers = [_number(row.medians, name) for name in columns]
            note = "" if row.status == "ok" else row.status.replace("|", "/")
            yield "| " + " | ".join([row.tool, *numbers, str(row.runs or ""), note]) + " |"


def _number(values: dict[str, float], name: str) -> str:
    return f"{values[name]:.{DIGITS.get(name, 3)}f}" if name in values else ""
