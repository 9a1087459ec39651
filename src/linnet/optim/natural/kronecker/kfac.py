"""K-FAC: Kronecker factors for matrix layers, exact blocks for small parameters, refreshed now and then."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linnet.core.distributed import added, world
from linnet.core.edit.edit_plan import Edit
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.linearisation import UNUSED, Linearisation
from linnet.errors import InputError, TrainingError
from linnet.optim.natural.approximation import Approximation, Batch, Direction, Settings
from linnet.optim.natural.batch import check_positions, readable
from linnet.optim.natural.kronecker.after_resize import edited_blocks
from linnet.optim.natural.kronecker.alpha import alpha_of, rank_notes
from linnet.optim.natural.kronecker.backward_hook import Listener, RecordedForward
from linnet.optim.natural.kronecker.blocks import Allotment, Block, allot, not_covered, too_large
from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import Sums
from linnet.optim.natural.kronecker.parallel import own_generator, reduced, refresh
from linnet.optim.natural.kronecker.saved_blocks import packed_blocks, unpacked_blocks

_SCALED = 50.0  # |p - onehot|_1 is 2 at most; the rest is room for weights and factors in a user's loss


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
    takes_gradients = True
    couples = True

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        super().__init__(model, settings)
        self.blocks: dict[str, Block] = {}
        self.steps = 0
        self._covered: dict[str, str] = {}
        self._uncovered: dict[str, str] = {}
        self._alpha: float | None = None
        self._renew = False  # after an edit
        self._forwards: list[RecordedForward] = []
        self._pending: dict[str, Sums] = {}
        self._unconfirmed: list[tuple[RecordedForward, dict[str, Sums]]] = []
        self._found: dict[str, Block] = {}
        self._listener = Listener(self)
        if settings.kronecker.adapt_damping and settings.momentum:
            raise InputError(
                "`momentum` must be 0 with `adapt_damping`, which predicts a step without momentum (got "
                f"{settings.momentum}). Set momentum=0, or a fixed damping."
            )
        uncovered = too_large(model)
        if uncovered and settings.uncovered == "raise":
            raise not_covered(uncovered)

    def __deepcopy__(self, memo: dict[int, Any]) -> Kfac:
        twin = Kfac.__new__(Kfac)
        memo[id(self)] = twin
        for key, value in vars(self).items():
            if key != "_listener":
                setattr(twin, key, copy.deepcopy(value, memo))
        twin._listener = Listener(twin)
        twin.attach()
        return twin

    def direction(self, batch: Batch, *, previous: Mapping[str, Tensor] | None = None) -> Direction:
        """Factors and inverses where they are due, then two products for each layer."""
        if batch.undamped:
            return self._undamped(batch)
        if self._due(self.settings.kronecker.factor_every):
            self._take(self._read(batch.layers, batch.damping, {}))
        return self._damped(batch.gradient, batch.damping, None)

    def _undamped(self, batch: Batch) -> Direction:
        """Blocks of this batch alone, in float64, and their pseudo-inverses."""
        allotment = self._allotted(batch.layers, batch.damping, {})
        blocks: dict[str, Block] = {}
        for key, (block, layer) in allotment.blocks.items():
            block.update(_finite(block.read(layer, dtype=torch.float64, keep_vectors=True)), ema=0.0)
            block.refresh(0.0)
            blocks[key] = block
        delta = _times(blocks, allotment.uncovered, batch.gradient)
        self.steps += 1
        route = f"undamped; {_routes(blocks)}"
        alpha = alpha_of(blocks, batch)
        notes = (*self._notes(), *rank_notes(blocks, batch))
        return Direction(delta, alpha, route, allotment.covered, allotment.uncovered, notes)

    def _damped(self, gradient: Mapping[str, Tensor], damping: Mapping[str, float], alpha: float | None) -> Direction:
        """The direction of every parameter that has a gradient; the others, frozen ones for instance, stay."""
        self._refresh_if_due(damping)
        live = {key: block for key, block in self.blocks.items() if any(name in gradient for name in block.names)}
        found = _times(live, self._uncovered, self._filled(gradient))
        delta = {name: d for name, d in found.items() if name in gradient}
        self.steps, self._renew = self.steps + 1, False
        told = ({name: how for name, how in of.items() if name in damping} for of in (self._covered, self._uncovered))
        return Direction(delta, alpha, _routes(self.blocks), *told, notes=self._notes())

    # loss.backward(); opt.step()

    def attach(self) -> Sequence[RemovableHandle]:
        """One hook on the network."""
        return (self.model.register_forward_pre_hook(self._listener),)

    def wants(self) -> bool:
        """Whether the coming forward is one to read."""
        return self.listening and self._due(self.settings.kronecker.factor_every)

    def open(self) -> Linearisation:
        """What reads it."""
        return Linearisation(self.model, batch_statistics="constant")

    def recorded(self, watch: RecordedForward) -> bool:
        """Reads a forward of the user's; True: its backward has to be waited for.

        For "model" and "sampled" the rows come from passes of their own through the activations, so the user's loss,
        its reduction and its scale don't matter. For "empirical" the user's backward is read.
        """
        settings = self.settings
        check_positions(settings.loss, watch.linear.output_shape)
        if settings.loss.name == "cross_entropy" and (watch.f.shape[1] < 2):
            raise InputError(
                "loss='cross_entropy' needs one logit for each of at least 2 classes (got a model with 1 output)."
            )
        self._forwards.append(watch)
        if settings.fisher == "empirical":
            return True
        f, model = watch.f, settings.fisher == "model"
        cotangents = settings.loss.root(f) if model else settings.loss.draw(f, own_generator(settings.generator))
        self._confirm()
        with self.deaf():
            layers = readable(watch.linear.rows(cotangents), watch.linear.unread, rescue=self._rescues)
            self._unconfirmed.append((watch, self._read(layers, self.dampings, watch.linear.unread)))
        return False

    def _confirm(self) -> None:
        """Takes in the forwards whose backward has run; the others wait for it until the step."""
        waiting = []
        for watch, sums in self._unconfirmed:
            if watch.g is None:
                waiting.append((watch, sums))
            else:
                self._add(sums)
        self._unconfirmed = waiting

    @property
    def _rescues(self) -> bool:
        return self.settings.uncovered == "gradient"

    def forget(self) -> None:
        """Drops what was captured, if its backward has run: the gradients it belongs to are gone."""
        if any(watch.g is not None for watch in self._forwards):
            self._clear()

    def from_gradients(self, gradients: Mapping[str, Tensor], damping: Mapping[str, float]) -> Direction:
        """G^-1 of the user's gradients; the factors take in what was captured since the last step."""
        if self.settings.kronecker.adapt_damping:
            raise InputError("`adapt_damping` needs the batch after the step. Call opt.step(x, y), or turn it off.")
        if not all(damping.values()):
            raise InputError(
                "`damping` must be above 0, such as 1e-3, for loss.backward(); opt.step() (got 0). Call "
                "opt.step(x, y), which works at 0 too."
            )
        try:
            self._require_finite(gradients)
            self._require_unscaled()
            if self._due(self.settings.kronecker.factor_every):
                self._take_recorded()
            direction = self._damped(gradients, damping, None)
            self._measure(gradients, direction.delta)
            direction = replace(direction, alpha=self._alpha)
        finally:
            self._clear()
        return direction

    def _take_recorded(self) -> None:
        self._forwards = [watch for watch in self._forwards if watch.g is not None]
        if not self._forwards:
            raise TrainingError(
                "opt.step() saw no forward pass with its backward pass since the last step, so it has no "
                "curvature. Run the model that the optimizer was made with (itself, or in "
                "DistributedDataParallel), with gradients on; not a compiled or copied one."
            )
        if self.settings.fisher == "empirical":
            self._read_backward()
        self._confirm()
        self._take(reduced(self._pending))

    def _read_backward(self) -> None:
        """The rows of the user's own backward, of a loss that is the mean over all samples since the last step."""
        total = sum(watch.samples for watch in self._forwards)
        scale = total / self._loss_scale()
        for watch in self._forwards:
            with self.deaf():
                layers = readable(watch.linear.collected(), watch.linear.unread, rescue=self._rescues)
                sums = self._read(layers, self.dampings, watch.linear.unread)
            for key, part in sums.items():
                part.scale_gradients(scale, exact=isinstance(self._found[key], SmallBlock))
            self._add(sums)

    def _measure(self, gradients: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> None:
        """alpha = r^T K r / r^T r = N grad . Delta / |u|^2, from the gradient that came to the outputs."""
        self.told_losses, recorded = None, [watch for watch in self._forwards if watch.g is not None]
        if not recorded:
            return
        total = sum(watch.samples for watch in recorded)
        loss, squares, values = self.settings.loss, 0.0, [0.0, 0.0]
        for watch in recorded:
            assert watch.g is not None
            r = watch.g * (total / self._loss_scale())
            squares += float(loss.coordinates(watch.f, r).double().square().sum())
            values = [value + float(more) for value, more in zip(values, loss.implied(watch.f, r), strict=True)]
        slope = sum(float((gradients[name] * delta[name]).sum()) for name in delta if name in gradients)
        sums = torch.tensor([squares, total, *values], dtype=torch.float64)
        squares, count, *values = added(sums).tolist()
        self.told_losses = (values[0] / count, values[1] / count)
        if squares > 0:
            self._alpha = count * slope / squares

    def _loss_scale(self) -> float:
        return 1.0 if self.settings.scaler is None else float(self.settings.scaler.get_scale())

    def _filled(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A gradient for every parameter that has curvature: 0 where the loss didn't reach it, or it is frozen."""
        values = dict(self.model.named_parameters())
        names = (name for block in self.blocks.values() for name in block.names)
        return {name: torch.zeros_like(values[name]) for name in names if name not in gradients} | dict(gradients)

    def _require_finite(self, gradients: Mapping[str, Tensor]) -> None:
        if not bool(torch.isfinite(nn.utils.get_total_norm(gradients.values())).all()):
            raise ArithmeticError("a gradient holds NaN or infinity")

    def _require_unscaled(self) -> None:
        """A GradScaler that the optimizer doesn't know makes alpha and the empirical Fisher information wrong."""
        if self.settings.scaler is not None or self.settings.loss.name != "cross_entropy":
            return
        found = [watch.g.abs().sum(1).max() for watch in self._forwards if watch.g is not None]
        largest = float(torch.stack(found).max()) if found else 0.0
        if math.isfinite(largest) and largest > _SCALED:
            raise TrainingError(
                "The gradient in the outputs of one sample must be at most 2 for cross entropy (got "
                f"{largest:.3g}), so the loss was scaled. Give the optimizer the GradScaler of the loop: "
                "NaturalGradient(..., scaler=scaler)."
            )

    def _clear(self) -> None:
        for watch in self._forwards:
            watch.linear.release()
        self._forwards, self._pending, self._unconfirmed = [], {}, []
        self._listener.drop()

    # factors

    def _allotted(
        self, layers: Sequence[LayerJacobian], damping: Mapping[str, float], known: Mapping[str, Block]
    ) -> Allotment:
        sizes = {name: parameter.numel() for name, parameter in self.model.named_parameters()}
        allotment = allot(layers, damping, sizes, sharing=self.settings.kronecker.sharing, known=known)
        if allotment.uncovered and self.settings.uncovered == "raise":
            raise not_covered(allotment.uncovered)
        return allotment

    def _read(
        self, layers: Sequence[LayerJacobian], damping: Mapping[str, float], unread: Mapping[str, str]
    ) -> dict[str, Sums]:
        """What a batch adds to each block."""
        allotment = self._allotted(layers, damping, self.blocks | self._found)
        self._covered |= allotment.covered
        self._uncovered = {name: why for name, why in unread.items() if why != UNUSED} | allotment.uncovered
        options, sums, alone = self.settings.kronecker, {}, world()[1] == 1
        for key, (block, layer) in allotment.blocks.items():
            sums[key] = block.read(layer, dtype=options.compute_dtype, keep_vectors=alone and options.ema == 0.0)
            self._found[key] = block
        return sums

    def _add(self, sums: Mapping[str, Sums]) -> None:
        for key, part in sums.items():
            if key in self._pending:
                self._pending[key].add(part)
            else:
                self._pending[key] = part

    def _take(self, sums: Mapping[str, Sums]) -> None:
        """Takes the sums into the running means, all or none."""
        for part in sums.values():
            _finite(part)
        for key, part in sums.items():
            self._found[key].update(part, ema=self.settings.kronecker.ema)
            self.blocks[key] = self._found[key]
        self._found = {}

    def _refresh_if_due(self, damping: Mapping[str, float]) -> None:
        due = self._due(self.settings.kronecker.inverse_every)
        rho = {key: damping[name] for key, b in self.blocks.items() for name in b.names if name in damping}
        blocks = {key: b for key, b in self.blocks.items() if key in rho and (due or b.a_inverse is None)}
        if blocks:
            refresh(blocks, rho)

    def _due(self, every: int) -> bool:
        """Whether a refresh is due: of an own period, after an edit, or in a dense start."""
        options, steps = self.settings.kronecker, self.steps
        early = options.dense_start and steps < options.inverse_every and steps & (steps - 1) == 0
        return self._renew or early or steps % every == 0

    def _notes(self) -> tuple[str, ...]:
        if self.settings.loss.name == "cross_entropy":
            return ("kfac under cross entropy is isotropic only where all samples have the same probabilities",)
        return ()

    def after_edit(self, new: nn.Module, edit: Edit) -> Callable[[], None]:
        """Factors follow the channels; grouped and transposed convolutions start again; the next step refreshes all.

        A widened channel's copies have the same activation, and its gradient times their shares: A is indexed, B is
        indexed and multiplied by the shares on both sides.
        """
        blocks = edited_blocks(self.model, new, edit, self.blocks)

        def put() -> None:
            self._clear()
            self.model, self.blocks, self._found, self._renew = new, blocks, {}, True

        return put

    def state(self) -> dict[str, Any]:
        """Steps, and every block with its factors and inverses: a resumed run goes on in the middle of a period."""
        return {
            "steps": self.steps,
            "alpha": self._alpha,
            "renew": self._renew,
            "covered": dict(self._covered),
            "uncovered": dict(self._uncovered),
            "blocks": packed_blocks(self.blocks, self.model),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        self.blocks = unpacked_blocks(state["blocks"], self.model, self.settings.kronecker.sharing)
        self.steps, self._alpha, self._renew = int(state["steps"]), state["alpha"], state.get("renew", False)
        self._covered, self._uncovered = dict(state["covered"]), dict(state["uncovered"])
        self._found = {}
        self._clear()


def _times(
    blocks: Mapping[str, Block], uncovered: Mapping[str, str], gradient: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """G^-1 of the gradient; the gradient itself where there is no curvature."""
    delta = {name: gradient[name] for name in uncovered if name in gradient}
    for block in blocks.values():
        delta |= block.times(gradient)
    return delta


def _finite(sums: Sums) -> Sums:
    """|M_ij| <= sqrt(M_ii M_jj) in a sum of outer products: a finite diagonal says that all of it is."""
    diagonals = [m.diagonal(dim1=-2, dim2=-1).sum() for m in (sums.a, sums.b) if m is not None]
    squares = [v.square().sum() for v in (sums.a_vectors, sums.b_vectors) if v is not None]
    if not bool(torch.isfinite(torch.stack([*diagonals, *squares]).sum())):
        raise ArithmeticError("a curvature factor holds NaN or infinity")
    return sums


def _routes(blocks: Mapping[str, Block]) -> str:
    counts: dict[str, int] = {}
    for block in blocks.values():
        if block.a_inverse is None:  # frozen before its first inverse
            continue
        counts[block.route] = counts.get(block.route, 0) + 1
    return "; ".join(f"{count} x {route}" for route, count in counts.items())
