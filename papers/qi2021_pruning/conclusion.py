"""What the runs come to, in sentences made from the records."""

from __future__ import annotations

from papers.qi2021_pruning.ablation import VARIANTS
from papers.qi2021_pruning.arms import RIVALS
from papers.qi2021_pruning.claims import MARGIN, decided, shown
from papers.qi2021_pruning.findings import Study, difference, label


def outcome_words(study: Study) -> str:
    """Where our pruner lies, counted over sets and budgets."""
    places = [(name, target.name) for name in study.scale.sets for target in study.scale.budgets]
    met = [
        decided(difference(study.arm(*place, "ours"), study.arm(*place, "dense")), at_least=-MARGIN) for place in places
    ]
    lines = [
        f"Over {len(places)} places (set and budget), the drop to the dense network is at most {100 * MARGIN:g} points "
        f"in {met.count('holds')}, more in {met.count('does not hold')}, and not decided in the others. Against each "
        "rival:\n"
    ]
    for rival in RIVALS:
        found = [decided(difference(study.arm(*place, "ours"), study.arm(*place, rival))) for place in places]
        ran = [verdict for verdict in found if verdict != "not run"]
        lines.append(f"- {label(rival)}: {_counted(ran)}")
    return "\n".join(lines)


def ablation_words(study: Study) -> str:
    """Which options differ from the defaults, and by how much."""
    found = []
    for key in study.variants():
        variant = VARIANTS[key]
        pair = difference(study.variant(key), study.variant(variant.baseline)) if variant.baseline else None
        if pair is not None and decided(pair) in ("holds", "does not hold"):
            found.append(f"{variant.label} ({shown(pair)})")
    if not study.variants():
        return "The ablation was not run."
    if not found:
        return "No option differs from the defaults by more than its interval, so the defaults stay."
    return "Options that differ from the defaults by more than their interval, in points: " + "; ".join(found) + "."


def _counted(verdicts: list[str]) -> str:
    if not verdicts:
        return "not run."
    above, below = verdicts.count("holds"), verdicts.count("does not hold")
    return f"above it in {above}, below it in {below}, not decided in {len(verdicts) - above - below}."
