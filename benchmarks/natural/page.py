"""docs/natural.md: what a natural gradient step costs, and how soon each optimizer arrives, from the records."""

from __future__ import annotations

from benchmarks import DOCS, RECORDS, goal
from benchmarks.page import Page, measured
from benchmarks.time_to_target import defaults, robustness, wrong_labels
from benchmarks.time_to_target.problems import PROBLEMS, SCALES
from benchmarks.time_to_target.tables import as_markdown, settings_table, words
from linnet.results import read_records
from papers.study import finished_trials

SPEED, STUDY, TIMES = (
    RECORDS / name for name in ("natural.jsonl", "time_to_target/cpu.jsonl", "time_to_target/cpu_times.jsonl")
)
ROBUST = RECORDS / "time_to_target" / "robustness.jsonl"
WRONG = RECORDS / "time_to_target" / "wrong_labels.jsonl"
DEFAULTS = RECORDS / "time_to_target" / "defaults.jsonl"
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

_DEFAULTS = """## With defaults only

Nobody is tuned: each optimizer as its constructor makes it, three seeds at most, as the second column counts; two
rows more have the settings that this documentation and papers use most. Accuracy is read on what is held out every 20
steps. Seconds are steps times the mean step on one thread, measured apart, in turns over 100 steps. The text is
Python's own documentation (`pydoc_data`); the last tenth of its characters is held out. An lr of 0.05 changes
little where `kl_clip` bounds every step.
"""
_ROBUST = """## Rates and dampings that are wrong

K-FAC on the small CNN and Fashion-MNIST, 200 steps of 128, one seed, over two decades of both: accuracy on 2,000
held-out images, 0 where the run diverged. What a row doesn't name is the constructor's.
"""
_WRONG = """## Labels that are wrong

Three linear layers on 2,000 images of Fashion-MNIST at half their size, of which a share has its label drawn anew, 120
steps of 128, one seed. A cell has the loss on all training images, redrawn labels included, after the last step, and in
brackets the accuracy on 2,000 held-out images with their own labels. K-FAC has its defaults; the others have those of
the how-to for minibatches (sampled, damping 0.1, c 0.3). The tridiagonal metric isn't positive definite, so its step
needn't go downhill: it is there for theory.
"""


def text() -> str:
    """The page's text."""
    speed, finished, times, scales = read_records(SPEED), finished_trials(STUDY), read_records(TIMES), SCALES["cpu"]
    parts = [_HEAD, goal.as_markdown(speed), measured(speed), _TARGET, as_markdown(finished, times, scales)]
    robust = read_records(ROBUST)
    parts += [words(finished, times, scales), measured([*finished.values(), *times])]
    if DEFAULTS.is_file():
        alone = read_records(DEFAULTS)
        parts += [_DEFAULTS, defaults.as_markdown(alone), measured(alone)]
    parts += [_ROBUST, robustness.as_markdown(robust), measured(robust)]
    wrong = read_records(WRONG)
    parts += [_WRONG, wrong_labels.as_markdown(wrong), measured(wrong), "## Settings that were tried\n"]
    for problem in scales:
        parts += [f"{PROBLEMS[problem].title}:\n", f"{settings_table(finished, problem)}\n"]
    return "\n".join(f"{part}\n" for part in parts)


def target_tables() -> str:
    """Time to target as the committed records have it, for a terminal."""
    finished, times, scales = finished_trials(STUDY), read_records(TIMES), SCALES["cpu"]
    said = "Time to target, from the committed records (measure it by `python -m benchmarks.time_to_target`):\n"
    return f"{said}\n{as_markdown(finished, times, scales)}\n{words(finished, times, scales)}"


PAGE = Page(DOCS / "natural.md", text)
