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
    context = about(what, theirs.name, f"<= {goal:g}x", goal) | machine_state()
    return compared(name, found, found.time_ratio, found.time_interval, context=context, reason=reason)


def compared(
    name: str, found: Comparison, value: float, interval: tuple[float, float], *, unit: str = "x", **facts: Any
) -> Record:
    """A record of pairs of times: one of the numbers of a comparison with its interval; `facts` as in `bounded`."""
    facts |= {"n": len(found.a_s), "interval": interval, "level": found.level, "rng_seed": found.rng_seed}
    return _figure(name, value, {}, facts | {"unit": unit})


def machine_state() -> dict[str, float]:
    """What times depend on beside the machine itself: torch's threads, and the load by other programs."""
    return {"threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}


def bounded(name: str, what: str, value: float, *, bound: float, goal: str, beside: str, **facts: Any) -> Record:
    """A figure that must be at most so large: an error, a size, a ratio, a count that must agree.

    Args:
        name: Of the record.
        what: The row's words.
        value: The figure.
        bound: At most this.
        goal: The goal in words.
        beside: What it is compared with.
        **facts: Further fields of the record; `reason` is kept only where the goal is missed, `context` is added.
    """
    return _figure(name, value, about(what, beside, goal, bound), facts)


def reached(name: str, what: str, value: float, *, least: float, goal: str, beside: str, **facts: Any) -> Record:
    """A figure that must be at least so large; the arguments are those of `bounded`."""
    return _figure(name, value, {"what": what, "beside": beside, "goal": goal, "least": least}, facts)


def _figure(name: str, value: float, context: dict[str, Any], facts: dict[str, Any]) -> Record:
    reason, context = facts.pop("reason", ""), context | facts.pop("context", {})
    context |= {"reason": reason} if reason and not _met(value, context) else {}
    return Record.measured(name, value, context=context, **facts)


def missing(name: str, what: str, *, goal: float, beside: str, reason: str) -> Record:
    """A row that couldn't be measured here."""
    return Record.measured(name, None, context=about(what, beside, f"<= {goal:g}x", goal) | {"reason": reason})


def about(what: str, beside: str, goal: str, bound: float) -> dict[str, Any]:
    """What a row says of its figure: the row's words, what it is compared with, its goal in words and as a number."""
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
    met = "" if "bound" not in context and "least" not in context else "no" if missed(record) else "yes"
    met = "extrapolated" if context["goal"].endswith("(extrapolated)") else met  # an expectation meets no goal
    met += f": {context['reason']}" if "reason" in context and missed(record) else ""
    unit = f" {record.unit}" if record.unit else ""
    return (
        f"| {context['what']} | {context['beside']} | {context['goal']} | {record.value:.3g}{interval}{unit} | {met} |"
    )


def missed(record: Record) -> bool:
    """Whether a figure was measured and misses its goal."""
    return record.value is not None and not _met(record.value, record.context)


def _met(value: float, context: Mapping[str, Any]) -> bool:
    return float(context.get("least", value)) <= value <= float(context.get("bound", value))
