"""Writes tests/vision/colour_reference.json: colours as colour-science and scikit-image compute them.

    pip install colour-science==0.4.7 scikit-image==0.26.0
    python benchmarks/colour_reference.py

colour-science uses sRGB's matrices derived from its primaries, in full digits, and its own D65 (0.3127, 0.3290); its
hues are divided by 360 to be turns. scikit-image's own constants are older roundings, so what it makes of XYZ is
compared with its own white. Stains are those of `rgb2hed`.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import colour
import numpy as np
import skimage
from skimage import color

SEED, RANDOM = 7, 24


def colours() -> np.ndarray:
    """Corners and edges of the cube of RGB, greys, dark colours, and any: (N, 3)."""
    random = np.random.default_rng(SEED)
    corners = np.array(list(itertools.product([0, 0.5, 1], repeat=3)), dtype=float)
    greys = np.repeat([[0.001], [0.04], [0.2], [0.9]], 3, axis=1)
    dark = random.uniform(0, 0.05, (6, 3))
    return np.round(np.concatenate([corners, greys, dark, random.uniform(0, 1, (RANDOM, 3))]), 6)


def turned(polar: np.ndarray) -> np.ndarray:
    """Hues in turns."""
    return np.concatenate([polar[:, :2], polar[:, 2:] / 360 % 1], axis=1)


def of_colour_science(rgb: np.ndarray) -> dict[str, np.ndarray]:
    """The values by name of colour."""
    space = colour.RGB_COLOURSPACES["sRGB"]
    space.use_derived_transformation_matrices(True)  # noqa: FBT003 - its own signature
    xyz = colour.RGB_to_XYZ(rgb, space, apply_cctf_decoding=True)
    white = space.whitepoint
    lab, luv = colour.XYZ_to_Lab(xyz, white), colour.XYZ_to_Luv(xyz, white)
    codes = colour.RGB_to_YCbCr(rgb, K=colour.WEIGHTS_YCBCR["ITU-R BT.601"], in_bits=8, out_bits=8, out_legal=False)
    high = colour.RGB_to_YCbCr(rgb, K=colour.WEIGHTS_YCBCR["ITU-R BT.709"], in_bits=8, out_bits=8, out_legal=False)
    return {
        "linear rgb": colour.cctf_decoding(rgb, function="sRGB"),
        "hsv": colour.RGB_to_HSV(rgb),
        "hsl": colour.RGB_to_HSL(rgb),
        "xyz": xyz,
        "xyy": colour.XYZ_to_xyY(xyz),
        "lms": xyz @ colour.CHROMATIC_ADAPTATION_TRANSFORMS["CAT02"].T,
        "lab": lab,
        "lchab": turned(colour.Lab_to_LCHab(lab)),
        "luv": luv,
        "lchuv": turned(colour.Luv_to_LCHuv(luv)),
        "din99": colour.Lab_to_DIN99(lab),
        "ycbcr": codes,
        "ycbcr of BT.709": high,
        "lab of A": colour.XYZ_to_Lab(xyz, colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["A"]),
    }


def of_scikit_image(rgb: np.ndarray) -> dict[str, np.ndarray]:
    """The values by name of colour, in its own units and relative to its own constants."""
    xyz = color.rgb2xyz(rgb)
    return {
        "hsv": color.rgb2hsv(rgb),
        "yiq": color.rgb2yiq(rgb),
        "ycbcr": color.rgb2ycbcr(rgb),
        "gray": color.rgb2gray(rgb)[:, None],
        "xyz": xyz,
        "lab": color.rgb2lab(rgb),
        "luv of xyz": color.xyz2luv(xyz),
        "lab of xyz": color.xyz2lab(xyz),
        "hed": color.rgb2hed(rgb),
        "white": np.array(color.colorconv.xyz_tristimulus_values(illuminant="D65", observer="2"))[None],
    }


def main() -> None:
    """Write the table beside this script."""
    rgb = colours()
    table = {
        "source": {"colour-science": colour.__version__, "scikit-image": skimage.__version__, "numpy": np.__version__},
        "rgb": rgb.tolist(),
        "colour-science": {name: np.round(values, 10).tolist() for name, values in of_colour_science(rgb).items()},
        "scikit-image": {name: np.round(values, 10).tolist() for name, values in of_scikit_image(rgb).items()},
    }
    reference = Path(__file__).parents[1] / "tests" / "vision" / "colour_reference.json"
    reference.write_text(json.dumps(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
