"""Exact natural gradient: one n x n solve and one backward pass."""

from collections.abc import Mapping

import torch
from torch import Tensor

from linnet.optim.approximation import Approximation, Batch, Direction
from linnet.optim.dual import Regular, Solved, base_damping, check_rows, group_weights, solve, theta


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
        whole: Tensor | None = None
        for layer in batch.layers:  # one n x n at a time
            part = theta(layer, batch)
            whole = part if whole is None else whole.add_(part)
        assert whole is not None
        if batch.u is None:
            solved, delta = self._outside(whole, batch)
        else:
            right = batch.u if previous is None else batch.u - pushed(batch, previous, self.settings.momentum)
            solved = solve(whole, right, Regular.of(batch), of="The network")
            delta = pull(batch, solved.v)
        if previous is not None:
            delta = {name: value + self.settings.momentum * previous[name] for name, value in delta.items()}
        alpha = 1.0 if batch.undamped and self.settings.fisher == "model" else None
        return Direction(delta, alpha, f"dual, {solved.route}", treated(batch, "exact, whole matrix"))

    def _outside(self, whole: Tensor, batch: Batch) -> tuple[Solved, dict[str, Tensor]]:
        """`fisher="sampled"`: the gradient isn't in the span of the rows."""
        weights = group_weights(batch) or {}
        weighted = {name: g * weights.get(name, 1.0) for name, g in batch.gradient.items()}
        right = torch.stack([layer.push(weighted).double() for layer in batch.layers]).sum(0)
        solved = solve(whole, right, Regular.of(batch), of="The network")
        if batch.undamped:
            solved = solve(whole, solved.v, Regular.of(batch), of="The network")
            return solved, pull(batch, solved.v)
        inside, rho = pull(batch, solved.v), base_damping(batch)
        return solved, {name: (weighted[name] - part) / rho for name, part in inside.items()}


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


def treated(batch: Batch, how: str) -> dict[str, str]:
    """Every parameter with rows -> the way and the layer."""
    return {name: f"{how} (layer `{layer.name}`)" for layer in batch.layers for name in layer.parameters}
