"""Pruner: a network made small while it trains, straight to a budget."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from linnet.core import ChannelGraph, resize
from linnet.core.skeleton import meta, rebuild
from linnet.core.width_cost import TOTALS, WidthCost
from linnet.errors import TrainingError
from linnet.prune.budget import Budget
from linnet.prune.choice import choices
from linnet.prune.compact import compact
from linnet.prune.criterion import FROM_DATA, Criterion, as_flat
from linnet.prune.life import MaskLife
from linnet.prune.masks import Masks
from linnet.prune.memory import Forgetting, Memory
from linnet.prune.option import one_of
from linnet.prune.outcome import records
from linnet.prune.plan import Plan, kept_channels, planned, totals_of
from linnet.prune.reads import reads
from linnet.prune.same_rate import Select, same_rate
from linnet.prune.select import Price, Selection, Selector
from linnet.prune.timetable import Phase, Timetable
from linnet.prune.utility import Normalise, from_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PruneStep:
    """What one call of `Pruner.step` came to.

    Attributes:
        step: Index of the training step.
        phase: "warmup", "masked" or "frozen".
        used: Name of each limit -> share of it that the masked network costs; above 1 only before the first mask.
        changed: Channels whose mask changed.
        compacted: Whether the network itself became smaller now.
    """

    step: int
    phase: Phase
    used: Mapping[str, float]
    changed: int
    compacted: bool


class Pruner:
    """Prunes a network while it trains, so that it ends as a plain smaller network within a budget.

    Each measured step gives every channel the utility v = mean over samples of |sum over its reads of x dL/dx|, divided
    by its class's mean. The memory is a running mean of v for channels in use and stays for masked ones, so these come
    back when the others sink below them. After the warm-up the channels with the largest u that the budget allows are
    in use and all others are multiplied by 0 where they are read; half-way the mask freezes, the channels are taken out
    of the network and of the optimizer's state, and training goes on with the small network.

    Args:
        model: Any module (before it is wrapped in DDP or compiled). Hooks are put on it; its state stays its own.
        example: A tensor, a tuple of arguments or a dict of keyword arguments.
        budget: What the result may cost.
        align: Kept channels come in multiples of this.
        steps: Steps of the whole training, for `warmup` and `freeze` as fractions.
        warmup: Fraction of `steps`, or a whole number of steps, without a mask. Without `steps`: 100 steps.
        freeze: When masks cease to move, likewise. Without `steps`: when they hardly move any more, or the learning
            rate has fallen to a tenth of its maximum.
        every: Steps between measurements.
        memory: How u forgets: "ema" (a running mean, 0.99 for each measurement), "evaporate" (u <- 0.6 u + v), another
            decay as a number, or "schedule" (0.6, and 0.1 more after each drop of the learning rate). The decay rises
            to 1 before the freeze.
        criterion: What u is made of: "taylor" as above, "bn_taylor", "l1", "bn_scale" or "random". The last three are
            read off the weights when a mask is set and have no memory.
        normalise: What the utilities of a class are divided by: its "max" or its "mean".
        select: "global" sets channels of all classes against one another, "per_layer" keeps one share of every class.
        price: "none" ranks by utility alone, "auto" looks for a price of the limits when there are several.
        compact: Whether the network becomes smaller at the freeze; else it stays masked until `finish`.
        keep: Patterns of module paths that stay whole: `head`, `layer1.*`.
        limits: Pattern -> largest share of its classes' channels that may stay.
        min_fraction: At least this share of every class stays.
        regrow: Measure masked channels too, by what they would gain.
        also: Networks of the same structure (an average of the weights) that become small with it.
        rng_seed: For criterion "random".

    Raises:
        BudgetError: the budget can't be reached, or there is nothing to prune.
        GraphError: the network can't be traced.
        InputError: an option out of its range.

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
        warmup: float = 0.05,
        freeze: float = 0.5,
        every: int = 4,
        memory: float | str = "ema",
        criterion: Criterion = "taylor",
        select: Select = "global",
        normalise: Normalise = "mean",
        price: str = "auto",
        compact: bool = True,
        keep: Sequence[str] = (),
        limits: Mapping[str, float] | None = None,
        min_fraction: float = 0.05,
        regrow: bool = False,
        also: Sequence[nn.Module] = (),
        rng_seed: int = 0,
    ):
        one_of("price", price, ("auto", "none"))
        self.criterion, self.rng_seed = one_of("criterion", criterion, get_args(Criterion)), rng_seed
        self.select = one_of("select", select, get_args(Select))
        one_of("normalise", normalise, get_args(Normalise))
        self.budget, self.compacts, self.also = budget, compact, tuple(also)
        self.forgetting = Forgetting.named(memory)
        self.time = Timetable(steps, warmup, freeze, every)
        self._graph = ChannelGraph(model, example)
        self.model = self._graph.check(model)
        if self.model is not model:
            logger.info("the wrapper %s is taken off: its inner network is pruned", type(model).__name__)
        places, unmasked = reads(self.model, self._graph)
        self._shell = meta(self.model)
        self._found = choices(
            self._graph, align=align, min_fraction=min_fraction, keep=keep, limits=limits, whole=unmasked
        )
        law = WidthCost(self._graph)
        self._dense, self._limits = totals_of(law), budget.limits(totals_of(law))
        self._selector = Selector(law, self._found.free, self._limits)
        self._auto, self._price = price == "auto" and len(self._limits) > 1, self._plain_price()
        names = [name for choice in self._found.free for name in choice.classes]
        self._masks = Masks(self.model, self._graph, places, names, regrow=regrow)
        self._seen = Memory(self._masks.slices, self._masks.total, mixes=self.forgetting.mixes, normalise=normalise)
        self._selection: Selection | None = None
        self.changes, self.life = 0, MaskLife(tuple(names))
        self._used = self._shares(np.array([choice.size for choice in self._found.free]))
        self.compacted, self.finished = False, False
        if not self._needs_data:
            self._weigh()  # refuses here what can't be ranked
        self._masks.measuring = self.time.measures and self._needs_data

    def step(self, optimizer: torch.optim.Optimizer) -> PruneStep:
        """The one added line of a training loop, after `optimizer.step()`.

        Args:
            optimizer: That of the loop; its state follows when the network becomes smaller.

        Returns:
            What happened.

        Raises:
            TrainingError: no backward pass came before a measured step, the optimizer is another network's, the pruner
                is finished, or 20 measurements in a row weren't finite.
        """
        self._require_own(optimizer)
        now, measured = self.time.step, self.time.measures
        if measured:
            self._measure()
        changed = self._set_masks() if measured and self._seen.measurements and now + 1 >= self.time.warmup_steps else 0
        share = changed / max(self._masks.total, 1) if measured else None
        phase = self.time.phase
        freezes = self.time.next(changed=share, lr=max(float(group["lr"]) for group in optimizer.param_groups))
        compacted = freezes and self._selection is not None and self._compact(optimizer)
        self._masks.measuring = self.time.measures and self._needs_data
        return PruneStep(now, phase, dict(self._used), changed, compacted)

    def plan(self) -> Plan:
        """What stays at this moment, in the numbering of the network that was given.

        Raises:
            TrainingError: nothing was measured yet.
        """
        self._require_measured()
        if self._selection is None:
            self._set_masks()
        assert self._selection is not None
        return planned(self._graph, self.budget, self._found, self._selection, self._seen.by_class())

    def finish(self, *, eval_loader: Iterable[Any] | None = None, dense: nn.Module | None = None) -> Any:
        """The small network: plain, of the same class, without hooks, proved to be the masked one.

        Its `.report` has costs, channels of each layer and measured milliseconds beside those of the given network;
        with a loader also accuracy, per class too, likelihood and calibration. Those of the network before pruning
        aren't known from this training: they are there only if `dense` is.

        Args:
            eval_loader: Batches (inputs, labels) of a classifier, which it wasn't trained on.
            dense: The same network, trained without pruning.

        Returns:
            A new module with `.report`, its records. The trained network keeps its masks until `remove`.

        Raises:
            TrainingError: nothing was measured yet.
            ProofError: the small network isn't the masked one.
        """
        plan = self.plan()
        if self.compacted:
            small = rebuild(self.model, lambda _, tensor: tensor.detach().clone(), keep_hooks=True)
        else:
            with self._masks.lifted(self.model):
                small = resize(self.model, self._graph, plan.multiplicity())
        report = records(
            plan, small, self._graph, self._selector, self._shell, steps=self.time.step, changes=self.changes,
            skipped=self.skipped, eval_loader=eval_loader, dense=dense,
        )  # fmt: skip
        small.report = report  # type: ignore[assignment]
        self.finished = True
        return small

    @property
    def skipped(self) -> int:
        """Measurements that weren't finite."""
        return self._seen.skipped

    def remove(self) -> None:
        """Takes all hooks off the trained network."""
        self._masks.remove()

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs: tensors, numbers and words (fit for `weights_only=True`)."""
        selection = self._selection
        return {
            "sizes": {name: self._graph.classes[name].size for name in self._masks.names},
            "memory": self._seen.state_dict(),
            "kept": torch.from_numpy(self._masks.kept),
            "time": self.time.state_dict(),
            "widths": [] if selection is None else list(selection.widths),
            "price": [self._price.alpha, *self._price.weights],
            "changes": self.changes,
            "used": dict(self._used),
            "compacted": self.compacted,
            "proof_error": _edit_of(self.model).error if self.compacted else 0.0,
            "life": self.life.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; then load the network's own state, then the optimizer's.

        A network that was already made small becomes so again, so that its state fits.

        Raises:
            TrainingError: the state is of another network, or damaged.
        """
        sizes = {name: self._graph.classes[name].size for name in self._masks.names}
        if not isinstance(state, Mapping) or state.get("sizes") != sizes:
            given = state.get("sizes") if isinstance(state, Mapping) else type(state).__name__
            raise TrainingError(
                f"this is the state of a pruner of another network or budget (its classes: {given}); one of "
                f"{sizes} is needed. Make the pruner from the same network, align and keep."
            )
        kept, widths = state["kept"].numpy().astype(bool), tuple(int(width) for width in state["widths"])
        self._seen.load_state_dict(state["memory"])
        self.time.load_state_dict(state["time"])
        self._price = Price(float(state["price"][0]), tuple(float(x) for x in state["price"][1:]))
        self.changes = int(state["changes"])
        self._used = {name: float(share) for name, share in state["used"].items()}
        self.life.load_state_dict(state["life"])
        self._selection = Selection(widths, self._price, 0.0) if widths else None
        if state["compacted"] and not self.compacted:
            self._masks.remove()
            compact(self.model, self._graph, self.plan().multiplicity(), also=self.also)
            _edit_of(self.model).error = float(state["proof_error"])  # of the trained network, not of this start
            self.compacted = True
        elif not self.compacted:
            self._masks.keep(kept)
        self._masks.measuring = self.time.measures and self._needs_data

    @property
    def _needs_data(self) -> bool:
        return self.criterion in FROM_DATA

    def _weigh(self) -> None:
        """Utilities as the weights have them now."""
        names = self._masks.names
        found = from_weights(self.model, self._graph, names, self.criterion, rng_seed=self.rng_seed)
        everywhere = np.ones(self._masks.total, dtype=np.bool_)
        self._seen.take(as_flat(found, self._masks.slices, self._masks.total), 1, decay=0.0, live=everywhere)

    def _measure(self) -> None:
        if not self._needs_data:
            self._weigh()
            return
        measured = self._masks.measured(signed=self.criterion == "bn_taylor")
        if measured is None:
            raise TrainingError(
                f"step {self.time.step} measures the channels, but no backward pass through this network in training "
                "mode came before it. Call `pruner.step(optimizer)` once for each update, after loss.backward()."
            )
        live = self._masks.kept | self._masks.regrow
        decay = self.time.decay(self.forgetting.decay(self.time.drops))
        self._seen.take(*measured, decay=decay, live=live)

    def _set_masks(self) -> int:
        """Selects and masks; gives how many channels changed."""
        utilities = self._seen.by_class()
        ranked = [np.mean([np.sort(utilities[c])[::-1] for c in choice.classes], axis=0) for choice in self._found.free]
        anew = self._auto and (self._selection is None or self.time.settles)
        if self.select == "per_layer":
            self._selection = same_rate(self._selector, ranked)
        else:
            self._selection = self._selector.select(ranked, "auto" if anew else self._price)
        self._price = self._selection.price
        before = self._masks.kept
        kept = np.zeros(self._masks.total, dtype=np.bool_)
        for name, channels in kept_channels(self._found, self._selection, utilities).items():
            kept[self._masks.slices[name]][list(channels)] = True
        self._masks.keep(kept)
        self._used = self._shares(np.array(self._selection.widths))
        changed = int((kept != before).sum())
        self.changes += changed
        self.life.note(self.time.step, [int(kept[part].sum()) for part in self._masks.slices.values()], self._used)
        return changed

    def _compact(self, optimizer: torch.optim.Optimizer) -> bool:
        if not self.compacts:
            return False
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            logger.warning(
                "the network stays masked until `finish`: under DDP its buckets wouldn't follow smaller tensors"
            )
            return False
        with self._masks.lifted(self.model):
            compact(self.model, self._graph, self.plan().multiplicity(), optimizer=optimizer, also=self.also)
        self._masks.remove()
        self.compacted = True
        return True

    def _shares(self, widths: np.ndarray) -> dict[str, float]:
        totals = self._selector.totals(widths)[0]
        return {name: int(totals[TOTALS.index(name)]) / limit for name, limit in self._limits.items()}

    def _plain_price(self) -> Price:
        return Price(0.0, tuple([1 / len(self._limits)] * len(self._limits)))

    def _require_own(self, optimizer: torch.optim.Optimizer) -> None:
        if self.finished:
            raise TrainingError("the pruner has finished; train what `finish` gave, or make a new Pruner.")
        own = {id(parameter) for parameter in self.model.parameters()}
        if not any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
            raise TrainingError(
                "the optimizer holds no parameter of the pruned network; give the optimizer of this training loop."
            )

    def _require_measured(self) -> None:
        if not self._seen.measurements:
            raise TrainingError(
                "nothing was measured yet, so no channel is known to be of use. Train with `pruner.step(optimizer)` "
                "after each update, or rank channels by the weights alone: Pruner(..., criterion='l1')."
            )


def _edit_of(model: nn.Module) -> Any:
    """What edits made of a network."""
    return model.linnet_edit
