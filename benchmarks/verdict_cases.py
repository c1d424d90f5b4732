"""Pairs of images for the calibration of the verdict, each made from a seed: an object, a motion, and what ails them.

Objects are generated heads in five contrasts, the MNI152 template (of nilearn's package, whole or brain alone), and
scenes of ellipsoids; whole volumes, slabs and halves, and planes. A second person is the first one bent smoothly by
some millimetres; the truth is then the linear map that fits best. Voxels are 2.5 to 3.2 mm, so that a case takes a
second.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from heads import phantom
from poses import about, rotation
from scenes import shapes, texture
from scipy.ndimage import gaussian_filter, map_coordinates

from medreg import Grid, MedImage

Matrix = np.ndarray
CENTRE = np.array([0.0, 6.0, -4.0])
BASE = phantom.Grid.centred((132, 160, 132), (1.5, 1.5, 1.5), CENTRE)
CONTRASTS = {"t1": phantom.T1, "t2": phantom.T2, "inverted": phantom.INVERTED, "ct": phantom.CT, "epi": phantom.EPI}
CURVES = {
    "t1": ((0.0, 1.0), (0.0, 1.0)),
    "t2": ((0.0, 0.12, 0.3, 0.55, 0.8, 1.0), (0.0, 0.15, 1.0, 0.6, 0.35, 0.5)),
    "inverted": ((0.0, 0.1, 1.0), (0.0, 1.0, 0.1)),
    "negative": ((0.0, 1.0), (1.0, 0.0)),
}
"""What becomes of a T1 intensity, 0 to 1."""

FAILING = ("header", "unrelated", "handed")
"""How a case is made to fail: a start that cannot be left, two things, an answer that is given and not sought."""


@dataclass(frozen=True)
class Case:
    """A pair, its truth and what is asked.

    Attributes:
        seed: it is made from.
        kind: "rigid" or "affine".
        fixed: stays.
        moving: the same object elsewhere, or another one.
        truth: (D+1) x (D+1), fixed -> moving points; None of two things that have nothing in common.
        points: (n, D) the fixed object's foreground, LPS mm.
        aim: "good", or one of `FAILING`.
        handed: the wrong answer of a case of that aim.
        traits: what it is made of, for tables.
    """

    seed: int
    kind: str
    fixed: MedImage
    moving: MedImage
    truth: Matrix | None
    points: np.ndarray
    aim: str
    handed: Matrix | None = None
    traits: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Solid:
    """Values, about 0 to 1, at the points (3, n) of an object's own world, LPS mm; its `middle` and `reach`."""

    at: Callable[[np.ndarray], np.ndarray]
    middle: np.ndarray
    reach: np.ndarray


def case(seed: int, aim: str) -> Case:
    """The case of a seed and an aim."""
    random = np.random.default_rng([seed, 77])
    flat = bool(random.random() < 0.15)
    what = str(random.choice(["head", "mni", "brain", "shapes"], p=[0.45, 0.22, 0.18, 0.15]))
    kind = str(random.choice(["rigid", "affine"]))
    first, second, contrast = _contrasts(random, what)
    solid = solid_of(what, first, seed)
    other = solid if what == "shapes" else solid_of(what, second, seed)
    person = what != "shapes" and not flat and random.random() < 0.2
    bend = _bend(random, float(random.uniform(2.0, 4.5))) if person else None
    tumbled = aim == "header" or random.random() < 0.4
    pose = _pose(random, solid.middle, kind, aim, tumbled=tumbled, flat=flat)
    cut = str(random.choice(["whole", "slab", "half"], p=[0.7, 0.2, 0.1])) if not flat else "whole"
    cut = "whole" if person else cut  # the best map of a half is not that of the whole where one is bent
    noise = tuple(float(random.choice([0.01, 0.03, 0.06, 0.1])) for _ in range(2))
    fixed = _seen(random, solid, np.eye(4), None, noise[0], "whole", flat=flat, lesions=False)
    moving = _seen(random, other, pose, bend, noise[1], cut, flat=flat, lesions=random.random() < 0.25)
    points = _foreground(solid, random, flat=flat)
    truth = _truth(points, pose, bend, kind, flat=flat)
    traits = {
        "what": what, "contrast": contrast, "cut": cut, "person": "another" if person else "same",
        "pose": "tumbled" if tumbled else "moderate", "noise": f"{max(noise):g}", "flat": str(flat),
    }  # fmt: skip
    handed = None
    if aim == "unrelated":
        moving, truth = _unrelated(random, seed, what, moving, flat=flat), None
    elif aim == "handed":
        handed = _wrong(random, truth, points)
    return Case(seed, kind, fixed, moving, truth, points, aim, handed, traits)


def _contrasts(random: np.random.Generator, what: str) -> tuple[str, str, str]:
    """Of the fixed and the moving image."""
    if what == "shapes":
        return "t1", "t1", "same"
    names = list(CONTRASTS if what == "head" else CURVES)
    first = str(random.choice(["t1", "t2"], p=[0.8, 0.2]))
    second = first if random.random() < 0.5 else str(random.choice(names))
    return first, second, "same" if first == second else "other"


# Objects -------------------------------------------------------------------------------------------------------------


@cache
def _volume(what: str, contrast: str) -> tuple[np.ndarray, Matrix]:
    """Noiseless values [i, j, k], 0 to 1, and their affine, LPS mm; rendered heads are kept in the scratch folder."""
    if what == "head":
        path = SCRATCH / f"head_{contrast}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, phantom.render(BASE, CONTRASTS[contrast]))
        values, affine = np.load(path), BASE.affine
        low, high = np.percentile(values, (0.1, 99.8))
    else:
        import nibabel as nib

        folder = Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data"
        image = nib.load(folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
        values, affine = image.get_fdata(dtype=np.float32), np.diag([-1.0, -1, 1, 1]) @ image.affine
        if what == "brain":
            tissue = [nib.load(folder / f"mni_icbm152_{t}_tal_nlin_sym_09a_converted.nii.gz") for t in ("gm", "wm")]
            share = gaussian_filter(sum(t.get_fdata(dtype=np.float32) for t in tissue), 2)
            values = values * (share > 0.15 * share.max())
        low, high = 0.0, np.percentile(values, 99.8)
    scaled = ((values - low) / (high - low)).clip(0, 1).astype(np.float32)
    if what != "head":
        scaled = np.interp(scaled, *CURVES[contrast]).astype(np.float32)
    return scaled, affine


SCRATCH = Path("/tmp") / "medreg_verdict"
"""Where rendered heads and features are kept between runs."""


def solid_of(what: str, contrast: str, seed: int) -> Solid:
    """An object in one contrast."""
    if what == "shapes":
        image = shapes(seed, 3)
        values, affine = image.data[0].numpy().T / 200.0, image.affine
        values = gaussian_filter(values, 0.5)
    else:
        values, affine = _volume(what, contrast)
    outside = float(values[0, 0, 0])
    inverse = np.linalg.inv(affine)

    def at(points: np.ndarray) -> np.ndarray:
        index = inverse[:3, :3] @ points + inverse[:3, 3:]
        return map_coordinates(values, index, order=1, mode="constant", cval=outside)

    shape = np.array(values.shape)
    middle = affine[:3, :3] @ ((shape - 1) / 2) + affine[:3, 3]
    return Solid(at, middle, np.abs(affine[:3, :3]) @ shape)


def _bend(random: np.random.Generator, rms_mm: float) -> Callable[[np.ndarray], np.ndarray]:
    """A smooth displacement (3, n) of points (3, n), its waves 70 mm and longer."""
    lattice = random.normal(size=(3, 9, 9, 9))
    lattice *= rms_mm / np.sqrt(3) / lattice.std()

    def displaced(points: np.ndarray) -> np.ndarray:
        index = (points - CENTRE[:, None]) / 40.0 + 4
        return np.stack([map_coordinates(axis, index, order=3, mode="nearest") for axis in lattice])

    return displaced


def _pose(random: np.random.Generator, middle: np.ndarray, kind: str, aim: str, *, tumbled: bool, flat: bool) -> Matrix:
    """A motion about the object's middle; for a start that fails, turned by 60 degrees or more."""
    axis = np.array([0.0, 0, 1]) if flat else random.normal(size=3)
    low, high, shift = (60, 180, 50) if aim == "header" else (30, 180, 50) if tumbled else (0, 25, 25)
    linear = rotation(axis, random.uniform(low, high))
    if kind == "affine":
        free = np.ones(3) if not flat else np.array([1.0, 1, 0])
        shear = np.eye(3)
        shear[0, 1] = random.uniform(-0.05, 0.05)
        linear = linear @ np.diag(1 + free * random.uniform(-0.1, 0.1, 3)) @ shear
    moved = random.uniform(-shift, shift, 3) * ((1, 1, 0) if flat else (1, 1, 1))
    return about(middle, linear, moved)


# Images --------------------------------------------------------------------------------------------------------------


def _seen(
    random: np.random.Generator,
    solid: Solid,
    pose: Matrix,
    bend: Callable[[np.ndarray], np.ndarray] | None,
    noise: float,
    cut: str,
    *,
    flat: bool,
    lesions: bool,
) -> MedImage:
    """The object as a scanner shows it, on an oblique grid about it."""
    spacing = random.uniform(2.5, 3.2, 3)
    extent = np.minimum(solid.reach, 230) * random.uniform(0.95, 1.1)
    centre = pose[:3, :3] @ solid.middle + pose[:3, 3]
    turn = rotation((0, 0, 1) if flat else random.normal(size=3), random.uniform(-12, 12))
    offset = np.zeros(3)
    axis = int(random.integers(3))
    if cut != "whole":
        share = random.uniform(0.25, 0.45) if cut == "slab" else 0.5
        offset[axis] = random.uniform(-0.12, 0.12) * extent[axis] if cut == "slab" else extent[axis] / 4
        extent[axis] *= share
    if flat:
        spacing /= 1.6
        extent[2] = spacing[2]
    size = tuple(int(n) for n in np.maximum(1, np.round(extent / spacing)))
    grid = phantom.Grid.centred(size, spacing, centre + turn @ offset, turn)
    index = np.indices(size).reshape(3, -1)
    points = np.linalg.inv(pose) @ np.vstack(
        [grid.affine[:3, :3] @ index + grid.affine[:3, 3:], np.ones(index.shape[1])]
    )
    own = points[:3]
    own = own if bend is None else own + bend(own)
    values = solid.at(own).clip(0, None) ** random.uniform(0.7, 1.4)
    if lesions:
        for _ in range(int(random.integers(1, 4))):
            at = solid.middle + random.uniform(-0.22, 0.22, 3) * solid.reach
            inside = ((own - at[:, None]) ** 2).sum(0) < random.uniform(6, 18) ** 2
            values[inside] = random.uniform(0.1, 1.2)
    image = values.reshape(size) * phantom.shading(
        grid, float(random.choice([0, 0.15, 0.35])), int(random.integers(1e6))
    )
    image = image + noise * random.standard_normal(size)
    return _as_image(image * 1000, grid, flat=flat)


def _as_image(voxels: np.ndarray, grid: phantom.Grid, *, flat: bool) -> MedImage:
    data = torch.from_numpy(np.ascontiguousarray(voxels.astype(np.float32).T))[None]
    if not flat:
        return MedImage.on(Grid.from_affine(grid.size, grid.affine), data)
    keep = [0, 1, 3]
    return MedImage.on(Grid.from_affine(grid.size[:2], grid.affine[np.ix_(keep, keep)]), data[:, 0])


def _unrelated(random: np.random.Generator, seed: int, what: str, moving: MedImage, *, flat: bool) -> MedImage:
    """Something else: other shapes, a texture, noise on the grid there, or another kind of object."""
    dimension = 2 if flat else 3
    which = str(random.choice(["shapes", "texture", "noise", "object"]))
    if which == "noise":
        values = gaussian_filter(random.standard_normal(moving.data[0].shape), random.choice([0.0, 1.0, 3.0]))
        return moving.with_data(torch.from_numpy(values / values.std())[None].float())
    if which == "object" and what != "shapes":
        return _seen(
            random,
            _scrambled(solid_of("mni" if what == "head" else "head", "t1", seed)),
            np.eye(4),
            None,
            0.03,
            "whole",
            flat=flat,
            lesions=False,
        )
    return (texture if which == "texture" else shapes)(5000 + seed, dimension)


def _scrambled(solid: Solid) -> Solid:
    """What lies inside of an object is turned about within it, so that it is none of its kind any more."""

    def at(points: np.ndarray) -> np.ndarray:
        away = points - solid.middle[:, None]
        turned = (
            solid.middle[:, None]
            + np.stack([away[2], -away[0] * 1.1, 0.8 * away[1]])
            + 25 * np.sin(away[[1, 2, 0]] / 17)
        )
        return solid.at(turned)

    return Solid(at, solid.middle, solid.reach)


# Truth ---------------------------------------------------------------------------------------------------------------


def _foreground(solid: Solid, random: np.random.Generator, *, flat: bool) -> np.ndarray:
    """About 2000 points (n, 3), or (n, 2) of the middle plane, where the object differs from its surroundings."""
    points = solid.middle[:, None] + random.uniform(-0.5, 0.5, (3, 20_000)) * solid.reach[:, None]
    if flat:
        points[2] = solid.middle[2]
    ground = float(solid.at(solid.middle[:, None] + 10 * solid.reach[:, None])[0])
    there = np.abs(solid.at(points) - ground) > 0.15
    return points[:, there].T[:2000, : 2 if flat else 3]


def _truth(points: np.ndarray, pose: Matrix, bend: Callable | None, kind: str, *, flat: bool) -> Matrix:
    """The linear map of its kind that fits the motion best."""
    if flat:
        return pose[np.ix_([0, 1, 3], [0, 1, 3])]
    if bend is None:
        return pose
    there = points.T.copy()
    for _ in range(5):  # p + bend(p) = q, for p
        there = points.T - bend(there)
    there = (pose[:3, :3] @ there + pose[:3, 3:]).T
    centres = points.mean(0), there.mean(0)
    a, b = points - centres[0], there - centres[1]
    if kind == "affine":
        linear = np.linalg.lstsq(a, b, rcond=None)[0].T
    else:
        u, _, vt = np.linalg.svd(b.T @ a)
        linear = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, centres[1] - linear @ centres[0]
    return matrix


def _wrong(random: np.random.Generator, truth: Matrix, points: np.ndarray) -> Matrix:
    """The truth after a small motion that moves the foreground by 2.6 to 30 mm."""
    d = len(truth) - 1
    wanted = np.exp(random.uniform(np.log(2.6), np.log(30)))
    axis = random.normal(size=3) if d == 3 else np.array([0.0, 0, 1])
    shift = random.normal(size=d)
    shift /= np.linalg.norm(shift)
    share, centre = random.uniform(0, 1), points.mean(0)

    def at(size: float) -> Matrix:
        radius = np.linalg.norm(points - centre, axis=1).mean()
        turn = rotation(axis, np.degrees(share * size / radius))[:d, :d]
        matrix = np.eye(d + 1)
        matrix[:d, :d], matrix[:d, d] = turn, centre - turn @ centre + (1 - share) * size * shift
        return truth @ matrix

    size = wanted
    for _ in range(8):
        size *= wanted / tre(at(size), truth, points)
    return at(size)


def tre(one: Matrix, other: Matrix, points: np.ndarray) -> float:
    """Mean distance, mm, between where two maps send points (n, D)."""
    ends = [np.column_stack([points, np.ones(len(points))]) @ m.T for m in (one, other)]
    first, second = (e[:, :-1] / e[:, -1:] for e in ends)
    return float(np.linalg.norm(first - second, axis=1).mean())


def name_of(case: Case) -> str:
    """What a case's answer is kept under."""
    return hashlib.sha256(f"{case.seed} {case.aim} {case.kind}".encode()).hexdigest()[:12]
