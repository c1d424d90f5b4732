"""3D Slicer's scenes (.mrml): a linear transform node, moving -> fixed ("to parent"), RAS mm. Read only.

The .tfm, .txt and .h5 files that Slicer saves for a transform node are ITK's, "from parent": fixed -> moving, LPS.
"""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import invert
from medreg.geometry.orientation import conjugate_lps_ras
from medreg.io.transforms.draft import Source
from medreg.types import FloatArray

_TO, _FROM = "matrixTransformToParent", "matrixTransformFromParent"


def read(source: Source) -> FloatArray:
    """The scene's only linear transform."""
    if "<!ENTITY" in (source.text or ""):
        raise TransformError(f"{source.path}: declares XML entities, which no scene of 3D Slicer does")
    try:
        root = ElementTree.fromstring(source.raw)
    except ElementTree.ParseError as error:
        raise TransformError(f"{source.path}: is no scene of 3D Slicer, {error}") from error
    nodes = [node for node in root.iter() if node.get(_TO) or node.get(_FROM)]
    if len(nodes) != 1:
        names = ", ".join(node.get("name", "?") for node in nodes) or "none"
        raise TransformError(
            f"{source.path}: holds {len(nodes)} linear transforms ({names}); save the one as .tfm in 3D Slicer"
        )
    try:
        numbers = [float(value) for value in (nodes[0].get(_TO) or nodes[0].get(_FROM) or "").split()]
        stored = np.array(numbers).reshape(4, 4)
    except ValueError as error:
        raise TransformError(f"{source.path}: its transform has no 16 numbers") from error
    matrix = conjugate_lps_ras(stored)
    return invert(matrix) if nodes[0].get(_TO) else matrix
