"""Layer-wise approximations in the dual: block-diagonal and block tridiagonal."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.errors import InputError
from linnet.optim.natural.approximation import Approximation, Batch, Direction, Settings
from linnet.optim.natural.dual.exact import pushed, treated
from linnet.optim.natural.dual.solve import (
    BlockThomas,
    Regular,
    base_damping,
    check_rows,
    group_weights,
    solve_dual,
    theta,
)


class Block(Approximation):
    """G = blockdiag(F_1, ..., F_L) + rho, one block for each weight layer.

    Delta_l = (1/N) J_l^T W v_l, (Theta_l + rho) v_l = u, from stored (a, g): no further backward pass. At rho = 0,
    with every Theta_l > 0, K = L I: alpha = L.

    Source:
        Dual form: derived; the claim that it trains like exact natural gradient: Karakida & Osawa 2020, abstract.
    """

    name = "block"
    function_momentum = True

    def direction(self, batch: Batch, *, previous: Mapping[str, Tensor] | None = None) -> Direction:
        """L solves of n x n in float64, one after another."""
        check_rows(batch, self.settings.solve_rows)
        count = len(batch.layers)
        right = batch.u
        if right is not None and previous is not None:
            right = right - pushed(batch, previous, self.settings.momentum) / count
        delta: dict[str, Tensor] = {}
        routes: dict[str, None] = {}
        for layer in batch.layers:
            part, route = block_direction(layer, batch, right)
            delta |= part
            routes[route] = None
        if previous is not None:
            delta = {name: value + self.settings.momentum * previous[name] for name, value in delta.items()}
        alpha = float(count) if batch.undamped and self.settings.fisher == "model" else None
        return Direction(delta, alpha, f"dual, {'; '.join(routes)}", treated(batch.layers, "exact block"))


class Tridiagonal(Approximation):
    """G = F with the blocks of layers that aren't neighbours set to 0, + rho.

    F = (1/N) S^T (Sigma (x) I) S with S = blockdiag(W^T J_l) and Sigma the ones on three diagonals. For rho > 0
    Delta_l = (1/N) J_l^T W v_l with [(Sigma (x) I) blockdiag(Theta_l) + rho] v = 1 (x) u, by block elimination. At
    rho = 0 v_l = c_l Theta_l^-1 u with Sigma c = 1, alpha = sum_l c_l: L = 3s: s, c = 010 010 ...; L = 3s + 1: s + 1,
    c = 1 001 001 ...: only every third layer moves. For L = 3s + 2 Sigma is singular.

    Args:
        model: The network.
        settings: The checked arguments.

    Raises:
        InputError: damping 0 with L = 3s + 2 weight layers.

    Source:
        Dual form and c: derived; the claim that it trains like exact natural gradient: Karakida & Osawa 2020, abstract.
    """

    name = "tridiagonal"

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        super().__init__(model, settings)
        if settings.damping == 0.0:
            layer_pattern(len(weight_layers(model)))

    def direction(self, batch: Batch, *, previous: Mapping[str, Tensor] | None = None) -> Direction:
        """By the pattern c at rho = 0, else by block elimination with LU."""
        covered = treated(batch.layers, "block tridiagonal")
        if batch.undamped:
            check_rows(batch, self.settings.solve_rows)
            pattern = layer_pattern(len(batch.layers))
            delta, route = self._by_pattern(batch, pattern)
            alpha = float(sum(pattern)) if self.settings.fisher == "model" else None
            return Direction(delta, alpha, route, covered)
        check_rows(batch, self.settings.solve_rows, matrices=2 * len(batch.layers))
        return Direction(self._by_elimination(batch), None, "dual, block elimination with LU, float64", covered)

    def _by_pattern(self, batch: Batch, pattern: tuple[int, ...]) -> tuple[dict[str, Tensor], str]:
        delta: dict[str, Tensor] = {}
        routes: dict[str, None] = {}
        own = dict(self.model.named_parameters())
        for c, layer in zip(pattern, batch.layers, strict=True):
            if c == 0:
                delta |= {name: torch.zeros_like(own[name]) for name in layer.parameters}
                continue
            part, route = block_direction(layer, batch, batch.u)
            delta |= part
            routes[route] = None
        return delta, f"dual, layers {''.join(map(str, pattern))}; {'; '.join(routes)}"

    def _by_elimination(self, batch: Batch) -> dict[str, Tensor]:
        rho, weights = base_damping(batch), group_weights(batch)
        system = BlockThomas([theta(layer, batch) for layer in batch.layers], rho)
        if batch.u is not None:
            solution = system.solve([batch.u.double()] * len(batch.layers))
            return _merged(_pull(layer, v, batch) for layer, v in zip(batch.layers, solution, strict=True))
        weighted = {name: g * (weights or {}).get(name, 1.0) for name, g in batch.gradient.items()}
        own = [layer.push(weighted).double() for layer in batch.layers]
        zero = torch.zeros_like(own[0])
        padded = [zero, *own, zero]
        solution = system.solve([sum(padded[k : k + 3], zero) for k in range(len(own))])
        inside = _merged(_pull(layer, v, batch) for layer, v in zip(batch.layers, solution, strict=True))
        return {name: (weighted[name] - part) / rho for name, part in inside.items()}


def layer_pattern(count: int) -> tuple[int, ...]:
    """C with Sigma c = 1 for the ones on three diagonals: 010 010 ... or 1 001 001 ...

    Raises:
        InputError: Sigma is singular, for 2, 5, 8, ... layers.
    """
    if count % 3 == 2:
        exact = " For two layers exact gives the same." if count == 2 else ""
        raise InputError(
            f"approx='tridiagonal' at damping 0 is singular for {count} weight layers, as for any number 3 s + 2: it "
            f"has no unique solution. Use approx='block' or 'kfac', or a damping above 0.{exact}"
        )
    return tuple(int((k % 3 == 1) if count % 3 == 0 else (k % 3 == 0)) for k in range(count))


def block_direction(layer: LayerJacobian, batch: Batch, right: Tensor | None) -> tuple[dict[str, Tensor], str]:
    """One layer's block: (F_l + rho)^-1 grad_l, and the route.

    Args:
        layer: Its rows.
        batch: The batch.
        right: u, (n,); None where the gradient isn't a combination of the rows.
    """
    matrix, label = theta(layer, batch), f"`{layer.name}`"
    if right is not None:
        solved = solve_dual(matrix, right, Regular.of(batch), of=label)
        return _pull(layer, solved.v, batch), solved.route
    weights, rho = group_weights(batch) or {}, base_damping(batch)
    weighted = {name: batch.gradient[name] * weights.get(name, 1.0) for name in layer.parameters}
    solved = solve_dual(matrix, layer.push(weighted), Regular.of(batch), of=label)
    if not rho:
        solved = solve_dual(matrix, solved.v, Regular.of(batch), of=label)
        return _pull(layer, solved.v, batch), solved.route
    inside = _pull(layer, solved.v, batch)
    return {name: (weighted[name] - part) / rho for name, part in inside.items()}, solved.route


def _pull(layer: LayerJacobian, v: Tensor, batch: Batch) -> dict[str, Tensor]:
    """(1/N) J_l^T W v, weighted by group."""
    weights = group_weights(batch) or {}
    return {name: g * (weights.get(name, 1.0) / batch.samples) for name, g in layer.pull(v).items()}


def _merged(parts: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The parts' entries in one dict."""
    result: dict[str, Tensor] = {}
    for part in parts:
        result |= part
    return result


def weight_layers(model: nn.Module) -> tuple[str, ...]:
    """Paths of the modules that own trainable parameters; a parametrised layer counts once.

    A module that is never called counts to the one above it, which only a forward can show.
    """
    seen: set[int] = set()
    owners: dict[str, None] = {}
    for path, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                owners[f".{path}".partition(".parametrizations.")[0][1:]] = None
    return tuple(owners)
