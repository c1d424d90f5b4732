"""What becomes of points near the edge of a grid, and beyond it."""

from __future__ import annotations

from enum import Enum


class Edges(Enum):
    """What becomes of mass that a point would put outside the grid, whose hypercube reaches from -1 to 1.

    A point shares its weight among the 2^m voxels around it; within half a voxel of the edge some are missing.

    | | a point within half a voxel inside the edge | within half a voxel outside it | farther outside |
    |---|---|---|---|
    | `CUT` | loses what it would put outside | puts the rest of it inside | puts nothing |
    | `DROP` | loses what it would put outside | puts nothing | puts nothing |
    | `CLAMP` | keeps everything | keeps everything | keeps everything, in the nearest voxel |

    So the sum over the grid is that of the weights under `CLAMP`, always (of the points that a camera sees), and under
    the others when all points keep half a voxel from the edge. `CUT` is continuous, and so are its slopes except at the
    centres of voxels; `DROP` jumps where a point crosses the edge, and that jump has no gradient; `CLAMP` is
    continuous, without pull on a point beyond the outermost centres.
    """

    CUT = "cut"
    DROP = "drop"
    CLAMP = "clamp"
