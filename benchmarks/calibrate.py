#!/usr/bin/env python3
"""Fit the verdict's model on generated pairs, and test it on unseen ones.

    python benchmarks/calibrate.py --fit --cases 240
    python benchmarks/calibrate.py --test

--fit makes training cases, registers them and refits `medreg/registration/verdict_model.json`: the weights of the
features, none negative, and the scale of the predicted error. The ends between which a feature counts are chosen by
hand and kept. --test makes 200 cases from other seeds, half of them failures (an error above 2 mm, or two things that
have nothing in common), and prints the figures; --page writes them and the reliability plot to docs/verdict.md. Answers
and evidence are kept in --scratch, so that a second fit takes seconds. Exit code 1 if a bar is missed. Needs scipy,
nibabel and nilearn (`pip install medreg[benchmarks]`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import verdict_cases
from scipy.optimize import minimize
from verdict_page import write_page
from verdict_rows import Row, rows_of, told

from medreg.registration.calibration import FILE, ErrorScale, Model, model_of
from medreg.registration.predicted_error import PredictedError
from medreg.registration.verdict import Standing

EARLIER, UNSEEN = (1_000_000, 2_000_000), 3_000_000
"""The first seeds of tests that were looked at while the features were chosen, and so are trained on since; and of the
test."""
HELD = 0.96
"""Share of the training's good cases whose error their intervals are to hold."""


def _training_seeds(cases: int) -> Iterator[int]:
    """Those of the earlier tests first, as far as they went."""
    return chain(*(range(first, first + min(58, cases // 4)) for first in EARLIER), range(EARLIER[0]))


# Fit -----------------------------------------------------------------------------------------------------------------


def fitted(rows: list[Row], model: Model) -> Model:
    """The model with weights by penalised maximum likelihood, limits between both kinds, and the error's scale."""
    names = list(model.features)
    bad = np.array([[model.features[n].badness(row.evidence.features[n]) for n in names] for row in rows])
    fails = np.array([row.fails for row in rows], float)
    share = np.where(fails > 0, 0.5 / fails.sum(), 0.5 / (1 - fails).sum())

    def loss(theta: np.ndarray) -> float:
        logit = theta[0] + bad @ theta[1:]
        return float(share @ (np.logaddexp(0, logit) - fails * logit)) + 5e-5 * float(theta[1:] @ theta[1:])

    begin = np.array([-4.0, *[4.0] * len(names)])
    best = minimize(loss, begin, bounds=[(-12, 0), *[(0, 20)] * len(names)]).x
    logits = best[0] + bad @ best[1:]
    worst_good, best_failing = np.percentile(logits[fails == 0], 98), logits[fails > 0].min()
    split = float(np.clip((worst_good + best_failing) / 2, -3.0, 0.0))
    features = {
        n: model.features[n].model_copy(update={"weight": round(float(w), 2)})
        for n, w in zip(names, best[1:], strict=True)
    }
    limits = model.limits.model_copy(update={"ok": round(1 / (1 + math.exp(-split)), 3)})
    error = _error_scale([row for row in rows if not row.fails], model)
    return model.model_copy(
        update={"intercept": round(float(best[0]), 2), "features": features, "limits": limits, "error": error}
    )


def _error_scale(rows: list[Row], model: Model) -> ErrorScale:
    """Factor and floor by least squares of the good cases' log errors; the spread that holds enough of them."""
    rms = np.array([row.evidence.uncertainty.at(row.evidence.points).mean() for row in rows])
    voxel, seen = np.array([row.evidence.spacing_mm for row in rows]), np.array([row.tre_mm for row in rows])

    def loss(theta: np.ndarray) -> float:
        misses = np.log(seen) - np.log(np.hypot(math.exp(theta[0]) * rms, math.exp(theta[1]) * voxel))
        return float((misses**2).mean())

    best = minimize(loss, [0.1, -4.0], method="Nelder-Mead").x
    floor = round(min(math.exp(best[1]), 0.1), 4)
    scale = model.error.model_copy(update={"factor": round(math.exp(best[0]), 3), "floor_voxels": floor})
    low, high = 0.0, 1.6
    for _ in range(6):
        middle = scale.model_copy(update={"spread": round((low + high) / 2, 3)})
        enough = np.mean([_held(row, middle) for row in rows]) >= HELD
        low, high = (low, middle.spread) if enough else (middle.spread, high)
    return scale.model_copy(update={"spread": high})


def _held(row: Row, scale: ErrorScale) -> bool:
    """Whether a case's error lies in its interval."""
    sure, points = row.evidence.uncertainty, row.evidence.points
    low, high = PredictedError.of(sure, points, scale, row.evidence.spacing_mm, 0).interval_mm
    return low <= row.tre_mm <= high


# Test ----------------------------------------------------------------------------------------------------------------


def figures_of(rows: list[Row], model: Model) -> dict[str, float]:
    """What the verdict shows on cases that it has not seen."""
    verdicts = [row.verdict(model) for row in rows]
    p = np.array([v.probability_of_failure for v in verdicts])
    fails = np.array([row.fails for row in rows])
    ok = np.array([v.standing is Standing.OK for v in verdicts])
    higher = (p[fails][:, None] > p[~fails]).mean() + 0.5 * (p[fails][:, None] == p[~fails]).mean()
    good = [(r, v.predicted_error) for r, v in zip(rows, verdicts, strict=True) if not r.fails and v.predicted_error]
    held = [e.interval_mm[0] <= r.tre_mm <= e.interval_mm[1] for r, e in good]
    return {
        "cases": len(rows),
        "failures": int(fails.sum()),
        "auc": float(higher),
        "failures_called_ok": int((ok & fails).sum()),
        "good_not_ok": float((~ok & ~fails).sum() / max(1, (~fails).sum())),
        "covered": float(np.mean(held)),
    }


def holds(figures: dict[str, float]) -> bool:
    """Whether all bars are met."""
    return (
        figures["auc"] >= 0.99
        and figures["failures_called_ok"] == 0
        and figures["good_not_ok"] <= 0.05
        and 0.90 <= figures["covered"] <= 0.99
    )


def written(model: Model) -> str:
    """The file's text: a line a feature."""
    value = model.model_dump()
    features = ",\n".join(f"    {json.dumps(name)}: {json.dumps(f)}" for name, f in value["features"].items())
    comment = ",\n".join(f"    {json.dumps(line)}" for line in value["comment"])
    parts = [f'  "comment": [\n{comment}\n  ]', f'  "intercept": {model.intercept}']
    parts.append(f'  "features": {{\n{features}\n  }}')
    parts += [f'  "{name}": {json.dumps(value[name])}' for name in ("limits", "error")]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="refit and write the model")
    parser.add_argument("--test", action="store_true", help="print the figures on unseen cases")
    parser.add_argument("--page", action="store_true", help="with --test: write docs/verdict.md and its plot")
    parser.add_argument("--cases", type=int, default=240, metavar="N", help="for --fit, half of them failures")
    parser.add_argument("--unseen", type=int, default=200, metavar="N", help="for --test, half of them failures")
    parser.add_argument("--seed", type=int, default=UNSEEN, metavar="N", help="the first of the test")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="gather the evidence anew")
    parser.add_argument("--scratch", type=Path, default=verdict_cases.SCRATCH, metavar="FOLDER")
    options = parser.parse_args()
    if not options.fit and not options.test:
        parser.error("nothing to do: give --fit or --test")
    return options


def main() -> int:
    """Return 0 if all bars of the test are met, else 1."""
    options = parse()
    torch.set_num_threads(options.threads)
    options.scratch.mkdir(parents=True, exist_ok=True)
    model = model_of()
    if options.fit:
        half = options.cases // 2
        rows = rows_of(_training_seeds(options.cases), half, options.cases - half, options.scratch, fresh=options.fresh)
        model = fitted(rows, model)
        FILE.write_text(written(model), encoding="utf-8")
        print(written(model), "\n", "training", figures_of(rows, model))
    if not options.test:
        return 0
    half = options.unseen // 2
    seeds = iter(range(options.seed, options.seed + UNSEEN))
    rows = rows_of(seeds, half, options.unseen - half, options.scratch, fresh=options.fresh)
    for row in rows:
        verdict = row.verdict(model)
        if (verdict.standing is Standing.OK) == row.fails:
            print(f"{told(row)}\n         p {verdict.probability_of_failure:.3f}: {'; '.join(verdict.reasons)}")
    figures = figures_of(rows, model)
    print(figures)
    if options.page:
        write_page(rows, [row.verdict(model) for row in rows], figures, model)
    return 0 if holds(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
