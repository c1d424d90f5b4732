"""What `medreg train-inverse` learns, seed by seed: results/train_inverse_NAME.json, and a table for docs/learning.md.

python benchmarks/train_inverse.py [--phantom line|head] [--model rotation|affine] [--seeds 5] [--jobs 1] [--table]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
PAGE = Path(__file__).parents[1] / "docs" / "learning.md"


def measured(phantom: str, model: str, seed: int) -> dict[str, Any]:
    """One training with the defaults, on one thread."""
    import torch

    from medreg.learn.settings import Settings
    from medreg.learn.training import begin

    torch.set_num_threads(1)
    wall, cpu = time.perf_counter(), time.process_time()
    training = begin(Settings.of(phantom, model, seed=seed))  # type: ignore[arg-type]
    epochs = [asdict(epoch) for epoch in training.epochs()]
    return {
        "settings": training.settings.to_dict(),
        "parameters": training.parameters,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "frame": asdict(training.frame(training.test)),
        "epochs": epochs,
    }


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown, a row a seed and one of means."""
    rows = [_row(str(run["settings"]["seed"]), [run]) for run in runs]
    turns = runs[0]["settings"]["model"] == "rotation" and runs[0]["settings"]["phantom"] == "head"
    off = "angle error, median (90 %)" if turns else "points miss by"
    head = ["seed", "no correction", "test MSE", "better by", "exact inverse", "of it", off, "CPU s"]
    rows.append(_row("mean", runs))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def _row(name: str, runs: list[dict[str, Any]]) -> list[str]:
    def mean(*keys: str) -> float:
        values = []
        for run in runs:
            value: Any = {**run["frame"], **run, "last": run["epochs"][-1]["test"]}
            for key in keys:
                value = value[key]
            values.append(value)
        return statistics.fmean(values)

    test, baseline, oracle = mean("last", "mse"), mean("baseline", "mse"), mean("oracle", "mse")
    turns = runs[0]["settings"]["model"] == "rotation" and runs[0]["settings"]["phantom"] == "head"
    off = (
        f"{mean('last', 'angle_deg'):.2f}° ({mean('last', 'angle_deg_90'):.2f}°)"
        if turns
        else f"{mean('last', 'miss_mm'):.2f} voxel"
    )
    return [
        name,
        f"{baseline:.6f}",
        f"{test:.6f}",
        f"{100 * (1 - test / baseline):.1f} %",
        f"{oracle:.6f}",
        f"{test / oracle:.3f}",
        off,
        f"{mean('cpu_seconds'):.0f}",
    ]


def filled(page: str, name: str, table: str) -> str:
    """The page with the table between its markers, in place of what is there; as it is if it has none."""
    before, begin, rest = page.partition(f"<!-- {name}:begin -->\n")
    _, end, after = rest.partition(f"<!-- {name}:end -->")
    return f"{before}{begin}\n{table}\n\n{end}{after}" if end else page


def main() -> None:
    """Train, write, print, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", default="line", choices=["line", "head"])
    parser.add_argument("--model", default="rotation", choices=["rotation", "affine"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--table", action="store_true", help="only the table, of what was measured before")
    asked = parser.parse_args()
    path = RESULTS / f"train_inverse_{asked.phantom}_{asked.model}.json"
    if not asked.table:
        count = asked.seeds
        with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
            runs = list(pool.map(measured, [asked.phantom] * count, [asked.model] * count, range(count)))
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(runs) + "\n", encoding="utf-8")
    made = table(json.loads(path.read_text(encoding="utf-8")))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), path.stem[14:], made), encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
