#!/usr/bin/env python3
"""The share of random starting poses from which medreg finds the truth.

    python benchmarks/random_starts.py --seeds 0:100
    python benchmarks/random_starts.py --fixed A.nii.gz --moving B.nii.gz --truth T.txt --transform affine
    python benchmarks/random_starts.py --fixed A.nii.gz --moving B.nii.gz --labels LA.nii.gz LB.nii.gz

The moving image is turned and shifted by its header alone, then registered in this process. A seed succeeds where the
TRE over the fixed foreground (or the mean Dice of the labels) passes its bar. Without files: the generated head.
Exit code 1 if the rate of success is below --bar.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from poses import random_pose
from scoring import Case, Referee, read_cases
from trials import attempt, moved, recipe_for

from medreg import MedImage, read_image

CASES = Path(__file__).resolve().parent / "cases.json"


@dataclass(frozen=True)
class Row:
    """One seed: how far the moving image was thrown, what medreg made of it, and whether that is right."""

    seed: int
    degrees: float
    shift_mm: float
    start: str
    ending: str
    seconds: float
    start_seconds: float
    figure: float | None
    ok: bool


@dataclass(frozen=True)
class Bar:
    """What counts as found: a mean TRE below `tre_mm` where the case has a truth, else a mean Dice above `dice`."""

    tre_mm: float
    dice: float

    def judge(self, figures: dict[str, float]) -> tuple[float, bool]:
        """The figure that decides, and whether it passes."""
        if "tre_mm" in figures:
            return figures["tre_mm"], figures["tre_mm"] < self.tre_mm
        return figures["dice"], figures["dice"] > self.dice


def run(referee: Referee, images: tuple[MedImage, MedImage], options: argparse.Namespace, seed: int) -> Row:
    """Throw the moving image, register, and score in the world where it lay before."""
    fixed, moving = images
    pose = random_pose(seed, moving.grid.centre, options.max_angle, options.max_shift)
    trial = attempt(fixed, moved(moving, pose.matrix), recipe_for(options.transform, options.start))
    figure, ok = None, False
    if trial.matrix is not None:  # the throw is rigid, so taking it back changes no distance
        undone = np.linalg.inv(pose.matrix) @ trial.matrix
        figure, ok = Bar(options.max_tre, options.min_dice).judge(referee.figures(undone))
    return Row(
        seed, pose.degrees, pose.shift_mm, trial.start, trial.ending, trial.seconds, trial.start_seconds, figure, ok
    )


def line(row: Row, unit: str, found: int, done: int) -> str:
    """A row for the terminal, with the tally so far."""
    figure = "-" if row.figure is None else f"{row.figure:.3f}"
    thrown = f"seed {row.seed:4d}  {row.degrees:5.1f} deg {row.shift_mm:5.1f} mm"
    mark = "ok  " if row.ok else "FAIL"
    came = f"start {row.start:16s} {row.seconds:6.2f} s ({row.start_seconds:4.2f} s to start)  {unit} {figure:>8s}"
    return f"{thrown}  {came}  {mark}  {found}/{done}  {row.ending}"


def case_of(options: argparse.Namespace, scratch: Path) -> Case:
    """The pair that the command line names, or the generated head with the wanted family of transforms."""
    if not options.fixed:
        return next(case for case in read_cases(CASES) if case.kind == options.transform)
    labels = tuple(options.labels) if options.labels else None
    truth = options.truth
    if truth is None and labels is None:
        truth = scratch / "identity.txt"
        np.savetxt(truth, np.eye(4))
    return Case("pair", options.fixed, options.moving, options.transform, truth, labels)


def summary(rows: Sequence[Row]) -> str:
    """The rate, what failed, and the seconds."""
    seconds, starts = [row.seconds for row in rows], [row.start_seconds for row in rows]
    failures = ", ".join(str(row.seed) for row in rows if not row.ok) or "none"
    rate = sum(row.ok for row in rows) / len(rows)
    return (
        f"rate {rate:.3f}  failed seeds: {failures}  median {median(seconds):.2f} s, "
        f"longest {max(seconds):.2f} s; of it to start {median(starts):.2f} s and {max(starts):.2f} s"
    )


def seeds(text: str) -> range:
    """`0:100`, the last not included, or one number."""
    first, colon, last = text.partition(":")
    found = range(int(first or 0), int(last)) if colon else range(int(first), int(first) + 1)
    if not found:
        raise ValueError(text)
    return found


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixed", type=Path, metavar="FILE")
    parser.add_argument("--moving", type=Path, metavar="FILE", help="the pair; default: the head in sample_data/")
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument("--truth", type=Path, metavar="4x4.txt", help="fixed to moving, LPS mm; default: the identity")
    truth.add_argument("--labels", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="score by Dice")
    parser.add_argument("--transform", default="rigid", help="rigid (default), similarity, affine, translation")
    parser.add_argument("--start", metavar="NAME", help="medreg's --start; default: its default")
    parser.add_argument("--seeds", type=seeds, default=range(100), metavar="0:100")
    parser.add_argument("--max-angle", type=float, default=180.0, metavar="DEG", help="default: 180")
    parser.add_argument("--max-shift", type=float, default=60.0, metavar="MM", help="along each axis; default: 60")
    parser.add_argument("--max-tre", type=float, default=1.0, metavar="MM", help="success is below this; default: 1")
    parser.add_argument("--min-dice", type=float, default=0.64, help="success is above this; default: 0.64")
    parser.add_argument("--bar", type=float, default=0.99, help="least rate of success; default: 0.99")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write every seed here")
    options = parser.parse_args()
    if bool(options.fixed) != bool(options.moving):
        parser.error("--fixed and --moving go together")
    if (options.truth or options.labels) and not options.fixed:
        parser.error("--truth and --labels belong to a pair: name --fixed and --moving")
    if not options.fixed and options.transform not in {case.kind for case in read_cases(CASES)}:
        parser.error(f"the generated head has no pair for {options.transform}: name --fixed and --moving")
    return options


def main() -> int:
    """Return 0 if the rate of success reaches the bar, else 1."""
    options = parse()
    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        referee = Referee(case_of(options, Path(scratch)))
        case = referee.case
        unit = "TRE mm" if case.truth else "Dice"
        images = read_image(case.fixed), read_image(case.moving)
        for seed in options.seeds:
            rows.append(run(referee, images, options, seed))
            print(line(rows[-1], unit, sum(row.ok for row in rows), len(rows)), flush=True)
    print(summary(rows))
    rate = sum(row.ok for row in rows) / len(rows)
    if options.out:
        about = {"fixed": case.fixed.name, "moving": case.moving.name, "transform": case.kind, "figure": unit}
        record = {**about, "rate": rate, "seeds": [asdict(row) for row in rows]}
        options.out.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if rate >= options.bar else 1


if __name__ == "__main__":
    sys.exit(main())
