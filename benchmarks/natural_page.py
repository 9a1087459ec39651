"""docs/natural.md: what a natural gradient step costs, and how soon each optimizer arrives, from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.goal import as_markdown as goal_table
from benchmarks.proofs import measured
from benchmarks.rivals import WORDS
from benchmarks.target_table import arrivals, as_markdown, settings_table
from benchmarks.targets import PROBLEMS, SCALES, Scale
from linnet.results import Record, read_records
from papers.study import Finished, finished_trials

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "natural.md"
SPEED, STUDY, TIMES = (
    ROOT / "benchmarks" / "records" / name
    for name in ("natural.jsonl", "time_to_target/cpu.jsonl", "time_to_target/cpu_times.jsonl")
)
_HEAD = """# What a natural gradient step costs

This page is written by `python -m benchmarks readme` from the records. How to use the optimizer:
[natural gradient in your loop](howto/natural_gradient.md); which approximation to take:
[which approximation](howto/which_approximation.md); what it does in function space:
[the isotropic gradient](concepts/isotropic_gradient.md).

## Speed and memory

Times are ratios of pairs that ran in turns in one process, with the bootstrap 95 % interval of their median. A goal
that is missed stays in the table, with what the parts that no such step can do without take alone.
"""
_TARGET = """## Time to target

Every rival gets the same number of drawn settings (two numbers each), each tried with one seed for a short run; the
one with the highest accuracy on held-out training images is trained with five seeds. The target is read on the held-out
images every 20 steps; runs that never arrive are counted. Test images are looked at once, after the last step. A choice
by short runs favours fast starters, for all alike.

Seconds are steps times the rival's mean step, which is measured apart, in turns in one process over a whole period of
100 steps with every refresh in it; looks at the accuracy aren't counted. Brackets are the range over seeds; an accuracy
of 0 is a run that diverged. The targets are those that most rivals reach in so few steps (90 % on Fashion-MNIST is
that of `--scale gpu`): they say which optimizer starts faster, not which ends higher. CIFAR-10 is a lossy JPEG copy:
compare only within its table; its target and its 200 steps were set in the middle of the trials of settings, before any
final run, from what a trial took and how high trials came.
"""


def page() -> str:
    """The page's text."""
    speed, finished, times, scales = (
        read_records(SPEED),
        finished_trials(STUDY),
        read_records(TIMES),
        dict(SCALES["cpu"]),
    )
    parts = [_HEAD, goal_table(speed), measured(speed), _TARGET, as_markdown(finished, times, scales)]
    parts += [words(finished, times, scales), measured([*finished.values(), *times]), "## Settings that were tried\n"]
    for problem in scales:
        parts += [f"{PROBLEMS[problem].title}:\n", f"{settings_table(finished, problem)}\n"]
    return "\n".join(f"{part}\n" for part in parts)


def target_tables() -> str:
    """Time to target as the committed records have it, for a terminal."""
    finished, times, scales = finished_trials(STUDY), read_records(TIMES), dict(SCALES["cpu"])
    said = "Time to target, from the committed records (measure it by `python -m benchmarks.time_to_target`):\n"
    return f"{said}\n{as_markdown(finished, times, scales)}\n{words(finished, times, scales)}"


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
