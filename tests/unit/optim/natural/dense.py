"""The natural gradient written out: dense P x P matrices in float64, slow and obvious."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

NEIGHBOURS = {"exact": 10**6, "tridiagonal": 1, "block": 0}


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def jacobian(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Parameter name -> d f / d theta, (N * C, entries), sample-major."""
    chosen = parameters_of(model)
    found = torch.func.jacrev(lambda p: torch.func.functional_call(model, p, (x,)).flatten(1))(chosen)
    return {name: j.reshape(j.shape[0] * j.shape[1], -1) for name, j in found.items()}


def curvature(f: Tensor, loss: str) -> Tensor:
    """Q, block-diagonal, (N * C, N * C)."""
    if loss == "mse":
        return torch.eye(f.numel(), dtype=f.dtype)
    return torch.block_diag(*[torch.diag(p) - torch.outer(p, p) for p in f.softmax(1)])


def residual(f: Tensor, y: Tensor, loss: str) -> Tensor:
    """N times the gradient of the loss in f, (N, C)."""
    if loss == "mse":
        return f - y
    return f.softmax(1) - nn.functional.one_hot(y, f.shape[1])


def direction(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    loss: str,
    approx: str,
    damping: float | Mapping[str, float],
    layers: Mapping[str, int] | None = None,
    q: Tensor | None = None,
) -> dict[str, Tensor]:
    """(G + rho)^-1 grad by parameter.

    Args:
        layers: Parameter name -> number of its layer; None: by the path of the module, in the model's order.
        q: Curvature in the outputs, where it isn't that of the model's own distribution.
    """
    rows = jacobian(model, x)
    with torch.no_grad():
        f = model(x).flatten(1)
    numbers = layers or layer_numbers(rows)
    j = torch.cat(list(rows.values()), dim=1)
    of = torch.cat([torch.full((v.shape[1],), numbers[name]) for name, v in rows.items()])
    fisher = j.T @ (curvature(f, loss) if q is None else q) @ j / len(x)
    fisher = fisher * ((of[:, None] - of).abs() <= NEIGHBOURS[approx])
    rho = damping if isinstance(damping, Mapping) else dict.fromkeys(rows, damping)
    diagonal = torch.cat([torch.full((v.shape[1],), rho[name], dtype=j.dtype) for name, v in rows.items()])
    delta = torch.linalg.solve(fisher + diagonal.diag(), j.T @ residual(f, y, loss).reshape(-1) / len(x))
    parts = delta.split([v.shape[1] for v in rows.values()])
    own = parameters_of(model)
    return {name: part.view_as(own[name]) for name, part in zip(rows, parts, strict=True)}


def layer_numbers(names: Mapping[str, Tensor]) -> dict[str, int]:
    paths = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    return {name: paths.index(name.rpartition(".")[0]) for name in names}


def assert_directions_equal(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, relative: float) -> None:
    """Both as one vector: |found - expected| <= relative |expected|."""
    assert set(found) == set(expected)
    gap = sum(float((found[name] - expected[name]).square().sum()) for name in expected) ** 0.5
    size = sum(float(value.square().sum()) for value in expected.values()) ** 0.5
    assert gap <= relative * size, f"relative distance {gap / size:.2e} is above {relative:.0e}"
