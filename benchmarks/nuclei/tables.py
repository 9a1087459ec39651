"""Records of the subject `nuclei` as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.nuclei.accuracy import GROUPS
from linnet.results import Record

_PEERS = {"log": "single-scale LoG", "blob_log": "`blob_log` with 5 sigmas"}
_METHODS = ("linnet", "log")


def as_markdown(records: Sequence[Record]) -> str:
    """Two tables: how well nuclei are found, and what it costs."""
    return f"{accuracy_table(records)}\n\n{cost_table(records)}"


def accuracy_table(records: Sequence[Record]) -> str:
    """F1 of both methods, linnet's distance and count difference: a row per group and one for all together."""
    rows = [
        "| images | n (mosaics) | F1 linnet | F1 LoG, tuned per group | distance, px | count difference: linnet, LoG |",
        "|---|---|---|---|---|---|",
    ]
    for group in (*GROUPS, "all"):
        ours, theirs = (_find(records, f"nuclei.f1.{group}", method) for method in _METHODS)
        if ours is None or theirs is None:
            continue
        distance = _find(records, f"nuclei.distance_mean_px.{group}", "linnet")
        counts = [_find(records, f"nuclei.count_difference_mean.{group}", method) for method in _METHODS]
        cells = [
            "**all**" if group == "all" else group,
            f"{ours.n} ({ours.context['mosaics']})",
            _with_interval(ours, 3),
            _with_interval(theirs, 3),
            _number(distance, 2),
            ", ".join(_number(count, 1) for count in counts),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def cost_table(records: Sequence[Record]) -> str:
    """Speed ratios with the rates behind them, memory and start-up."""
    rows = ["| cost | measured |", "|---|---|"]
    for record in records:
        if record.name.startswith("nuclei.speed_ratio."):
            rows.append(_speed_row(records, record))
    for name, label, digits in (
        ("nuclei.peak_memory", "peak memory, {side_px} x {side_px} image in tiles", 0),
        ("startup.import_linnet", "`import linnet` beyond `import torch`", 2),
        ("startup.import_nuclei", "`import linnet.nuclei` beyond `import torch`", 2),
        ("startup.help", "`linnet --help`", 2),
    ):
        record = _find(records, name, "linnet")
        if record is not None:
            rows.append(f"| {label.format(**record.context)} | {_with_interval(record, digits)} {record.unit} |")
    return "\n".join(rows)


def _speed_row(records: Sequence[Record], ratio: Record) -> str:
    peer, threads = ratio.name.split(".")[2], int(ratio.context["threads"])
    ours, theirs = (_rate(records, peer, threads, method) for method in ("linnet", peer))
    label = f"speed against {_PEERS[peer]}, {threads} thread{'s' * (threads != 1)}"
    return f"| {label} | {_with_interval(ratio, 2)} x ({_number(ours, 1)} against {_number(theirs, 1)} MP/s) |"


def _find(records: Sequence[Record], name: str, method: str) -> Record | None:
    return next((r for r in records if r.name == name and r.method == method), None)


def _rate(records: Sequence[Record], peer: str, threads: int, method: str) -> Record | None:
    other = peer if method == "linnet" else "linnet"
    wanted = f"nuclei.rate.threads{threads}"
    return next((r for r in records if (r.name, r.method, r.context.get("beside")) == (wanted, method, other)), None)


def _with_interval(record: Record, digits: int) -> str:
    if record.interval is None or record.context.get("mosaics") == 1:  # one picture says nothing about others
        return _number(record, digits)
    lo, hi = record.interval
    dash = "-" if lo >= 0 else " to "
    return f"{_number(record, digits)} ({lo:.{digits}f}{dash}{hi:.{digits}f})"


def _number(record: Record | None, digits: int) -> str:
    return "-" if record is None or record.value is None else f"{record.value:z,.{digits}f}"
