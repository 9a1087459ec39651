"""Latency: a network made small until its measured milliseconds meet a target."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from linnet.arrays import Floats
from linnet.core import ChannelGraph
from linnet.core.channels.serialise import program_to_dict
from linnet.core.channels.width_cost import WidthCost
from linnet.core.edit.edit_plan import plan as edit_plan
from linnet.core.edit.resizing import apply
from linnet.core.program.example import example_from_dict
from linnet.engine.compute.timing import NOISY, Latency, Timing, timed
from linnet.engine.onnx.model import still
from linnet.engine.onnx.runtime import network_call
from linnet.errors import BudgetError
from linnet.prune.allocate.groups import PrunableGroup
from linnet.prune.allocate.widths import Selection, Selector
from linnet.prune.budget import Budget
from linnet.prune.latency.cache import Measured
from linnet.prune.latency.kernel import uses
from linnet.prune.latency.lookup_table import Table, TimedCost

logger = logging.getLogger(__name__)

# All ours. The aim lies inside the window, so that one more measurement doesn't leave it.
TOLERANCE, AIM = 0.05, 0.975
_NOISY_TOLERANCE = 0.1  # where other work hides 5 %
_ROUNDS, _UNITS = 5, 8
_NS = 1e6  # nanoseconds of a millisecond

Multiplicity = Mapping[str, Sequence[int]]


class LatencyModel:
    """Predicts a network's latency at any widths, and measures it.

    The prediction is a table of kernels times a ratio measured / predicted, which is read off networks that were
    measured whole: at first the given one and the narrowest, then each trial.

    Args:
        model: The network, without masks.
        graph: Its channel graph.
        law: Its counted costs.
        free: What may be narrowed.
        budget: With `latency_ms`.
        align: Kept channels come in multiples of this.
        folder: Of the cache; None takes the user's.

    Raises:
        MissingExtra: the runtime isn't installed.
        GraphError: the network can't be exported.
        BudgetError: even the narrowest network takes longer; its milliseconds are named.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        law: WidthCost,
        free: Sequence[PrunableGroup],
        budget: Budget,
        *,
        align: int,
        folder: Path | None = None,
    ):
        assert budget.latency_ms is not None
        self.graph, self.free, self.target_ns = graph, tuple(free), budget.latency_ms * _NS
        self.measured = Measured(budget, folder)
        rows = {name: row for row, name in enumerate(law.names)}
        self._rows = [[rows[name] for name in group.classes] for group in free]
        self.least = tuple(group.widths[0] for group in free)
        self.whole = tuple(group.size for group in free)
        least = law.dense.copy()
        for own, width in zip(self._rows, self.least, strict=True):
            least[own] = width
        table = Table(law, uses(graph.program), least, align=align, measured=self.measured)
        self._table, self._dense = table, law.dense
        self.cost = TimedCost(law, table)
        self._digest = hashlib.sha256(json.dumps(program_to_dict(graph.program)).encode()).hexdigest()[:16]
        self._known, self._fresh = self.measured.networks(self._digest), dict[tuple[int, ...], float]()
        self._call: Callable[[], object] | None = None
        self._begin(model)

    def _begin(self, model: nn.Module) -> None:
        """Measures the whole and the narrowest network, unless that was done."""
        if self.whole not in self._known:
            self.measure(model, self.whole, {})
        narrow = self._known.get(self.least, float("inf"))
        if narrow > AIM * self.target_ns and self.least not in self._fresh:
            narrow = self.measure(model, self.least, self.first_channels(self.least)).best_s * 1e9
        self.measured.save()
        if narrow > self.target_ns:
            raise BudgetError(
                f"The budget can't be reached: `latency_ms` can't go below {narrow / _NS:.3g} ms, measured of the "
                f"narrowest network ({self.measured.about}), but {self.target_ns / _NS:g} ms was requested. "
                "Lower `align`, or give a larger budget."
            )

    @classmethod
    def of(
        cls, model: nn.Module, graph: ChannelGraph, free: Sequence[PrunableGroup], budget: Budget, *, align: int
    ) -> LatencyModel | None:
        """A latency model where the budget has a latency."""
        return None if budget.latency_ms is None else cls(model, graph, WidthCost(graph), free, budget, align=align)

    def again(self, small: nn.Module, known: Latency) -> Latency:
        """A latency measured once more, of the network itself; the given network's stays."""
        (timing,) = timed(self._network_call(small), threads=self.measured.threads)
        latency = replace(
            known, after_ms=timing.best_s * 1e3, p50_ms=timing.p50_s * 1e3, p95_ms=timing.p95_s * 1e3, runs=timing.runs
        )
        if latency.after_ms > latency.target_ms:
            logger.warning("the small network took longer than when it met its target: %s", latency)
        return latency

    def first_channels(self, widths: Sequence[int]) -> dict[str, list[int]]:
        """Multiplicities that keep the first channels of every class."""
        return {
            name: [1] * width + [0] * (group.size - width)
            for group, width in zip(self.free, widths, strict=True)
            for name in group.classes
            if width < group.size
        }

    def limit_ns(self) -> int:
        """The target as a limit on the table's sum."""
        guess = self.target_ns * AIM
        for _ in range(20):
            guess = self.target_ns * AIM / self._ratio(guess)
        return max(int(guess), self.predicted_ns(self.least))

    @property
    def whole_ns(self) -> int:
        """The table's sum of the given network."""
        return self.predicted_ns(self.whole)

    def predicted_ns(self, widths: Sequence[int]) -> int:
        """The table's sum."""
        full = self._dense.copy()
        for own, width in zip(self._rows, widths, strict=True):
            full[own] = width
        return int(self._table.ns(full)[0])

    def expected_ns(self, widths: Sequence[int]) -> float:
        """The table's sum times the ratio of what was measured near it."""
        predicted = self.predicted_ns(widths)
        return predicted * self._ratio(predicted)

    def measure(self, model: nn.Module, widths: Sequence[int], multiplicity: Multiplicity) -> Timing:
        """The latency of a whole small network, measured in turns with the given one.

        Args:
            model: The network, without masks.
            widths: Of each group.
            multiplicity: The edit that makes these widths.
        """
        dense = self._dense_call(model)
        call = dense if tuple(widths) == self.whole else self._small_call(model, multiplicity)
        calls = (call,) if call is dense else (call, dense)
        timings = timed(*calls, threads=self.measured.threads)
        if timings[0].noise > NOISY:  # once more, no longer: it may stay so
            timings = tuple(map(Timing.joined, timings, timed(*calls, threads=self.measured.threads)))
        self.before = timings[-1]
        self._learn(self.whole, timings[-1])
        self._learn(tuple(widths), timings[0])
        return timings[0]

    def _learn(self, widths: tuple[int, ...], timing: Timing) -> None:
        self._fresh[widths] = self._known[widths] = timing.best_s * 1e9
        self.measured.keep_network(self._digest, widths, timing.best_s * 1e9)

    def _dense_call(self, model: nn.Module) -> Callable[[], object]:
        if self._call is None:
            self._call = self._network_call(model)
        return self._call

    def _small_call(self, model: nn.Module, multiplicity: Multiplicity) -> Callable[[], object]:
        return self._network_call(apply(model, edit_plan(model, self.graph, multiplicity)))

    def _network_call(self, network: nn.Module) -> Callable[[], object]:
        own = self.measured
        example = example_from_dict(self.graph.example)
        return network_call(still(network), example, own.runtime, batch=own.batch, threads=own.threads)

    def _ratio(self, predicted: float) -> float:
        """Measured / predicted near a prediction: by what was measured now, else by what was measured before."""
        points = self._fresh if len(self._fresh) > 1 else self._known
        known = sorted((self.predicted_ns(widths), ns) for widths, ns in points.items())
        x, y = np.log([p for p, _ in known]), [ns / p for p, ns in known]
        return float(np.interp(np.log(max(predicted, 1.0)), x, y))


def meet(
    latency_model: LatencyModel,
    model: nn.Module,
    select: Callable[[int | None], Selection],
    multiplicity: Callable[[Selection], Multiplicity],
    *,
    ranked: Sequence[Floats],
    limits: Mapping[str, int],
) -> tuple[Selection, Latency]:
    """Selects, measures the whole network and corrects the limit, until the target is met.

    At most five rounds; then single units come or go. Met is: at most the target, and no more than 5 % below it (10 %
    where other work makes the runs uneven), unless another limit or the whole network stays below.

    Args:
        latency_model: Of the network.
        model: The network, without masks.
        select: Limit on the table's sum in nanoseconds (None: no such limit) -> selection.
        multiplicity: Selection -> the edit that makes it.
        ranked: For each group (size,): importances, descending.
        limits: The counted limits.

    Returns:
        The selection and what was measured of it.

    Raises:
        BudgetError: no network that was tried meets the target.
    """
    search = _Search(latency_model, model, multiplicity)
    loose = select(None)
    if (
        latency_model.expected_ns(loose.widths) <= 1.1 * latency_model.target_ns
        and search.measure(loose) <= latency_model.target_ns
    ):
        return search.outcome(loose)
    for _ in range(_ROUNDS):
        trial = select(latency_model.limit_ns())
        if trial.widths in search.tried:
            break
        if search.good(search.measure(trial), search.noise):
            return search.outcome(trial)
    selector = Selector(latency_model.cost, latency_model.free, limits)
    for _ in range(_UNITS):
        trial = next(iter(search.neighbours(selector, ranked)), None)
        if trial is None or search.good(search.measure(trial), search.noise):
            break
    return search.outcome(search.best())


class _Search:
    """The networks that were measured on the way to a target."""

    def __init__(
        self, latency_model: LatencyModel, model: nn.Module, multiplicity: Callable[[Selection], Multiplicity]
    ):
        self.latency_model, self.model, self.multiplicity = latency_model, model, multiplicity
        self.tried: dict[tuple[int, ...], tuple[Selection, Timing]] = {}
        self.noise = 1.0

    def measure(self, selection: Selection) -> float:
        """Nanoseconds of the best run."""
        timing = self.latency_model.measure(self.model, selection.widths, self.multiplicity(selection))
        self.tried[selection.widths] = selection, timing
        self.noise = timing.noise
        logger.info("widths %s: %.4g ms measured", selection.widths, timing.best_s * 1e3)
        return timing.best_s * 1e9

    def good(self, ns: float, noise: float) -> bool:
        """Whether the target is met; where noise hides 5 %, whether it is met as far as can be told."""
        least = 1 - (_NOISY_TOLERANCE if noise > NOISY else TOLERANCE)
        return least * self.latency_model.target_ns <= ns <= self.latency_model.target_ns

    def best(self) -> Selection:
        """The slowest that meets the target.

        Raises:
            BudgetError: none does.
        """
        met = [(t.best_s, s.widths) for s, t in self.tried.values() if t.best_s * 1e9 <= self.latency_model.target_ns]
        if not met:
            fastest = min(timing.best_s for _, timing in self.tried.values())
            raise BudgetError(
                f"`latency_ms` can't be {self.latency_model.target_ns / _NS:g}: the fastest of {len(self.tried)} "
                f"measured networks takes {fastest * 1e3:.3g} ms ({self.latency_model.measured.about}). Give more "
                "time, or measure when the machine does nothing else."
            )
        return self.tried[max(met)[1]][0]

    def neighbours(self, selector: Selector, ranked: Sequence[Floats]) -> Iterator[Selection]:
        """Selections one unit wider than the best that meets the target, or narrower than the fastest that doesn't."""
        latency_model, target = self.latency_model, self.latency_model.target_ns
        met = [s for s, t in self.tried.values() if t.best_s * 1e9 <= target]
        base = self.best() if met else min(self.tried.values(), key=lambda pair: pair[1].best_s)[0]
        ns, widths = self.tried[base.widths][1].best_s * 1e9, np.array(base.widths, dtype=np.int64)
        _, trials = selector.wider(widths) if met else selector.narrower(widths)
        found = []
        for trial in trials:
            key = tuple(int(width) for width in trial)
            then = ns + latency_model.expected_ns(key) - latency_model.expected_ns(base.widths)
            if key in self.tried or not selector.fits(trial)[0] or (met and then > target):
                continue
            made = Selection(key, base.price, selector.kept_importance(ranked, trial))
            lost = base.kept_importance - made.kept_importance
            found.append((-then if met else max(then - AIM * target, 0.0) + 1e-9 * lost, key, made))
        yield from (made for _, _, made in sorted(found, key=lambda entry: entry[:2]))

    def outcome(self, selection: Selection) -> tuple[Selection, Latency]:
        """The selection and its measured latency."""
        timing, own = self.tried[selection.widths][1], self.latency_model.measured
        own.save()
        latency = Latency(
            self.latency_model.target_ns / _NS, self.latency_model.before.best_s * 1e3, timing.best_s * 1e3,
            timing.p50_s * 1e3, timing.p95_s * 1e3, timing.runs, len(self.tried), own.name, own.cpu,
            own.batch, own.threads,
        )  # fmt: skip
        if latency.noisy:
            logger.warning("the latency was measured while other work disturbed it: %s", latency)
        return selection, latency
