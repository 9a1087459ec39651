"""Outcome: what a pruned network costs beside the given one, as records."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from linnet.core.width_cost import TOTALS
from linnet.prune.plan import Plan
from linnet.results import Record


def records(plan: Plan, small: nn.Module, *, steps: int, changes: int, skipped: int) -> tuple[Record, ...]:
    """Costs before and after, the proof's error, how often masks changed.

    Args:
        plan: What stayed.
        small: The pruned network, with its `linnet_edit`.
        steps: Steps of the training so far.
        changes: Channels whose mask changed, over all updates of the mask.
        skipped: Measurements that weren't finite.
    """
    context = {"budget": str(plan.budget), "steps": steps}
    found = [
        Record.measured(f"prune.{name}.{when}", float(cost[name]), context=context)
        for name in TOTALS
        for when, cost in (("before", plan.before), ("after", plan.after))
    ]
    edit: Any = small.linnet_edit
    error = edit.error if edit is not None and math.isfinite(edit.error) else None
    found.append(Record.measured("prune.proof_error", error, context=context))
    found.append(Record.measured("prune.mask_changes", float(changes), context=context))
    found.append(Record.measured("prune.skipped_measurements", float(skipped), context=context))
    return tuple(found)
