"""Stitching: several pictures that overlap into one.

R. Szeliski, "Image Alignment and Stitching: A Tutorial", 2006, doi:10.1561/0600000009; M. Brown, D. Lowe, "Automatic
Panoramic Image Stitching using Invariant Features", 2007, doi:10.1007/s11263-006-0002-3, whose steps these are, with
the registration of pixels in the place of features: which pairs overlap, one place for every picture, exposures, blend.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from medreg.errors import ImageError, RegistrationError, UsageError
from medreg.image import Leading, MedImage
from medreg.transform.kind import Kind
from medreg.transform.local_homographies import LocalHomographies
from medreg.types import FloatArray
from medreg.vision.adjusting import adjust, along_tree, components, misses, most_central
from medreg.vision.bending import Bending, bent
from medreg.vision.exposure import exposures, psnr_of
from medreg.vision.matching import Judgement, Match, judged, match, refine, searches
from medreg.vision.mosaic import Layer, canvas_of, compose, overlap_of
from medreg.vision.pictures import Picture

AT_ODDS = 4.0
"""Pixels: a match that the adjusted places miss by more is taken for a wrong one, where the others suffice."""


@dataclass(frozen=True)
class Stitching:
    """Every choice.

    Attributes:
        transform: how pictures may differ.
        bending: how each may bend after that; None for not at all.
        reference: number, from 0, of the picture that stays as it is; None for the most central one.
        judgement: when two pictures are taken to overlap.
        seed: of the registrations' samples.
    """

    transform: Kind = Kind.HOMOGRAPHY
    bending: Bending | None = None
    reference: int | None = None
    judgement: Judgement = Judgement()
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Overlap:
    """Two pictures that overlap, and how well they agree in the mosaic.

    Attributes:
        match: how they were found to lie to each other.
        psnr_db: of one against the other where both are seen, exposures solved for; the peak is the type's largest
            value, or the range of the pictures where they are not integers.
        psnr_unbent_db: the same without the bends, where there are any.
    """

    match: Match
    psnr_db: float
    psnr_unbent_db: float | None = None


@dataclass(frozen=True, eq=False)
class Mosaic:
    """The mosaic and how it was made. The reference's world is the mosaic's: its pixels are pixels of the mosaic.

    Attributes:
        image: (C, y, x), the reference's type; 0 where no picture reaches.
        covered: (y, x) bool, where one does.
        reference: number of the picture that stays as it is.
        matrices: of each picture, 3x3, the mosaic's points -> its own.
        bends: of each picture, what holds in the place of its matrix; None where nothing else does.
        overlaps: all pairs that are believed to overlap.
        gains: (K, C) by which each picture's channels were multiplied.
        offsets: (K, C) and what was added then.
    """

    image: MedImage
    covered: Tensor
    reference: int
    matrices: tuple[FloatArray, ...]
    bends: tuple[LocalHomographies | None, ...]
    overlaps: tuple[Overlap, ...]
    gains: Tensor
    offsets: Tensor


def stitch(images: Sequence[MedImage], asked: Stitching = Stitching()) -> Mosaic:
    """One picture of several that overlap, in any order.

    Args:
        images: two or more, 2D, grey or colour, of one type and any sizes.
        asked: every choice.

    Raises:
        UsageError: fewer than two images, or a reference that is none of them.
        ImageError: an image that is not 2D, or whose type or channels do not go with the others'.
        RegistrationError: a picture overlaps none of the others that hang together; says which.
        TransformError: too much perspective for one flat mosaic; says which picture.
    """
    pictures = [Picture(image) for image in _alike(images)]
    count, names = len(pictures), [image.name for image in images]
    if asked.reference is not None and not 0 <= asked.reference < count:
        raise UsageError(f"the reference is one of the {count} pictures, 0 to {count - 1}, got {asked.reference}")
    matches = _matches(pictures, names, asked)
    reference = most_central(count, matches) if asked.reference is None else asked.reference
    matches, places = _placed(pictures, matches, reference, asked)
    placed = [places[k] for k in range(count)]
    layers = [Layer(p.image, m) for p, m in zip(pictures, placed, strict=True)]
    canvas = canvas_of([p.grid for p in pictures], placed, names, reference)
    peak, integer = _peak(images)
    shared = [(m.first, m.second, *overlap_of(layers[m.first], layers[m.second], canvas)) for m in matches]
    limits = (0.02 * peak, 0.98 * peak) if integer else (-math.inf, math.inf)
    gains, offsets = (t.to(images[0].data.device) for t in exposures(shared, count, reference, limits))
    psnr = [psnr_of(*each, gains, offsets, peak) for each in shared]
    overlaps = [Overlap(m, p) for m, p in zip(matches, psnr, strict=True)]
    bends: list[LocalHomographies | None] = [None] * count
    if asked.bending is not None:
        grey = gains.mean(1).cpu(), offsets.mean(1).cpu()
        tried = bent(pictures, placed, matches, canvas, *grey, reference, asked.bending)
        curved = [Layer(p.image, m, b) for p, m, b in zip(pictures, placed, tried, strict=True)]
        shared = [(m.first, m.second, *overlap_of(curved[m.first], curved[m.second], canvas)) for m in matches]
        after = [psnr_of(*each, gains, offsets, peak) for each in shared]
        if np.mean(after) > np.mean(psnr):  # else the homographies were right, and what is left is noise
            layers, bends = curved, tried
            overlaps = [Overlap(m, p, q) for m, p, q in zip(matches, after, psnr, strict=True)]
    data, covered = compose(layers, canvas, gains, offsets)
    like = images[reference]
    image = MedImage.on(canvas, _as(data, like), Leading.CHANNELS, like.metadata)
    inverse = tuple(np.linalg.inv(m) / np.linalg.inv(m)[2, 2] for m in placed)
    return Mosaic(image, covered, reference, inverse, tuple(bends), tuple(overlaps), gains, offsets)


def _matches(pictures: Sequence[Picture], names: Sequence[str], asked: Stitching) -> list[Match]:
    """The pairs that are believed to overlap, enough of them to hold all pictures together.

    Upright pictures first, all pairs; turned and scaled ones only between pictures that do not hang together yet.

    Raises:
        RegistrationError: naming the pictures that nothing holds.
    """
    count, believed = len(pictures), list[Match]()
    best: dict[tuple[int, int], Match] = {}
    for number, poses in enumerate(searches(asked.transform)):
        for pair in itertools.combinations(range(count), 2):
            together = next(s for s in components(count, believed) if pair[0] in s)
            if number and pair[1] in together:
                continue
            found = match(pictures, *pair, asked.transform, poses, asked.judgement, asked.seed)
            if found is not None and asked.judgement.believes(found):
                believed.append(found)
            elif found is not None and (pair not in best or found.evidence > best[pair].evidence):
                best[pair] = found
        sets = components(count, believed)
        if len(sets) == 1:
            return believed
    lost = min(set(range(count)) - sets[0])
    nearest = max((m for pair, m in best.items() if lost in pair), key=lambda m: m.evidence, default=None)
    others = ", ".join(names[k] for k in sorted(set(range(count)) - sets[0]))
    hint = ""
    if nearest is not None:
        other = names[nearest.second if nearest.first == lost else nearest.first]
        judge = asked.judgement
        hint = (
            f" (nearest: {names[lost]} with {other}, correlation {nearest.correlation:.2f} over {nearest.overlap:.0%}; "
            f"wanted {judge.least_correlation:g} over {judge.least_overlap:.0%} or more)"
        )
    does = "does" if len(sets[0]) == count - 1 else "do"
    raise RegistrationError(
        f"{others} {does} not overlap with the other pictures in any way that was found{hint}; leave "
        f"{'it' if does == 'does' else 'them'} out, or add a picture that lies between"
    )


def _placed(
    pictures: Sequence[Picture], matches: list[Match], reference: int, asked: Stitching
) -> tuple[list[Match], dict[int, FloatArray]]:
    """All places, with the matches that the first round shows and without those that it shows to be wrong."""
    grids, count = [p.grid for p in pictures], len(pictures)
    placed = adjust(along_tree(count, matches, reference), matches, grids, reference, asked.transform)
    known = {(m.first, m.second) for m in matches}
    for pair in set(itertools.combinations(range(count), 2)) - known:
        i, j = sorted(pair)
        between = np.linalg.inv(placed[j]) @ placed[i]
        spacing = max(pictures[k].view / 64 for k in pair)
        expected = judged(pictures, i, j, between / between[2, 2], spacing)
        if expected.overlap >= asked.judgement.least_overlap:
            found = refine(pictures, expected, asked.transform, asked.seed)
            if found is not None and asked.judgement.believes(found):
                matches = [*matches, found]
    while True:
        placed = adjust(along_tree(count, matches, reference), matches, grids, reference, asked.transform)
        worst = max(matches, key=lambda m: misses(placed, m, grids) / grids[m.second].spacing[0])
        rest = [m for m in matches if m is not worst]
        at_odds = misses(placed, worst, grids) / grids[worst.second].spacing[0] > AT_ODDS
        if not at_odds or len(components(count, rest)) > 1:
            return matches, placed
        matches = rest


def _alike(images: Sequence[MedImage]) -> list[MedImage]:
    """The images, grey ones as colour where others are.

    Raises:
        UsageError, ImageError: see `stitch`.
    """
    if len(images) < 2:
        raise UsageError(f"stitching needs two pictures or more, got {len(images)}")
    most = max(image.channels for image in images)
    kinds = [str(image.metadata.get("stored_dtype", image.data.dtype)).removeprefix("torch.") for image in images]
    for image, kind in zip(images, kinds, strict=True):
        if image.dimension != 2:
            raise ImageError(f"{image.name}: is {image.dimension}D; only 2D pictures can be stitched")
        if image.leading is Leading.FRAMES and image.channels > 1:
            raise ImageError(f"{image.name}: is a series of {image.channels} frames, not a picture")
        if image.channels not in (1, most):
            raise ImageError(f"{image.name}: has {image.channels} channels, another picture {most}")
        if kind != kinds[0]:
            raise ImageError(
                f"{image.name}: is stored as {kind}, {images[0].name} as {kinds[0]}; store all as one type"
            )
    return [replace(i, data=i.data.expand(most, -1, -1).contiguous()) for i in images]


def _peak(images: Sequence[MedImage]) -> tuple[float, bool]:
    """The largest value that the pictures' type holds, and whether it is one of integers."""
    kind = str(images[0].metadata.get("stored_dtype", images[0].data.dtype)).removeprefix("torch.")
    if np.issubdtype(np.dtype(kind), np.integer):
        return float(np.iinfo(kind).max), True
    return max(float(i.data.max() - i.data.min()) for i in images), False


def _as(data: Tensor, like: MedImage) -> Tensor:
    """In the type of another image, rounded and cut to what it stores."""
    if like.data.dtype.is_floating_point:
        return data.to(like.data.dtype)
    kind = np.iinfo(str(like.metadata.get("stored_dtype", like.data.dtype)).removeprefix("torch."))
    return data.round().clamp(kind.min, kind.max).to(like.data.dtype)
