"""K-FAC: Kronecker factors for matrix layers, exact blocks for small parameters, refreshed now and then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.layer_jacobian import LayerJacobian
from linnet.errors import InputError
from linnet.optim.approximation import Approximation, Batch, Direction, Settings
from linnet.optim.curvature_blocks import Allotment, Block, allot
from linnet.optim.isotropic_share import alpha_of
from linnet.optim.kronecker_block import Sums


class Kfac(Approximation):
    """G_l = (B_l + rho_B) (x) (A_l + rho_A) for every matrix layer, an exact block + rho for everything small.

    A = (1/N) sum_ns a a^T, B = (1/(N S)) sum_nks g g^T, rho_A = pi sqrt(rho), rho_B = sqrt(rho) / pi. With rho > 0 the
    factors are running means, refreshed every `factor_every` steps, and their inverses every `inverse_every`. At
    rho = 0 they are those of the very batch, in float64, and the inverse is the pseudo-inverse with a relative cut of
    1e-10: with A of rank N and B of rank N C in every layer, "mse" is isotropic with alpha = N (L - 1) + 1.

    BatchNorm in train mode: its statistics count as constants where its scale and shift are read; g is what came
    through them.

    Source:
        Martens & Grosse 2015; Grosse & Martens 2016 ("expand"); Eschenhagen et al. 2023 ("reduce"). Isotropy: the idea
        is Karakida & Osawa 2020's; alpha and its conditions derived.
    """

    name = "kfac"
    everyday = True
    couples = True

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        super().__init__(model, settings)
        self.blocks: dict[str, Block] = {}
        self.steps = 0
        self._allotment = Allotment({}, {}, {})

    def direction(self, batch: Batch, *, previous: Mapping[str, Tensor] | None = None) -> Direction:
        """Factors and inverses where they are due, then two products for each layer."""
        if batch.undamped:
            blocks, allotment = self._fresh(batch)
            routes = f"undamped; {_routes(blocks)}"
            delta = self._times(blocks, allotment, batch.gradient)
            alpha = alpha_of(blocks, batch)
        else:
            if self._due(self.settings.factor_every):
                self._take(self._read(batch.layers, batch.damping), self.settings.ema)
            self._refresh_if_due(batch.damping)
            allotment, alpha = self._allotment, None
            delta = self._times(self.blocks, allotment, batch.gradient)
            routes = _routes(self.blocks)
        self.steps += 1
        return Direction(delta, alpha, routes, allotment.covered, allotment.uncovered, self._notes(batch))

    def _fresh(self, batch: Batch) -> tuple[dict[str, Block], Allotment]:
        """Blocks of this batch alone, in float64, and their pseudo-inverses."""
        allotment = self._allotted(batch.layers, batch.damping, {})
        blocks: dict[str, Block] = {}
        for key, (block, layer) in allotment.blocks.items():
            block.update(_finite(block.read(layer, dtype=torch.float64, keep_vectors=True)), ema=0.0)
            block.refresh(0.0)
            blocks[key] = block
        return blocks, allotment

    def _allotted(
        self, layers: tuple[LayerJacobian, ...], damping: Mapping[str, float], known: Mapping[str, Block]
    ) -> Allotment:
        sizes = {name: parameter.numel() for name, parameter in self.model.named_parameters()}
        allotment = allot(layers, damping, sizes, sharing=self.settings.sharing, known=known)
        if allotment.uncovered and self.settings.uncovered == "raise":
            raise _not_covered(allotment.uncovered)
        return allotment

    def _read(self, layers: tuple[LayerJacobian, ...], damping: Mapping[str, float]) -> dict[str, Sums]:
        """What a batch adds to each block; only then are the blocks known that read it."""
        self._allotment = self._allotted(layers, damping, self.blocks)
        settings, sums = self.settings, {}
        for key, (block, layer) in self._allotment.blocks.items():
            sums[key] = block.read(layer, dtype=settings.compute_dtype, keep_vectors=settings.ema == 0.0)
        return sums

    def _take(self, sums: Mapping[str, Sums], ema: float) -> None:
        """Takes the sums into the running means, all or none."""
        for part in sums.values():
            _finite(part)
        for key, part in sums.items():
            block, _ = self._allotment.blocks[key]
            block.update(part, ema=ema)
            self.blocks[key] = block

    def _refresh_if_due(self, damping: Mapping[str, float]) -> None:
        for key, block in self.blocks.items():
            if self._due(self.settings.inverse_every) or block.a_inverse is None:
                block.refresh(damping[key])

    def _due(self, every: int) -> bool:
        return self.steps % every == 0

    @staticmethod
    def _times(blocks: Mapping[str, Block], allotment: Allotment, gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """G^-1 of the gradient; the gradient itself where there is no curvature."""
        delta = {name: gradient[name] for name in allotment.uncovered}
        for block in blocks.values():
            delta |= block.times(gradient)
        return delta

    def _notes(self, batch: Batch) -> tuple[str, ...]:
        notes = []
        if batch.undamped and self.settings.fisher == "sampled" and batch.f.shape[1] > 1:
            notes.append("fisher='sampled' has rank N of N C: not isotropic for more than one output")
        if self.settings.loss.name == "cross_entropy":
            notes.append("kfac under cross entropy is isotropic only where all samples have the same probabilities")
        return tuple(notes)

    def state(self) -> dict[str, Any]:
        """Steps and every block."""
        return {"steps": self.steps, "blocks": {key: block.state() for key, block in self.blocks.items()}}


def _finite(sums: Sums) -> Sums:
    for part in (sums.a, sums.b, sums.a_vectors, sums.b_vectors):
        if part is not None and not bool(torch.isfinite(part).all()):
            raise ArithmeticError("a curvature factor holds NaN or infinity")
    return sums


def _routes(blocks: Mapping[str, Block]) -> str:
    counts: dict[str, int] = {}
    for block in blocks.values():
        counts[block.route] = counts.get(block.route, 0) + 1
    return "; ".join(f"{count} x {route}" for route, count in counts.items())


def _not_covered(uncovered: Mapping[str, str]) -> InputError:
    name, reason = next(iter(uncovered.items()))
    more = f" and {len(uncovered) - 1} more" if len(uncovered) > 1 else ""
    return InputError(
        f"`{name}`{more} can't be covered: {reason}. Freeze it, or let it follow the plain gradient: "
        "uncovered='gradient'."
    )
