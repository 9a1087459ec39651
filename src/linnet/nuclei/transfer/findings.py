"""What the records of a study say: the matrix, the curves over few images, the mixtures, and what is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linnet.engine.trials.trial import Finished
from linnet.nuclei.transfer.counts import Counts, Radius, counts_of
from linnet.nuclei.transfer.description import Description
from linnet.nuclei.transfer.estimate import Estimate, difference, f1_estimate
from linnet.nuclei.transfer.trainings import SHARED, best_source

BySeed = Mapping[int, Counts]


@dataclass(frozen=True)
class Findings:
    """The records of a study, asked for what they say.

    Attributes:
        finished: By trial.
        study: What they are of.
    """

    finished: Finished
    study: Description

    @property
    def groups(self) -> list[str]:
        """Names of the groups."""
        return list(self.study.groups)

    @property
    def planned(self) -> dict[str, int]:
        """The number of trainings of each stage, as the description tells them."""
        settings, targets = self.study.settings, self.study.targets
        seeds, arms, starts, mixtures = (settings[name] for name in ("seeds", "arms", "starts", "mixtures"))
        tuned = sum(start in ("best", "mixture") for start in starts)
        there = {target: self.study.groups[target].pictures["train"] for target in targets}
        ks = [k for target in targets for k in self.shots if k <= there[target]]
        weighted = len(targets) * ("weighted" in mixtures)
        shared = sum(name in SHARED for name in mixtures)
        few = sum(len(starts) + tuned * (k in settings["rehearsal"]) for k in ks)
        return {
            "alone": seeds * len(self.groups),
            "mixture": seeds * (shared + weighted) * ("mixtures" in arms),
            "others": seeds * len(targets) * ("mixture" in starts and "shots" in arms),
            "shots": seeds * few * ("shots" in arms),
        }

    @property
    def done(self) -> dict[str, int]:
        """The number of finished trainings of each stage."""
        stages = [record.context["stage"] for record in self.finished.values()]
        return {stage: stages.count(stage) for stage in self.planned}

    def counts(self, stage: str, target: str, radius: Radius = "px", **settings: Any) -> dict[int, Counts]:
        """Counts on a target's test pictures by seed, of the trials with these settings."""
        found = {}
        for record in self.finished.values():
            told = record.context
            if told["stage"] == stage and all(told.get(name) == value for name, value in settings.items()):
                counts = counts_of(record, target, radius)
                if counts is not None:
                    found[int(told["seed"])] = counts
        return found

    def f1(self, stage: str, target: str, radius: Radius = "px", **settings: Any) -> Estimate | None:
        """F1 on a target; None where nothing is finished."""
        found = self.counts(stage, target, radius, **settings)
        return f1_estimate(found, target=target) if found else None

    def cell(self, source: str, target: str, radius: Radius = "px") -> Estimate | None:
        """Train on the source alone, test on the target."""
        return self.f1("alone", target, radius, group=source)

    def best_source(self, target: str, *, alike: bool = False) -> str:
        """The other group that does best on the target's validation images; "" where none is finished.

        Args:
            target: The target.
            alike: Only groups of the same kind.
        """
        kind = self.study.groups[target].kind
        same = [name for name in self.groups if kind and self.study.groups[name].kind == kind]
        return best_source(self.finished, self.groups, target, among=same if alike else None)

    def own_less_best_other(self, target: str, *, alike: bool = False, radius: Radius = "px") -> Estimate | None:
        """F1 after training on the target less F1 after training on the best other group."""
        source = self.best_source(target, alike=alike)
        return self.own_less_other(source, target, radius=radius) if source else None

    def own_less_other(self, source: str, target: str, *, radius: Radius = "px") -> Estimate | None:
        """F1 after training on the target less F1 after training on the source."""
        own = self.counts("alone", target, radius, group=target)
        return difference(own, self.counts("alone", target, radius, group=source), target=target)

    def mixture_counts(self, weights: str, target: str, radius: Radius = "px") -> BySeed:
        """Counts of a mixture on a target."""
        own = {"group": target} if weights == "weighted" else {}
        return self.counts("mixture", target, radius, weights=weights, **own)

    def mixture_less_own(self, weights: str, target: str) -> Estimate | None:
        """F1 after training on a mixture less F1 after training on the target alone."""
        return self.less_own(self.mixture_counts(weights, target), target)

    def less_own(self, ours: BySeed, target: str) -> Estimate | None:
        """F1 of a training less F1 after training on all of the target."""
        return difference(ours, self.counts("alone", target, group=target), target=target)

    def shot_counts(self, target: str, start: str, k: int, *, rehearsal: bool = False) -> BySeed:
        """Counts after training on k images of the target; k = 0 is the start as it is."""
        if k:
            return self.counts("shots", target, group=target, start=start, k=k, rehearsal=rehearsal)
        if start == "best":
            source = self.best_source(target)
            return self.counts("alone", target, group=source) if source else {}
        if start == "mixture":
            return self.counts("others", target, group=target)
        if start == "default":
            found = self.counts("shipped", target)
            return {seed: counts for counts in found.values() for seed in range(self.study.settings["seeds"])}
        return {}

    def curve(self, target: str, start: str, *, rehearsal: bool = False) -> dict[int, Estimate]:
        """F1 by the number of the target's images."""
        found = {k: self.shot_counts(target, start, k, rehearsal=rehearsal) for k in (0, *self.shots)}
        return {k: f1_estimate(counts, target=target) for k, counts in found.items() if counts}

    @property
    def shots(self) -> Sequence[int]:
        """Numbers of images, rising."""
        return sorted(self.study.settings["shots"])

    def level_from(self, target: str, start: str) -> int | None:
        """The smallest k from which on training comes level with the target's own; None where none is found."""
        margin, reached = self.study.settings["margin"], None
        for k in reversed((0, *self.shots)):
            counts = self.shot_counts(target, start, k)
            found = self.less_own(counts, target) if counts else None
            if found is None:
                continue
            interval = found.interval(0.9)
            if interval is None or interval[0] < -margin:
                break
            reached = k
        return reached

    def forgotten(self, target: str, start: str, k: int, *, rehearsal: bool) -> Estimate | None:
        """F1 on the source's test pictures after fine-tuning on the target less F1 before; the mean over the sources.

        Args:
            target: The target.
            start: "best" (one source) or "mixture" (all other groups).
            k: Number of the target's images.
            rehearsal: Whether the source's images were seen too.
        """
        from linnet.nuclei.transfer.estimate import mean_of

        sources = [self.best_source(target)] if start == "best" else [g for g in self.groups if g != target]
        told = {"group": target, "start": start, "k": k, "rehearsal": rehearsal}
        differences = []
        for source in filter(None, sources):
            before = (
                self.counts("alone", source, group=source)
                if start == "best"
                else self.counts("others", source, group=target)
            )
            found = difference(self.counts("shots", source, **told), before, target=source)
            if found is not None:
                differences.append(found)
        return mean_of(differences)
