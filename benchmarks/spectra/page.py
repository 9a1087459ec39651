"""docs/spectra.md: what kernels and spectra cost beside other ways to compute them, from the records."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import DOCS, RECORDS, goal
from benchmarks.page import Page, measured
from linnet.results import Record, read_records

SPEED = RECORDS / "spectra.jsonl"
_HEAD = """# What kernels and spectra cost

This page is written by `python -m benchmarks readme` from the records of `python -m benchmarks spectra`. What is
computed and how: [spectra](concepts/spectra.md).

Times are ratios of pairs that ran in turns in one process, with the bootstrap 95 % interval of their median; results
are compared before anything is timed. Peak memory is that of fresh processes. Rows marked as extrapolated have one side
measured at a smaller size and scaled: that is an expectation, which meets no goal, and too high where the smaller size
was mostly fixed cost. A goal that is missed stays in the table with a reason: our reading, unless it says measured.
A peer that isn't there or can't do the network is a row without a number.
"""
_LAYERS = """## The choice of the contraction

For each layer both contractions were measured; the choice is made from the predicted costs alone, in 10^9
multiply-accumulates. A way that was predicted to be far worse, and would have taken minutes, wasn't run.
"""


_PARTS = {
    "jacrev": "spectra.jacrev",
    "memory": "spectra.memory",
    "nngeometry": "spectra.nngeometry",
    "batches": "spectra.nngeometry.wide_mlp.batches",
    "top": "spectra.top",
    "density": "spectra.density",
    "trace": "spectra.trace",
    "contractions": "spectra.contraction",
    "real_resnet18": "spectra.real.resnet18",
    "real_unet": "spectra.real.unet",
    "full_mlp": "spectra.full.wide_mlp",
    "full_resnet": "spectra.full.small_resnet",
}
"""Part of the subject -> how the names of its records begin."""


def text() -> str:
    """The page's text."""
    records = read_records(SPEED)
    layers = [record for record in records if "chosen" in record.context]
    parts = [_HEAD, goal.as_markdown(records), measured(records)]
    left = [f"`--only {part}`" for part, name in _PARTS.items() if not any(r.name.startswith(name) for r in records)]
    parts += [f"\nNot run yet: {', '.join(left)}."] if left else []
    return "\n".join([*parts, *(["", _LAYERS, layer_table(layers), ""] if layers else [])]) + "\n"


def layer_table(records: Sequence[Record]) -> str:
    """Layer, both costs predicted and measured, choice, and its time over the better one's."""
    rows = [
        "| network and layer | predicted: positions | gradients | measured, ms: positions | gradients | chosen "
        "| over the best |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in records:
        context = record.context
        predicted = [f"{float(context[key]) / 1e9:.3g}" for key in ("positions_cost", "gradients_cost")]
        ways = [
            f"{1e3 * float(context[key]):.3g}" if key in context else "not run"
            for key in ("positions_s", "gradients_s")
        ]
        name = record.name.removeprefix("spectra.contraction.")
        cells = [name, *predicted, *ways, str(context["chosen"]), f"{record.value:.2f}x"]
        rows.append(f"| {' | '.join(cells)} |")
    count = len(records)
    good = sum((record.value or 0) <= 1.2 for record in records)
    return "\n".join([*rows, "", f"Within 20 % of the best for {good} of {count} layers."])


PAGE = Page(DOCS / "spectra.md", text)
