"""Records and run folders as one HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

from linnet.errors import DataError
from linnet.report.figures import Curve, chart
from linnet.report.html_page import Content, Section, note, page
from linnet.report.pruned import drawn, pruned_sections
from linnet.report.reliability import NAME as RELIABILITY
from linnet.report.reliability import reliability_section
from linnet.report.tables import Cell, measured, number, table
from linnet.results import Record, atomic_write, read_records

if TYPE_CHECKING:
    from linnet.prune.training.history import MaskLife

# A record whose context has one of these belongs to a curve over it, not to the table of results.
_AXES = ("epoch", "step")

T = TypeVar("T")


def write_report(
    source: str | Path | Sequence[Record],
    path: str | Path,
    *,
    title: str = "",
    lead: Content = "",
    extra: Sequence[Section] = (),
    reproducible: bool = False,
) -> Path:
    """Writes records as one self-contained HTML page.

    Args:
        source: A run folder (its `record.jsonl`, and `run.json` and `life.json` when they are there), a file of
            records, or records.
        path: The page to write; replaced in one step.
        title: Heading; the folder's or file's name when empty.
        lead: A sentence under the heading.
        extra: More sections, shown before the results.
        reproducible: Leaves the date out, so that the same records give the same bytes.

    Returns:
        The path of the page.

    Raises:
        DataError: there is no folder or file of records at `source`.
    """
    records, facts, name = _gathered(source)
    life = _life(Path(source) / "life.json") if isinstance(source, str | Path) else None
    dates = [record.time for record in records if record.time]
    sections = [*extra, *record_sections(records, life)]
    html = page(
        title or name,
        sections,
        lead=lead,
        facts=[*facts, *_provenance(records)],
        date="" if reproducible or not dates else max(dates),
    )
    atomic_write(Path(path), html)
    return Path(path)


def record_sections(records: Sequence[Record], life: MaskLife | None = None) -> list[Section]:
    """Records as sections: a pruned network's own, a table of results per split, calibration, curves over training.

    Records that differ only in `method` share a row, with a column for each method, so that rivals stand side by side.

    Args:
        records: In any order.
        life: Of the masks, if a network was pruned.
    """
    if not records:
        return [
            Section(
                "Results", [note("There are no records yet: the run stopped before its first result.", kind="warn")]
            )
        ]
    sections = pruned_sections(records, life)
    is_pruned = bool(sections)
    singles = [r for r in records if _axis(r) is None and r.name != RELIABILITY and not (is_pruned and drawn(r))]
    if singles:
        splits = _unique(r.split for r in singles)
        tables = [_results_table([r for r in singles if r.split == split], split) for split in splits]
        sections.append(Section("Results", tables))
    calibration = reliability_section(records)
    if calibration is not None:
        sections.append(calibration)
    charts = _charts([r for r in records if _axis(r) is not None])
    if charts:
        sections.append(Section("While training", charts))
    return sections


def _life(path: Path) -> MaskLife | None:
    """The mask history in the run folder."""
    if not path.is_file():
        return None
    from linnet.prune.training.history import MaskLife

    return MaskLife.from_json(path.read_text(encoding="utf-8"))


def _gathered(source: str | Path | Sequence[Record]) -> tuple[list[Record], list[tuple[str, Content]], str]:
    """(records, facts of the run, name)."""
    if not isinstance(source, str | Path):
        return list(source), [], "Report"
    place = Path(source)
    file = place / "record.jsonl" if place.is_dir() else place
    if not file.is_file():
        raise DataError(
            f"{place} must hold records: a run folder with a `record.jsonl`, or such a file. `linnet run` and "
            "`linnet nuclei evaluate` write one."
        )
    run = file.with_name("run.json")
    return read_records(file), _run_facts(run) if run.is_file() else [], place.resolve().name


def _run_facts(path: Path) -> list[tuple[str, Content]]:
    """The command of run.json; what else it holds is in the records too."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    command = run.get("command") if isinstance(run, dict) else None
    if not command:
        return []
    shown = " ".join(map(str, command)) if isinstance(command, list) else str(command)
    return [("Command", Markup("<code>{}</code>").format(shown))]


def _results_table(records: Sequence[Record], split: str) -> Markup:
    keys = _context_keys(records)
    methods = _unique(r.method for r in records)
    rows: dict[tuple[object, ...], dict[str, Record]] = {}
    for record in records:
        rows.setdefault((record.name, *(record.context.get(k) for k in keys)), {})[record.method] = record
    levels = {r.level for r in records if r.interval is not None and r.level is not None}
    level = f", intervals at level {min(levels):g}" if len(levels) == 1 else ""
    return table(
        ["what", *keys, *(methods if len(methods) > 1 else ["value"]), "n"],
        [_result_row(key, found, methods) for key, found in rows.items()],
        caption=f"Results{f' on {split}' if split else ''}{level}",
    )


def _result_row(key: tuple[object, ...], found: Mapping[str, Record], methods: Sequence[str]) -> list[Cell]:
    name, *context = key
    values: list[Cell] = []
    for method in methods:
        record = found.get(method)
        values.append(None if record is None else measured(record.value, record.interval, record.unit))
    sizes = _unique(r.n for r in found.values() if r.n is not None)
    n: Cell = sizes[0] if len(sizes) == 1 else " / ".join(map(str, sizes)) or None
    return [str(name), *(None if c is None else str(c) for c in context), *values, n]


def _charts(records: Sequence[Record]) -> list[Content]:
    """One chart per quantity, one line per split, method and context."""
    shown: list[Content] = []
    for name in _unique(r.name for r in records):
        group = [r for r in records if r.name == name]
        axis = _axis(group[0]) or "epoch"
        keys = [k for k in _context_keys(group) if k not in _AXES]
        told_by = [field for field in ("split", "method") if len({getattr(r, field) for r in group}) > 1]
        lines: dict[str, tuple[list[float], list[float]]] = {}
        for record in group:
            parts = [*(getattr(record, field) for field in told_by), *(f"{k} {record.context.get(k)}" for k in keys)]
            x, y = lines.setdefault(", ".join(p for p in parts if p) or name, ([], []))
            x.append(float(record.context.get(axis, math.nan)))
            y.append(math.nan if record.value is None else record.value)
        curves = [Curve(label, *xy) for label, xy in lines.items()]
        unit = f" ({group[0].unit})" if group[0].unit else ""
        last = ", ".join(number(c.y[-1]) if c.name == name else f"{c.name} {number(c.y[-1])}" for c in curves)
        shown.append(
            chart(
                curves,
                x_label=axis,
                y_label=f"{name}{unit}",
                alt=f"Curve of {name} over {axis}, ending at {last}",
                caption=f"{name}; last value: {last}",
            )
        )
    return shown


def _provenance(records: Sequence[Record]) -> list[tuple[str, Content]]:
    """What made the records: each fact once, several values one after the other."""
    facts: list[tuple[str, Content]] = []
    for label, values in (
        ("Made by", (r.command for r in records)),
        ("Commit", (r.commit for r in records)),
        ("Machine", (r.machine for r in records)),
        ("Random seeds", (str(r.rng_seed) for r in records if r.rng_seed is not None)),
        ("Versions", (", ".join(f"{k} {v}" for k, v in r.versions.items()) for r in records)),
    ):
        found = _unique(v for v in values if v)
        if found:
            facts.append((label, "; ".join(found)))
    return facts


def _axis(record: Record) -> str | None:
    return next((axis for axis in _AXES if axis in record.context), None)


def _context_keys(records: Sequence[Record]) -> list[str]:
    """Context keys that tell the records apart; what all share would only widen the table."""
    keys = _unique(k for r in records for k in r.context)
    return [k for k in keys if len({r.context.get(k) for r in records}) > 1]


def _unique(values: Iterable[T]) -> list[T]:
    """Without repeats, in order of first appearance."""
    return list(dict.fromkeys(values))
