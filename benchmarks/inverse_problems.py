"""Inverse problems: what medreg restores beside the best linear answers, in dB of PSNR, as markdown tables.

    pip install -e '.[benchmarks]'
    python benchmarks/inverse_problems.py

Pictures, operators and linear methods are in `inverse_cases.py`. A linear method with something to tune (the balance of
Wiener's filter, the window of filtered back-projection, a smoothing) is given what the truth says is best: no method
can know that, so it is more than one could have. medreg is told the noise, and how inexact its operator is on another
picture, and finds the weight of its prior by that. The same with a quadratic prior
(Tikhonov's) is the linear answer to the same information. Further tables: rules of descent on one of the problems, and
what a clip does where the rate is a hundred times too high.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence

import torch
from inverse_cases import (
    GRID,
    Picture,
    Problem,
    deblurring,
    ellipses,
    head,
    measured,
    super_resolution,
    tomography,
)
from torch import Tensor

from medreg import MedImage
from medreg.vision.inverse import (
    LBFGS,
    SGD,
    Adam,
    Balanced,
    ClipNorm,
    ClipValue,
    Descent,
    Prior,
    Restored,
    RMSprop,
    Smoothness,
    TotalVariation,
    Within,
    restore,
    restore_to_noise,
)

KNEE = 0.1
"""Of pictures from 0 to 1, per pixel."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="problems whose names hold this")
    parser.add_argument("--noises", type=float, nargs="+", default=[0.0, 0.05, 0.1, 0.2])
    parser.add_argument("--missing", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the noise and the gaps")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    problems = [deblurring(), super_resolution(), tomography(48, 180.0, "tomography, 48 views")]
    problems.append(tomography(32, 120.0, "tomography, 32 views over 120 degrees"))
    pictures = [ellipses(), head()]
    chosen = [problem for problem in problems if given.only in problem.name]
    restored(chosen, pictures, given.noises, given.missing, given.seed)
    if not given.only:
        print()
        rules(deblurring(), head())
        print()
        clipped(deblurring(), head())


def restored(
    problems: Sequence[Problem],
    pictures: Sequence[Picture],
    noises: Sequence[float],
    missing: Sequence[float],
    seed: int,
) -> None:
    """The first table."""
    print("| problem | picture | noise | missing | linear, tuned by the truth | Tikhonov | medreg | evaluations | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for problem in problems:
        for picture, other in zip(pictures, pictures[::-1], strict=True):
            for noise in noises:
                for share in missing:
                    seen, sigma = measured(problem, picture, noise, share, seed)
                    name, best, answer = linear(problem, picture, seen)
                    guess = MedImage.on(GRID, answer[None].float())
                    told = math.hypot(sigma, inexactness(problem, other))
                    same, _ = by_noise(problem, seen, guess, told, Smoothness)
                    start = time.perf_counter()
                    found, count = by_noise(problem, seen, guess, told, lambda weight: TotalVariation(weight, KNEE))
                    took = time.perf_counter() - start
                    quadratic, ours = (picture.score(f.restored.image.data) for f in (same, found))
                    print(
                        f"| {problem.name} | {picture.name} | {noise:g} | {share:.0%} | {best:.2f} ({name}) | "
                        f"{quadratic:.2f} | {ours:.2f} | {count} | {took:.1f} |",
                        flush=True,
                    )


def linear(problem: Problem, picture: Picture, seen: Tensor) -> tuple[str, float, Tensor]:
    """The best linear answer: its method, score and picture."""
    answers = [(name, picture.score(answer), answer) for name, answer in problem.linear(seen)]
    return max(answers, key=lambda answer: answer[1])


def inexactness(problem: Problem, picture: Picture) -> float:
    """Root mean square of what the operator makes of the pixels less what is measured of the fine picture."""
    return float((problem.through(picture.truth) - problem.measure(picture)).square().mean().sqrt())


def by_noise(
    problem: Problem, seen: Tensor, start: MedImage, noise: float, prior: Callable[[float], Prior]
) -> tuple[Balanced[MedImage], int]:
    """The answer with a prior that leaves the noise as misfit, and how often the loss was evaluated."""
    looks: list[object] = []
    found = restore_to_noise(
        seen,
        problem.through,
        start,
        noise,
        prior,
        [Within(0, 1)] if prior is not Smoothness else [],
        Descent(evaluations=150),
        watch=looks.append,
    )
    return found, len(looks)


def rules(problem: Problem, picture: Picture) -> None:
    """The same problem, prior and number of evaluations for every rule of descent."""
    seen, _ = measured(problem, picture, 0.05, 0.0)
    print("| rule | dB after 50 evaluations | 200 | s |")
    print("|---|---|---|---|")
    print(f"| (measured) | {picture.score(seen):.2f} | | |")
    for method in (SGD(4000.0, 0.0), SGD(4000.0), RMSprop(0.01), Adam(0.05), LBFGS()):
        scores, start = [], time.perf_counter()
        for count in (50, 200):
            scores.append(picture.score(descended(problem, seen, Descent(method, count, gain=0.0)).image.data))
        print(f"| `{method}` | {scores[0]:.2f} | {scores[1]:.2f} | {time.perf_counter() - start:.1f} |")


def clipped(problem: Problem, picture: Picture) -> None:
    """What becomes of a rate a hundred times too high, without a clip and with one."""
    seen, _ = measured(problem, picture, 0.05, 0.0)
    print("| rate | clip | outcome | loss at the end / at the start | dB |")
    print("|---|---|---|---|---|")
    print(f"| (measured) | | | | {picture.score(seen):.2f} |")
    for rate, clip in ((4e3, None), (4e5, None), (4e5, ClipNorm(1e-5)), (4e5, ClipValue(1e-7))):
        how = Descent(SGD(rate), 200, clip, fade=0.0, gain=0.0, window=1000)
        found = descended(problem, seen, how)
        share = found.looks[-1].value / found.looks[0].value
        score = picture.score(found.image.data)
        print(f"| {rate:g} | {clip or '-'} | {found.outcome.value} | {share:.3g} | {score:.2f} |")


def descended(problem: Problem, seen: Tensor, how: Descent) -> Restored[MedImage]:
    """From what was measured, with the prior of a noise of 0.05."""
    start = MedImage.on(GRID, seen)
    return restore(seen, problem.through, start, [TotalVariation(0.02, KNEE), Within(0, 1)], how)


if __name__ == "__main__":
    main()
