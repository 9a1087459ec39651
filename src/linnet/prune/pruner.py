"""Pruner: a network made small while it trains, straight to a budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.distributed import of_first
from linnet.core.program.module_copy import meta
from linnet.errors import LinnetError, TrainingError
from linnet.option_values import UNSET, option_value
from linnet.prune.allocate.groups import prunable_groups
from linnet.prune.allocate.per_layer import Select
from linnet.prune.allocate.ranks import Shape
from linnet.prune.budget import Budget
from linnet.prune.importance.criterion import FROM_DATA, Criterion
from linnet.prune.importance.from_weights import Normalise
from linnet.prune.importance.running_mean import Forgetting
from linnet.prune.latency.target import LatencyModel
from linnet.prune.masks.masked_network import MaskedNetwork
from linnet.prune.masks.reads import maskable_reads
from linnet.prune.outcome.records import latency_records, pruning_records
from linnet.prune.pruning_plan import UNMEASURED, Plan, graph_for, planned
from linnet.prune.training.batch_axis import require_samples
from linnet.prune.training.checks import (
    Compaction,
    optimizers_of,
    refuse_compiled,
    require_agreement,
    require_arguments,
    require_compaction,
    require_one_pruner,
    require_optimizer,
    require_same_masks,
    require_twins,
    twins,
    untrained,
)
from linnet.prune.training.history import MaskLife
from linnet.prune.training.mask_state import MaskState
from linnet.prune.training.masking import Masking
from linnet.prune.training.rehearsal import rehearse
from linnet.prune.training.retire import Retirement
from linnet.prune.training.running_importance import RunningImportance
from linnet.prune.training.running_selection import RunningSelection, resolved
from linnet.prune.training.schedule import PruneStep, Timetable
from linnet.suggest import one_of

logger = logging.getLogger(__name__)


class Pruner:
    """Prunes a network while it trains, so that it ends as a plain smaller network within a budget.

    Each measured step gives every channel the importance v = mean over samples of |sum over its reads of x dL/dx|,
    divided by its class's mean. Its running mean u is updated for channels in use and stays for masked ones, so these
    come back when the others sink below them. After the warm-up the channels with the largest u that the budget allows
    are in use and all others are multiplied by 0 where they are read; half-way the mask freezes, the channels are taken
    out of the network and of the optimizer's state, and training goes on with the small network. A latency is predicted
    until the freeze; there small networks are measured as a whole until one meets it.

    Args:
        model: Any module (before it is wrapped in DDP or compiled). Hooks are put on it; its state dict stays the same.
        example: A tensor, a tuple of arguments or a dict of keyword arguments.
        budget: Limits on the cost of the result.
        align: Kept channels come in multiples of this.
        steps: Steps of the whole training, for `warmup` and `freeze` as fractions.
        masking: Times of the masks and the averaging of importance; None: the defaults of `Masking`.
        warmup, freeze, every, memory, normalise, retire, regrow: The fields of `masking` as keywords, described at
            `Masking`; its `memory` says how u is averaged.
        criterion: How v is computed: "taylor" as above, "bn_taylor", "l1", "bn_scale" or "random". The last three are
            read off the weights when a mask is set and aren't averaged.
        select: "global" lets channels of all classes compete, "per_layer" keeps one share of every class.
        price: "none" ranks by importance alone, "auto" looks for a price of the limits when there are several.
        compact: "auto" makes the network smaller once, at the freeze; "progressive" also before, whenever a tenth of
            its MACs has been masked for `retire` updates of the mask; False leaves it masked until `finish`.
        keep: Patterns of module paths that stay whole: `head`, `layer1.*`.
        limits: Pattern -> largest share of its classes' channels that may stay.
        min_fraction: At least this share of every class stays.
        also: Networks of the same structure (an average of the weights) that become small with it.
        rewrap: Called with the network whenever it became smaller. Under DDP it must wrap it anew; without it the
            network stays masked until `finish` there.
        rng_seed: For criterion "random".
        frozen: What must not be edited: module paths, or (tensor name, axis).
        graph: The network's channel graph, where there is one already; it says what is frozen.
        batch_axis: The axis of the network's inputs along which samples lie; None measures a whole batch as one.
        shape: What decides widths, as for `plan`. "auto" is "rank" under several counted limits, where importances end
            in bottlenecks, unless `select`, `price` or a latency says otherwise; else "utility".

    Raises:
        BudgetError: the budget can't be reached, or there is nothing to prune.
        GraphError: the network can't be traced.
        InputError: an option is out of its range, or a keyword disagrees with `masking`.
        TrainingError: the network was compiled and called before, so that masks would be ignored.

    Source:
        Qi et al. 2021 (abstract) for the aim; utility, memory and mask follow the published code of its predecessor
        (there normalise="max", memory="evaporate"); selection under several limits, freezing and compaction: ours.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 2))
        >>> opt = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> pruner = Pruner(net, torch.zeros(1, 3, 8, 8), Budget(macs=0.5), steps=4, warmup=1)
        >>> for _ in range(4):
        ...     opt.zero_grad()
        ...     net(torch.randn(5, 3, 8, 8)).logsumexp(1).mean().backward()
        ...     opt.step()
        ...     step = pruner.step(opt)
        >>> pruner.finish()[0]
        Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
    """

    def __init__(
        self,
        model: nn.Module,
        example: Any,
        budget: Budget,
        *,
        align: int = 8,
        steps: int | None = None,
        masking: Masking | None = None,
        warmup: float = UNSET,
        freeze: float = UNSET,
        every: int = UNSET,
        memory: float | str = UNSET,
        criterion: Criterion = "taylor",
        select: Select = "global",
        normalise: Normalise = UNSET,
        price: str = "auto",
        compact: Compaction = "auto",
        retire: int = UNSET,
        keep: Sequence[str] = (),
        limits: Mapping[str, float] | None = None,
        min_fraction: float = 0.05,
        regrow: bool = UNSET,
        also: Sequence[nn.Module] = (),
        rewrap: Callable[[nn.Module], Any] | None = None,
        rng_seed: int = 0,
        frozen: Iterable[str | tuple[str, int]] = (),
        graph: ChannelGraph | None = None,
        batch_axis: int | None = 0,
        shape: Literal["auto"] | Shape = "auto",
    ):
        masking = option_value(
            "masking", masking, Masking(), warmup=warmup, freeze=freeze, every=every, memory=memory,
            normalise=normalise, retire=retire, regrow=regrow,
        )  # fmt: skip
        one_of("price", price, ("auto", "none"))
        one_of("select", select, get_args(Select))
        one_of("shape", shape, ("auto", *get_args(Shape)))
        one_of("criterion", criterion, get_args(Criterion))
        one_of("normalise", masking.normalise, get_args(Normalise))
        require_arguments(budget, align, also)
        require_compaction(compact, masking.retire, budget)
        forgetting = Forgetting.named(masking.memory)
        self.budget, self.compacts, self.rewrap = budget, compact, rewrap
        self.time = Timetable(steps, masking.warmup, masking.freeze, masking.every)
        self._graph = graph_for(model, example, graph=graph, frozen=frozen)
        self.model, also = self._graph.check(model), twins(also)
        refuse_compiled(self.model)
        require_one_pruner(self.model)
        require_twins(self._graph, also)
        places, whole = maskable_reads(self.model, self._graph)
        if criterion in FROM_DATA:
            require_samples(self.model, self._graph, places, batch_axis)
            whole |= untrained(self.model, self._graph)
        self._shell = meta(self.model)
        self._found = prunable_groups(
            self._graph, align=align, min_fraction=min_fraction, keep=keep, limits=limits, whole=whole
        )
        latency_model = LatencyModel.of(self.model, self._graph, self._found.free, budget, align=align)
        self._selection = RunningSelection(
            self._graph,
            budget,
            self._found,
            price=price,
            select=select,
            latency_model=latency_model,
            shape=resolved(shape, budget, price=price, select=select),
        )
        names = [name for group in self._found.free for name in group.classes]
        self._masked_network = MaskedNetwork(
            self.model, self._graph, places, names, regrow=masking.regrow, also=also, batch_axis=batch_axis
        )
        try:
            self._importance = RunningImportance(
                self._masked_network, criterion, forgetting, normalise=masking.normalise, rng_seed=rng_seed
            )
        except LinnetError:
            self._masked_network.remove()
            raise
        self._retirement = Retirement(
            self._selection.selector, self._masked_network.slices, self._masked_network.total, masking.retire
        )
        self.finished, self._met, self._rehearsed = False, False, False
        self._masked_network.keep_call()
        asked = (
            f"{budget}, align {align}, {self.time}, {self._importance}, {select}, price {price}, compact {compact}, "
            f"keep {sorted(keep)}, limits {dict(limits or {})}, min_fraction {min_fraction}, regrow {masking.regrow}"
        )
        self._state = MaskState(
            self._masked_network, self._importance, self._selection, self._retirement, self.time, asked
        )
        self._gate()

    def step(self, optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer]) -> PruneStep:
        """The one added line of a training loop, after `optimizer.step()`.

        Args:
            optimizer: The loop's optimizer, or a list of all that train the network; their state follows.

        Returns:
            What happened.

        Raises:
            TrainingError: no backward pass came before a measured step, the optimizer is another network's, the pruner
                is finished, 20 measurements in a row weren't finite, or the processes of a run prune differently.
        """
        optimizers = self._own(optimizer)
        self._meet(optimizers)
        now, measured = self.time.step, self.time.measures
        if measured:
            self._importance.update(self.time)
        known = measured and self._importance.memory.measurements
        changed = self._state.update() if known and now + 1 >= self.time.warmup_steps else 0
        share = changed / max(self._masked_network.total, 1) if measured else None
        phase = "warmup" if self._selection.selection is None else self.time.phase
        freezes = self.time.next(changed=share, lr=_rate(optimizers))
        if freezes:
            self._importance.require_finite(now)
        compacted = self._take_out(optimizers, freezes=freezes)
        self._gate()
        return PruneStep(now, phase, self._selection.used, changed, compacted)

    def plan(self) -> Plan:
        """The channels that stay at this moment, in the numbering of the given network; nothing is changed.

        Raises:
            TrainingError: nothing was measured yet.
        """
        self._importance.require_measured()
        named = self._state.named()
        made = planned(self._graph, self.budget, self._found, named)
        unmeasured = dict.fromkeys(sorted(self._selection.unmeasured), UNMEASURED)
        return replace(made, frozen={**made.frozen, **unmeasured}, latency=self._selection.latency)

    def finish(self, *, eval_loader: Iterable[Any] | None = None, dense: nn.Module | None = None) -> Any:
        """The small network: plain, of the same class, without hooks, proved to be the masked one.

        Its `.report` has costs, channels of each layer and measured milliseconds beside those of the given network;
        with a loader also accuracy, per class too, likelihood and calibration. Those of the network before pruning
        aren't known from this training: they are there only if `dense` is.

        In a run of several processes all must call it; buffers become those of rank 0.

        Args:
            eval_loader: Batches (inputs, labels) of a classifier, which it wasn't trained on.
            dense: The same network, trained without pruning.

        Returns:
            A new module with `.report`, its records. The trained network keeps its masks until `remove`.

        Raises:
            TrainingError: nothing was measured yet, or the processes hold different masks.
            ProofError: the small network isn't the masked one.
        """
        self._importance.require_measured()
        if self._selection.selection is None:
            self._state.update()
        self._state.be_on_time()
        require_same_masks(self.time.step, self._masked_network.kept)
        for buffer in self.model.buffers():
            of_first(buffer)
        small = self._masked_network.small()
        self._selection.measure(small)
        small.report = pruning_records(
            self.plan(), small, self._graph, self._selection.selector, self._shell, steps=self.time.step,
            changes=self.changes, skipped=self.skipped, eval_loader=eval_loader, dense=dense,
        ) + latency_records(self._selection.latency)  # fmt: skip
        self.finished = True
        return small

    @property
    def changes(self) -> int:
        """Channels whose mask changed, over all updates of the mask."""
        return self._state.changes

    @property
    def life(self) -> MaskLife:
        """How many channels of each class were in use over the training."""
        return self._state.life

    @property
    def compacted(self) -> bool:
        """Whether the network became smaller for good."""
        return self._state.compacted

    @property
    def skipped(self) -> int:
        """Measurements that weren't finite."""
        return self._importance.memory.skipped

    def remove(self) -> None:
        """Takes all hooks off the trained network."""
        self._masked_network.remove()

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run needs: tensors, numbers and words (fit for `weights_only=True`)."""
        return self._state.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; then load the network's own state, then the optimizer's.

        A network that was already made small becomes so again, so that its state fits.

        Raises:
            TrainingError: the state is of another network, damaged, or of a time before this network became smaller;
                nothing was changed.
        """
        self._state.load_state_dict(state)
        self._gate()

    def _gate(self) -> None:
        """Tells the masks whether the next step is measured."""
        self._masked_network.measures(self.time.measures and self._importance.needs_data)

    def _take_out(self, optimizers: Sequence[torch.optim.Optimizer], *, freezes: bool) -> bool:
        """Makes the network smaller if it is time."""
        if self._selection.selection is None or not (freezes or self.compacts == "progressive"):
            return False
        if freezes:
            self._state.be_on_time()
            require_same_masks(self.time.step, self._masked_network.kept)
        if not self._may_take_out or (self.time.frozen and not freezes):
            return False
        alive = self._masked_network.kept if freezes else self._retirement.due(self._masked_network.alive)
        if alive is None:
            return False
        if not freezes:
            require_same_masks(self.time.step, self._masked_network.kept)
        self._masked_network.take_out(alive, optimizers, last=freezes)
        self._selection.narrow(self._retirement.widths(alive))
        self._state.compacted = freezes
        if self.rewrap is not None:
            self.rewrap(self.model)
        return True

    @property
    def _may_take_out(self) -> bool:
        """Whether the network may become smaller: DDP's buckets don't follow smaller tensors by themselves."""
        in_group = dist.is_available() and dist.is_initialized()
        return bool(self.compacts) and (self.rewrap is not None or not in_group)

    def _meet(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """At the first step: checks that all processes prune alike, and rehearses the freeze."""
        if not self._rehearsed and not self.time.frozen:
            follow, call = (optimizers if self._may_take_out else ()), self._masked_network.take_call()
            self._rehearsed = rehearse(self._masked_network, self._selection.selector, follow, call)
        if self._met:
            return
        self._selection.agree_on_limit()
        require_agreement(
            "the budget or the options",
            f"{self._selection}, {self._state.asked}",
            "Make the Pruner with the same arguments on every process.",
        )
        if self.compacts and not self._may_take_out:
            logger.warning(
                "the network stays masked until `finish`, since DDP's buckets don't follow smaller tensors. Give "
                "Pruner(..., rewrap=function), which wraps the smaller network anew, or train by linnet.engine.fit."
            )
        self._met = True

    def _own(self, optimizer: Any) -> list[torch.optim.Optimizer]:
        """The optimizers, after checking that they are of this network and that there is something left to do."""
        if self.finished:
            raise TrainingError(
                "The pruner has finished. Train the network that `finish` returned, or make a new Pruner."
            )
        if self._masked_network.removed:
            raise TrainingError(
                "The hooks were taken off by `remove`, so nothing is masked any more. Make a new Pruner."
            )
        found = optimizers_of(optimizer)
        for one in found:
            require_optimizer(one, self.model, shrinks=self._may_take_out and not self.time.frozen)
        return found


def _rate(optimizers: Sequence[torch.optim.Optimizer]) -> float:
    return max(float(group["lr"]) for one in optimizers for group in one.param_groups)
