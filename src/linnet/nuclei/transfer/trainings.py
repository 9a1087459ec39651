"""Which trainings a study consists of, and which of them can be done, given the finished ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from linnet.engine.trials.trial import Finished, Trial
from linnet.nuclei.transfer.groups import Group, shots_of
from linnet.nuclei.transfer.plan import StudyPlan
from linnet.results import Record

SHARED = ("pooled", "sqrt", "even", "unaugmented")  # mixtures that are the same for every target
VALIDATION = "validation_f1"  # fact: F1 on each group's validation images, as JSON


@dataclass(frozen=True)
class Trainings:
    """The trainings of a plan.

    Attributes:
        plan: The plan.
        shots: Numbers of images that each target can give, by its name.
        groups: Names of all groups.
    """

    plan: StudyPlan
    shots: Mapping[str, Sequence[int]]
    groups: Sequence[str]

    def next_trials(self, finished: Finished) -> list[Trial]:
        """All trials that can be done now, the most important first."""
        arms = self.plan.settings.arms
        alone = self.alone()
        trials = [self.shipped()] if self._starts_from("default") else []
        trials += alone
        if "mixtures" in arms:
            trials += self.mixtures()
        if "shots" in arms:
            trials += self.others()
            if all(trial.key in finished for trial in [*trials, *alone]):
                trials += self.few_shots(finished)
        return trials

    def count(self) -> dict[str, int]:
        """How many trainings each part has."""
        settings = self.plan.settings
        parts = {"each group alone": len(self.alone())}
        if "mixtures" in settings.arms:
            parts["mixtures"] = len(self.mixtures())
        if "shots" in settings.arms:
            parts["mixtures of all other groups"] = len(self.others())
            parts["few target images"] = len(self.few_shots(None))
        return parts

    def shipped(self) -> Trial:
        """The shipped detector as it is, which isn't trained."""
        return Trial("shipped", {"seed": 0})

    def alone(self) -> list[Trial]:
        """Each group alone: the matrix, and what the others are compared with."""
        return [Trial("alone", {"group": group, "seed": seed}) for seed in self._seeds() for group in self.groups]

    def mixtures(self) -> list[Trial]:
        """Mixtures that serve all targets, and those that are weighted towards one."""
        chosen = self.plan.settings.mixtures
        shared = [
            Trial("mixture", {"weights": name, "seed": seed})
            for seed in self._seeds()
            for name in chosen
            if name in SHARED
        ]
        if "weighted" not in chosen:
            return shared
        return shared + [
            Trial("mixture", {"weights": "weighted", "group": group, "seed": seed})
            for seed in self._seeds()
            for group in self._targets()
        ]

    def others(self) -> list[Trial]:
        """All groups but the target, where training on few images starts from that."""
        if not self._starts_from("mixture"):
            return []
        return [Trial("others", {"group": group, "seed": seed}) for seed in self._seeds() for group in self._targets()]

    def few_shots(self, finished: Finished | None) -> list[Trial]:
        """Training on few images of a target, from every start, with and without rehearsal.

        Args:
            finished: Chooses the best source; None names none, to count them.
        """
        settings = self.plan.settings
        trials = []
        for seed in self._seeds():
            for group in self._targets():
                source = "" if finished is None else best_source(finished, self.groups, group)
                for k in self.shots[group]:
                    for start in settings.starts:
                        told = {"group": group, "k": k, "seed": seed, "start": start}
                        told |= {"source": source} if start == "best" else {}
                        trials.append(Trial("shots", {**told, "rehearsal": False}))
                        if k in settings.rehearsal and start in ("best", "mixture"):
                            trials.append(Trial("shots", {**told, "rehearsal": True}))
        return trials

    def _seeds(self) -> range:
        return range(self.plan.settings.seeds)

    def _targets(self) -> Sequence[str]:
        return self.plan.settings.shot_groups or self.groups

    def _starts_from(self, start: str) -> bool:
        return "shots" in self.plan.settings.arms and start in self.plan.settings.starts


def trainings_of(plan: StudyPlan, groups: Mapping[str, Group]) -> Trainings:
    """The trainings of a plan with its groups."""
    return Trainings(plan, {name: shots_of(plan, group) for name, group in groups.items()}, tuple(groups))


def best_source(finished: Finished, groups: Sequence[str], target: str, *, among: Sequence[str] | None = None) -> str:
    """The other group whose training does best on the target's validation images, as the mean over the seeds.

    Args:
        finished: Records of the groups alone among them.
        groups: All groups.
        target: The target.
        among: Only these sources; None: all.
    """
    scores = {
        source: fmean(found)
        for source in groups
        if source != target and (among is None or source in among) and (found := _validated(finished, source, target))
    }
    return max(scores, key=lambda source: (scores[source], source), default="")


def _validated(finished: Finished, source: str, target: str) -> list[float]:
    found = []
    for record in finished.values():
        if record.context["stage"] == "alone" and record.context["group"] == source:
            f1 = json.loads(str(record.context[VALIDATION])).get(target)
            found.append(0.0 if f1 is None else float(f1))
    return found


def told(record: Record) -> str:
    """A training in words, from its record."""
    facts = record.context
    group, seed = facts.get("group"), f"seed {facts['seed']}"
    words = {
        "shipped": "the shipped detector as it is",
        "alone": f"{group} alone, {seed}",
        "mixture": f"mixture {facts.get('weights')}{f' towards {group}' if group else ''}, {seed}",
        "others": f"all but {group}, {seed}",
    }
    start = facts.get("source") or facts.get("start")
    rehearsal = " with rehearsal" if facts.get("rehearsal") else ""
    return words.get(str(facts["stage"]), f"{facts.get('k')} of {group} from {start}{rehearsal}, {seed}")
