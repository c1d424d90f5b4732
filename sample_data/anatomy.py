"""A digital human head as an implicit function of world points: no voxels, so it can be evaluated on any grid.

Frame: LPS, millimetres (x to the head's left, y to its back, z up), origin near the anterior commissure. Shapes are
signed distances in mm; sums of plane waves fold the cortex and disturb the left-right symmetry. All of it is invented,
to the proportions of an adult's MRI; nobody was scanned. Points are float32 (3, points): one row a coordinate. `p` and
`folded` are points of the symmetric frame with both sides folded onto the left, x >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapes import Array, Waves, ellipsoid, smooth_max, smooth_min, tube


@dataclass(frozen=True)
class Tissue:
    """A tissue of the head: its name and its labels (numbers of FreeSurferColorLUT.txt; `left` where sides differ)."""

    name: str
    label: int
    left: int | None = None


TISSUES = (
    Tissue("background", 0),
    Tissue("skin", 118),
    Tissue("fat", 125),
    Tissue("muscle", 123),
    Tissue("bone", 129),
    Tissue("diploe", 142),
    Tissue("airway", 130),
    Tissue("vitreous", 143),
    Tissue("lens", 144),
    Tissue("csf", 122),
    Tissue("cortex", 42, left=3),
    Tissue("white_matter", 41, left=2),
    Tissue("lateral_ventricle", 43, left=4),
    Tissue("third_ventricle", 14),
    Tissue("fourth_ventricle", 15),
    Tissue("thalamus", 49, left=10),
    Tissue("caudate", 50, left=11),
    Tissue("putamen", 51, left=12),
    Tissue("pallidum", 52, left=13),
    Tissue("cerebellar_cortex", 47, left=8),
    Tissue("cerebellar_white_matter", 46, left=7),
    Tissue("brain_stem", 16),
    Tissue("lesion", 57, left=25),
)
INDEX = {tissue.name: index for index, tissue in enumerate(TISSUES)}

LANDMARKS = {
    "anterior_commissure": (0, 0, 0),
    "genu": (0, -30, 9),
    "splenium": (0, 54, 9),
    "fourth_ventricle": (0, 43, -30),
    "left_frontal_horn_tip": (10, -37, 8),
    "right_frontal_horn_tip": (-10, -37, 8),
    "left_putamen": (27, 2, 3),
    "right_putamen": (-27, 2, 3),
    "left_thalamus": (11, 20, 8),
    "right_thalamus": (-11, 20, 8),
    "left_eye": (32, -57, -27),
    "right_eye": (-32, -57, -27),
    "left_lesion": (28, 26, 35),
    "pons_front": (0, 9, -26),
}
"""Landmarks in the symmetric frame; `landmarks_mm` takes them to the head's own."""

ASYMMETRY = tuple(Waves(stream, 130, count=8, spread=0.4) for stream in (1, 2, 3))
EDGE_MM = 2.0
"""How wide a tissue passes into the next: about a voxel of 1.5 mm and the scanner's own blur."""

FOLDS, FOLD_DEPTH, FOLD_BEND = Waves(10, 21, count=60, spread=0.22), Waves(11, 32), Waves(12, 30)
FOLIA, SKULL, RUGGED, TEXTURE = Waves(13, 28), Waves(14, 45), Waves(15, 13), Waves(16, 15, spread=0.5)


# Frames --------------------------------------------------------------------------------------------------------------


def symmetric(points: Array) -> Array:
    """Head points taken into the symmetric frame: a bend of a millimetre or two makes the two sides differ."""
    return points + np.float32(1.3) * np.stack([field(points) for field in ASYMMETRY])


def landmarks_mm() -> dict[str, NDArray[np.float64]]:
    """The landmarks' places (3,) in the head's LPS frame, in mm."""
    wanted = np.array(list(LANDMARKS.values()), np.float32).T
    places = wanted.copy()
    for _ in range(30):
        places += wanted - symmetric(places)
    return dict(zip(LANDMARKS, places.T.astype(np.float64), strict=True))


# The brain -----------------------------------------------------------------------------------------------------------


def beside(points: Array) -> Array:
    """Both sides folded onto the left: |x|, y, z."""
    return np.stack([np.abs(points[0]), points[1], points[2]])


def tentorium_above(p: Array) -> Array:
    """Height over the tentorium, in mm: cerebrum above, cerebellum below; `p` is folded."""
    droop = np.float32(0.006) + 0.0004 * np.clip(62 - p[1], 0, 30)
    level = p[2] - np.float32(5) + droop * p[0] ** 2
    steepness = 1 + (2 * droop * p[0]) ** 2
    behind = (level + 0.24 * (p[1] - 34)) / np.sqrt(steepness + np.float32(0.06))
    in_front = (level + 2.5 * (34 - p[1])) / np.sqrt(steepness + np.float32(6.25))
    return smooth_max(behind, in_front, 6)


def callosal_arch(p: Array) -> Array:
    """Distance outside the upper outline of the corpus callosum, as an oval in the sagittal plane, in mm."""
    return ellipsoid(p, (0, 12, 6), (np.inf, 46, 26))


def cerebrum_envelope(p: Array) -> Array:
    """The two hemispheres without their sulci; `p` is folded, `p[0] >= 0`."""
    upper = ellipsoid(p, (0, 17, 19), (66, 84, 55))
    upper = smooth_max(upper, -21 - p[2] + 0.10 * p[0], 10)
    temporal = ellipsoid(p, (39, 4, -22), (24, 45, 22))
    body = smooth_min(upper, temporal, 6)
    # Rounder further in: at a crease between two surfaces the nearest one jumps, and with it the pattern of the sulci.
    for cut in (np.float32(0.7) - tentorium_above(p), -np.maximum(p[0] - 0.8, -callosal_arch(p))):
        body = smooth_max(body, cut, np.clip(-np.maximum(body, cut), 2, 12))
    return body


def lateral_fissure(points: Array, p: Array) -> Array:
    """Distance to the Sylvian fissure, a T on its side in coronal cuts with the insula behind its bar, in mm."""
    rise = (p[2] + 11 - 0.36 * (p[1] + 28)) * np.float32(0.94) + 1.5 * FOLD_BEND(points)
    stem = np.maximum(np.abs(rise) - 0.9, np.maximum(38 - p[0], np.maximum(p[1] - 44, -30 - p[1])))
    bulge = p[0] + 0.006 * (p[1] - 6) ** 2 + 0.02 * rise**2
    bar = ellipsoid(np.stack([bulge, p[1], rise]), (40, 6, 0), (1.5, 24, 12))
    fissure: Array = np.minimum(stem, bar)
    return fissure


def folded_depth(points: Array) -> Array:
    """Depth under the folded surface of the cerebral cortex, in mm: negative in the fissures and sulci.

    Sulci are slits along the zero lines of a random field on the envelope; the field is read at the envelope's nearest
    point, so each slit runs inwards. Field over gradient is the distance along the surface to the slit's middle.
    """
    folded = beside(points)
    envelope = cerebrum_envelope(folded)
    steps = np.eye(3, dtype=np.float32) / 2
    slope: Array = 2 * np.stack([cerebrum_envelope(folded + step[:, None]) - envelope for step in steps])
    slope[0] *= np.sign(points[0])
    length = np.sqrt(np.einsum("ij,ij->j", slope, slope))
    slope /= np.maximum(length, np.float32(0.3))
    depth = np.clip(-envelope, -2, 30)
    bend = FOLD_BEND(points) * depth * np.float32(0.12)
    surface = points + slope * depth + np.stack([bend, -bend, bend])
    field, gradient = FOLDS.with_gradient(surface)
    gradient -= slope * np.einsum("ij,ij->j", gradient, slope)
    steepness = np.sqrt(np.einsum("ij,ij->j", gradient, gradient) + np.float32(0.09) ** 2)
    across = np.abs(field) / steepness * (1 - depth / 75)
    reach = np.clip(14 + 6 * FOLD_DEPTH(surface), 2, 20) * np.clip(2.5 * length - 1.4, 0.1, 1)
    slit = across - (np.float32(0.9) - 0.03 * depth)
    beyond = np.maximum(depth - reach, 0)
    slit = np.where(beyond > 0, np.sqrt(np.maximum(slit, 0) ** 2 + beyond**2), slit)
    surface_depth = smooth_min(-envelope, slit, 3.0)
    return smooth_min(surface_depth, lateral_fissure(points, folded), 2.0)


def folia_depth(points: Array, folded: Array) -> Array:
    """Depth under the leaves (folia) of the cerebellum, in mm: negative outside and in the slits between."""
    outline = smooth_min(
        ellipsoid(folded, (26, 60, -29), (31, 35, 27)), ellipsoid(folded, (0, 62, -27), (14, 27, 22)), 6
    )
    outline = smooth_max(outline, tentorium_above(folded) + 0.9, 3)
    outline = smooth_max(outline, 2 - skull_base(folded), 4)
    out, up = points[1] - 36, points[2] + 12
    radius = np.sqrt(out**2 + up**2 + 0.3 * points[0] ** 2)
    turns = np.arctan2(up, np.maximum(out, 1)) * 7.5 + 0.3 * FOLIA(points)
    slit = np.abs(turns - np.round(turns)) * np.maximum(radius, 8) / 7.5 - 0.5
    reach = np.maximum(-outline - (11 + 3 * FOLIA(points[[1, 2, 0]])), 0)
    leaf = np.sqrt(np.maximum(slit, 0) ** 2 + reach**2)
    return smooth_min(-outline, np.where(reach > 0, leaf, slit), 1.5)


def brain_stem(p: Array) -> Array:
    """Midbrain, pons, medulla and cord."""
    stalk = tube(p, [(0, 26, -4), (0, 29, -25), (0, 35, -52), (0, 41, -140)], (12, 11, 6.5, 5.5))
    return smooth_min(stalk, ellipsoid(p, (0, 23, -26), (18, 14, 13)), 6)


def lateral_ventricle(p: Array) -> Array:
    """Frontal horn, body, atrium, occipital and temporal horns; `p` is folded."""
    roof = tube(p, [(10, -33, 8), (7.5, -14, 15), (8, 12, 21), (17, 36, 18)], (4, 5.5, 4.6, 5))
    back = tube(p, [(17, 36, 18), (25, 47, 8), (20, 68, 4), (17, 77, 3)], (5, 6.5, 3, 1.2))
    lower = tube(p, [(25, 46, 6), (31, 28, -12), (32, 6, -19), (29, -6, -21)], (6, 2.6, 2.4, 1.5))
    horns = smooth_min(smooth_min(roof, back, 4), lower, 3)
    return smooth_max(horns, np.float32(1.0) - p[0], 1.5)


def nuclei(p: Array) -> dict[str, Array]:
    """The deep grey nuclei, and the callosum as white matter; `p` is folded."""
    tilted = np.stack([p[0] - 0.25 * np.abs(p[1] - 2) - 0.20 * (p[2] - 3), p[1], p[2]])
    callosum = np.maximum(np.abs(callosal_arch(p) + 4) - 3.2, np.maximum(p[0] - 14, 3 - p[2]))
    return {
        "thalamus": ellipsoid(p, (11.5, 20, 7), (9, 15, 9)),
        "caudate": tube(p, [(15, -24, 5), (18, -10, 12), (19, 12, 21), (25, 34, 20)], (6, 5.5, 3.5, 2)),
        "pallidum": ellipsoid(tilted, (19.5, 5, 1), (4.5, 10, 7)),
        "putamen": ellipsoid(tilted, (25.5, 2, 3), (5, 18, 11)),
        "callosum": callosum,
    }


def lesion(points: Array) -> Array:
    """A lobed lesion in the left frontoparietal white matter."""
    lobes = smooth_min(
        ellipsoid(points, LANDMARKS["left_lesion"], (9, 13, 9)), ellipsoid(points, (33, 14, 39), (6, 7, 6)), 5
    )
    return lobes + np.float32(0.9) * RUGGED(points)


def cavity(p: Array) -> Array:
    """The inner surface of the skull; `p` is folded."""
    upper = smooth_min(ellipsoid(p, (0, 17, 19), (66, 84, 55)), ellipsoid(p, (39, 4, -22), (24, 45, 22)), 10)
    lower = smooth_min(ellipsoid(p, (20, 60, -29), (37, 35, 27)), ellipsoid(p, (0, 23, -26), (17, 13, 15)), 12)
    return smooth_max(smooth_min(upper, lower, 12) - np.float32(2.0), -skull_base(p), 3)


def skull_base(p: Array) -> Array:
    """The bone that stands up into the cavity: sella and clivus in the middle, a petrous ridge on each side."""
    sella = ellipsoid(p, (0, -22, -46), (17, 33, 27))
    petrous = tube(p, [(20, 16, -38), (40, 24, -33), (62, 30, -30)], (5, 8, 11))
    return smooth_min(sella, petrous, 6)


# The rest of the head ------------------------------------------------------------------------------------------------


def outline(p: Array, skull: Array) -> Array:
    """The skin: cranium, face, nose, ears and neck; `skull` is the distance to the skull's outer surface."""
    face = ellipsoid(p, (0, -22, -48), (66, 60, 74))
    nose = tube(p, [(0, -80, -20), (0, -94, -44), (0, -96, -49)], (4, 7, 8))
    nose = smooth_min(nose, tube(p, [(0, -88, -51), (9, -86, -51)], (6, 6)), 6)
    neck = tube(np.stack([p[0] * 0.92, p[1], p[2]]), [(0, 32, -60), (0, 38, -160)], (54, 56))
    ear = ellipsoid(np.stack([p[0] - 0.25 * (p[1] - 25), p[1], p[2]]), (78, 27, -20), (6, 15, 26))
    head = smooth_min(smooth_min(skull - 5.5, face, 16), neck, 24)
    return smooth_min(smooth_min(head, nose, 9), ear, 6)


def airways(p: Array) -> Array:
    """Nose, sinuses and throat."""
    nasal = ellipsoid(p, (5.5, -56, -42), (3.5, 30, 16)) + np.float32(0.6)
    maxillary = ellipsoid(p, (28, -48, -53), (12, 15, 14))
    sphenoid = ellipsoid(p, (7, -12, -34), (6.5, 11, 8))
    frontal = ellipsoid(p, (9, -66, -6), (8, 3, 7))
    throat = tube(p, [(0, -28, -52), (0, -10, -68), (0, -6, -150)], (8, 7, 7))
    return reduce(np.minimum, (nasal, maxillary, sphenoid, frontal, throat))


# All of it -----------------------------------------------------------------------------------------------------------


class Layers:
    """Fractions composed from the topmost tissue down: each takes its share of what those above have left."""

    def __init__(self, count: int, edge_mm: float) -> None:
        self.fractions = np.zeros((len(TISSUES), count), np.float32)
        self.left = np.ones(count, np.float32)
        self.edge_mm = np.float32(edge_mm)

    def add(self, tissue: str, distance: Array | float, where: NDArray[np.intp] | slice = slice(None)) -> None:
        """Lay `tissue` where `distance` is negative, over an edge `edge_mm` wide, at the points `where`."""
        inside = np.clip(0.5 - np.asarray(distance, np.float32) / self.edge_mm, 0, 1)
        share = inside * inside * (3 - 2 * inside) * self.left[where]
        self.fractions[INDEX[tissue]][where] += share
        self.left[where] -= share


def add_brain(layers: Layers, points: Array, where: NDArray[np.intp]) -> None:
    """Lay the brain, at `points` (3, n) of the symmetric frame, which are the layers' points `where`."""
    p = beside(points)
    grey = nuclei(p)
    ventricle = lateral_ventricle(p)
    layers.add("lesion", lesion(points), where)
    layers.add("third_ventricle", ellipsoid(p, (0, 13, 0), (2.7, 16, 12)), where)
    layers.add("fourth_ventricle", ellipsoid(p, (0, 43, -30), (6, 4.5, 10)), where)
    layers.add("lateral_ventricle", ventricle, where)
    for name in ("thalamus", "caudate", "pallidum", "putamen"):
        layers.add(name, grey[name], where)
    layers.add("brain_stem", brain_stem(p), where)
    septum = ellipsoid(p, (0, 12, 8), (16, 38, 18))
    core = reduce(np.minimum, (ventricle, grey["thalamus"], grey["caudate"], grey["putamen"], septum)) - np.float32(2.5)
    core = np.maximum(core, np.where(p[0] < 16, callosal_arch(p) + 1, -9))
    layers.add("white_matter", np.minimum(grey["callosum"], core), where)
    leaf_depth = folia_depth(points, p)
    layers.add("cerebellar_white_matter", 2.0 - leaf_depth, where)
    layers.add("cerebellar_cortex", -leaf_depth, where)
    depth = folded_depth(points)
    layers.add("white_matter", 3.1 - depth, where)
    layers.add("cortex", -depth, where)


def add_eyes(layers: Layers, p: Array, skin: Array) -> None:
    """Lay lens, globe, optic nerve, muscle and fat of the orbits; `p` is folded."""
    globe = ellipsoid(p, (32, -57, -27), (12, 12, 12))
    nerve = tube(p, [(31, -45, -27), (12, -20, -24)], (2.4, 2.4))
    cone = np.abs(tube(p, [(32, -53, -27), (14, -22, -25)], (12, 3))) - 1.2
    orbit = tube(p, [(32, -61, -27), (32, -53, -27), (14, -22, -25)], (16, 15.5, 4))
    layers.add("lens", ellipsoid(p, (32, -66.5, -27), (4.5, 2.2, 4.5)))
    layers.add("vitreous", globe)
    layers.add("muscle", reduce(np.minimum, (nerve, globe - 1.2, np.maximum(cone, -47 - p[1]))))
    layers.add("fat", np.maximum(orbit, skin + 2))


def add_bones(layers: Layers, p: Array, inner: Array, thickness: Array, skin: Array, air: Array) -> None:
    """Lay the skull, the face's bones, jaw and spine; `p` is folded, `inner` is the distance from the cavity."""
    ramus = 0.9 * np.maximum(p[1] + 10, 0)
    jaw = np.abs(ellipsoid(p, (0, -18, -90), (45, 52, np.inf))) - 4.5
    jaw = np.maximum(np.maximum(jaw, p[1] - 8), p[2] + 72 - ramus)
    arches = reduce(np.maximum, (inner - 4, p[2] + 62, p[0] - 14))
    spine = np.minimum(ellipsoid(p, (0, 18, -100), (12, 10, 44)), arches)
    disc = 2.5 - np.abs((p[2] + 200) % 19 - 9.5)
    marrow = np.maximum(ellipsoid(p, (0, 18, -100), (10.5, 8.5, 42)), disc)
    diploe = np.abs(inner - 0.5 * thickness) - 0.2 * thickness + 0.1 * np.maximum(-p[2] - 4, 0)
    layers.add("diploe", reduce(np.minimum, (diploe, marrow, jaw + 2.5, np.maximum(skull_base(p) + 4, 2 - air))))
    sinus_wall = np.maximum(air - 2.0, p[1] + 8)
    zygoma = tube(p, [(34, -62, -47), (50, -46, -46), (62, -20, -42), (66, 4, -38)], (5, 5, 3, 3))
    palate = ellipsoid(p, (0, -46, -67), (25, 30, 4))
    base = np.minimum(skull_base(p), ellipsoid(p, (0, 10, -48), (50, 46, 10)))
    bone = reduce(np.minimum, (inner - thickness, base, sinus_wall, zygoma, palate, jaw, spine))
    layers.add("bone", np.maximum(bone, skin + 3))


def head(points_mm: ArrayLike, edge_mm: float = EDGE_MM) -> Array:
    """The fraction of each tissue at points of the head.

    `points_mm` (3, points): rows x, y, z, LPS mm in the head's frame. `edge_mm`: the width over which one tissue passes
    into the next. Returns float32 (tissues, points) in the order of TISSUES; each column sums to one.
    """
    points = symmetric(np.asarray(points_mm, np.float32))
    layers = Layers(points.shape[1], edge_mm)
    p = beside(points)
    inner = cavity(p)
    thickness = 6.0 + 0.6 * SKULL(points) + 0.015 * np.maximum(points[1], 0)
    shell = inner - thickness
    skin = outline(p, shell)
    brain = np.flatnonzero(inner < 2)
    add_brain(layers, points[:, brain], brain)
    cord = tube(p, [(0, 35, -52), (0, 41, -140)], (10, 8.5))
    layers.add("brain_stem", brain_stem(p))
    layers.add("csf", np.minimum(inner, cord))
    add_eyes(layers, p, skin)
    air = np.maximum(airways(p), np.where(p[1] < -45, skin + 6, -9))
    layers.add("airway", air)
    add_bones(layers, p, np.maximum(inner, -cord), thickness, skin, air)
    bundles = 0.6 - 5 * np.abs(FOLD_DEPTH(points * np.array([[1], [1], [0.35]], np.float32)))
    layers.add("muscle", reduce(np.maximum, (skin + 6 + 1.5 * SKULL(points), bundles, 1 - shell)))
    layers.add("muscle", tube(p, [(0, -78, -40), (0, -92, -49)], (3, 5)))
    layers.add("fat", skin + 2.0)
    layers.add("skin", skin)
    layers.add("background", -1e3)
    return layers.fractions


def labels(points_mm: ArrayLike, fractions: Array) -> NDArray[np.uint8]:
    """The label (points,) of the commonest tissue at each point, left and right told apart where TISSUES has both."""
    commonest = fractions.argmax(axis=0)
    right = np.array([tissue.label for tissue in TISSUES], np.uint8)
    left = np.array([tissue.label if tissue.left is None else tissue.left for tissue in TISSUES], np.uint8)
    on_left = symmetric(np.asarray(points_mm, np.float32))[0] > 0
    found: NDArray[np.uint8] = np.where(on_left, left[commonest], right[commonest])
    return found
