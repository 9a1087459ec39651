"""Body: the network in training, which of its channels are masked, and which are taken out for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from linnet.core import ChannelGraph, resize
from linnet.core.example import example_from_dict
from linnet.core.skeleton import rebuild
from linnet.prune.compact import compact
from linnet.prune.masks import Masks
from linnet.prune.reads import Read, reads
from linnet.prune.utility import from_weights

Bools = npt.NDArray[np.bool_]


class Body:
    """A network with masks. Channels are numbered as in the given network, class after class, whatever was taken out.

    Args:
        model: The unwrapped network; hooks are put on it.
        graph: Its channel graph.
        places: Where channels are read.
        names: The classes that may be pruned.
        regrow: Whether masked channels are measured too.
        also: Networks of the same structure that become small with it.

    Attributes:
        slices: Class name -> where its channels lie.
        total: Number of channels.
        kept: bool (total,): what isn't masked.
        alive: bool (total,): what is still in the network.
        removed: Whether the hooks were taken off.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        places: Sequence[Read],
        names: Sequence[str],
        *,
        regrow: bool = False,
        also: Sequence[nn.Module] = (),
    ):
        self.removed = False
        self.model, self.also, self._graph, self._regrow = model, tuple(also), graph, regrow
        self._masks: Masks | None = Masks(model, graph, places, names, regrow=regrow)
        self.names, self.slices, self.total = self._masks.names, self._masks.slices, self._masks.total
        self.kept: Bools = np.ones(self.total, dtype=np.bool_)
        self.alive: Bools = np.ones(self.total, dtype=np.bool_)

    @property
    def measured(self) -> Bools:
        """bool (total,): channels that a measurement speaks of."""
        return self.alive if self._regrow else self.kept & self.alive

    def measures(self, measuring: bool) -> None:  # noqa: FBT001  a value to be set, not an option
        """Whether the forward passes to come are measured."""
        if self._masks is not None:
            self._masks.measuring = measuring

    def take_measurement(self, *, signed: bool = False) -> tuple[Tensor, int] | None:
        """What the passes since the last time say: float64 (total,) sums over samples, and the number of samples."""
        found = None if self._masks is None else self._masks.measured(signed=signed)
        if found is None:
            return None
        return self._wide(found[0]), found[1]

    def weigh(self, criterion: str, rng_seed: int) -> Tensor:
        """float64 (total,): utilities by the weights alone, as they are now; 0 for what was taken out."""
        found = from_weights(self.model, self._graph, self.names, criterion, rng_seed=rng_seed)
        return self._wide(torch.from_numpy(np.concatenate([found[name] for name in self.names])))

    def keep(self, kept: Bools) -> None:
        """Masks all channels but these, bool (total,)."""
        self.kept = kept
        if self._masks is not None:
            self._masks.keep(kept[self.alive])

    def take_out(self, alive: Bools, optimizer: torch.optim.Optimizer | None = None, *, last: bool) -> None:
        """Takes channels out of the network, its twins and the optimizer's state; after an error all is as before.

        Args:
            alive: bool (total,): what stays in the network; a part of what was in it.
            optimizer: Whose state follows.
            last: No mask is needed any more.

        Raises:
            ProofError: the smaller network isn't the masked one.
            OptimizerStateError: state that can't follow.
        """
        assert self._masks is not None
        with self._masks.lifted(self.model):
            compact(self.model, self._graph, self._multiplicity(alive), optimizer=optimizer, also=self.also)
        self._masks.remove()
        self._masks, self.alive = None, alive
        if not last:
            self._graph = ChannelGraph(self.model, _example(self._graph.example))
            self._masks = Masks(
                self.model, self._graph, reads(self.model, self._graph)[0], self.names, regrow=self._regrow
            )
            self._masks.keep(self.kept[alive])

    @property
    def error(self) -> float:
        """What the proof of the last channels taken out found; 0 when none were."""
        return 0.0 if self.alive.all() else _edit_of(self.model).error

    @error.setter
    def error(self, error: float) -> None:
        if not self.alive.all():
            _edit_of(self.model).error = error

    def small(self) -> Any:
        """A plain network of the same class with the kept channels only."""
        if self._masks is None:
            return rebuild(self.model, lambda _, tensor: tensor.detach().clone(), keep_hooks=True)
        with self._masks.lifted(self.model):
            return resize(self.model, self._graph, self._multiplicity(self.kept))

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """The network without masks; they are back afterwards."""
        assert self._masks is not None
        with self._masks.lifted(self.model):
            yield

    def remove(self) -> None:
        """Takes all hooks off."""
        self.removed = True
        if self._masks is not None:
            self._masks.remove()

    def _wide(self, living: Tensor) -> Tensor:
        wide = torch.zeros(self.total, dtype=torch.float64)
        wide[torch.from_numpy(self.alive)] = living
        return wide

    def _multiplicity(self, kept: Bools) -> dict[str, list[int]]:
        """1 for what stays of each class's living channels, 0 for what goes."""
        found = {}
        for name, part in self.slices.items():
            stays = kept[part][self.alive[part]]
            if not stays.all():
                found[name] = stays.astype(np.int64).tolist()
        return found


def _example(stored: Mapping[str, Any]) -> Any:
    return example_from_dict(stored, lambda shape, dtype: torch.zeros(shape, dtype=dtype))


def _edit_of(model: nn.Module) -> Any:
    return model.linnet_edit
