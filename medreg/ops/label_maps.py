"""Labels: one channel for each, where each lies in the world, and how far it reaches."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.metric import label_overlap
from medreg.ops.arguments import Whole, an_image, number, one_of, space_axes, whole_numbers
from medreg.ops.voxels import revalued

Labels = TypeVar("Labels", Tensor, MedImage, MedImageBatch)
"""A tensor (..., z, y, x), an image, or a batch."""

MOST_LABELS = 4096
"""More different values than this are hardly labels, and would fill the memory."""


def found_labels(labels: Tensor | MedImage | MedImageBatch) -> tuple[int, ...]:
    """The labels that occur, rising, without 0, the background.

    Raises:
        ImageError: voxels that are no whole numbers.

    Example:
        >>> found_labels(torch.tensor([[0, 9, 7, 7]]))
        (7, 9)
    """
    an_image(labels, "labels")
    data = labels if isinstance(labels, Tensor) else labels.data
    name = labels.name if isinstance(labels, MedImage) else "labels"
    _check_whole(data, name)
    return tuple(int(value) for value in torch.unique(data.detach()).tolist() if value != 0)


def one_hot(labels: Labels, values: Whole | None = None, *, dimension: int = 3) -> Labels:
    """A channel for each label: 1 where a voxel bears it, else 0, float32.

    Args:
        labels: whole numbers of any dtype, an image of one channel (1, z, y, x) or a batch (N, 1, z, y, x).
        values: the labels, in the order of the channels; others are left out. By default all that occur (anywhere in
            the batch) but 0, rising. An image gets them as `metadata["labels"]`.
        dimension: space axes at the end of a tensor; an image knows its own.

    Returns:
        (L, z, y, x), or (N, L, z, y, x).

    Raises:
        ImageError: several channels, voxels that are no whole numbers, a label twice, or none.

    Example:
        >>> one_hot(torch.tensor([[[0, 7, 7, 9]]]), dimension=2)
        tensor([[[0., 1., 1., 0.]],
        <BLANKLINE>
                [[0., 0., 0., 1.]]])
    """
    an_image(labels, "labels")
    chosen = None if values is None else whole_numbers(values, "values")
    if isinstance(labels, MedImageBatch):
        shared = found_labels(labels) if chosen is None else chosen
        return MedImageBatch.stack([one_hot(image, shared) for image in labels.unstack()])
    data, d, name = (labels, space_axes(dimension), "labels") if isinstance(labels, Tensor) else _of(labels)
    if data.ndim <= d or data.shape[-d - 1] != 1:
        raise ImageError(f"{name}: labels need one channel (1, z, y, x), got {tuple(data.shape)}; choose one")
    _check_whole(data, name)
    taken = found_labels(labels) if chosen is None else tuple(chosen)
    if not taken or len(set(taken)) != len(taken) or len(taken) > MOST_LABELS:
        raise ImageError(
            f"{name}: values: needs 1 to {MOST_LABELS} different labels, got {len(taken)}: {str(taken)[:80]}"
            + ("; it holds only background" if not taken and values is None else "")
        )
    channels = label_overlap.one_hot(data.movedim(-d - 1, 0), taken).movedim(0, -d - 1)
    if isinstance(labels, Tensor):
        return channels
    return revalued(labels, channels).with_metadata(labels=taken)


def centroids(masks: MedImage | MedImageBatch) -> Tensor:
    """(C, D) float64, of a batch (N, C, D): the world point (LPS mm) in the middle of each channel; see `centroids_on`.

    Example:
        >>> grid = Grid.regular((4, 1, 1), (2.0, 1.0, 1.0), origin=(10.0, 0.0, 0.0))
        >>> image = MedImage.on(grid, torch.tensor([[[[0, 5, 5, 3]]]]))
        >>> centroids(one_hot(image)).tolist()
        [[16.0, 0.0, 0.0], [13.0, 0.0, 0.0]]
    """
    one_of(masks, MedImage | MedImageBatch, "masks")
    if isinstance(masks, MedImageBatch):
        return torch.stack([centroids(image) for image in masks.unstack()])
    return centroids_on(masks.data, masks.grid, masks.name)


def centroids_on(masks: Tensor, grid: Grid, name: str = "masks") -> Tensor:
    """The centroid of each mask: sum of w(i) X(i) / sum of w(i), with X(i) the world point of voxel i.

    Args:
        masks: (..., z, y, x) weights w, 0 or more, such as `one_hot` labels or soft shares. Differentiable.
        grid: where the voxels lie; oblique and sheared ones are fine.
        name: for messages.

    Returns:
        (..., D) float64 world points x, y(, z), LPS mm.

    Raises:
        ImageError: an empty mask, or weights that are negative or not finite.

    Example:
        >>> grid = Grid.regular((3, 1, 1), (1.0, 1.0, 1.0))
        >>> centroids_on(torch.tensor([[[[1.0, 0.0, 3.0]]]]), grid).tolist()
        [[1.5, 0.0, 0.0]]
    """
    leading = _leading(masks, grid, name)
    flat = masks.reshape(-1, *grid.shape)
    index = [_mean_index(mask, f"{name}, masks[{k}]") for k, mask in enumerate(flat)]
    return _to_world(torch.stack(index), grid).view(*leading, grid.dimension)


def maximum_radii(masks: MedImage | MedImageBatch, *, above: float = 0.5) -> Tensor:
    """(C,) float64, of a batch (N, C): from each channel's centroid to its farthest voxel, mm; see `maximum_radii_on`.

    Example:
        >>> grid = Grid.regular((5, 1, 1), (2.0, 1.0, 1.0))
        >>> maximum_radii(MedImage.on(grid, torch.tensor([[[[1, 1, 1, 0, 0]]]]))).tolist()
        [2.0]
    """
    one_of(masks, MedImage | MedImageBatch, "masks")
    if isinstance(masks, MedImageBatch):
        return torch.stack([maximum_radii(image, above=above) for image in masks.unstack()])
    return maximum_radii_on(masks.data, masks.grid, above=above, name=masks.name)


def maximum_radii_on(masks: Tensor, grid: Grid, *, above: float = 0.5, name: str = "masks") -> Tensor:
    """The largest |X(i) - centroid| over the voxel centres i of each mask, in mm.

    Args:
        masks: (..., z, y, x) weights, as for `centroids_on`; differentiable, through the centroid.
        grid: where the voxels lie.
        above: a voxel belongs to the mask where its weight is higher.
        name: for messages.

    Returns:
        (...) float64; 0 for a mask of one voxel.

    Raises:
        ImageError: as `centroids_on`, or a soft mask that is nowhere above the threshold.
    """
    number(above, "above")
    leading = _leading(masks, grid, name)
    centres = centroids_on(masks, grid, name).view(-1, grid.dimension)
    radii = []
    for k, mask in enumerate(masks.reshape(-1, *grid.shape)):
        inside = (mask.detach() > above).nonzero().flip(-1)
        if not len(inside):
            raise ImageError(f"{name}, mask {k}: no voxel is above {above:g}; lower the threshold")
        apart = _to_world(inside.double(), grid) - centres[k]
        farthest = apart.detach().square().sum(1).argmax()
        radii.append(torch.linalg.vector_norm(apart[farthest]))
    return torch.stack(radii).view(leading)


def _of(image: MedImage) -> tuple[Tensor, int, str]:
    return image.data, image.dimension, image.name


def _check_whole(data: Tensor, name: str) -> None:
    if data.is_complex() or (data.is_floating_point() and not bool(((data == data.round()) & data.isfinite()).all())):
        raise ImageError(
            f"{name}: labels are whole numbers, got fractions (or NaN); was the map resampled? Use Nearest() for labels"
        )


def _leading(masks: Tensor, grid: Grid, name: str) -> tuple[int, ...]:
    """The axes before those of space."""
    one_of(masks, Tensor, "masks")
    one_of(grid, Grid, "grid")
    if masks.shape[-grid.dimension :] != grid.shape or masks.is_complex():
        raise ImageError(f"{name}: masks {tuple(masks.shape)} do not fill a grid of {grid.size} (x, y, z) voxels")
    return tuple(masks.shape[: masks.ndim - grid.dimension])


def _mean_index(mask: Tensor, name: str) -> Tensor:
    """(D,) the weighted mean of the voxel indices x, y(, z), float64."""
    weight = mask.double().contiguous()
    total = weight.sum()
    low = float(weight.detach().amin())
    if not (low >= 0 and torch.isfinite(total.detach())):
        raise ImageError(f"{name}: weights must be 0 or more and finite, got {low:g}")
    if not bool(total.detach() > 0):
        raise ImageError(f"{name}: is empty, so it has no centroid; leave it out, or list the labels that occur")
    means = []
    for axis in reversed(range(mask.ndim)):
        along = weight.sum([k for k in range(mask.ndim) if k != axis])
        means.append(along @ torch.arange(mask.shape[axis], dtype=along.dtype, device=along.device) / total)
    return torch.stack(means)


def _to_world(index: Tensor, grid: Grid) -> Tensor:
    """World points (N, D) of indices (N, D), as `Grid.to_world`, with gradients."""
    affine = torch.tensor(grid.affine, dtype=index.dtype, device=index.device)
    return index @ affine[:-1, :-1].T + affine[:-1, -1]
