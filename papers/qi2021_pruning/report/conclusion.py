"""What the runs come to, in sentences made from the records."""

from __future__ import annotations

from papers.qi2021_pruning.ablation import VARIANTS
from papers.qi2021_pruning.arms import RIVALS
from papers.qi2021_pruning.report.abstract import MARGIN, against, decided, places, shown
from papers.qi2021_pruning.report.findings import Study, difference, label


def outcome_words(study: Study) -> str:
    """Whether our bar is met, in a sentence or two."""
    drops = [difference(study.arm(*place, "ours"), study.arm(*place, "dense")) for place in places(study)]
    verdicts = [decided(drop, at_least=-MARGIN) for drop in drops if drop is not None]
    if not verdicts:
        return "Our bar was not tested."
    means = [100 * drop.mean for drop in drops if drop is not None]
    met = "is met" if set(verdicts) == {"holds"} else "is not met" if "does not hold" in verdicts else "is not decided"
    beaten = [label(rival) for rival in RIVALS if (found := against(study, rival)) and "does not hold" in found]
    lines = [
        f"The bar against the dense network {met} at this scale: mean differences of {min(means):+.1f} to "
        f"{max(means):+.1f} points over {len(verdicts)} place{'s' if len(verdicts) > 1 else ''} (set and budget)."
    ]
    if beaten:
        lines.append(f"Somewhere, more than its interval, our pruner lies below: {'; '.join(beaten)}.")
    return " ".join(lines)


def ablation_words(study: Study) -> str:
    """Which options differ from the defaults, and by how much."""
    if not study.variants():
        return "The ablation was not run."
    found = []
    for key in study.variants():
        variant = VARIANTS[key]
        pair = difference(study.variant(key), study.variant(variant.baseline)) if variant.baseline else None
        if pair is not None and decided(pair) in ("holds", "does not hold"):
            found.append(f"{variant.label} ({shown(pair)})")
    if not found:
        return "No option differs from its baseline by more than the interval, so the defaults stay."
    return "Options that differ from their baseline by more than the interval, in points: " + "; ".join(found) + "."
