"""Exact natural gradient: one n x n solve and one backward pass."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.optim.natural.approximation import Approximation, Batch, Direction
from linnet.optim.natural.dual.solve import Regular, Solved, base_damping, check_rows, group_weights, solve_dual


class Exact(Approximation):
    """G = F + rho with the whole Fisher matrix F = (1/N) J^T W W^T J.

    Delta = (1/N) J^T W v, (Theta + rho) v = u, Theta = sum_l Theta_l: the update is one backward pass with cotangent
    W v. At rho = 0 this is the minimum-norm step, K = I and alpha = 1. Where the gradient isn't a combination of the
    rows (`fisher="sampled"`), (F + rho)^-1 = (1/rho) [I - (1/N) J^T W (Theta + rho)^-1 W^T J].

    Source:
        Dual form and isotropy: derived; the idea of the isotropic gradient: Karakida & Osawa 2020, abstract.
    """

    name = "exact"
    function_momentum = True

    def direction(self, batch: Batch, *, previous: Mapping[str, Tensor] | None = None) -> Direction:
        """One solve of n x n in float64."""
        check_rows(batch, self.settings.solve_rows)
        if batch.u is None:
            solved, delta, layers = self._outside(batch)
        else:
            layers = batch.layers
            right = batch.u if previous is None else batch.u - pushed(batch, previous, self.settings.momentum)
            solved = solve_dual(_whole(layers, batch), right, Regular.of(batch), of="The network")
            delta = pull(batch, solved.v)
        if previous is not None:
            delta = {name: value + self.settings.momentum * previous[name] for name, value in delta.items()}
        alpha = 1.0 if batch.undamped and self.settings.fisher == "model" else None
        return Direction(delta, alpha, f"dual, {solved.route}", treated(layers, "exact, whole matrix"))

    def _outside(self, batch: Batch) -> tuple[Solved, dict[str, Tensor], tuple[LayerJacobian, ...]]:
        """`fisher="sampled"`: the gradient isn't in the span of the rows.

        r is one pass more, so W^T J grad = (1/N) W^T J J^T r are sums of Gram entries, and Delta = (1/N) J^T (r - W v)
        / rho comes from the stored (a, g): two passes through the activations and one product for each layer in all.
        """
        layers, n, weights = batch.layers_and_residual, batch.samples, group_weights(batch) or {}
        passes, rho = len(batch.cotangents), base_damping(batch)
        grid = _whole(layers, batch).view(n, passes + 1, n, passes + 1)
        matrix = grid[:, :-1, :, :-1].reshape(n * passes, n * passes)
        solved = solve_dual(matrix, grid[:, :-1, :, -1].sum(2).reshape(-1), Regular.of(batch), of="The network")
        if batch.undamped:
            solved = solve_dual(matrix, solved.v, Regular.of(batch), of="The network")
        inside, outside = (1.0, 0.0) if batch.undamped else (-1 / rho, 1 / rho)
        v = torch.cat([inside * solved.v.view(n, passes), solved.v.new_full((n, 1), outside)], dim=1).reshape(-1)
        found = {name: part for layer in layers for name, part in layer.pull(v).items()}
        return solved, {name: part * (weights.get(name, 1.0) / n) for name, part in found.items()}, layers


def _whole(layers: Sequence[LayerJacobian], batch: Batch) -> Tensor:
    """Theta in float64: layer by layer in the model's dtype, one n x n at a time."""
    weights = group_weights(batch)
    whole = layers[0].gram(weights=weights)
    for layer in layers[1:]:
        whole.add_(layer.gram(weights=weights))
    return whole.double().div_(batch.samples)


def pull(batch: Batch, v: Tensor) -> dict[str, Tensor]:
    """(1/N) J^T W v of every parameter with rows, each weighted by its group, by one backward pass of the network."""
    grid = v.view(batch.samples, -1).to(batch.f.dtype)
    cotangent = (batch.cotangents * grid.T.unsqueeze(-1)).sum(0)
    weights, found = group_weights(batch) or {}, batch.pull(cotangent)
    names = [name for layer in batch.layers for name in layer.parameters]
    return {name: found[name] * (weights.get(name, 1.0) / batch.samples) for name in names}


def pushed(batch: Batch, previous: Mapping[str, Tensor], momentum: float) -> Tensor:
    """W^T J (mu Delta_prev), (n,)."""
    return momentum * torch.stack([layer.push(previous) for layer in batch.layers]).sum(0)


def treated(layers: Sequence[LayerJacobian], how: str) -> dict[str, str]:
    """Every parameter with rows -> the way and the layer."""
    return {name: f"{how} (layer `{layer.name}`)" for layer in layers for name in layer.parameters}
