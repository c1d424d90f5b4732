#!/usr/bin/env python3
"""Run medreg and its peers on the same pairs, each as a whole fresh process, and score them against the truth.

    python benchmarks/compare.py --peers-python peers/bin/python [--tools medreg,ants] [--only head_affine] [--repeat 3]

See README.md beside this file for what is measured and how to read it.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import report
from report import Run
from scoring import Case, CasesError, Matrix, Referee, inverse_consistency, read_cases
from tools import NOT_OFFERED, Tool, environment, every_tool, last_line

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Bench:
    """What holds for every run: how many threads, and after how long a tool is stopped."""

    threads: int
    timeout_s: float

    def run(self, tool: Tool, case: Case, scratch: Path) -> tuple[str, dict[str, float], Matrix | None]:
        """One registration in its own process: a status, what it cost, and its transform if it left one."""
        scratch.mkdir()
        cost_file, log = scratch / "cost.json", scratch / "log.txt"
        command = tool.register(case.fixed, case.moving, case.kind, scratch / "out")
        launcher = [sys.executable, "-I", "-S", str(HERE / "measure.py"), str(self.timeout_s), str(cost_file), str(log)]
        done = subprocess.run(
            [*launcher, *command], env=environment(self.threads), capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"could not be started: {without_paths(last_line(done.stderr))}", {}, None
        cost = json.loads(cost_file.read_text())
        exit_code = cost.pop("exit_code")
        if cost.pop("timed_out"):
            # what a killed process had not yet waited for is not in its CPU time and memory
            return f"stopped after {self.timeout_s:g} s", {"wall_s": cost["wall_s"]}, None
        message = without_paths(last_line(log.read_text(errors="replace")))
        if exit_code == NOT_OFFERED and tool.name != "medreg":
            return f"not offered: {message}", {}, None
        matrix = tool.matrix(scratch / "out")
        if matrix is None:
            return f"failed, exit {exit_code}: {message}", cost, None
        return ("ok" if exit_code == 0 else f"exit {exit_code}"), cost, matrix


def without_paths(message: str) -> str:
    """The message with every absolute path cut to its last part: results are published."""
    return re.sub(r"(?<![\w.])(?:/[^\s/:'\"]+)+/([^\s/:'\"]+)", r"\1", message)[:200]


def compare(
    cases: Sequence[Case], tools: Sequence[Tool], bench: Bench, *, repeats: int, directions: Sequence[str], out: Path
) -> list[Run]:
    """Run every tool on every case, tool after tool within a repeat so that a drift of the machine is shared.

    The files in `out` are rewritten after each run, so a comparison that is broken off keeps what it has.
    """
    about = report.machine(bench.threads)
    versions = {tool.name: without_paths(tool.version()) for tool in tools}
    runs: list[Run] = []
    for case in cases:
        if not case.is_volume:
            runs.append(Run(case.name, case.kind, "every tool", "", 0, "not a volume"))
            continue
        referee = Referee(case)
        start = referee.figures(np.eye(4))
        runs.append(Run(case.name, case.kind, "start", "", 0, "before registration", figures=start))
        for repeat in range(repeats):
            turn = repeat % len(tools)  # no tool is always first
            for tool in [*tools[turn:], *tools[:turn]]:
                run = one_run(tool, versions[tool.name], referee, bench, repeat, directions if repeat == 0 else ())
                runs.append(run)
                show(run)
                report.write(out, about, runs)
    report.write(out, about, runs)
    return runs


def one_run(tool: Tool, version: str, referee: Referee, bench: Bench, repeat: int, directions: Sequence[str]) -> Run:
    """Run and score one tool on one case, and in the other direction too if `directions` holds `backward`."""
    case = referee.case
    with tempfile.TemporaryDirectory() as folder:
        status, costs, matrix = bench.run(tool, case, Path(folder) / "forward")
        figures = {} if matrix is None else referee.figures(matrix)
        if matrix is not None and "backward" in directions:
            swapped = replace(case, fixed=case.moving, moving=case.fixed)
            other_status, _, other = bench.run(tool, swapped, Path(folder) / "backward")
            if other is None:
                status = f"{status}; backward {other_status}"
            else:
                figures["inverse_mm"] = inverse_consistency(matrix, other, referee.foreground)
    return Run(case.name, case.kind, tool.name, version, repeat, status, costs, figures)


def show(run: Run) -> None:
    """One line on the terminal as each run ends."""
    numbers = [f"{name} {value:.3f}" for name, value in {**run.costs, **run.figures}.items()]
    print(f"{run.case:16s} {run.tool:18s} {run.status:8s} {'  '.join(numbers)}", flush=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=HERE / "cases.json", help="JSON file of cases (default: ours)")
    parser.add_argument("--only", default="", metavar="A,B", help="these cases only")
    names = ",".join(every_tool("", ()))
    parser.add_argument("--tools", default=names, metavar="A,B", help=f"these tools only, of {names}")
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH", help="Python that has the peers")
    parser.add_argument("--medreg", default="medreg", metavar="COMMAND", help='e.g. "python -m medreg"')
    parser.add_argument("--threads", type=int, default=2, help="threads for every tool (default: 2)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="runs of each tool (default: 1)")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="S", help="stop a tool after (default: 900 s)")
    parser.add_argument("--inverse", action="store_true", help="also run moving -> fixed, for inverse consistency")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for the results")
    options = parser.parse_args(arguments)
    if unknown := set(options.tools.split(",")) - set(names.split(",")):
        parser.error(f"--tools: no tool {', '.join(sorted(unknown))}; choose from {names}")
    for name in ("threads", "repeat"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: got {getattr(options, name)}, wanted 1 or more")
    return options


def main() -> int:
    """Return 0 if every run left a transform or was not to be had, 1 if one failed, 2 if the cases cannot be used."""
    options = parse()
    try:
        cases = read_cases(options.cases, frozenset(filter(None, options.only.split(","))))
    except CasesError as error:
        print(error, file=sys.stderr)
        return 2
    available = every_tool(options.peers_python, tuple(shlex.split(options.medreg)))
    runs = compare(
        cases,
        [available[name] for name in options.tools.split(",")],
        Bench(options.threads, options.timeout),
        repeats=options.repeat,
        directions=("forward", "backward") if options.inverse else ("forward",),
        out=options.out,
    )
    print("\n" + (options.out / "results.md").read_text())
    return 0 if not any(run.failed for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
