"""Maps one after the other: the order, the joined matrix, inverses, gradients to every part."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.transform.composite import Composite, Map, inverse_of, mapped
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform, matrix_of
from medreg.transform.local_homographies import LocalHomographies, controls_over
from medreg.transform.neural import Neural

GRID = Grid.regular((20, 30), (1.0, 2.0), (-5.0, 4.0))
POINTS = torch.from_numpy(np.random.default_rng(0).uniform(-5, 50, (40, 2)))
LINEAR = LinearTransform.of(np.array([[0.9, 0.2, 3.0], [-0.1, 1.1, -2.0], [0, 0, 1]]))
PROJECTIVE = Homography(np.array([[1.0, 0.1, 2.0], [0.0, 0.9, 1.0], [1e-3, -2e-3, 1.0]]))


def wave(points: Tensor) -> Tensor:
    return points + 2 * torch.sin(points.flip(1) / 7)


def local() -> LocalHomographies:
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(3, 3, 8, generator=generator, dtype=torch.float64)
    return LocalHomographies.from_parameters(steps, controls_over(GRID, (3, 3)), 20.0)


MAPS: dict[str, Map] = {
    "matrix": LINEAR.matrix,
    "tensor": torch.tensor(PROJECTIVE.matrix),
    "linear": LINEAR,
    "homography": PROJECTIVE,
    "local homographies": local(),
    "function": wave,
    "network": Neural(GRID).double(),
    "composite": Composite(wave, LINEAR),
}


@pytest.mark.parametrize("first", MAPS)
@pytest.mark.parametrize("second", MAPS)
def test_the_last_acts_first(second: str, first: str) -> None:
    nested = mapped(MAPS[second], mapped(MAPS[first], POINTS))
    assert (Composite(MAPS[second], MAPS[first])(POINTS) - nested).abs().max() < 1e-12


def test_composites_within_are_taken_apart_and_associate() -> None:
    parts = [MAPS[name] for name in ("function", "homography", "linear", "local homographies")]
    left = Composite(Composite(*parts[:2]), Composite(*parts[2:]))
    assert left.maps == tuple(parts)
    assert torch.equal(left(POINTS), Composite(*parts)(POINTS))


def test_the_joined_matrix_is_the_product_and_none_where_a_part_bends() -> None:
    joined = Composite(PROJECTIVE, LINEAR, LINEAR.matrix).joined_matrix()
    assert joined is not None
    assert np.abs(joined.numpy() - PROJECTIVE.matrix @ LINEAR.matrix @ LINEAR.matrix).max() < 1e-12
    assert Composite(PROJECTIVE, wave).joined_matrix() is None
    assert Composite(wave, PROJECTIVE).joined_matrix() is None


def test_inverse_after_forward_is_the_identity() -> None:
    there = Composite(PROJECTIVE, LINEAR.matrix, torch.tensor(LINEAR.matrix))
    assert (there.inverse()(there(POINTS)) - POINTS).abs().max() < 1e-10
    assert (there(there.inverse()(POINTS)) - POINTS).abs().max() < 1e-10
    with pytest.raises(TransformError, match="the function in this composite has no inverse"):
        Composite(PROJECTIVE, wave).inverse()
    assert inverse_of(Composite(PROJECTIVE, wave)) is None
    assert inverse_of(local()) is None
    with pytest.raises(TransformError, match="singular"):
        inverse_of(np.diag([1.0, 0.0, 1.0]))


def test_gradients_reach_the_parameters_of_every_part_and_the_points() -> None:
    controls = controls_over(GRID, (2, 2))

    def through(points: Tensor, pose: Tensor, matrix: Tensor, bends: Tensor) -> Tensor:
        first = LocalHomographies.from_parameters(bends, controls, 20.0)
        return Composite(matrix_of(pose, Kind.RIGID, (3.0, 4.0), 20.0), matrix, wave, first)(points)

    inputs = (
        POINTS[:5].clone().requires_grad_(),
        torch.tensor([0.5, 1.0, -0.4], dtype=torch.float64, requires_grad=True),
        torch.tensor(PROJECTIVE.matrix).requires_grad_(),
        (0.3 * torch.ones(2, 2, 8, dtype=torch.float64)).requires_grad_(),
    )
    assert torch.autograd.gradcheck(through, inputs)


def test_modules_and_parameter_matrices_are_the_composites_own() -> None:
    network, matrix = Neural(GRID), nn.Parameter(torch.tensor(LINEAR.matrix))
    both = Composite(matrix, wave, network)
    assert {id(p) for p in both.parameters()} == {id(p) for p in (matrix, *network.parameters())}
    twin = copy.deepcopy(both)
    with torch.no_grad():
        matrix[0, 2] += 5.0
    assert abs(float((both(POINTS) - twin(POINTS))[0, 0].detach()) - 5.0) < 1e-9


def test_a_module_of_another_precision_gets_points_in_its_own() -> None:
    linear = nn.Linear(2, 2)
    assert mapped(linear, POINTS).dtype == torch.float64
    assert (mapped(linear, POINTS) - linear(POINTS.float())).abs().max() == 0


def test_what_is_no_map_is_told() -> None:
    with pytest.raises(TransformError, match="one map or more"):
        Composite()
    with pytest.raises(TransformError, match=r"of one shape, got \(4, 4\) after \(3, 3\)"):
        Composite(np.eye(4), np.eye(3)).joined_matrix()
    with pytest.raises(TransformError, match="part 0 of a composite is a type"):
        Composite(Neural)  # type: ignore[arg-type]
    with pytest.raises(TransformError, match="part 1 of a composite is a str"):
        Composite(LINEAR, "rotate")  # type: ignore[arg-type]
    with pytest.raises(TransformError, match=r"points in 2D go through a 3x3 matrix, got shape \(4, 4\)"):
        mapped(np.eye(4), POINTS)

    def lengths(points: Tensor) -> Tensor:
        return points.norm(dim=1)

    with pytest.raises(TransformError, match=r"the map lengths was given points \(40, 2\) and returned"):
        mapped(lengths, POINTS)
    with pytest.raises(TransformError, match="returned ndarray"):
        mapped(lambda points: points.numpy(), POINTS)
