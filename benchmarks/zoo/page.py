"""The public networks as a table, from their records."""

from __future__ import annotations

from collections.abc import Sequence

from linnet.results import Record

ROWS = ("library", "network", "input", "free", "seconds", "linnet", "torch-pruning")


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


def _cell(words: str) -> str:
    short = words.replace("|", "/").replace("\n", " ").replace("<", "(").replace(">", ")")
    return short if len(short) <= 90 else f"{short[:87]}..."
