"""A measured figure as a record that knows its goal, and the table of such records."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.sidebyside import Comparison, Side, compare
from linnet.results import Record


def time_ratio(name: str, what: str, ours: Side, theirs: Side, *, goal: float, pairs: int, reason: str = "") -> Record:
    """Our time as a multiple of the peer's: the median of the pairs' ratios with its bootstrap interval.

    Args:
        name: Of the record, the subject first: "core.save".
        what: The row's words.
        ours: Our side.
        theirs: The peer.
        goal: At most this.
        pairs: An odd number, so that the median of ratios is the inverse of the median of inverse ratios.
        reason: Why the goal is missed, kept only where it is.
    """
    found = compare(ours, theirs, pairs=pairs)
    context = _context(what, theirs.name, f"<= {goal:g}x", goal) | machine_state()
    context |= {"reason": reason} if reason and found.time_ratio > goal else {}
    return compared(name, found, found.time_ratio, found.time_interval, context=context)


def compared(
    name: str,
    found: Comparison,
    value: float,
    interval: tuple[float, float],
    *,
    unit: str = "x",
    method: str = "linnet",
    context: Mapping[str, Any],
) -> Record:
    """A record of pairs of times: one of the numbers of a comparison with its interval."""
    return Record.measured(
        name, value, unit=unit, n=len(found.a_s), interval=interval, level=found.level, rng_seed=found.rng_seed,
        method=method, context=context,
    )  # fmt: skip


def machine_state() -> dict[str, float]:
    """What times depend on beside the machine itself: torch's threads, and the load by other programs."""
    return {"threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}


def bounded(name: str, what: str, value: float, *, bound: float, goal: str, beside: str, unit: str = "") -> Record:
    """A figure that isn't a time: an error, a size, a count that must agree."""
    return Record.measured(name, value, unit=unit, context=_context(what, beside, goal, bound))


def reached(
    name: str, what: str, value: float, *, least: float, goal: str, beside: str, unit: str = "", **facts: Any
) -> Record:
    """A figure that must be at least so large.

    Args:
        name: Of the record.
        what: The row's words.
        value: The figure.
        least: At least this.
        goal: The goal in words.
        beside: What it is compared with.
        unit: Of the value.
        **facts: Further fields of the record; `reason` is kept only where the goal is missed, `context` is added.
    """
    reason = facts.pop("reason", "")
    context = {"what": what, "beside": beside, "goal": goal, "least": least} | dict(facts.pop("context", {}))
    context |= {"reason": reason} if reason and value < least else {}
    return Record.measured(name, value, unit=unit, context=context, **facts)


def missing(name: str, what: str, *, goal: float, beside: str, reason: str) -> Record:
    """A row that couldn't be measured here."""
    return Record.measured(name, None, context=_context(what, beside, f"<= {goal:g}x", goal) | {"reason": reason})


def _context(what: str, beside: str, goal: str, bound: float) -> dict[str, str | int | float | bool]:
    return {"what": what, "beside": beside, "goal": goal, "bound": bound}


def as_markdown(records: Sequence[Record]) -> str:
    """One row per record: what, goal, measured with its interval, whether the goal is met."""
    rows = ["| what | beside | goal | measured | met |", "|---|---|---|---|---|"]
    rows += [_row(record) for record in records if "goal" in record.context]
    return "\n".join(rows)


def _row(record: Record) -> str:
    context = record.context
    if record.value is None:
        return f"| {context['what']} | {context['beside']} | {context['goal']} | not measured: {context['reason']} | |"
    interval = "" if record.interval is None else f" [{record.interval[0]:.3g}, {record.interval[1]:.3g}]"
    met = "yes" if _met(record.value, context) else "no"
    met = met if "bound" in context or "least" in context else ""
    met += f": {context['reason']}" if "reason" in context else ""
    unit = f" {record.unit}" if record.unit else ""
    return (
        f"| {context['what']} | {context['beside']} | {context['goal']} | {record.value:.3g}{interval}{unit} | {met} |"
    )


def _met(value: float, context: Mapping[str, Any]) -> bool:
    return float(context.get("least", value)) <= value <= float(context.get("bound", value))
