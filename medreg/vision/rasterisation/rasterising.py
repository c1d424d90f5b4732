"""Points to images: `raster`, its gradients, and `raster_pullback`, which gives them without a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.ops.arguments import described
from medreg.vision.rasterisation.cameras import Camera, Orthographic, rows
from medreg.vision.rasterisation.depositing import deposit
from medreg.vision.rasterisation.edges import Edges
from medreg.vision.rasterisation.memory import fresh
from medreg.vision.rasterisation.pulling import pull
from medreg.vision.rasterisation.scene import NAMES, Arguments, Frame, Scene, Value, scene
from medreg.vision.rasterisation.tracked import tracked

ORTHOGRAPHIC = Orthographic()


def raster(
    grid_size: Sequence[int],
    points: Tensor,
    rotation: Tensor,
    translation: Tensor,
    background: Value = 0.0,
    out_weight: Value = 1.0,
    point_weight: Value = 1.0,
    *,
    edges: Edges = Edges.CUT,
    camera: Camera = ORTHOGRAPHIC,
    out: Tensor | None = None,
) -> Tensor:
    """Points onto a grid, each shared among the voxels around it by multilinear weights.

    A point p goes to R p + t, where -1 is the outer edge of the first voxel and 1 that of the last, along every axis of
    the grid; voxel i of n is centred at 2 (i + 1/2) / n - 1. There it adds `out_weight * point_weight * product of the
    linear weights` to each of its 2^m neighbours, on top of the background.

    Coordinates and `grid_size` run x, y, z, and tensors (z, y, x), as everywhere in medreg: the first coordinate goes
    along the last axis of the result. (DiffPointRasterisation.jl has the first coordinate
    along the first axis: its `out[i, j]` is `out[j, i]` here.)

    Args:
        grid_size: voxels along x, y(, z, ...): m numbers.
        points: (N, n), n >= m; or (B, N, n), a cloud for each image. One with a coordinate that is not finite puts
            nothing anywhere and gets no gradient.
        rotation: (m, n), any matrix: a rotation, its first m rows, a scaling; (B, m, n) for a batch of poses.
        translation: (m,) or (B, m), in half widths of the grid.
        background: what the grid holds before: one number, (B,), or (B, C).
        out_weight: one number or (B,).
        point_weight: one number, (N,), (N, C) for C channels, or (B, N, C).
        edges: what becomes of mass beyond the grid.
        camera: parallel rays, or rays through one point (then R and t have a row more, see `Perspective`).
        out: where to write the result; only without gradients.

    Returns:
        (z, y, x), with C before it if `point_weight` or the background has channels, and B before all if anything is a
        batch. Of the widest floating dtype given; float16 and bfloat16 are added up in float32. Differentiable to all
        six, twice; `torch.use_deterministic_algorithms` makes it the same bits every time on a GPU, as it always is on
        a CPU.

    Raises:
        UsageError: when shapes, devices or batches do not fit together, a pose, a background or a weight is not finite,
            or the grid is larger than the memory.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [0.2, 0.8]])
        >>> raster((5, 5), points, torch.eye(2), torch.zeros(2)).round(decimals=2)
        tensor([[0.0000, 0.0000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.0000, 1.0000, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.5000, 0.5000, 0.0000]])
    """
    values = (points, rotation, translation, background, out_weight, point_weight)
    what = scene(grid_size, values, edges, camera)
    if out is not None:
        return _into(out, what)
    result: Tensor = _Raster.apply(what.frame, *what.arguments)  # type: ignore[no-untyped-call]
    return result.view(*what.leading, *what.frame.shape).to(what.dtype)


def _into(out: Tensor, what: Scene) -> Tensor:
    """`raster` into memory that is there."""
    shape = (*what.leading, *what.frame.shape)
    if torch.is_grad_enabled() and any(t.requires_grad for t in what.given):
        raise UsageError("raster(out=...) has no gradients; leave `out` away, or call it under torch.no_grad()")
    if out.shape != shape or out.dtype != what.arguments.points.dtype or not out.is_contiguous():
        raise UsageError(
            f"out must be contiguous, {shape} and {what.arguments.points.dtype}, got {tuple(out.shape)} {out.dtype}"
        )
    with torch.no_grad():
        deposit(what.frame, what.arguments, out.view(what.arguments.images, what.arguments.channels, -1))
    return out


class _Raster(torch.autograd.Function):
    """(B, C, V) of the arguments in one form; keeps these alone."""

    @staticmethod
    def forward(frame: Frame, *tensors: Tensor) -> Tensor:
        arguments = Arguments(*tensors)
        shape = (arguments.images, arguments.channels, frame.voxels)
        out = fresh(shape, arguments.points.dtype, arguments.points.device)
        deposit(frame, arguments, out)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.frame = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        arguments, wanted = Arguments(*ctx.saved_tensors), ctx.needs_input_grad[1:]
        if not torch.is_grad_enabled():
            return (None, *pull(ctx.frame, arguments, d_out.contiguous(), wanted))
        inputs = [t for t, w in zip(arguments, wanted, strict=True) if w]
        again = tracked(ctx.frame, arguments)
        found = iter(torch.autograd.grad(again, inputs, d_out, create_graph=True, allow_unused=True))
        return (None, *(next(found) if w else None for w in wanted))


class Slopes(NamedTuple):
    """The slopes of a number by each argument of `raster`, in the argument's shape; None where nobody asked."""

    points: Tensor | None = None
    rotation: Tensor | None = None
    translation: Tensor | None = None
    background: Tensor | None = None
    out_weight: Tensor | None = None
    point_weight: Tensor | None = None


def raster_pullback(
    d_out: Tensor,
    points: Tensor,
    rotation: Tensor,
    translation: Tensor,
    background: Value = 0.0,
    out_weight: Value = 1.0,
    point_weight: Value = 1.0,
    *,
    edges: Edges = Edges.CUT,
    camera: Camera = ORTHOGRAPHIC,
    into: Slopes | None = None,
) -> Slopes:
    """The slopes by everything that `raster` takes, from those by what it gives; what autograd does, without a graph.

    The sign: `d_out` is d loss / d out, and what comes back is d loss / d argument, with no change of sign anywhere.
    For loss = sum((target - out)^2) that is d_out = 2 (out - target); with 2 (target - out) all come out negated.

    Args:
        d_out: in the shape of what `raster` gives with these arguments, which tells the size of the grid.
        points: this and all the others as for `raster`.
        rotation: see there.
        translation: see there.
        background: see there.
        out_weight: see there.
        point_weight: see there.
        edges: see there.
        camera: see there.
        into: tensors that the slopes are written to, in the shapes of the arguments; those that are None are not
            computed. All six are, into new ones, where nothing is given.

    Returns:
        `into`, or what takes its place.

    Raises:
        UsageError: as `raster`, or when `d_out` or a tensor of `into` has another shape.

    Example:
        >>> point = torch.tensor([[0.2, 0.0]])
        >>> d_out = torch.tensor([[0.0, 0.0, 1.0, 3.0, 0.0]]).expand(5, 5).contiguous()
        >>> raster_pullback(d_out, point, torch.eye(2), torch.zeros(2)).points
        tensor([[5., 0.]])
    """
    if not isinstance(d_out, Tensor):
        raise UsageError(f"d_out: takes a tensor, in the shape of what raster gives, got {described(d_out)}")
    axes = _axes(camera, rotation)
    values = (points, rotation, translation, background, out_weight, point_weight)
    leaves = [v.detach().requires_grad_(v.is_floating_point()) if isinstance(v, Tensor) else v for v in values]
    with torch.enable_grad():  # the way to the one form has a graph, and so its own slopes
        what = scene(d_out.shape[-axes:][::-1], leaves, edges, camera)
    shape = (*what.leading, *what.frame.shape)
    if d_out.shape != shape:
        raise UsageError(f"these arguments make an image of {shape}, but d_out has {tuple(d_out.shape)}")
    wanted = [True] * 6 if into is None else [t is not None for t in into]
    arguments = Arguments(*(t.detach() for t in what.arguments))
    flat = d_out.detach().to(arguments.points.dtype).reshape(arguments.images, arguments.channels, -1).contiguous()
    with torch.no_grad():
        found = pull(what.frame, arguments, flat, wanted)
    shaped = [None if f is None else _back(g, a, f) for g, a, f in zip(what.given, what.arguments, found, strict=True)]
    return Slopes(*shaped) if into is None else _written(into, shaped)


def _axes(camera: Camera, rotation: Tensor) -> int:
    """Of the grid, by the rows of the poses; 1 of what is no pose, which `scene` refuses."""
    shape = np.shape(rotation)  # lists have one, too
    return max(1, shape[-2] - rows(camera, 0)) if len(shape) > 1 else 1


def _back(given: Tensor, argument: Tensor, slope: Tensor) -> Tensor:
    """A slope by an argument in its one form to one by what was given."""
    if not argument.requires_grad:
        return slope.reshape(given.shape).to(given.dtype)
    (found,) = torch.autograd.grad(argument, given, slope, retain_graph=True)
    return found


def _written(into: Slopes, found: Sequence[Tensor | None]) -> Slopes:
    for name, place, slope in zip(NAMES, into, found, strict=True):
        if place is None or slope is None:
            continue
        if place.shape != slope.shape:
            raise UsageError(f"into.{name} must be {tuple(slope.shape)} like {name}, got {tuple(place.shape)}")
        place.copy_(slope)
    return into
