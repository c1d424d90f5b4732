"""Differentiable image processing, and what is done with 2D images beyond registering one pair.

`warping` moves an image through any map; `filters`, `statistics` and `colour` do what their names say;
`rasterisation` makes images of points; `stitching` joins pictures. Free of torch until one of them is imported.
"""
