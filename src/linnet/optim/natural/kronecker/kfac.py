"""K-FAC: Kronecker factors for matrix layers, exact blocks for small parameters, refreshed now and then."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linnet.core.distributed import world
from linnet.core.edit.edit_plan import Edit
from linnet.core.jacobian.cross_entropy import MOST_PASSES
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.linearisation import UNUSED, Linearisation
from linnet.errors import InputError, LinnetError, TrainingError
from linnet.optim.natural.approximation import Approximation, Batch, Direction, Settings
from linnet.optim.natural.batch import readable
from linnet.optim.natural.kronecker.after_resize import edited_blocks
from linnet.optim.natural.kronecker.agreement import Facts, agreed, planned_blocks, plans_of, told
from linnet.optim.natural.kronecker.alpha import alpha_of, rank_notes
from linnet.optim.natural.kronecker.backward_hook import Listener, RecordedForward
from linnet.optim.natural.kronecker.block_products import (
    filled,
    finite,
    narrow,
    require_finite,
    routes,
    take,
    times_all,
    together,
)
from linnet.optim.natural.kronecker.blocks import Allotment, Block, allot, not_covered, too_large
from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import Sums
from linnet.optim.natural.kronecker.output_gradient import MEAN, numbers_of, require_mean
from linnet.optim.natural.kronecker.parallel import own_generator, reduced, refresh
from linnet.optim.natural.kronecker.saved_blocks import packed_blocks, unpacked_blocks
from linnet.optim.natural.update import slope


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
    exact_rows = False

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        super().__init__(model, settings)
        self.blocks: dict[str, Block] = {}
        self.steps = 0
        self._covered, self._uncovered = dict[str, str](), dict[str, str]()
        self._alpha: float | None = None
        self._renew = False  # after an edit
        self._watches: list[RecordedForward] = []
        self._error: tuple[str, str] | None = None
        self._in_eval = not model.training
        self._found: dict[str, Block] = {}
        self._listener = Listener(self)
        if settings.kronecker.adapt_damping and settings.momentum:
            raise InputError(
                "`momentum` must be 0 with `adapt_damping`, which predicts a step without momentum (got "
                f"{settings.momentum}). Set momentum=0, or a fixed damping."
            )
        if settings.uncovered == "raise" and (uncovered := too_large(model)):
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
        due = self._due(self.settings.kronecker.factor_every)
        if due or self._unseen() & batch.used:
            positions = batch.settings.loss.positions
            self._take(self._read(batch.layers, batch.damping, {}, positions, whole=due))
        return self._damped(batch.gradient, batch.damping, None)

    def _undamped(self, batch: Batch) -> Direction:
        """Blocks of this batch alone, in float64, and their pseudo-inverses."""
        allotment = self._allotted(batch.layers, batch.damping, {})
        blocks: dict[str, Block] = {}
        for key, (block, layer) in allotment.blocks.items():
            sums = block.read(layer, dtype=torch.float64, keep_vectors=True)
            sums.as_samples(batch.settings.loss.positions, exact=isinstance(block, SmallBlock))
            block.update(finite(sums), ema=0.0)
            block.refresh(0.0)
            blocks[key] = block
        delta = times_all(blocks, allotment.uncovered, batch.gradient)
        self.steps += 1
        route = f"undamped; {routes(blocks)}"
        alpha = alpha_of(blocks, batch)
        notes = (*self._notes(), *rank_notes(blocks, batch))
        return Direction(delta, alpha, route, allotment.covered, allotment.uncovered, notes)

    def _damped(self, gradient: Mapping[str, Tensor], damping: Mapping[str, float], alpha: float | None) -> Direction:
        """The direction of every parameter that has a gradient; the others, frozen ones for instance, stay."""
        refreshed = self._refresh_if_due(damping)
        live = {key: block for key, block in self.blocks.items() if any(name in gradient for name in block.names)}
        whole = filled(gradient, self.blocks, self.model)
        found = times_all(live, self._uncovered, whole)
        if self.settings.kronecker.half_products:
            narrow({key: block for key, block in live.items() if key in refreshed}, whole, found)
        delta = {name: d for name, d in found.items() if name in gradient}
        self.steps, self._renew = self.steps + 1, False
        told = ({name: how for name, how in of.items() if name in damping} for of in (self._covered, self._uncovered))
        return Direction(delta, alpha, routes(self.blocks), *told, notes=self._notes())

    def attach(self) -> Sequence[RemovableHandle]:
        """One hook on the network; it goes with the optimizer."""
        return (self._listener.attach(),)

    def wants(self) -> bool:
        """Whether the coming forward is one to read: in train mode, or where steps are made in eval mode."""
        if not self.listening or not (self.model.training or self._in_eval):
            return False
        return self._due(self.settings.kronecker.factor_every) or bool(self._unseen())

    def open(self) -> Linearisation:
        """What reads it."""
        names = [name for name, p in self.model.named_parameters() if p.requires_grad and p.numel()]
        return Linearisation(
            self.model, names, batch_statistics="constant", by_sample=False, output=self.settings.output
        )

    def recorded(self, watch: RecordedForward) -> bool:
        """Reads a forward of the user's; True: its backward has to be waited for.

        For "model" and "sampled" the rows come from passes of their own through the activations, so the user's loss,
        its reduction and its scale don't matter. For "empirical" the user's backward is read. Between factor steps only
        parameters that have no block yet are read, where the outputs depend on one.
        """
        assert watch.linear is not None
        watch.whole = self._due(self.settings.kronecker.factor_every)
        if not watch.whole and not self._unseen() & watch.linear.used:
            return False
        watch.confirm = self._confirm
        try:
            return self._recorded(watch)
        except LinnetError as error:
            if world()[1] == 1:
                raise
            self._error = told(error)  # the other processes wait in `backward`: all stop at the step
            watch.confirm = None
            return False

    def _recorded(self, watch: RecordedForward) -> bool:
        linear, settings = watch.linear, self.settings
        assert linear is not None
        watch.loss = loss = settings.loss_of(linear)
        if loss.name == "cross_entropy" and watch.f.shape[1] // loss.positions < 2:
            raise InputError(
                "loss='cross_entropy' needs one logit for each of at least 2 classes (got a model with 1 output)."
            )
        if settings.fisher == "empirical":
            return True
        f, model = watch.f, settings.fisher == "model"
        drawn = not model or loss.passes(f) > MOST_PASSES
        generator = own_generator(settings.generator) if drawn else settings.generator
        if not len(f):
            watch.sums = {}
            return False
        cotangents = loss.ways(f, generator) if model else loss.draw(f, generator)
        with self.deaf():
            layers = readable(linear.rows(cotangents), linear.unread, self.settings)
            watch.sums = self._read(layers, self.dampings, linear.unread, loss.positions, whole=watch.whole)
        return False

    def _confirm(self, watch: RecordedForward) -> None:
        """A recorded forward's backward has run."""
        self._watches.append(watch)

    def _unseen(self) -> set[str]:
        """Trainable parameters of the groups that no forward has led to so far."""
        seen = {name for block in self.blocks.values() for name in block.names} | set(self._uncovered)
        return {name for name in self.dampings if name not in seen and self.model.get_parameter(name).requires_grad}

    def forget(self) -> None:
        """Drops what was captured, if its backward has run: the gradients it belongs to are gone."""
        if self._watches:
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
        self._in_eval = not self.model.training
        try:
            require_finite(gradients)
            facts, due = Facts(), self._due(self.settings.kronecker.factor_every)
            if due or self._unseen():
                facts = self._take_recorded(due=due)
            direction = self._damped(gradients, damping, None)
            self._measure(facts, gradients, direction.delta)
            direction = replace(direction, alpha=self._alpha)
        finally:
            self._clear()
        return direction

    def _take_recorded(self, *, due: bool) -> Facts:
        """Takes the recorded forwards in, those of all processes; the facts about them."""
        facts, sums = Facts(error=self._error), dict[str, Sums]()
        if self._error is None:
            try:
                sums = self._sums_of_watches()
                numbers = numbers_of(self._watches, self._loss_scale())
                plans = plans_of(sums, self.blocks | self._found, self.model)
                facts = Facts(len(self._watches), plans, dict(self._covered), dict(self._uncovered), numbers)
            except LinnetError as error:
                facts = Facts(error=told(error))
        facts = agreed(facts)
        if due and not facts.forwards:
            raise TrainingError(
                "opt.step() saw no forward pass with its backward pass since the last step, so it has no "
                "curvature. Run the model that the optimizer was made with (itself, or in "
                "DistributedDataParallel), with gradients on and in train mode; not a compiled or copied one. To train "
                "in eval mode, call model.eval() before the optimizer is made."
            )
        require_mean(facts, self.settings, relative=self.relative)
        self._covered, self._uncovered = facts.covered, facts.uncovered
        missing = [key for key in facts.plans if key not in self.blocks and key not in self._found]
        self._found |= planned_blocks(missing, facts.plans, self.model, self.settings.kronecker.sharing)
        self._take(reduced(sums, facts.plans, next(self.model.parameters()).device))
        return facts

    def _sums_of_watches(self) -> dict[str, Sums]:
        """What all of them add to each block; "empirical": the rows of the user's own backward, of a mean loss."""
        total = sum(watch.samples for watch in self._watches)
        for watch in self._watches:
            if watch.sums is None:
                watch.sums = self._backward_sums(watch, total)
        return together(watch.sums or {} for watch in self._watches)

    def _backward_sums(self, watch: RecordedForward, total: int) -> dict[str, Sums]:
        linear, loss = watch.linear, watch.loss
        assert linear is not None
        assert loss is not None
        scale = loss.whole_gradient(watch.f) * total / self._loss_scale()
        with self.deaf():
            layers = readable(linear.collected(), linear.unread, self.settings)
            sums = self._read(layers, self.dampings, linear.unread, loss.positions, whole=watch.whole)
        for key, part in sums.items():
            exact = isinstance((self.blocks | self._found)[key], SmallBlock)
            part.scale_gradients(scale, exact=exact)
        return sums

    def _measure(self, facts: Facts, gradients: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> None:
        """alpha = r^T K r / r^T r = N grad . Delta / |u|^2, from the gradient that came to the outputs."""
        self.told_losses = None
        squares, count, value, at_zero, size = facts.numbers
        if not count:
            return
        if self.settings.loss.name == "mse" or size <= MEAN * count:  # else a sum, or scaled: it isn't known
            self.told_losses = (value / count, at_zero / count)
        aside = set(self._uncovered) if self.settings.side else ()
        if squares > 0:
            self._alpha = count * slope({n: d for n, d in delta.items() if n not in aside}, gradients) / squares

    def _loss_scale(self) -> float:
        return 1.0 if self.settings.scaler is None else float(self.settings.scaler.get_scale())

    def _clear(self) -> None:
        for watch in self._watches:
            watch.release()
        self._watches, self._error = [], None
        self._listener.drop()

    def _allotted(
        self, layers: Sequence[LayerJacobian], damping: Mapping[str, float], known: Mapping[str, Block]
    ) -> Allotment:
        sizes = {name: parameter.numel() for name, parameter in self.model.named_parameters()}
        allotment = allot(layers, damping, sizes, sharing=self.settings.kronecker.sharing, known=known)
        if allotment.uncovered and self.settings.uncovered == "raise":
            raise not_covered(allotment.uncovered)
        return allotment

    def _read(
        self,
        layers: Sequence[LayerJacobian],
        damping: Mapping[str, float],
        unread: Mapping[str, str],
        positions: int,
        *,
        whole: bool = True,
    ) -> dict[str, Sums]:
        """What a batch adds to each block, or to those alone that weren't seen before."""
        known = self.blocks | self._found
        allotment = self._allotted(layers, damping, known)
        self._covered |= allotment.covered
        found = {name: why for name, why in unread.items() if why != UNUSED} | allotment.uncovered
        kept = {name: why for name, why in self._uncovered.items() if name not in allotment.covered}
        self._uncovered = kept | found
        options, sums, seed = self.settings.kronecker, {}, self.steps
        reading = {"dtype": options.compute_dtype, "keep_vectors": world()[1] == 1 and options.ema == 0.0}
        reading |= {"max_side": options.max_side, "rng_seed": seed if options.sample_positions else None}
        for key, (block, layer) in allotment.blocks.items():
            if not whole and self.blocks.get(key) is block:
                continue
            part = block.read(layer, **reading)
            if not part.columns:  # an expert that got no sample
                continue
            part.as_samples(positions, exact=isinstance(block, SmallBlock))
            sums[key], self._found[key] = part, block
        return sums

    def _take(self, sums: Mapping[str, Sums]) -> None:
        """Takes the sums into the running means, all or none."""
        take(sums, self._found, self.blocks, ema=self.settings.kronecker.ema)
        self._found = {}

    def _refresh_if_due(self, damping: Mapping[str, float]) -> set[str]:
        """Keys of the blocks that got new inverses."""
        due, every = self._due(self.settings.kronecker.inverse_every), self.blocks.items()
        rho = {key: damping[name] for key, b in every for name in b.names if name in damping}
        blocks = {key: b for key, b in every if key in rho and (due or b.a_inverse is None)}
        if blocks:
            refresh(blocks, rho)
        return set(blocks)

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
        self._covered, self._uncovered, self._found = dict(state["covered"]), dict(state["uncovered"]), {}
        self._clear()
