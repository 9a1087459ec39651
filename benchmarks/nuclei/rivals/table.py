"""Records of trained detectors as Markdown: F1 per group and radius, and what each costs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.nuclei.rivals.pictures import SHOWN
from linnet.results import Record

_METHODS = {
    "linnet.x1": "linnet, points",
    "stardist.x1": "StarDist, outlines, its own settings",
    "stardist_short.x1": "StarDist, outlines, smaller patches",
    "stardist_short.x3": "StarDist, outlines, smaller patches, 3x",
    "spotiflow.x1": "Spotiflow, points",
}
_TIMED = {"cellpose": "Cellpose, its network alone, random weights"}
_REACHES = {"3px": "3 px", "5px": "5 px", "7px": "7 px", "half_radius": "half a radius"}
_UNSEEN = {"monuseg": "MoNuSeg (never seen)"}


def as_markdown(records: Sequence[Record]) -> str:
    """Both tables, and who is missing."""
    parts = [f1_table(records), cost_table(records), missing(records)]
    return "\n\n".join(part for part in parts if part)


def f1_table(records: Sequence[Record]) -> str:
    """A row per group and radius, a column per detector; the best of a row is bold."""
    known = {(record.name, record.method): record for record in records}
    methods = [method for method in _METHODS if any(record.method == method for record in records)]
    rows = [
        f"| test images | F1 within | {' | '.join(_METHODS[m] for m in methods)} |",
        "|---" * (2 + len(methods)) + "|",
    ]
    for group in SHOWN:
        for reach, words in _REACHES.items():
            found = [known.get((f"nuclei.rivals.f1.{group}.{reach}", method)) for method in methods]
            there = [record for record in found if record is not None]
            if not there:
                continue
            first, best = there[0], max(round(record.value or 0, 3) for record in there)
            what = f"{_UNSEEN.get(group, group)}, n = {first.n} ({first.context['mosaics']})" if reach == "3px" else ""
            within = f"{words} ({first.context['radius_px']:.1f} px)" if reach == "half_radius" else words
            rows.append(f"| {what} | {within} | {' | '.join(_cell(record, best) for record in found)} |")
    return "\n".join(rows)


def cost_table(records: Sequence[Record]) -> str:
    """What each training and search took."""
    trained = {r.method: r for r in records if r.name == "nuclei.rivals.training"}
    rates = {r.method: r for r in records if r.name == "nuclei.rivals.rate"}
    memory = {r.method: r for r in records if r.name == "nuclei.rivals.memory"}
    rows = ["| | training, CPU s | steps | until the first result, CPU s | memory: training | search | file | search |"]
    rows += ["|---|---|---|---|---|---|---|---|"]
    for method, words in _METHODS.items():
        if method not in trained:
            continue
        facts, name = trained[method].context, method.split(".")[0]
        rate, peak = rates.get(name), memory.get(name)
        cells = [
            words,
            f"{facts['train_cpu_s']:.0f}",
            f"{facts['steps']:,}",
            f"{facts['first_result_cpu_s']:.0f}",
            f"{facts['train_peak_mb']:,} MB",
            "-" if peak is None or peak.value is None else f"{peak.value:,.0f} MB",
            f"{facts['file_mb']:.2f} MB",
            "-" if rate is None or rate.value is None else f"{rate.value:.2f} MP per CPU s",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    for name, words in _TIMED.items():
        rate, peak = rates.get(name), memory.get(name)
        if rate is not None and rate.value is not None and peak is not None and peak.value is not None:
            searched = [f"{peak.value:,.0f} MB", "-", f"{rate.value:.2f} MP per CPU s"]
            rows.append(f"| {' | '.join([words, *['-'] * 4, *searched])} |")
    return "\n".join(rows)


def missing(records: Sequence[Record]) -> str:
    """A line for each detector that couldn't take part, and for each that wasn't run."""
    absent = {r.method: r.context["reason"] for r in records if r.name == "nuclei.rivals.absent"}
    lines = [f"- {method}: {reason}." for method, reason in absent.items()]
    trained = {record.method for record in records if record.name == "nuclei.rivals.training"}
    left = [words for method, words in _METHODS.items() if method not in trained and method.split(".")[0] not in absent]
    return "\n".join([*lines, *(f"- {words}: not run yet." for words in left)])


def versions(records: Sequence[Record]) -> str:
    """Of the libraries, as the records have them."""
    told = dict.fromkeys(str(r.context["library"]) for r in records if r.name == "nuclei.rivals.training")
    return "; ".join(told)


def _cell(record: Record | None, best: float) -> str:
    if record is None or record.value is None:
        return "-"
    text = f"{record.value:.3f}"
    if round(record.value, 3) == best:
        text = f"**{text}**"
    if record.interval is None:
        return text
    return f"{text} ({record.interval[0]:.2f}-{record.interval[1]:.2f})"
