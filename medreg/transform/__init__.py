"""Transforms: maps from fixed points to moving points, LPS mm."""
