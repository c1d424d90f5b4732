"""Points to images: where mass goes, gradients, batches, dtypes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.vision.rasterisation import Edges, Orthographic, Perspective, Slopes, raster, raster_pullback
from medreg.vision.rasterisation import blocks as blocks_module
from medreg.vision.rasterisation.depositing import add, add_in_order

NAMES = Slopes._fields
EXACT = {"atol": 1e-12, "rtol": 1e-12}
PERSPECTIVE = Perspective(focal=2.0, centre=(0.1, -0.05), near=0.5)
CASES = {
    "2D": ((6, 5), 2, Orthographic()),
    "3D": ((5, 4, 6), 3, Orthographic()),
    "projection": ((7, 5), 3, Orthographic()),
    "perspective": ((7, 5), 3, PERSPECTIVE),
    "4D to 3D": ((3, 4, 5), 4, Orthographic()),
    "3D to a line": ((9,), 3, Orthographic()),
    "one voxel wide": ((4, 1, 3), 3, Orthographic()),
}


def arguments(case: str, batch: int | None = None, clouds: bool = False, channels: int | None = None) -> list[Tensor]:
    """Random ones that reach beyond the edges; sheared rotations, as any matrix will do."""
    size, n, camera = CASES[case]
    k = len(size) + isinstance(camera, Perspective)
    random = torch.Generator().manual_seed(len(case))
    lead = () if batch is None else (batch,)
    normal = lambda *shape: torch.randn(shape, generator=random, dtype=torch.float64)  # noqa: E731
    rotation = torch.linalg.qr(normal(*lead, max(n, k), max(n, k)))[0][..., :k, :n] + 0.1 * normal(*lead, k, n)
    translation = 0.1 * normal(*lead, k)
    if isinstance(camera, Perspective):
        translation[..., -1] += 2
    points = 0.6 * normal(*(lead if clouds else ()), 9, n)
    weight = normal(*((9,) if channels is None else (9, channels)))
    background = normal(*lead, channels) if channels is not None and batch is not None else normal(*lead)
    return [points, rotation.contiguous(), translation, background, 1 + 0.3 * normal(*lead), weight]


def by_hand(case: str, given: list[Tensor], edges: Edges) -> np.ndarray[Any, Any]:
    """One image by loops over points and voxels, from the text of the docs."""
    size, _, camera = CASES[case]
    points, rotation, translation, background, out_weight, weight = (t.numpy() for t in given)
    image = np.full(size, float(background))
    for p, w in zip(points, np.broadcast_to(weight, len(points)), strict=True):
        at = rotation @ p + translation
        if isinstance(camera, Perspective):
            if at[-1] <= camera.near:
                continue
            at = camera.focal * at[:-1] / at[-1] + np.array(camera.centre)
        if edges is Edges.DROP and np.abs(at).max() > 1:
            continue
        c = (at + 1) * np.array(size) / 2
        if edges is Edges.CLAMP:
            c = np.clip(c, 0.5, np.array(size) - 0.5)
        for voxel in itertools.product(*map(range, size)):
            image[voxel] += out_weight * w * np.prod(np.maximum(0, 1 - np.abs(c - 0.5 - np.array(voxel))))
    return image.transpose()


@pytest.mark.parametrize("edges", Edges)
@pytest.mark.parametrize("case", CASES)
def test_each_voxel_holds_what_the_tents_of_the_points_say(case: str, edges: Edges) -> None:
    given = arguments(case)
    got = raster(CASES[case][0], *given, edges=edges, camera=CASES[case][2])
    np.testing.assert_allclose(got.numpy(), by_hand(case, given, edges), atol=1e-12)
    assert got.std() > 0.05  # something is there


@pytest.mark.parametrize("edges", Edges)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "shapes", [{}, {"batch": 3, "channels": 2}, {"batch": 2, "clouds": True}], ids=["one", "poses", "clouds"]
)
def test_gradients_to_all_six_equal_finite_differences(case: str, edges: Edges, shapes: dict[str, Any]) -> None:
    size, _, camera = CASES[case]
    leaves = [t.requires_grad_() for t in arguments(case, **shapes)]
    assert torch.autograd.gradcheck(
        lambda *a: raster(size, *a, edges=edges, camera=camera), leaves, fast_mode=bool(shapes)
    )


@pytest.mark.parametrize("edges", Edges)
@pytest.mark.parametrize("case", CASES)
def test_gradients_of_gradients_equal_finite_differences(case: str, edges: Edges) -> None:
    size, _, camera = CASES[case]
    leaves = [t.requires_grad_() for t in arguments(case, batch=2)]
    assert torch.autograd.gradgradcheck(lambda *a: raster(size, *a, edges=edges, camera=camera), leaves, fast_mode=True)


@pytest.mark.parametrize("edges", Edges)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shapes", [{}, {"batch": 3, "channels": 2}, {"batch": 2, "clouds": True}])
def test_the_pullback_equals_autograd(case: str, edges: Edges, shapes: dict[str, Any]) -> None:
    size, _, camera = CASES[case]
    leaves = [t.requires_grad_() for t in arguments(case, **shapes)]
    out = raster(size, *leaves, edges=edges, camera=camera)
    d_out = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad(out, leaves, d_out, create_graph=True)  # plain operations, not the kernel
    into = Slopes(*(torch.full_like(t, torch.nan) for t in leaves))
    got = raster_pullback(d_out, *leaves, edges=edges, camera=camera, into=into)
    assert got is into
    for mine, theirs in zip(got, wanted, strict=True):
        assert mine is not None
        torch.testing.assert_close(mine, theirs.detach(), **EXACT)


def test_the_pullback_computes_only_what_there_is_room_for() -> None:
    given = arguments("projection")
    d_out = torch.ones(5, 7, dtype=torch.float64)
    whole = raster_pullback(d_out, *given)
    some = raster_pullback(d_out, *given, into=Slopes(rotation=torch.zeros(2, 3, dtype=torch.float64)))
    assert [name for name, t in zip(NAMES, some, strict=True) if t is not None] == ["rotation"]
    assert some.rotation is not None
    assert torch.equal(some.rotation, whole.rotation)
    assert float(whole.background) == 35  # all voxels


@pytest.mark.parametrize("case", ["3D", "projection", "perspective"])
def test_a_batch_is_the_images_one_by_one(case: str) -> None:
    size, _, camera = CASES[case]
    given = arguments(case, batch=3, clouds=True, channels=2)
    together = raster(size, *given, camera=camera)
    points, rotation, translation, background, out_weight, weight = given
    alone = [
        raster(
            size, points[k], rotation[k], translation[k], background[k : k + 1], out_weight[k], weight, camera=camera
        )
        for k in range(3)
    ]
    assert together.shape == (3, 2, *size[::-1])
    torch.testing.assert_close(together, torch.cat(alone), **EXACT)  # (B, C) backgrounds make batches of 1


def test_what_is_not_in_the_batch_is_shared_by_all() -> None:
    points, rotation, translation, *_ = arguments("projection", batch=3)
    shared = raster((7, 5), points, rotation, translation[0], 0.5, 2.0)
    each = [raster((7, 5), points, r, translation[0], 0.5, 2.0) for r in rotation]
    torch.testing.assert_close(shared, torch.stack(each), **EXACT)


# -------------------------------------------------------------------------------------------- numbers of all kinds


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2), (torch.float32, 2e-6), (torch.float64, 0)]
)
def test_every_floating_dtype_gives_itself_and_its_gradients(dtype: torch.dtype, tolerance: float) -> None:
    # the same rounded numbers in float64 are the truth; what is left is the rounding of the result
    given = [t.to(dtype) for t in arguments("projection", batch=2)]
    truth = [t.double().requires_grad_() for t in given]
    leaves = [t.requires_grad_() for t in given]
    out, wanted = raster((7, 5), *leaves), raster((7, 5), *truth)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), wanted, atol=4 * tolerance, rtol=tolerance)
    out.square().sum().backward()
    wanted.square().sum().backward()
    for mine, theirs in zip(leaves, truth, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert mine.grad.dtype == dtype
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=100 * tolerance, rtol=10 * tolerance)


def test_many_points_in_one_voxel_add_up_in_float16_too() -> None:
    points = torch.zeros(4000, 2, dtype=torch.float16)  # float16 counts in steps of 2 from 2048 on
    assert float(raster((5, 5), points, torch.eye(2).half(), torch.zeros(2).half())[2, 2]) == 4000


def test_no_points_leave_the_background() -> None:
    rotation = torch.eye(2, 3).requires_grad_()
    image = raster((4, 3), torch.zeros(0, 3), rotation, torch.zeros(2), 0.25)
    assert torch.equal(image, torch.full((3, 4), 0.25))
    image.sum().backward()
    assert rotation.grad is not None
    assert not rotation.grad.any()


def test_points_that_are_not_finite_put_nothing_and_get_nothing() -> None:
    given = arguments("projection", batch=2)
    broken = given[0].clone()
    broken[2, 1], broken[5] = torch.nan, torch.inf
    given[5][2] = torch.nan  # nobody asks what it weighs
    keep = [k for k in range(9) if k not in (2, 5)]
    whole = [given[0][keep], *given[1:5], given[5][keep]]
    for edges in Edges:
        got = raster((7, 5), broken, *given[1:], edges=edges)
        torch.testing.assert_close(got, raster((7, 5), *whole, edges=edges), **EXACT)
        mine = raster_pullback(got, broken, *given[1:], edges=edges)
        theirs = raster_pullback(got, *whole, edges=edges)
        assert mine.points is not None
        assert mine.point_weight is not None
        assert not mine.points[[2, 5]].any()
        assert not mine.point_weight[[2, 5]].any()
        torch.testing.assert_close(mine.points[keep], theirs.points, **EXACT)
        torch.testing.assert_close(mine.rotation, theirs.rotation, **EXACT)


def test_points_so_far_that_their_pose_overflows_put_nothing() -> None:
    points = torch.tensor([[3e38, -3e38]])
    assert not raster((5, 5), points, 9 * torch.ones(2, 2), torch.zeros(2)).any()


# ------------------------------------------------------------------------------------------ however it is shared out


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(("images", "size"), [(None, (6, 5)), (None, (40, 50)), (11, (6, 5))])
def test_shares_of_the_work_give_what_one_gives_and_the_same_bits_again(
    images: int | None, size: tuple[int, int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_module, "ON_CPU", 100)
    random = torch.Generator().manual_seed(0)
    lead = () if images is None else (images,)
    points = torch.rand(1000, 3, generator=random) - 0.5
    rotation, translation = torch.randn(*lead, 2, 3, generator=random), torch.zeros(2)
    d_out = torch.randn(*lead, *size[::-1], generator=random)
    first = raster(size, points, rotation, translation, 0.5)
    again = raster(size, points, rotation, translation, 0.5)
    assert torch.equal(first, again)
    slopes = raster_pullback(d_out, points, rotation, translation, 0.5)
    for a, b in zip(slopes, raster_pullback(d_out, points, rotation, translation, 0.5), strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)
    monkeypatch.undo()
    torch.testing.assert_close(first, raster(size, points, rotation, translation, 0.5), atol=1e-4, rtol=1e-5)
    whole = raster_pullback(d_out, points, rotation, translation, 0.5)
    for a, b in zip(slopes, whole, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)  # float32 sums of 11 000 in another order


def test_an_image_too_large_for_exact_float32_indices_is_addressed_right() -> None:
    size = (300, 260, 257)  # over 2^24 voxels; the point's lower one is odd there, which float32 cannot hold
    points = torch.tensor([[297.5 / 150 - 1, 259.5 / 130 - 1, 256.5 / 128.5 - 1]], dtype=torch.float32)
    image = raster(size, points, torch.eye(3), torch.zeros(3))
    assert float(image[256, 259, 297]) == pytest.approx(1, abs=1e-4)  # float32 places points to 3e-5 voxel here
    assert float(image.sum()) == pytest.approx(1, abs=1e-4)


def test_memory_that_is_there_is_filled() -> None:
    given = arguments("3D", batch=2)
    out = torch.full((2, 6, 4, 5), torch.nan, dtype=torch.float64)
    assert raster((5, 4, 6), *given, out=out) is out
    torch.testing.assert_close(out, raster((5, 4, 6), *given), **EXACT)


def test_the_ordered_additions_of_a_gpu_are_the_same_sums() -> None:
    random = torch.Generator().manual_seed(0)
    index, values = torch.randint(0, 7, (100,), generator=random), torch.randn(100, generator=random)
    sums = torch.zeros(2, 9)
    add(sums[0, 1:], index, values)
    add_in_order(sums[1, 1:], index, values)
    torch.testing.assert_close(sums[0], sums[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_gives_and_the_same_bits_if_asked() -> None:
    given = [t.float() for t in arguments("projection", batch=3)]
    there = [t.cuda() for t in given]
    torch.testing.assert_close(raster((7, 5), *there).cpu(), raster((7, 5), *given), atol=1e-5, rtol=1e-5)
    d_out = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    for here, far in zip(raster_pullback(d_out, *given), raster_pullback(d_out.cuda(), *there), strict=True):
        torch.testing.assert_close(far.cpu(), here, atol=1e-4, rtol=1e-4)
    many = torch.randn(100_000, 3, device="cuda")
    torch.use_deterministic_algorithms(True)
    try:
        images = [raster((7, 5), many, there[1], there[2]) for _ in range(2)]
        slopes = [raster_pullback(d_out.cuda(), many, there[1], there[2]) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*images)
    assert all(torch.equal(*both) for both in zip(*slopes, strict=True))


# ------------------------------------------------------------------------------------------------------------ errors

P, R, T = torch.zeros(4, 3), torch.eye(2, 3), torch.zeros(2)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: raster((5, 5), P, torch.eye(3), T), r"3D points to a 2D grid.*\(2, 3\).*got \(3, 3\)"),
        (lambda: raster((5, 5), P, R, torch.zeros(3)), r"translation must be \(2,\)"),
        (lambda: raster((5, 5), P[0], R, T), r"points must be \(N, n\)"),
        (lambda: raster((0, 5), P, R, T), "at least 1 voxel"),
        (lambda: raster((-3, 5), P, R, T), "at least 1 voxel"),
        (lambda: raster((5.5, 5), P, R, T), r"grid_size: takes whole numbers, got \[5.5, 5\]"),
        (lambda: raster(5, P, R, T), "grid_size: takes a list of whole numbers, got int 5"),
        (lambda: raster((10**7, 10**7), P, R, T), r"a grid_size of .* makes .* GiB.*ask for fewer voxels"),
        (lambda: raster((5, 5), P.numpy(), R, T), "points must be a tensor"),
        (lambda: raster((5, 5), P, None, T), "rotation: takes numbers, .* got NoneType"),
        (lambda: raster((5, 5), P, R.expand(0, 2, 3), T), "one image or more, got none of rotation"),
        (lambda: raster((5, 5), P, R, T, edges="clamp"), "edges: takes Edges.CUT, Edges.DROP or Edges.CLAMP, got str"),
        (lambda: raster((5, 5), P, R, T, camera=Perspective), r"pass Perspective\(\), with the brackets"),
        (lambda: raster((5, 5), P, R, T, point_weight=torch.full((4,), torch.nan)), "point_weight holds numbers that"),
        (lambda: raster((5, 5, 5), P[:, :2], torch.eye(3, 2), torch.zeros(3)), "no grid of 3 axes"),
        (lambda: raster((5, 5), P, R.expand(3, 2, 3), T.expand(4, 2)), "3 of rotation, 4 of translation"),
        (lambda: raster((5, 5), P, R, T, point_weight=torch.ones(3)), "point_weight of 4 points"),
        (lambda: raster((5, 5), P, R, T, out_weight=torch.ones(3, 2)), "out_weight is one number"),
        (lambda: raster((5, 5), P, R, T, torch.ones(1, 2, 2)), "background is one number"),
        (lambda: raster((5, 5), P, R, T, torch.ones(1, 3), 1.0, torch.ones(4, 2)), "3 channels, point_weight 2"),
        (lambda: raster((5, 5), P, R * torch.nan, T), "rotation holds numbers that are not finite"),
        (lambda: raster((5, 5), P, R, T, camera=Perspective()), r"Perspective, need a rotation of \(3, 3\)"),
        (lambda: raster((5, 5), P, torch.eye(3), torch.zeros(3), camera=Perspective(centre=(0.0,))), "centre has 1"),
        (lambda: raster((5, 5), P.cfloat(), R, T), "points must be real"),
        (lambda: raster((5, 5), P, R.clone().requires_grad_(), T, out=torch.zeros(5, 5)), "no gradients"),
        (lambda: raster((5, 5), P, R, T, out=torch.zeros(5, 4)), "out must be contiguous"),
        (lambda: raster_pullback(np.zeros((5, 5)), P, R, T), "d_out: takes a tensor"),
        (lambda: raster_pullback(torch.zeros(2, 5, 5), P, R, T), r"image of \(5, 5\), but d_out has \(2, 5, 5\)"),
        (lambda: raster_pullback(torch.zeros(5, 5), P, R, T, into=Slopes(points=P[:1])), "into.points must be"),
        (lambda: Perspective(focal=0), "focal > 0"),
        (lambda: Perspective(near=-1), "near > 0"),
        (lambda: Perspective(focal="wide"), "focal: takes a number, got str 'wide'"),
    ],
)
def test_what_does_not_fit_is_told(call: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        call()
