#!/usr/bin/env python3
"""Pairs that share only a part of what they show, or nothing: is the transform right, and is a failure admitted?

    python benchmarks/partial_views.py
    python benchmarks/partial_views.py --only axial,coronal --fixed A.nii.gz --moving B.nii.gz --truth T.txt

| case | what | holds |
|---|---|---|
| axial, sagittal, coronal | moving cut to its middle 40 mm | TRE < 0.5 mm |
| half, octant | moving cut to its left half; to the left, front and upper half at once | TRE < 0.5 mm |
| wide | fixed with twice the moving image's extent, neck and air | TRE < 0.5 mm |
| fixed_lesion, moving_lesion | a lesion masked out, with and without noise painted there | within 0.01 mm |
| apart | no overlap by the headers | TRE < 0.5 mm, or a failure that is admitted |
| apart_header | the same with --start header, which cannot find it | a failure that is admitted |
| texture, shapes, and flat_... in 2D | two different things | a failure that is admitted |

Starts are turned by --angle degrees about random axes, rigid. Distances are taken over the fixed image's foreground: a
mean for the TRE, the largest for a lesion. Files of your own serve the first two rows. Exit code 1 if any
does not hold.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from heads import CENTRE_MM, as_image, fixed_head, phantom, second_visit
from poses import turn
from scenes import shapes, texture
from scoring import Matrix, Points, map_points
from trials import Trial, attempt, foreground, moved, part, recipe_for, slab

from medreg import MedImage, read_image

SAGITTAL, CORONAL, AXIAL = 0, 1, 2
LEFT, FRONT, UPPER = (0, 0.5, 1.0), (1, 0.0, 0.5), (2, 0.5, 1.0)
SLAB_MM, APART_MM = 40.0, 450.0
LESION_MM, LESION_RADIUS_MM = (30.0, 22.0, 36.0), 22.0
TRE_BAR_MM, MASK_BAR_MM = 0.5, 0.01


@dataclass(frozen=True)
class Row:
    """What one trial showed, and whether that holds."""

    figure: str
    trial: Trial
    holds: bool


@dataclass(frozen=True)
class Bench:
    """The whole pair, its truth (4, 4) from fixed to moving points, how far starts are turned, and medreg's --start."""

    fixed: MedImage
    moving: MedImage
    truth: Matrix
    degrees: float
    start: str | None

    @cached_property
    def points(self) -> Points:
        """Where distances are taken: the fixed image's foreground."""
        return foreground(self.fixed)

    @cached_property
    def wide_head(self) -> MedImage:
        """The head in a field of view of 390 x 480 x 390 mm."""
        grid = phantom.Grid.centred((130, 160, 130), (3.0, 3.0, 3.0), CENTRE_MM)
        return as_image(grid, phantom.render(grid, phantom.T1, noise=0.02, bias=0.1, seed=21))

    def pose(self, moving: MedImage, seed: int) -> Matrix:
        """The turn that a seed gives the moving image, about its own middle."""
        return turn(seed, moving.grid.centre, self.degrees).matrix

    def found(self, fixed: MedImage, moving: MedImage, pose: Matrix, start: str | None = None) -> Row:
        """Whether the truth is found once the moving image is put elsewhere."""
        trial = attempt(fixed, moved(moving, pose), recipe_for("rigid", start or self.start))
        error = trial.tre_mm(pose @ self.truth, self.points)
        return Row(f"TRE {error:8.3f} mm", trial, error < TRE_BAR_MM)


def admitted(trial: Trial) -> Row:
    """Holds where success is not claimed: there is none to be had."""
    return Row("claims success" if trial.claims_success else "claims nothing", trial, not trial.claims_success)


def thin(bench: Bench, seed: int, axis: int) -> Row:
    """A slab across an axis of the world."""
    cut = slab(bench.moving, axis, SLAB_MM)
    return bench.found(bench.fixed, cut, bench.pose(cut, seed))


def corner(bench: Bench, seed: int, kept: tuple[tuple[int, float, float], ...]) -> Row:
    """What is kept along one or more axes of the world."""
    cut = bench.moving
    for axis, low, high in kept:
        cut = part(cut, axis, low, high)
    return bench.found(bench.fixed, cut, bench.pose(cut, seed))


def wide(bench: Bench, seed: int) -> Row:
    """A fixed image of twice the extent."""
    return bench.found(bench.wide_head, bench.moving, bench.pose(bench.moving, seed))


def lesion(bench: Bench, seed: int, which: str) -> Row:
    """How far noise moves the transform where a mask has taken the lesion out of the `fixed` or `moving` image."""
    pose = bench.pose(bench.moving, seed)
    clean = {"fixed": bench.fixed, "moving": moved(bench.moving, pose)}
    mask = around(getattr(bench, which), LESION_MM, LESION_RADIUS_MM)
    mask = moved(mask, pose) if which == "moving" else mask
    noisy = clean | {which: painted(clean[which], mask)}
    masks = (mask, None) if which == "fixed" else (None, mask)
    recipe = recipe_for("rigid", bench.start)
    trials = [attempt(images["fixed"], images["moving"], recipe, *masks) for images in (clean, noisy)]
    one, other = (trial.matrix for trial in trials)
    if one is None or other is None:
        return Row("no transform", trials[one is not None], holds=False)
    largest = np.linalg.norm(map_points(one, bench.points) - map_points(other, bench.points), axis=1).max()
    return Row(f"apart {largest:.1e} mm", trials[1], bool(largest < MASK_BAR_MM))


def apart(bench: Bench, seed: int, start: str | None = None) -> Row:
    """No overlap by the headers: found all the same, or not found and admitted."""
    pose = phantom.pose((0, 0, 0), (APART_MM, 0, 0)) @ bench.pose(bench.moving, seed)
    row = bench.found(bench.fixed, bench.moving, pose, start)
    return Row(row.figure, row.trial, row.holds or not row.trial.claims_success)


def unrelated(bench: Bench, seed: int, scene: Callable[[int, int], MedImage], dimension: int) -> Row:
    """Two scenes of one sort that have nothing in common."""
    fixed, moving = scene(2 * seed, dimension), scene(2 * seed + 1, dimension)
    return admitted(attempt(fixed, moving, recipe_for("rigid", bench.start)))


CUTS: dict[str, Callable[[Bench, int], Row]] = {
    "axial": partial(thin, axis=AXIAL),
    "sagittal": partial(thin, axis=SAGITTAL),
    "coronal": partial(thin, axis=CORONAL),
    "half": partial(corner, kept=(LEFT,)),
    "octant": partial(corner, kept=(LEFT, FRONT, UPPER)),
}
"""What any pair can be put to."""
OF_THE_HEAD: dict[str, Callable[[Bench, int], Row]] = {
    "wide": wide,
    "fixed_lesion": partial(lesion, which="fixed"),
    "moving_lesion": partial(lesion, which="moving"),
    "apart": apart,
    "apart_header": partial(apart, start="header"),
    "texture": partial(unrelated, scene=texture, dimension=3),
    "shapes": partial(unrelated, scene=shapes, dimension=3),
    "flat_texture": partial(unrelated, scene=texture, dimension=2),
    "flat_shapes": partial(unrelated, scene=shapes, dimension=2),
}


def around(image: MedImage, centre_mm: tuple[float, float, float], radius_mm: float) -> MedImage:
    """A mask on the image's grid: 0 in a ball, 1 elsewhere."""
    points = image.grid.to_world(np.indices(image.size, dtype=np.float64).reshape(3, -1).T)
    distance_mm = np.linalg.norm(points - np.array(centre_mm), axis=1).reshape(image.size)
    return image.with_data(torch.from_numpy(np.ascontiguousarray(distance_mm.T))[None] > radius_mm)


def painted(image: MedImage, mask: MedImage) -> MedImage:
    """Noise of up to three times the image's brightest where the mask is 0."""
    data = image.data.float()
    noise = 3 * data.max() * torch.rand(data.shape, generator=torch.Generator().manual_seed(0))
    return image.with_data(torch.where(mask.data, data, noise))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="A,B", help="these cases only")
    parser.add_argument("--fixed", type=Path, metavar="FILE")
    parser.add_argument("--moving", type=Path, metavar="FILE", help="a pair of your own; default: the digital head")
    parser.add_argument("--truth", type=Path, metavar="4x4.txt", help="fixed to moving, LPS mm; default: the identity")
    parser.add_argument("--starts", type=int, default=10, metavar="N", help="starts of each case; default: 10")
    parser.add_argument(
        "--angle", type=float, default=20.0, metavar="DEG", help="how far starts are turned; default: 20"
    )
    parser.add_argument("--start", metavar="NAME", help="medreg's --start; default: its default")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if bool(options.fixed) != bool(options.moving) or (options.truth and not options.fixed):
        parser.error("--fixed and --moving go together, and --truth belongs to them")
    known = CUTS if options.fixed else CUTS | OF_THE_HEAD
    options.cases = dict(known)
    if options.only:
        if unknown := [name for name in options.only.split(",") if name not in known]:
            parser.error(f"--only: no case {', '.join(unknown)}; choose from {', '.join(known)}")
        options.cases = {name: known[name] for name in options.only.split(",")}
    return options


def bench_of(options: argparse.Namespace) -> Bench:
    """The pair that the command line names, or two scans of the digital head."""
    truth = np.loadtxt(options.truth) if options.truth else np.eye(4)
    if options.fixed:
        return Bench(read_image(options.fixed), read_image(options.moving), truth, options.angle, options.start)
    return Bench(fixed_head(), second_visit(), truth, options.angle, options.start)


def main() -> int:
    """Return 0 if every row holds, else 1."""
    options = parse()
    torch.set_num_threads(options.threads)
    bench = bench_of(options)
    tally: dict[str, list[bool]] = {}
    for name, case in options.cases.items():
        for seed in range(options.starts):
            row = case(bench, seed)
            tally.setdefault(name, []).append(row.holds)
            told = f"start {row.trial.start:16s} {row.trial.seconds:6.2f} s  {row.figure:18s}"
            print(f"{name:13s} {seed:3d}  {told}  {'ok  ' if row.holds else 'FAIL'}  {row.trial.ending}", flush=True)
    print("\n" + "\n".join(f"{name:13s} {sum(held)}/{len(held)} hold" for name, held in tally.items()))
    return 0 if all(all(held) for held in tally.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
