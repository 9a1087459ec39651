"""The tables of the time-to-target study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.time_to_target.problems import PROBLEMS, Scale
from benchmarks.time_to_target.rivals import RANGES, WORDS, missing
from linnet.results import Record
from papers.study import Finished

_HEAD = "| rival | arrived | steps | seconds | a step | accuracy held out | accuracy test | settings |"


def as_markdown(finished: Finished, times: Sequence[Record], scales: Mapping[str, Scale]) -> str:
    """A table for each problem, a row for each rival: the sooner it arrives in steps, the higher it stands."""
    parts = []
    for problem, scale in scales.items():
        found = [r for r in finished.values() if r.context.get("problem") == problem]
        title = f"**{PROBLEMS[problem].title}**: to {scale.target:.0%} of {scale.held_out:,} held-out images, "
        title += f"{scale.images:,} training images, at most {scale.steps} steps of {scale.batch}; "
        title += f"{scale.draws} settings of each rival tried for {scale.tune_steps} steps"
        rows = sorted((_row(name, found, times, problem) for name in RANGES), key=lambda row: row[0])
        parts += [title, "\n".join([_HEAD, "|---" * 8 + "|", *(text for _, text in rows)])]
    return "\n\n".join(parts)


def _row(name: str, found: Sequence[Record], times: Sequence[Record], problem: str) -> tuple[float, str]:
    """(order, text)."""
    runs = _final(found, name)
    if not runs:
        why = "no runs yet" if missing(name) is None else f"not installed: {missing(name)}"
        return float("inf"), f"| {WORDS[name]} | {why} | | | | | | |"
    there = _steps(runs)
    step = next((r for r in times if r.method == name and r.context["problem"] == problem), None)
    most = 2 * len(there) > len(runs)
    seconds = "not measured" if step is None else _span([s * (step.value or 0.0) for s in there], 3) if most else ""
    cells = [
        WORDS[name],
        f"{len(there)} of {len(runs)}",
        _span([float(s) for s in there], 3) if most else "not by most",
        seconds,
        "" if step is None else f"{1e3 * (step.value or 0.0):.3g} ms, {float(step.context['times_sgdm']):.2f}x SGD",
        _span([r.value or 0.0 for r in runs], 3),
        _span([float(r.context["test_accuracy"]) for r in runs], 3),
        str(runs[0].context["settings"]),
    ]
    return (float(np.median(there)) if most else 1e9 - len(there)), f"| {' | '.join(cells)} |"


def arrivals(finished: Finished, problem: str) -> dict[str, tuple[list[Record], list[int]]]:
    """Rival -> its final runs, and the steps of those that arrived."""
    found = [r for r in finished.values() if r.context.get("problem") == problem]
    runs = {name: _final(found, name) for name in RANGES}
    return {name: (some, _steps(some)) for name, some in runs.items() if some}


def _final(found: Sequence[Record], name: str) -> list[Record]:
    return [r for r in found if r.method == name and r.context["stage"] == "final"]


def _steps(runs: Sequence[Record]) -> list[int]:
    return [step for r in runs if (step := int(r.context["steps_to_target"])) >= 0]


def settings_table(finished: Finished, problem: str) -> str:
    """Every drawn setting and where it came to: a row for each rival."""
    rows = ["| rival | settings tried -> held-out accuracy after the short run |", "|---|---|"]
    told: Callable[[Record], str] = lambda r: f"{r.context['settings']} -> {r.value or 0.0:.3f}"  # noqa: E731
    for name in RANGES:
        tried = [
            r for r in finished.values()
            if r.method == name and (r.context.get("problem"), r.context["stage"]) == (problem, "tune")
        ]  # fmt: skip
        rows.append(f"| {WORDS[name]} | {'; '.join(map(told, tried))} |")
    return "\n".join(rows)


def words(finished: Finished, times: Sequence[Record], scales: Mapping[str, Scale]) -> str:
    """Who won, said in words."""
    told = []
    for problem in scales:
        found = {name: (len(runs), there) for name, (runs, there) in arrivals(finished, problem).items()}
        most = {name: there for name, (count, there) in found.items() if 2 * len(there) > count}
        if not most:
            told.append(f"{PROBLEMS[problem].title}: no rival arrived in most runs.")
            continue
        steps = {name: float(np.median(there)) for name, there in most.items()}
        each = {r.method: r.value or 0.0 for r in times if r.context["problem"] == problem}
        seconds = {name: value * each[name] for name, value in steps.items() if name in each}
        sentence = f"{PROBLEMS[problem].title}: in steps {_order(steps, '.0f')}"
        sentence += f"; in seconds {_order(seconds, '.2g')}." if seconds else "."
        never = [_short(name) for name in found if name not in most]
        told.append(sentence + (f" Not in most runs: {', '.join(never)}." if never else ""))
    return "\n" + "\n\n".join(told)


def _order(values: Mapping[str, float], digits: str) -> str:
    ordered = sorted(values, key=lambda name: values[name])
    return " <= ".join(f"{_short(name)} {values[name]:{digits}}" for name in ordered)


def _short(name: str) -> str:
    return WORDS[name].partition(",")[0]


def _span(values: list[float], digits: int) -> str:
    """Median with the range."""
    return f"{np.median(values):.{digits}g} ({min(values):.{digits}g} to {max(values):.{digits}g})"
