"""Where the first stage begins: cheap guesses, and a search over all poses where none of them wins clearly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medreg.errors import RegistrationError
from medreg.geometry.affine import axis_angle, homogeneous, invert, nearest_rotation
from medreg.registration import recipe
from medreg.registration.agreement import SURE, agreement_of
from medreg.registration.batch import Batch, Poses, Rounds
from medreg.registration.level import Side
from medreg.registration.levels import LevelImage, default_levels
from medreg.registration.moments import frames, gray, mass
from medreg.registration.result import Candidate
from medreg.registration.rotations import in_plane, super_fibonacci
from medreg.registration.samples import LEAST, Placement, draw
from medreg.transform.kind import Kind
from medreg.types import FloatArray

SEEN = recipe.MutualInformation(bins=16)
"""Serves every contrast."""

SMALLER = 0.8
"""A moving image of less than this share of the fixed one's volume takes its role in the search."""

SAMPLES = 2000
"""Of the image with the smaller field of view, at each pose."""

GUESSED = ((16, 12),)
"""Rounds of descent for the cheap starts: how many go on, for how many steps."""

REFINED = ((32, 4), (12, 4), (6, 4))
"""For the best of the cover."""

LAST = ((4, 6),)
"""For the best of all, with more samples."""

CLEAR = 1.3
"""A cheap start wins clearly when its score is this many times that of the best unrefined pose of the cover."""

ROTATIONS, ANGLES = 1000, 72
"""Of the cover, in 3D and in 2D."""

SCALES = (0.5, 0.63, 0.8, 1.0, 1.25, 1.6, 2.0)
"""That a search in 2D tries, where the asked transform may scale."""

PLACES, GLANCED, SIFTED = 300, 300, ((96, 4), (32, 4), (8, 4))
"""Where the smaller image is put when every place is tried; the samples of a first glance; the rounds after it."""


@dataclass(frozen=True, eq=False)
class Started:
    """The best start: its name, its matrix (fixed -> moving points, LPS mm), and all that were compared."""

    name: str
    matrix: FloatArray
    candidates: tuple[Candidate, ...]


def find_start(start: recipe.Start, fixed: Side, moving: Side, kind: Kind, seed: int) -> Started:
    """The best start by mutual information times overlap at a coarse level, which serves every contrast.

    The overlap is counted in the smaller image, so that sliding out of view never pays. Proper rotations only: a mirror
    image is never accepted.

    Raises:
        RegistrationError: when no start brings the images to overlap.
    """
    return _Search(fixed, moving, kind, seed).run(start)


class _Search:
    """Both images at the search's level, the smaller field of view in the role of the fixed image."""

    def __init__(self, fixed: Side, moving: Side, kind: Kind, seed: int) -> None:
        spacing = default_levels(fixed.image.grid, moving.image.grid)[0].spacing_mm
        self.swapped = moving.image.grid.volume < SMALLER * fixed.image.grid.volume
        self.small, self.large = (moving, fixed) if self.swapped else (fixed, moving)
        self.images = [_shown(gray(side.image.at(spacing, SEEN)), spacing) for side in (self.small, self.large)]
        self.d = len(fixed.centre)
        self.scales = SCALES if self.d == 2 and kind not in (Kind.TRANSLATION, Kind.RIGID) else (1.0,)
        self.kind = Kind.TRANSLATION if kind is Kind.TRANSLATION else Kind.RIGID
        if len(self.scales) > 1:
            self.kind = Kind.SIMILARITY
        self.seed = seed

    def batch(self, samples: int) -> Batch:
        image = self.images[0]
        drawn = draw(image.volume, image.grid, samples, self.small.centre, self.seed, Placement.SCATTERED, image.mask)
        return Batch(drawn, self.images[1], SEEN.bins)

    def run(self, start: recipe.Start) -> Started:
        batch = self.batch(SAMPLES)
        names, matrices = self.guesses(start)
        if start in (recipe.Start.HEADER, recipe.Start.CENTRE):
            return self.chosen(names, batch.scan(matrices))
        poses = batch.descend(matrices, self.kind, GUESSED)
        if start is recipe.Start.MOMENTS:
            return self.chosen(names, poses)
        cover = batch.scan(self.cover())
        clear = poses.scores.min() < CLEAR * cover.scores.min() and self.agreement(poses) >= SURE
        if start is recipe.Start.AUTO and clear:
            return self.chosen(names, poses)
        names, poses = self.best_of(names, poses, *self.refined(batch, cover, REFINED))
        # partial views may not share their centres: try every place, too
        if self.agreement(poses) < SURE and bool((mass(self.images[1]) > 0).any()):
            glance = self.batch(GLANCED).scan(self.everywhere())
            better = batch.scan(glance.matrices[np.argsort(glance.scores, kind="stable")[:ROTATIONS]])
            names, poses = self.best_of(names, poses, *self.refined(batch, better, SIFTED))
        return self.chosen(names, poses)

    def refined(self, batch: Batch, cover: Poses, rounds: Rounds) -> tuple[list[str], Poses]:
        """The best of a cover after their descent."""
        best = cover.matrices[np.argsort(cover.scores, kind="stable")[: rounds[0][0]]]
        return ["search"] * len(best), batch.descend(best, self.kind, rounds)

    def best_of(self, names: list[str], poses: Poses, more: list[str], others: Poses) -> tuple[list[str], Poses]:
        """Both lots, best first, the best few of them once more with more samples."""
        names, poses = names + more, poses.joined(others)
        order = np.argsort(poses.scores, kind="stable")
        few, rest = order[: LAST[0][0]], order[LAST[0][0] :]
        finer = self.batch(4 * SAMPLES).descend(poses.matrices[few], self.kind, LAST).joined(poses[rest])
        return [names[k] for k in order], finer

    def agreement(self, poses: Poses) -> float:
        """`agreement_of` the best pose; 0 where there is nothing to judge by."""
        matrix = poses.matrices[int(np.argmin(poses.scores))]
        return float(np.nan_to_num(agreement_of(self.images[0], self.images[1], matrix, self.seed)))

    def everywhere(self) -> FloatArray:
        """(K, D+1, D+1) the cover, with the smaller image's middle put all over the larger one's foreground."""
        where = (mass(self.images[1]) > 0).nonzero().flip(1).double().numpy()
        stride = 1
        while (len(places := where[(where % stride == stride // 2).all(1)])) > PLACES:
            stride += 1
        turns = self.cover()
        shifts = self.images[1].grid.to_world(places) - np.array(self.large.centre)
        matrices = np.tile(turns, (len(places), 1, 1, 1))
        matrices[:, :, :-1, -1] += shifts[:, None]
        return matrices.reshape(-1, *turns.shape[1:])

    def guesses(self, start: recipe.Start) -> tuple[list[str], FloatArray]:
        """Names and matrices of the cheap starts."""
        identity = np.eye(self.d)
        header = ["header"], [np.eye(self.d + 1)]
        centre = ["centre of mass"], [self.placed(identity)]
        view = ["centre of view"], [_carrying(identity, self.small.image.grid.centre, self.large.image.grid.centre)]
        turns = [far @ near.T for far, near in zip(*self.axes(), strict=True)]
        moments = [f"principal axes {k + 1}" for k in range(len(turns))], [self.placed(turn) for turn in turns]
        match start:
            case recipe.Start.HEADER:
                kept = [header]
            case recipe.Start.CENTRE:
                kept = [centre]
            case recipe.Start.MOMENTS:
                kept = [centre] if self.kind is Kind.TRANSLATION else [moments]
            case _ if self.kind is Kind.TRANSLATION:
                kept = [header, centre, view]
            case _:
                kept = [header, centre, view, moments]
        return [name for names, _ in kept for name in names], np.stack([m for _, all_ in kept for m in all_])

    def axes(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """Principal axes of the larger image, with every choice of signs that is no mirror, and of the smaller one."""
        far, near = frames(self.images[1]), frames(self.images[0])
        return far, [near[0]] * len(far)

    def cover(self) -> FloatArray:
        """(K, D+1, D+1) all rotations, and scales in 2D, about the centres of mass; of translations the one."""
        if self.kind is Kind.TRANSLATION:
            return self.placed(np.eye(self.d))[None]
        turns = super_fibonacci(ROTATIONS) if self.d == 3 else in_plane(ANGLES)
        return np.stack([self.placed(scale * turn) for scale in self.scales for turn in turns])

    def placed(self, linear: FloatArray) -> FloatArray:
        return _carrying(linear, self.small.centre, self.large.centre)

    def chosen(self, names: Sequence[str], poses: Poses) -> Started:
        """The best of the poses.

        Raises:
            RegistrationError: when the images overlap at none of them.
        """
        if not poses.overlaps.max() > 0:
            raise RegistrationError(
                "the images do not overlap from any start that was tried (" + ", ".join(dict.fromkeys(names)) + "); "
                "check their headers with `medreg info FIXED MOVING`, or use --start search"
            )
        best = int(np.argmin(poses.scores))
        matrix = poses.matrices[best]
        return Started(names[best], invert(matrix) if self.swapped else matrix, self.listed(names, poses))

    def listed(self, names: Sequence[str], poses: Poses) -> tuple[Candidate, ...]:
        """For the record, fixed -> moving."""
        matrices = [invert(m) if self.swapped else m for m in poses.matrices]
        return tuple(
            Candidate(name, float(score), float(overlap), _degrees(m))
            for name, score, overlap, m in zip(names, poses.scores, poses.overlaps, matrices, strict=True)
        )


def _shown(image: LevelImage, spacing_mm: float) -> LevelImage:
    """The image, if enough of it counts to search by.

    Raises:
        RegistrationError: when its mask leaves next to nothing at the search's resolution.
    """
    if image.counted < LEAST:
        raise RegistrationError(
            f"only {image.counted} voxels of an image are left to compare at {spacing_mm:.3g} mm, where the search "
            f"looks, {LEAST} are needed; use larger masks or images"
        )
    return image


def _carrying(linear: FloatArray, point: tuple[float, ...], to: tuple[float, ...]) -> FloatArray:
    """The map with this linear part that carries one point to another."""
    return homogeneous(linear, np.array(to) - linear @ np.array(point))


def _degrees(matrix: FloatArray) -> float:
    """By how much a matrix turns."""
    return abs(axis_angle(nearest_rotation(matrix[:-1, :-1]))[1])
