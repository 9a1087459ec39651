"""Unit-wise natural gradient: one block for each unit, the weights and bias that lead into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.parameter_rows import RuleTerm
from linnet.errors import InputError
from linnet.optim.natural.approximation import Approximation, Batch, Direction, Settings
from linnet.optim.natural.kronecker.blocks import allot, not_covered, too_large
from linnet.optim.natural.kronecker.damped_inverse import RELATIVE_CUT, invert
from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock


class Unitwise(Approximation):
    """G = blockdiag over units i of layer l of (1/N) sum_nk j_nk,i j_nk,i^T + rho, an exact block for everything small.

    In a layer that sees each sample once j_nk,i = g_nk,i a_n, so the block is (1/N) sum_n D_n a_n a_n^T with
    D_n = sum_k g_nk,i^2, and Delta_i = (1/N) A^T D^1/2 (D^1/2 A A^T D^1/2 / N + rho)^-1 s, s_n = sum_k g_nk,i u_nk /
    sqrt(D_n). At rho = 0 this is A_act^T (A_act A_act^T)^-1 (sum_k g u / D)_act over the samples at which the unit is
    active: units with the same pattern share one factor. Then "mse" has alpha = sum_l<L gamma_l M_l / C + 1, gamma_l
    the active share; isotropic exactly for one output and no dead unit, else up to 1 / sqrt(sum of widths).

    Source:
        The idea is Karakida & Osawa 2020's; forms and alpha derived.
    """

    name = "unit"

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        super().__init__(model, settings)
        uncovered = too_large(model)
        if uncovered and settings.uncovered == "raise":
            raise not_covered(uncovered)

    def direction(self, batch: Batch, *, previous: Mapping[str, Tensor] | None = None) -> Direction:
        """A small solve for each unit, batched over the units of a layer."""
        sizes = {name: parameter.numel() for name, parameter in self.model.named_parameters()}
        allotment = allot(batch.layers, batch.damping, sizes, sharing="expand", known={})
        if allotment.uncovered and self.settings.uncovered == "raise":
            raise not_covered(allotment.uncovered)
        delta = {name: batch.gradient[name] for name in allotment.uncovered}
        covered, routes, alpha = dict(allotment.covered), dict[str, None](), 0.0
        for key, (block, layer) in allotment.blocks.items():
            rho = batch.damping[key]
            if isinstance(block, SmallBlock):
                delta |= _exact(block, layer, batch, rho)
                alpha, route = float("nan"), "exact blocks"
            else:
                moved, route, share = _units(block, layer, batch, rho)
                delta |= block.unstacked(moved)
                covered |= dict.fromkeys(block.names, f"one block for each unit (layer `{layer.name}`)")
                alpha += share
            routes[route] = None
        known = batch.undamped and self.settings.loss.name == "mse" and self.settings.fisher == "model"
        theory = alpha if known and alpha == alpha else None
        return Direction(delta, theory, f"units: {', '.join(routes)}", covered, allotment.uncovered)


@dataclass(frozen=True)
class _Rows:
    """One layer that sees each sample once.

    Attributes:
        a: (N, I).
        g: (N, passes, O).
        u: (N, passes).
    """

    a: Tensor
    g: Tensor
    u: Tensor


def _exact(block: SmallBlock, layer: LayerJacobian, batch: Batch, rho: float) -> dict[str, Tensor]:
    block.update(block.read(layer, dtype=torch.float64, keep_vectors=True), ema=0.0)
    block.refresh(rho)
    return block.times({name: batch.gradient[name] for name in block.names})


def _units(block: KroneckerBlock, layer: LayerJacobian, batch: Batch, rho: float) -> tuple[Tensor, str, float]:
    """Directions (groups, O, I), how they were found, and the layer's share of alpha (NaN where it isn't known)."""
    term = layer.terms[block.weight]
    assert isinstance(term, RuleTerm)
    a, g = term.rule.vectors(block.module, term.uses, homogeneous=block.bias is not None)
    if batch.u is None or a.shape[1] * a.shape[3] > 1:
        return _by_rows(a, g, block.stacked(batch.gradient), batch, rho)
    u = batch.u.view(batch.samples, -1).double()
    rows = _Rows(a[:, 0, :, 0].double(), g[:, :, 0, :, 0].transpose(0, 1).double(), u)
    if rho:
        return _damped(rows, rho).unsqueeze(0), "in the dual of N", float("nan")
    moved, share = _undamped(rows, layer.name)
    return moved.unsqueeze(0), "undamped", share / batch.f.shape[1]


def _damped(rows: _Rows, rho: float) -> Tensor:
    """(O, I), by the smaller of the two sides."""
    samples, inputs = rows.a.shape
    d = rows.g.square().sum(1)
    root = d.sqrt()
    q = torch.einsum("nko,nk->no", rows.g, rows.u)
    if inputs < samples:
        blocks = torch.einsum("no,ni,nj->oij", d, rows.a, rows.a) / samples
        right = (q.T @ rows.a / samples).unsqueeze(-1)
        return invert(blocks, blocks.new_full((len(blocks),), rho)).times(right).squeeze(-1)
    s = torch.where(d > 0, q / root.clamp_min(1e-300), 0.0)
    grams = (rows.a @ rows.a.T / samples) * root.T.unsqueeze(1) * root.T.unsqueeze(2)
    v = invert(grams, grams.new_full((len(grams),), rho)).times(s.T.unsqueeze(-1)).squeeze(-1)
    return (v * root.T) @ rows.a / samples


def _undamped(rows: _Rows, name: str) -> tuple[Tensor, float]:
    """(O, I), and the number of active unit-sample pairs over N."""
    samples = len(rows.a)
    gram = rows.a @ rows.a.T
    values = torch.linalg.eigvalsh(gram)
    missing = int((values <= RELATIVE_CUT * values[-1]).sum())
    if missing:
        raise InputError(
            f"`{name}`: at damping 0 the inputs have rank {samples - missing}, but {samples} samples need "
            f"{samples}. Use at most as many samples as the layer has inputs (one more with a bias), or a damping "
            "above 0, such as 1e-3."
        )
    d = rows.g.square().sum(1)
    active = d > 0
    target = torch.where(active, torch.einsum("nko,nk->no", rows.g, rows.u) / d.clamp_min(1e-300), 0.0)
    patterns, of = torch.unique(active.T, dim=0, return_inverse=True)
    v = torch.empty_like(target)
    for number, pattern in enumerate(patterns):
        units, chosen = of == number, pattern.nonzero().squeeze(1)
        factor = torch.linalg.cholesky(gram[chosen][:, chosen])
        part = torch.zeros(samples, int(units.sum()), dtype=target.dtype, device=target.device)
        part[chosen] = torch.cholesky_solve(target[chosen][:, units], factor)
        v[:, units] = part
    return v.T @ rows.a, float(active.sum()) / samples


def _by_rows(a: Tensor, g: Tensor, gradient: Tensor, batch: Batch, rho: float) -> tuple[Tensor, str, float]:
    """Units that see several positions of a sample: their rows j_nk,i = sum_s g_nks,i a_ns are written out."""
    samples = batch.samples
    rows = torch.einsum("knuos,nuis->uonki", g.double(), a.double())
    groups, outputs, _, passes, inputs = rows.shape
    rows = rows.reshape(groups * outputs, samples * passes, inputs)
    if batch.u is None or inputs <= samples * passes:
        blocks = rows.mT @ rows / samples
        right = gradient.reshape(groups * outputs, inputs, 1)
        moved = invert(blocks, blocks.new_full((len(blocks),), rho)).times(right.double())
    else:
        grams = rows @ rows.mT / samples
        u = batch.u.double().expand(len(rows), -1).unsqueeze(-1)
        moved = rows.mT @ invert(grams, grams.new_full((len(grams),), rho)).times(u) / samples
    return moved.view(groups, outputs, inputs), "over positions", float("nan")
