#!/usr/bin/env python3
"""How often `transform: auto` keeps the family that a pair of images was made with.

    python benchmarks/model_choice.py --pairs 100 --seed 1000

A quarter of the pairs each is moved rigidly, by a similarity, by an affine map and, in 2D only, by a homography; the
first three are in 3D (64^3 voxels of about 3 mm) and in 2D (200 x 200 of about 1.1 mm) in turn. Both images show the
generated head on oblique grids of their own, with noise, bias field and gamma of their own, and two in five in another
contrast. Whatever lies in a family but not in the next smaller one carries the head by one voxel or more at its
border; what is smaller cannot be told from noise, and is drawn anew. Exit code 1 below --bar.
"""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from heads import as_image, phantom
from poses import about, rotation
from scoring import map_points

from medreg import Grid, MedImage, Recipe, register

Matrix = np.ndarray
KINDS = ("rigid", "similarity", "affine", "homography")
MIDDLE = np.array([0.0, 6.0, -4.0])
SLICE_MM = 15.0
CONTRASTS = {"t1": phantom.T1, "t2": phantom.T2, "inverted": phantom.INVERTED, "epi": phantom.EPI}
LEAST_VOXELS = 1.0
"""What lies beyond the next smaller family moves the border by so much at least."""


@dataclass(frozen=True)
class Pair:
    """Two images, the family of the motion between them, and what they are made of."""

    fixed: MedImage
    moving: MedImage
    kind: str
    truth: Matrix
    traits: dict[str, object]


def pair(seed: int, kind: str, dimension: int) -> Pair:
    """The pair of a seed."""
    random = np.random.default_rng([seed, 31])
    names = list(CONTRASTS)
    first = str(random.choice(names[:2]))
    second = first if random.random() < 0.6 else str(random.choice([name for name in names if name != first]))
    voxel = 3.0 if dimension == 3 else 1.1
    pose, beyond = motion(random, kind, dimension, voxel)
    fixed = seen(random, CONTRASTS[first], np.eye(4), voxel, dimension)
    moving = seen(random, CONTRASTS[second], pose, voxel, dimension)
    keep = [0, 1, 2, 3] if dimension == 3 else [0, 1, 3]
    traits = {"seed": seed, "dimension": dimension, "contrast": f"{first} {second}", "beyond_voxels": beyond}
    return Pair(fixed, moving, kind, pose[np.ix_(keep, keep)], traits)


def motion(random: np.random.Generator, kind: str, dimension: int, voxel_mm: float) -> tuple[Matrix, float]:
    """A motion (4, 4) of LPS points that is in a family and not nearly in the next smaller one.

    Returns:
        The motion, and the voxels by which it carries the border away from the nearest motion of that smaller family.
    """
    border = _border(dimension)
    while True:
        flat = dimension == 2
        axis = np.array([0.0, 0, 1]) if flat else random.normal(size=3)
        linear = rotation(axis, random.uniform(-15, 15))
        free = np.array([1.0, 1, 0 if flat else 1])
        if kind != "rigid":
            linear = linear * np.where(free > 0, np.exp(_either(random, 0.01, np.log(1.25))), 1)
        if kind in ("affine", "homography"):
            scales = np.exp(free * [_either(random, 0.005, 0.12) for _ in range(3)])
            shear = np.eye(3)
            shear[[0, 0, 1], [1, 2, 2]] = [_either(random, 0.005, 0.12) for _ in range(3)]
            linear = linear @ np.diag(scales) @ (shear if not flat else _flat(shear))
        matrix = about(MIDDLE, linear, random.uniform(-12, 12, 3) * free)
        if kind == "homography":
            bend = np.eye(4)
            bend[3, :2] = [_either(random, 1e-4, 1.5e-3) for _ in range(2)]
            shift = about(np.zeros(3), np.eye(3), MIDDLE)
            matrix = matrix @ shift @ bend @ np.linalg.inv(shift)
        scale = np.abs(np.linalg.det(matrix[:dimension, :dimension])) ** (1 / dimension)
        beyond = float("inf") if kind == "rigid" else _beyond(kind, matrix, border, dimension) / voxel_mm
        if 0.8 <= scale <= 1.25 and beyond >= LEAST_VOXELS:
            return matrix / matrix[3, 3], beyond


def _either(random: np.random.Generator, low: float, high: float) -> float:
    """Of either sign, its size log-uniform."""
    return float(random.choice([-1, 1]) * np.exp(random.uniform(np.log(low), np.log(high))))


def _flat(shear: Matrix) -> Matrix:
    """Without what leaves the plane."""
    shear[:, 2] = shear[2] = (0, 0, 1)
    return shear


def _border(dimension: int) -> Matrix:
    """Points (n, 3) of the head, or of its slice."""
    random = np.random.default_rng(0)
    points = MIDDLE[:, None] + random.uniform(-100, 100, (3, 6000))
    if dimension == 2:
        points[2] = SLICE_MM
    return points[:, phantom.appearance(points, phantom.T1) > 20].T


def _beyond(kind: str, matrix: Matrix, points: Matrix, dimension: int) -> float:
    """The largest distance, mm, between a motion and the least-squares motion of the next smaller family."""
    here = points[:, :dimension]
    there = map_points(matrix, points)[:, :dimension]
    a, b = here - here.mean(0), there - there.mean(0)
    if kind == "homography":
        linear = np.linalg.lstsq(a, b, rcond=None)[0].T
    else:
        u, sizes, vt = np.linalg.svd(b.T @ a)
        linear = u @ vt * (sizes.sum() / (a**2).sum() if kind == "affine" else 1)
    return float(np.linalg.norm(a @ linear.T - b, axis=1).max())


def seen(
    random: np.random.Generator, contrast: phantom.Contrast, pose: Matrix, voxel_mm: float, dimension: int
) -> MedImage:
    """The moved head as a scanner shows it."""
    flat = dimension == 2
    size = (200, 200, 1) if flat else (64, 64, 64)
    spacing = voxel_mm * random.uniform(0.93, 1.07, 3)
    turn = rotation((0, 0, 1) if flat else random.normal(size=3), random.uniform(-10, 10))
    centre = map_points(pose, MIDDLE[None])[0] + random.uniform(-5, 5, 3)
    centre[2] = SLICE_MM if flat else centre[2]
    grid = phantom.Grid.centred(size, spacing, centre, turn)
    index = np.indices(size).reshape(3, -1)
    points = (grid.affine[:3, :3] @ index + grid.affine[:3, 3:]).T
    points = map_points(np.linalg.inv(pose), points)
    if flat:
        points[:, 2] = SLICE_MM
    low, high = float(contrast.table().min()), float(contrast.table().max())
    values = (phantom.appearance(points.T, contrast, edge_mm=voxel_mm).reshape(size) - low) / (high - low)
    values = values.clip(0, None) ** random.uniform(0.7, 1.4)
    values = values * phantom.shading(grid, random.choice([0.0, 0.15, 0.3]), int(random.integers(1e6)))
    values = values + random.choice([0.0, 0.01, 0.03, 0.06]) * random.standard_normal(size)
    image = as_image(grid, (values * 1000).astype(np.float32))
    if not flat:
        return image
    keep = [0, 1, 3]
    return MedImage.on(Grid.from_affine(grid.size[:2], grid.affine[np.ix_(keep, keep)]), image.data[:, 0])


def row(number: int, seed: int, recipe: dict[str, object], *, cost: bool) -> dict[str, object]:
    """One pair: what was true, what was chosen and why, and CPU seconds."""
    kind = KINDS[number % 4]
    made = pair(seed + number, kind, 2 if kind == "homography" or (number // 4) % 2 else 3)
    clock = time.process_time()
    result = register(made.fixed, made.moving, Recipe(transform="auto", **recipe))
    told = {"kind": kind, **made.traits, "chosen": str(result.transform.kind), "reason": result.choice.reason}
    told["metric"], told["start"], told["verdict"] = result.metric, result.start, result.verdict.standing.value
    told["families"] = {
        str(f.kind): [round(f.misfit, 2), round(f.cost, 2), round(f.furthest, 3)] for f in result.choice.families
    }
    told["seconds"] = time.process_time() - clock
    told["optimise"] = result.seconds["optimise"]
    if cost:
        clock = time.process_time()
        told["affine_optimise"] = register(made.fixed, made.moving, Recipe(**recipe)).seconds["optimise"]
        told["affine_seconds"] = time.process_time() - clock
    return told


def main() -> int:
    """Run all pairs and print the confusion table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first pair; the next has the next")
    parser.add_argument("--symmetric", action="store_true")
    parser.add_argument("--cost", action="store_true", help="time an affine run of each pair, too")
    parser.add_argument("--bar", type=float, default=0.95)
    parser.add_argument("--json", type=Path, help="write every pair's row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = {"symmetric": True} if options.symmetric else {}
    rows = []
    for number in range(options.pairs):
        rows.append(row(number, options.seed, recipe, cost=options.cost))
        last = rows[-1]
        if last["kind"] != last["chosen"]:
            print(f"pair {last['seed']} ({last['dimension']}D, {last['contrast']}): {last['kind']}; {last['reason']}")
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1, default=float))
    table = Counter((r["kind"], r["chosen"]) for r in rows)
    print("\n" + "made as".ljust(14) + "".join(kind.rjust(12) for kind in KINDS))
    for kind in KINDS:
        print(kind.ljust(14) + "".join(str(table[kind, chosen]).rjust(12) for chosen in KINDS))
    right = sum(table[kind, kind] for kind in KINDS)
    print(f"\n{right} of {len(rows)} right; {sum(r['seconds'] for r in rows):.0f} CPU seconds")
    if options.cost:
        shares = [r["seconds"] / r["affine_seconds"] for r in rows]
        print(f"CPU time against an affine run: median {np.median(shares):.2f}, most {max(shares):.2f}")
    return 0 if right >= options.bar * len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
