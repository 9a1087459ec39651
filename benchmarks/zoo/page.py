"""The public networks as a table and a page, from their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks import DOCS, RECORDS
from benchmarks.page import Page
from benchmarks.zoo.networks import MONAI, SEGMENTATION, SMP, TIMM, TORCHVISION
from linnet.results import Record, read_records

ROWS = ("library", "network", "input", "free", "seconds", "linnet", "torch-pruning")
ASKED = {
    "timm": TIMM.split(),
    "torchvision": f"{TORCHVISION} {SEGMENTATION}".split(),
    "smp": SMP.split(),
    "monai": MONAI.split(),
}
_HEAD = """# Public networks, halved

This page is written by `python -m benchmarks readme` from records; a test compares the two. Every network is made
without trained weights. Its channel graph is built at the size in the table; then every channel class that the graph
calls free loses each second channel, and the result is compared in float64 with the network whose readers of those
channels are set to zero, in eval and in training mode, by code that is written apart from linnet's own proof.

- **free**: the share of all produced channels that may be pruned.
- **seconds**: building the graph, one thread, on a machine with other work.
- **linnet**: *right* with the largest difference, relative to the outputs' variation; *nothing free*; *refused* with
  the reason; *wrong*.
- **torch-pruning**: its magnitude pruner takes half of every layer but the classifier, by its documented call. *Runs*
  says that the smaller network can be called, not that it computes the right thing.

The weights are those that the libraries begin with, but what begins as a constant is drawn anew: scales, biases and
statistics of normalisation layers, and whatever begins at 0, which would hide all that lies before it. Masking changes
the outputs of every network that is called right.
"""


def table(records: Sequence[Record]) -> str:
    """One line for each network."""
    lines = [f"| {' | '.join(ROWS)} |", f"|{'---|' * len(ROWS)}"]
    for record in records:
        context = record.context
        free = f"{context['free']:.0%}" if "free" in context else ""
        seconds = "" if record.value is None else f"{record.value:.2f}"
        words = context["verdict"]
        if words == "right":
            words += f" ({context['error']:.0e})"
        elif "words" in context:
            words += f": {_cell(context['words'])}"
        cells = (context["library"], context["network"], context["input"], free, seconds, words)
        lines.append(f"| {' | '.join(cells)} | {_cell(context['torch-pruning'])} |")
    return "\n".join(lines)


def summary(records: Sequence[Record]) -> str:
    """How many networks came out how, of both makers."""
    ours = Counter(record.context["verdict"] for record in records)
    theirs = Counter(_outcome(record.context["torch-pruning"]) for record in records)
    shown = [", ".join(f"{words} {count}" for words, count in found.most_common()) for found in (ours, theirs)]
    return f"Of {len(records)} networks, linnet: {shown[0]}; torch-pruning: {shown[1]}."


def page_text(records: Path = RECORDS) -> str:
    """The page.

    Args:
        records: Folder of the records.
    """
    known = read_records(records / "zoo.jsonl")
    versions = {f"{r.context['library']} {r.context['version']}": None for r in known}
    versions |= {f"torch-pruning {r.context['torch-pruning version']}": None for r in known}
    commits = ", ".join(sorted({str(record.commit) for record in known}))
    made = (
        "Measured by `python -m benchmarks zoo --timm --torchvision --smp --monai "
        "--json benchmarks/records/zoo.jsonl`; "
        f"{', '.join(versions)}; torch {known[0].versions['torch']}; commit {commits}; {known[0].machine}."
    )
    return "\n".join([_HEAD, f"{summary(known)}\n", f"{table(known)}\n", f"{_open(known)}\n", f"{made}\n"])


def _open(records: Sequence[Record]) -> str:
    """Which networks of the lists have no record, slow ones among them: nothing is known of them."""
    done = {(record.context["library"], str(record.context["network"]).split(" (")[0]) for record in records}
    left = [f"{name} ({library})" for library, names in ASKED.items() for name in names if (library, name) not in done]
    return f"Not measured yet, some of them since their graph took more than 3 s: {', '.join(left)}." if left else ""


def _outcome(words: str) -> str:
    return words if words in ("runs", "prunes nothing", "the network doesn't run") else "fails"


def _cell(words: str) -> str:
    short = words.replace("|", "/").replace("\n", " ").replace("<", "(").replace(">", ")")
    return short if len(short) <= 90 else f"{short[:87]}..."


PAGE = Page(DOCS / "public_networks.md", page_text)
