"""The same map in plain torch operations, whose own slopes torch knows: for slopes of slopes."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from medreg.vision.rasterisation.cameras import Perspective, middle, scales
from medreg.vision.rasterisation.edges import Edges
from medreg.vision.rasterisation.scene import Arguments, Frame


def tracked(frame: Frame, arguments: Arguments) -> Tensor:
    """(B, C, V), with a graph that holds 2^m numbers for each point and image."""
    points, rotation, translation, background, out_weight, point_weight = arguments
    images, channels, count = arguments.images, arguments.channels, points.shape[1]
    q = points @ rotation.transpose(1, 2) + translation[:, None]
    index, seen = _places(frame, q.expand(images, -1, -1))
    size = torch.tensor(frame.size, device=q.device)
    if frame.edges is Edges.CLAMP:
        index = torch.minimum(index.clamp(min=0), (size - 1).to(index))
    low = index.detach().floor()
    share = index - low
    low = torch.minimum(low.clamp(min=-2), (size + 1).to(low)).long()  # beyond it is all the same
    weight = (out_weight[:, None, None] * point_weight).expand(images, count, channels)
    out = background.expand(images, channels).new_zeros(channels, images * frame.voxels)
    of_image = torch.arange(images, device=q.device)[:, None] * frame.voxels
    strides = torch.tensor([1, *frame.size[:-1]], device=q.device).cumprod(0)
    for upper in product((0, 1), repeat=len(frame.size)):
        voxel = low + torch.tensor(upper, device=q.device)
        inside = ((voxel >= 0) & (voxel < size)).all(-1) & seen
        place = torch.where(inside, (voxel * strides).sum(-1) + of_image, 0)
        part = torch.where(torch.tensor(upper, dtype=torch.bool, device=q.device), share, 1 - share).prod(-1)
        values = torch.where(inside, part, 0.0)[..., None] * weight
        out = out.index_add(1, place.reshape(-1), values.permute(2, 0, 1).reshape(channels, -1))
    return out.view(channels, images, -1).transpose(0, 1) + background[..., None]


def _places(frame: Frame, q: Tensor) -> tuple[Tensor, Tensor]:
    """Fractional voxels (B, N, m), and which points (B, N) are seen."""
    scale, ahead = q.new_tensor(scales(frame.camera, frame.size)), q.new_tensor(middle(frame.camera, frame.size))
    seen = torch.ones_like(q[..., 0], dtype=torch.bool)
    if isinstance(frame.camera, Perspective):
        seen = q[..., -1] > frame.camera.near
        q = q[..., :-1] / torch.where(seen, q[..., -1], 1.0)[..., None]
        scale = scale[:-1]
    index = q * scale + ahead
    if frame.edges is Edges.DROP:
        size = index.new_tensor(frame.size)
        seen = seen & ((index >= -0.5) & (index <= size - 0.5)).all(-1)
    return index, seen
