"""A rule for users: how many images of one's own come close to training on all of them, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from linnet.nuclei.transfer.findings import Findings

WITHIN = 0.02  # of F1
_LEAST = 3  # groups: two to derive a rule from and one to try it on


@dataclass(frozen=True)
class Tried:
    """The rule as derived from all other groups, tried on one.

    Attributes:
        n: Images that the others asked for; None where they gave no number.
        shortfall: F1 of the group's own full training less F1 with n images; None where that wasn't trained.
    """

    n: int | None
    shortfall: float | None

    @property
    def holds(self) -> bool:
        """Whether n images came within `WITHIN` of the group's own full training."""
        return self.shortfall is not None and self.shortfall <= WITHIN


@dataclass(frozen=True)
class Rule:
    """The rule, and how it did on groups that it wasn't derived from.

    Attributes:
        start: What training on few images began with.
        n: Images that every group needed at most; None where a group never came within `WITHIN`.
        tried: By the group that was left out.
    """

    start: str
    n: int | None
    tried: Mapping[str, Tried]

    @property
    def holds(self) -> bool:
        """Whether there is a number and it held on each group that was left out."""
        return self.n is not None and len(self.tried) >= _LEAST and all(one.holds for one in self.tried.values())

    def sentence(self) -> str:
        """The rule in words, or that there is none."""
        begun = {
            "mixture": "a mixture of other groups",
            "best": "the best other group",
            "default": "the shipped detector",
        }
        start = begun.get(self.start, self.start)
        if len(self.tried) < _LEAST:
            return (
                f"No rule can be derived and tested: {len(self.tried)} group(s) have curves from {start}, and at least "
                f"{_LEAST} are needed."
            )
        known = [one.shortfall for one in self.tried.values() if one.shortfall is not None]
        band = f" (shortfall {min(known):+.3f} to {max(known):+.3f} over {len(known)} groups)" if known else ""
        if self.holds:
            return (
                f"About {self.n} clicked image(s), begun from {start}, give F1 within {WITHIN} of your own full "
                f"training: derived without each group in turn and tested on it{band}."
            )
        kept = sum(one.holds for one in self.tried.values())
        return (
            f'No rule of the form "n clicked images, begun from {start}, give F1 within {WITHIN} of your own full '
            f'training" holds: derived without each group in turn, it held on {kept} of {len(self.tried)}{band}.'
        )


def derive_rule(findings: Findings, start: str) -> Rule:
    """The largest number of images that any group needed; tried on each group with the others' number.

    Args:
        findings: With curves over few images.
        start: "best", "mixture" or "default".
    """
    shortfalls: dict[str, dict[int, float]] = {}
    for target in findings.study.targets:
        found = {}
        for k in findings.shots:
            estimate = findings.less_own(findings.shot_counts(target, start, k), target)
            if estimate is not None:
                found[k] = -estimate.mean
        if found:
            shortfalls[target] = found
    tried = {}
    for left_out, own in shortfalls.items():
        n = _needed([found for target, found in shortfalls.items() if target != left_out])
        tried[left_out] = Tried(n, None if n is None else own.get(n, own[max(own)] if n > max(own) else None))
    return Rule(start, _needed(list(shortfalls.values())), tried)


def _needed(curves: list[dict[int, float]]) -> int | None:
    """The most images that a curve needs to stay within `WITHIN`; None where one never does."""
    each = []
    for found in curves:
        enough = [k for k in found if all(found[more] <= WITHIN for more in found if more >= k)]
        if not enough:
            return None
        each.append(min(enough))
    return max(each, default=None)
