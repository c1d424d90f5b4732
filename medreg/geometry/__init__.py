"""Geometry in float64: grids, affine maps, orientation. Free of torch and of file formats."""

from medreg.geometry.grid import Grid

__all__ = ["Grid"]
