"""Cases of the verdict's calibration, registered and examined; what came of them is kept between runs."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from verdict_cases import Case, case, name_of, tre

import medreg.registration.pair as pair
from medreg import MedregError, Recipe, register
from medreg.optimise.record import Outcome
from medreg.registration.calibration import Model
from medreg.registration.evidence import Evidence
from medreg.registration.pairwise import assess
from medreg.registration.verdict import Verdict, judge
from medreg.transform.kind import Kind

AIMS = ("good", "good", "good", "header", "unrelated", "handed")
"""What cases of successive seeds aim at."""
BAR_MM = 2.0


@dataclass(frozen=True)
class Row:
    """One case: what came of it, and what speaks for it. `tre_mm` is infinite for two things."""

    seed: int
    aim: str
    traits: dict[str, str]
    tre_mm: float
    outcome: Outcome
    kind: Kind
    metric: str
    evidence: Evidence

    @property
    def fails(self) -> bool:
        """Whether the answer is off by more than the bar."""
        return self.tre_mm > BAR_MM

    def verdict(self, model: Model) -> Verdict:
        """By a model."""
        return judge(self.evidence, self.outcome, self.kind, self.metric, 0, model)


def row_of(seed: int, scratch: Path, *, fresh: bool) -> Row | None:
    """The case of a seed, from the scratch folder if it is there; None where medreg refuses it."""
    aim = AIMS[seed % len(AIMS)]
    kept = scratch / f"row_{seed}.pkl"
    if kept.exists() and not fresh:
        return pickle.loads(kept.read_bytes())
    made = case(seed, aim)
    try:
        answer = _answer(made, scratch)
        row = Row(seed, aim, made.traits, *answer, _evidence(made, answer))
    except MedregError as refusal:
        print(f"{seed}: refused: {refusal}", flush=True)
        row = None
    kept.write_bytes(pickle.dumps(row))
    return row


def _answer(made: Case, scratch: Path) -> tuple[float, Outcome, Kind, str]:
    """Error, outcome, family and metric; the matrix is kept."""
    file = scratch / f"answer_{name_of(made)}.json"
    if not file.exists():
        handed = made.handed is not None
        recipe = Recipe(transform=made.kind, start="header" if made.aim == "header" else "auto")
        result = register(made.fixed, made.moving, recipe, initial=made.truth if handed else None)
        matrix = made.handed if handed else np.array(result.transform.matrix)
        kind = str(result.transform.kind.value)
        file.write_text(json.dumps([matrix.tolist(), result.outcome.value, kind, result.metric]))
    matrix, outcome, kind, metric = json.loads(file.read_text())
    made.traits["matrix"] = json.dumps(matrix)
    error = math.inf if made.truth is None else tre(np.array(matrix), made.truth, made.points)
    return error, Outcome(outcome), Kind(kind), metric


def _evidence(made: Case, answer: tuple[float, Outcome, Kind, str]) -> Evidence:
    """What `assess` finds, before it is judged."""
    caught: list[Evidence] = []

    def catching(evidence: Evidence, *rest: object) -> Verdict:
        caught.append(evidence)
        return judge(evidence, *rest)

    pair.judge = catching
    matrix = np.array(json.loads(made.traits.pop("matrix")))
    assess(made.fixed, made.moving, matrix, Recipe(transform=answer[2], metric=answer[3]))
    return caught[0]


def rows_of(seeds: Iterator[int], good: int, failing: int, scratch: Path, *, fresh: bool) -> list[Row]:
    """As many good and failing cases as are wanted, in the order of the seeds."""
    wanted, rows = {False: good, True: failing}, []
    while any(wanted.values()):
        seed = next(seeds)
        if not wanted[False] and AIMS[seed % len(AIMS)] == "good":
            continue
        if not wanted[True] and AIMS[seed % len(AIMS)] != "good":
            continue
        row = row_of(seed, scratch, fresh=fresh)
        if row is not None and wanted[row.fails]:
            wanted[row.fails] -= 1
            rows.append(row)
            print(told(row), flush=True)
    return rows


def told(row: Row) -> str:
    """A line for the terminal."""
    figures = " ".join(f"{name} {value:.4g}" for name, value in row.evidence.features.items())
    traits = ",".join(row.traits.values())
    return f"{row.seed:8d} {row.aim:9s} TRE {row.tre_mm:8.3f} mm  {figures}  ({row.kind}, {row.metric}, {traits})"
