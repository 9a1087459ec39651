"""The seed network, traced once: how wide its classes become, and the wide networks that are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from linnet.core import ChannelClass, ChannelGraph, Cost
from linnet.core.channels.union_find import Ints
from linnet.core.edit.edit_plan import Edit, plan
from linnet.core.edit.optimizer_state import NextState, next_state
from linnet.core.edit.resizing import apply, proved
from linnet.core.program.example import Example
from linnet.core.program.module_copy import rebuild
from linnet.ensemble.widening.noise import Change, add_noise, copied_positions
from linnet.ensemble.widening.refusals import computed_weight, nothing_to_widen, of_example, to_own_argument
from linnet.ensemble.widening.report import WidenedClass, Widening
from linnet.ensemble.widening.zero_sum_pairs import draw_pairs, with_pairs
from linnet.errors import GraphError, InputError, OptimizerStateError, ProofError, UnsupportedOperator
from linnet.suggest import one_of

SPLITS = ("random", "even", "pair")
NOISE_ON = ("all", "copies")
# Largest relative difference that a widening may show.
BOUNDS = {torch.float64: 1e-10, torch.float32: 1e-5}
Copies = Mapping[str, Ints]
Widths = tuple[tuple[str, int], ...]


def widens(factor: object) -> bool:
    """Whether it is a finite number above 1."""
    return isinstance(factor, Real) and 1 < float(factor) < float("inf")


@dataclass(frozen=True)
class Manner:
    """How wide networks are made, whatever their widths.

    Attributes:
        split: How a channel's copies share its outgoing weights: "random", "even", or "pair" (added channels are
            zero-sum pairs with fresh weights).
        noise: Scale of the noise on weights.
        noise_on: "all" or "copies".
        reinit: Share of the added channels that become zero-sum pairs.

    Raises:
        InputError: a value is out of its range.
    """

    split: str = "random"
    noise: float = 0.0
    noise_on: str = "all"
    reinit: float = 0.0

    def __post_init__(self) -> None:
        one_of("split", self.split, SPLITS)
        one_of("noise_on", self.noise_on, NOISE_ON)
        if not (isinstance(self.noise, Real) and 0 <= self.noise < float("inf")):
            raise InputError(f"`noise` must be a number >= 0 (got {self.noise!r}). 0 keeps the function exactly.")
        if not (isinstance(self.reinit, Real) and 0 <= self.reinit <= 1):
            raise InputError(
                f"`reinit` must be a share in 0..1 (got {self.reinit!r}). Give 0.5 for half of the channels."
            )

    @property
    def paired(self) -> float:
        """Share of the added channels that are zero-sum pairs."""
        return 1.0 if self.split == "pair" else self.reinit


class SeedNetwork:
    """A trained network and its channel graph.

    Args:
        model: Any module; it is only read.
        example: Inputs as the model takes them.
        frozen: Module paths that keep their width.

    Raises:
        GraphError: the model can't be traced, or has no channels that may be copied.
        InputError: the example holds NaN, or no sample.
        UnsupportedOperator: an operator has no channel rule; the message names it and the remedy.
    """

    def __init__(self, model: nn.Module, example: Any, *, frozen: Iterable[str] = ()) -> None:
        _require_numbers(example)
        try:
            self.graph = ChannelGraph(model, example, frozen=frozen, unsupported="refuse")
        except UnsupportedOperator as refused:
            raise UnsupportedOperator(to_own_argument(str(refused))) from refused
        self.model = self.graph.check(model)
        self.free: dict[str, ChannelClass] = {c.name: c for c in self.graph.classes.values() if c.frozen is None}
        if not self.free:
            raise nothing_to_widen(self.graph, self.model)
        self._checked: dict[Widths, float] = {}
        self._costs: dict[Widths, Cost] = {}

    @property
    def answers(self) -> dict[str, tuple[int, ...]]:
        """Sizes of the outputs on the example, by name."""
        program = self.graph.program
        return {name: program.shape(value) for name, value in program.outputs}

    def sizes(self, factor: float, *, align: int | None = None) -> dict[str, int]:
        """Channels of each class after widening: max(n + 1, round(factor * n)), rounded up to a multiple of `align`.

        Args:
            factor: Above 1.
            align: Whole number, or None.

        Raises:
            InputError: a value is out of its range.
            GraphError: a normalisation over channels needs a whole factor.
        """
        if not widens(factor):
            raise InputError(f"`factor` must be a number > 1 (got {factor!r}). Give 1.25 for a quarter more channels.")
        if align is not None and not (isinstance(align, Integral) and align >= 1):
            raise InputError(
                f"`align` must be a whole number >= 1 (got {align!r}). Give 8 for widths that are multiples "
                "of 8; None doesn't round."
            )
        sizes = {}
        for name, known in self.free.items():
            size = max(known.size + 1, round(factor * known.size))
            size = -(-size // align) * align if align else size
            if known.uniform and size % known.size:
                raise GraphError(
                    f"`{name}` can't have {size} channels instead of {known.size}: {known.uniform}. Give a whole "
                    f"`factor` (got {factor:g}), or keep this width: frozen=[...] with the module that makes it."
                )
            sizes[name] = size
        return sizes

    def widened(
        self,
        copies: Copies,
        manner: Manner,
        *,
        rng_seed: int = 0,
        optimizer: Optimizer | None = None,
    ) -> nn.Module:
        """One wide network, with `.widening`.

        Args:
            copies: Class -> extra copies of each channel.
            manner: How it is made.
            rng_seed: Decides shares, fresh weights and noise.
            optimizer: Follows the network; None leaves it alone.

        Returns:
            A new module of the seed's class and mode.

        Raises:
            ProofError: it isn't the seed's function; the operator is named.
            OptimizerStateError: the optimizer's state can't follow.
        """
        plain, multiplicity = self._divided(copies, manner.paired)
        split = "even" if manner.split == "even" else "random"
        try:
            edit = plan(
                self.model, self.graph, multiplicity, split=split, rng_seed=rng_seed, even=optimizer is not None
            )
        except AttributeError as error:  # of a weight that is computed and so is no parameter
            refused = computed_weight(self.model, error)
            raise refused or error from error
        made, edit = self._made(edit, plain, rng_seed)
        state = self._next_state(optimizer, made, edit, plain)
        error = self._proved(made, edit)
        if state is not None and optimizer is not None:
            state.put_into(optimizer)
        made.linnet_edit.error = error  # type: ignore[union-attr]
        made.linnet_edit.example = dict(self.graph.example)  # type: ignore[union-attr]
        masks = copied_positions(edit) if manner.noise_on == "copies" else None
        add_noise(made, manner.noise, rng_seed=rng_seed, masks=masks)
        change = self._change.of(made) if manner.noise else 0.0
        made.widening = self._report(edit, plain, manner, error, change, rng_seed)  # type: ignore[assignment]
        return made

    def _divided(self, copies: Copies, paired: float) -> tuple[dict[str, Ints], dict[str, Ints]]:
        """(plain extra copies of each channel, multiplicities with the pairs), by class."""
        plain, multiplicity = {}, {}
        for name, extra in copies.items():
            wanted = 0 if self.free[name].uniform else int(paired * extra.sum()) // 2
            order = np.argsort(-extra, kind="stable")
            rest = extra.copy()
            pairs = np.zeros_like(extra)
            for number in range(wanted):  # two added channels make one pair
                pairs[order[number % len(order)]] += 1
            for at in np.repeat(order[::-1], rest[order[::-1]])[: 2 * wanted]:
                rest[at] -= 1
            plain[name], multiplicity[name] = rest, 1 + rest + 2 * pairs
        return plain, multiplicity

    def _made(self, edit: Edit, plain: Copies, rng_seed: int) -> tuple[nn.Module, Edit]:
        paired = {
            name: plain[name] for name, copies in edit.multiplicity.items() if copies.sum() > (1 + plain[name]).sum()
        }
        if not paired:
            return apply(self.model, edit), edit
        edit, pairs = with_pairs(edit, self.graph, paired)
        made = apply(self.model, edit)
        draw_pairs(made, pairs, rng_seed=rng_seed)
        return made, edit

    def _next_state(self, optimizer: Optimizer | None, made: nn.Module, edit: Edit, plain: Copies) -> NextState | None:
        if optimizer is None:
            return None
        if any(copies.sum() > (1 + plain[name]).sum() for name, copies in edit.multiplicity.items()):
            raise OptimizerStateError(
                "`optimizer` has no state for channels with fresh weights. Leave it out and make a new one, or give "
                'split="random" and reinit=0.'
            )
        return next_state(optimizer, self.model, made, edit)

    def _proved(self, made: nn.Module, edit: Edit) -> float:
        """The proof, once for all networks of these widths."""
        shape = _widths(edit.multiplicity)
        if shape not in self._checked:
            try:
                error = proved(self.model, made, edit, self.graph)
            except ProofError as refused:
                raise of_example(refused, self.model) from refused
            kinds = {p.dtype for p in self.model.parameters() if p.is_floating_point()}
            if error > BOUNDS.get(next(iter(kinds)) if len(kinds) == 1 else torch.float32, BOUNDS[torch.float32]):
                self._prove_exactly(edit, error)
            self._checked[shape] = error
        return self._checked[shape]

    def _prove_exactly(self, edit: Edit, error: float) -> None:
        """In float64, where rounding can't be the reason.

        Raises:
            ProofError: it is none.
        """
        wide = rebuild(self.model, lambda _, t: t.detach().double() if t.is_floating_point() else t.detach().clone())
        exact = proved(wide, apply(wide, edit), edit, self.graph)
        if not exact <= BOUNDS[torch.float64]:
            raise ProofError(
                f"`{type(self.model).__name__}` is another function after widening: the outputs differ by {error:.2e} "
                f"of their size, in float64 by {exact:.2e}. The model is as before. Freeze the module whose operators "
                "depend on the number of channels: frozen=[...]."
            )

    def _report(
        self, edit: Edit, plain: Copies, manner: Manner, error: float, change: float, rng_seed: int
    ) -> Widening:
        before, after = self._cost({}), self._cost(edit.multiplicity)
        classes = tuple(
            WidenedClass(
                name,
                len(numbers),
                int(numbers.sum()),
                _map(self.graph.classes[name], edit),
                int((numbers - 1 - plain[name]).sum()) // 2,
            )
            for name, numbers in edit.multiplicity.items()
        )
        return Widening(
            classes,
            manner.split,
            error,
            manner.noise,
            manner.noise_on,
            change,
            (before.params, after.params),
            (before.macs, after.macs),
            rng_seed,
            self._notes(),
        )

    def _cost(self, multiplicity: Mapping[str, Ints]) -> Cost:
        """The cost at these widths; it doesn't depend on which channels are copied."""
        widths = _widths(multiplicity)
        if widths not in self._costs:
            self._costs[widths] = self.graph.cost(multiplicity)
        return self._costs[widths]

    @cached_property
    def _change(self) -> Change:
        return Change(self.model, self.graph.example)

    def _notes(self) -> tuple[str, ...]:
        dropout = any("Dropout" in type(m).__name__ and getattr(m, "p", 0) > 0 for m in self.model.modules())
        note = "dropout: in train mode the functions are equal in expectation only, and copies lower its variance"
        return (note,) if dropout else ()


def _require_numbers(example: Any) -> None:
    for name, tensor in Example.of(example).tensors():
        if tensor.ndim and not len(tensor):
            raise InputError(
                f"`example` must hold at least one sample (got `{name}` of the shape {tuple(tensor.shape)}, which has "
                f"0). Give one or two, such as torch.zeros{(2, *tensor.shape[1:])}."
            )
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise InputError(
                f"`example` must be free of NaN (got NaN in `{name}`). Give inputs as the network takes them."
            )


def _widths(multiplicity: Mapping[str, Ints]) -> Widths:
    """How many channels each class has."""
    return tuple((name, int(numbers.sum())) for name, numbers in multiplicity.items())


def _map(known: ChannelClass, edit: Edit) -> tuple[int, ...]:
    """For each channel after an edit the old one that it is or copies, as the first weight that makes them has it."""
    slot = next(slot for slot in known.slots if slot.role != "consume")
    axis = next(one for one in edit.axes[slot.tensor] if one.axis == slot.axis)
    rank = {int(position): channel for channel, position in enumerate(slot.index[:, 0])}
    return tuple(rank[at] for at in axis.index.tolist() if at in rank)


def with_notes(widening: Widening, *notes: str) -> Widening:
    """The same facts and more notes."""
    return replace(widening, notes=(*widening.notes, *notes))
