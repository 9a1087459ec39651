"""A pruned network as sections of a page: five pictures, each with its table, drawn from records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from linnet.report.html_page import Content, Section, beside, note, prose, tiles
from linnet.report.pruned_figures import (
    Layer,
    accuracy_for_time,
    by_change,
    class_changes,
    layer_bars,
    mask_life,
)
from linnet.report.reliability import NAME as RELIABILITY
from linnet.report.tables import Cell, measured, number, table
from linnet.results import Record

if TYPE_CHECKING:
    from linnet.prune.training.history import MaskLife

GIVEN, SMALL = "dense", "pruned"  # methods of the records, as linnet.prune writes them
_COSTS = ("macs", "params", "bytes", "peak_activation_bytes")
_LAYERS = ("channels of layer", "macs of layer")
_TIMES = ("ms p50", "ms p95")
_OWN = (*_COSTS, *_LAYERS, *_TIMES, "budget used")
_TITLES = {
    "macs": "multiply-accumulates",
    "params": "parameters",
    "bytes": "bytes of weights",
    "peak_activation_bytes": "bytes of activations at the peak",
    "ms p50": "median of one sample",
    "ms p95": "95 % of samples are faster than",
}


def pruned_sections(records: Sequence[Record], life: MaskLife | None = None) -> list[Section]:
    """The sections of a pruned network; none when the records aren't of one.

    Args:
        records: What `Pruner.finish` gave, and what measured the networks: methods "dense", "pruned" and any rival.
        life: Of the masks.
    """
    layers = _layers(records)
    if not layers:
        return []
    sections = [
        Section("What it costs", [_tiles(records), _costs(records), *_budget(records)]),
        Section(
            "Layers",
            [beside(layer_bars(layers), _layer_table(layers))],
            "Channels before and after, and each layer's share of the network's own multiply-accumulates.",
        ),
    ]
    sections += _for_time(records)
    if life is not None and life.steps:
        sections.append(_life(life, layers, records))
    sections += _classes(records)
    return sections


def drawn(record: Record) -> bool:
    """Whether a record of a pruned network stands in one of its own sections, so that no general table shows it."""
    return record.name in (*_OWN, RELIABILITY, "accuracy in class")


def _value(records: Sequence[Record], name: str, method: str) -> float | None:
    return next((r.value for r in records if r.name == name and r.method == method and "epoch" not in r.context), None)


def _layers(records: Sequence[Record]) -> list[Layer]:
    found: dict[str, dict[tuple[str, str], Record]] = {}
    for record in records:
        if record.name in _LAYERS:
            found.setdefault(str(record.context["layer"]), {})[record.name, record.method] = record
    wanted = {(name, method) for name in _LAYERS for method in (GIVEN, SMALL)}
    return [
        Layer(
            name,
            int(own[_LAYERS[0], GIVEN].value or 0),
            int(own[_LAYERS[0], SMALL].value or 0),
            (int(own[_LAYERS[1], GIVEN].value or 0), int(own[_LAYERS[1], SMALL].value or 0)),
            str(own[_LAYERS[0], SMALL].context.get("whole because", "")),
        )
        for name, own in found.items()
        if wanted <= own.keys()
    ]


def _tiles(records: Sequence[Record]) -> Markup:
    facts: list[tuple[str, Content]] = []
    for name in ("macs", "params"):
        before, after = _value(records, name, GIVEN), _value(records, name, SMALL)
        if before and after is not None:
            facts.append((f"{_TITLES[name]} kept", f"{after / before:.1%}"))
    before, after = (_value(records, "ms p50", method) for method in (GIVEN, SMALL))
    if before and after:
        facts.append(("faster, measured", f"{before / after:.2f} x"))
    before, after = (_value(records, "accuracy", method) for method in (GIVEN, SMALL))
    if after is not None:
        facts.append(("accuracy", number(after)))
        if before is not None:
            facts.append(("points beside the dense network", f"{100 * (after - before):+.2f}"))
    return tiles(facts)


def _costs(records: Sequence[Record]) -> Markup:
    rows: list[list[Cell]] = []
    for name in (*_COSTS, *_TIMES):
        before, after = (
            next((r for r in records if r.name == name and r.method == method), None) for method in (GIVEN, SMALL)
        )
        if before is None or after is None:
            continue
        kept = after.value / before.value if before.value and after.value is not None else None
        cells = [measured(r.value, r.interval, r.unit if r.unit == "ms" else "") for r in (before, after)]
        rows.append([_TITLES[name], *cells, None if kept is None else _right(f"{kept:.4g}")])
    timed = next((r for r in records if r.name == _TIMES[0]), None)
    how = (
        "" if timed is None else f"; time of {timed.context.get('runtime')}, {timed.context.get('threads')} CPU thread"
    )
    return table(["cost of one sample", "dense", "pruned", "pruned / dense"], rows, caption=f"Costs{how}")


def _budget(records: Sequence[Record]) -> list[Content]:
    used = [record for record in records if record.name == "budget used"]
    rows: list[list[Cell]] = [
        [_TITLES.get(str(r.context["limit"]), str(r.context["limit"])), int(r.context["at most"]),
         None if r.value is None else _right(f"{r.value:.2%}"), prose(str(r.context["the rest"]))]
        for r in used
    ]  # fmt: skip
    if not rows:
        return []
    return [table(["limit", "at most", "used", "the rest"], rows, caption="What was requested, and what was left")]


def _layer_table(layers: Sequence[Layer]) -> Markup:
    totals = [max(sum(layer.macs[side] for layer in layers), 1) for side in (0, 1)]
    rows: list[list[Cell]] = [
        [layer.name, layer.before, layer.after, _right(f"{layer.macs[0] / totals[0]:.1%}"),
         _right(f"{layer.macs[1] / totals[1]:.1%}"),
         layer.macs[1], prose(layer.whole)]
        for layer in layers
    ]  # fmt: skip
    columns = ["layer", "channels", "kept", "share of MACs", "share after", "MACs after", "stays whole because"]
    return table(columns, rows, caption="Every layer that makes channels, in order of execution")


def _for_time(records: Sequence[Record]) -> list[Section]:
    accuracy = {r.method: r for r in records if r.name == "accuracy" and r.split in ("test", "eval")}
    times = {r.method: r for r in records if r.name == _TIMES[0]}
    both = [method for method in times if method in accuracy]
    if not both:
        return []
    rows: list[list[Cell]] = [
        [method, measured(times[method].value, times[method].interval, "ms"),
         measured(accuracy[method].value, accuracy[method].interval), accuracy[method].n]
        for method in both
    ]  # fmt: skip
    body: list[Content] = [
        beside(
            accuracy_for_time(accuracy, times),
            table(["network", "median time", "accuracy", "examples"], rows, caption="Bars are 95 % intervals"),
        )
    ]
    if GIVEN not in accuracy:
        body.append(_no_dense())
    return [Section("Accuracy for its time", body, "Times are measured on this machine, networks in turns.")]


def _life(life: MaskLife, layers: Sequence[Layer], records: Sequence[Record]) -> Section:
    dense = {layer.name: layer.before for layer in layers}
    steps = [int(r.context["steps"]) for r in records if r.name == "mask changes" and "steps" in r.context]
    columns = zip(*life.kept, strict=True)
    rows: list[list[Cell]] = [
        [name, dense.get(name), kept[0], min(kept), max(kept), kept[-1]]
        for name, kept in zip(life.names, columns, strict=True)
    ]
    heads = ["layer", "dense", "at the first mask", "fewest", "most", "at the end"]
    lead = f"Masks were set from step {life.steps[0]} on; they changed last at step {life.steps[-1]}."
    caption = "Channels in use over the training"
    picture = mask_life(life, dense, steps[0] if steps else None)
    return Section("Life of the masks", [beside(picture, table(heads, rows, caption=caption))], lead)


def _classes(records: Sequence[Record]) -> list[Section]:
    own: dict[str, dict[str, Record]] = {GIVEN: {}, SMALL: {}}
    for record in records:
        if record.name == "accuracy in class" and record.method in own:
            own[record.method][str(record.context["class"])] = record
    dense, pruned = own[GIVEN], own[SMALL]
    names = by_change(dense, pruned)
    if not names:
        return [] if not pruned else [Section("Classes", [_class_table(pruned), _no_dense()])]
    rows: list[list[Cell]] = [
        [name, *(measured(sets[name].value, sets[name].interval) for sets in (dense, pruned)),
         _right(f"{100 * ((pruned[name].value or 0.0) - (dense[name].value or 0.0)):+.1f}"), pruned[name].n]
        for name in names
    ]  # fmt: skip
    heads = ["class", "dense", "pruned", "change, points", "examples"]
    told = table(heads, rows, caption="Largest loss first; 95 % intervals")
    return [Section("Classes", [beside(class_changes(dense, pruned), told)], "What pruning changed for each class.")]


def _class_table(pruned: dict[str, Record]) -> Markup:
    ordered = sorted(pruned.items(), key=lambda item: item[1].value if item[1].value is not None else 2.0)
    rows: list[list[Cell]] = [[name, measured(r.value, r.interval), r.n] for name, r in ordered]
    return table(["class", "accuracy", "examples"], rows, caption="Accuracy of the pruned network, lowest first")


def _no_dense() -> Markup:
    return note(
        "The dense network wasn't trained beside this one, so there is no before to compare with. In a recipe: "
        '[prune] compare = "dense"; in a loop of your own: finish(eval_loader=..., dense=...).'
    )


def _right(text: str) -> Markup:
    """A number that was written out already, aligned like the others."""
    return Markup('<span class="value">{}</span>').format(text)
