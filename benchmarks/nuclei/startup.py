"""What it costs to import linnet beyond torch, and to ask for help."""

from __future__ import annotations

from benchmarks.goal import compared
from benchmarks.process import python
from benchmarks.sidebyside import Comparison, Side, compare, unchecked
from linnet.results import Record


def startup_records(*, pairs: int) -> list[Record]:
    """Seconds beyond `import torch` of `import linnet` and of its detector, and seconds of `linnet --help`."""
    torch = _process("import torch", "-c", "import torch")
    measured = {
        "startup.import_linnet": _process("import linnet", "-c", "import torch, linnet"),
        "startup.import_nuclei": _process("import linnet.nuclei", "-c", "import torch, linnet.nuclei"),
    }
    records = [_extra(name, compare(side, torch, pairs=pairs), "torch") for name, side in measured.items()]
    shown = compare(_process("help", "-m", "linnet.cli", "--help"), _process("python", "-c", "pass"), pairs=pairs)
    help_s, _ = shown.median_s
    context = {"beyond_python_s": shown.extra_s}
    return [*records, Record.measured("startup.help", help_s, unit="s", n=pairs, context=context)]


def _process(name: str, *words: str) -> Side:
    return Side(name, lambda: python(*words), unchecked)


def _extra(name: str, found: Comparison, beyond: str) -> Record:
    return compared(name, found, found.extra_s, found.extra_interval_s, unit="s", context={"beyond": beyond})
