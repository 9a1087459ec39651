"""From the records of the study to what its tables say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import median

from linnet.results import Record
from papers.qi2021_pruning.ablation import VARIANTS
from papers.qi2021_pruning.headline import ALL_ARMS
from papers.qi2021_pruning.scales import Scale
from papers.study import Finished
from papers.verdict import Paired, paired

Runs = dict[int, Record]
"""Records by seed."""


@dataclass(frozen=True)
class Study:
    """All that was measured.

    Attributes:
        scale: Sizes.
        trainings: Records of trainings.
        times: Records of milliseconds.
    """

    scale: Scale
    trainings: Finished
    times: Finished

    @cached_property
    def _arms(self) -> dict[tuple[str, str, str], Runs]:
        found: dict[tuple[str, str, str], Runs] = {}
        for record in self.trainings.values():
            context = record.context
            if context["stage"] == "arms" and record.value is not None:
                key = (str(context["data"]), str(context.get("budget", "")), str(context["arm"]))
                found.setdefault(key, {})[int(context["seed"])] = record
        return found

    @cached_property
    def _variants(self) -> dict[str, Runs]:
        found: dict[str, Runs] = {}
        for record in self.trainings.values():
            if record.context["stage"] == "ablation" and record.value is not None:
                found.setdefault(str(record.context["variant"]), {})[int(record.context["seed"])] = record
        return {key: found[key] for key in VARIANTS if key in found}

    def arm(self, data: str, budget: str, arm: str) -> Runs:
        """Runs of an arm; the dense network has no budget."""
        return self._arms.get((data, "" if arm == "dense" else budget, arm), {})

    def variant(self, key: str) -> Runs:
        """Runs of a variant of the ablation."""
        return self._variants.get(key, {})

    def variants(self) -> list[str]:
        """Those that were run."""
        return list(self._variants)

    def peer_ran(self) -> bool:
        """Whether Torch-Pruning was run."""
        return any(arm == "torch_pruning" for _, _, arm in self._arms)

    def diverged(self) -> int:
        """Runs whose loss became infinite or NaN."""
        return sum(bool(record.context.get("diverged")) for record in self.trainings.values())

    def ms(self, data: str, budget: str, arm: str, batch: int) -> float | None:
        """Milliseconds of a batch: the median over seeds of their medians; None when they weren't measured."""
        name = "ms dense" if arm == "dense" else f"ms {arm}, {budget}"
        found = [
            float(record.context[name])
            for record in self.times.values()
            if (record.context["data"], record.context["batch"]) == (data, batch) and name in record.context
        ]
        return median(found) if found else None


def numbers(runs: Runs, name: str = "") -> list[float]:
    """A number of each run, in the order of the seeds; the accuracy without a name."""
    return [float(run.value or 0.0) if not name else float(run.context[name]) for _, run in sorted(runs.items())]


def difference(ours: Runs, theirs: Runs, name: str = "") -> Paired | None:
    """ours - theirs over the seeds that both have."""
    shared = sorted(set(ours) & set(theirs))
    pick = [({seed: runs[seed] for seed in shared}) for runs in (ours, theirs)]
    return paired(numbers(pick[0], name), numbers(pick[1], name))


def label(arm: str) -> str:
    """As tables name it."""
    return ALL_ARMS[arm][0]
