"""What is to be done next, from what is finished: tuning, fresh seeds, the map, the test of the rule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from linnet.results import Record
from papers.chen2020_padam.optimizers import ROWS
from papers.chen2020_padam.scales import Scale
from papers.study import Fact, Finished, Trial

TUNING_SEED = 0
Axes = dict[str, tuple[float, ...]]
Point = dict[str, float]


def next_trials(finished: Finished, scale: Scale) -> list[Trial]:
    """All trials that can be done now, the most important first.

    Both ends of p and the gradients' size; the grids; their extensions, for all optimizers at once, while a best value
    lies on an edge; fresh seeds, seed by seed; the map; the test of the rule. So when time runs out the test of the
    rule is cut first, then the map, and seeds last.
    """
    begin = [joins_trial(), scale_trial("gradient scale")]
    if any(trial.key not in finished for trial in begin):
        return begin
    for extension in range(scale.extensions + 1):
        wanted = [trial for row in scale.rows for trial in tuning(row, finished, scale, extension)]
        if any(trial.key not in finished for trial in wanted):
            return wanted
        if not any(on_edge(row, finished, scale, extension) for row in scale.rows):
            break
    return [*final_trials(finished, scale), *map_trials(scale), *second_trials(finished, scale)]


def joins_trial() -> Trial:
    """Padam at both ends of p beside the optimizers that it joins."""
    return Trial("joins", {"seed": TUNING_SEED})


def scale_trial(stage: str) -> Trial:
    """The epoch of Adam that the gradients' size is read from."""
    return Trial(stage, {"seed": TUNING_SEED})


def tuning(row: str, finished: Finished, scale: Scale, extension: int) -> list[Trial]:
    """The trials of an optimizer's grid, grown so often."""
    return [_tune(row, point, finished) for point in _points(row, finished, scale, extension)]


def _points(row: str, finished: Finished, scale: Scale, extension: int) -> list[Point]:
    points = [dict(zip(scale.axes(row), values, strict=True)) for values in product(*scale.axes(row).values())]
    for _ in range(extension):
        points += _grown(row, points, _best(row, points, finished))
    return points


def extensions_done(finished: Finished, scale: Scale) -> int:
    """How often the grids have grown."""
    done = 0
    for extension in range(1, scale.extensions + 1):
        before = [trial for row in scale.rows for trial in tuning(row, finished, scale, extension - 1)]
        if any(trial.key not in finished for trial in before):
            break
        if not any(on_edge(row, finished, scale, extension - 1) for row in scale.rows):
            break
        done = extension
    return done


def chosen(row: str, finished: Finished, scale: Scale, extension: int) -> Record | None:
    """The trial with the best accuracy on the validation images; the smaller learning rate of two equal ones.

    None when a trial is missing, or all diverged.
    """
    return _best(row, _points(row, finished, scale, extension), finished)


def on_edge(row: str, finished: Finished, scale: Scale, extension: int) -> list[str]:
    """The axes on whose edge the best trial lies. An axis of two values has nothing but edges and isn't looked at."""
    points = _points(row, finished, scale, extension)
    return _edges(row, points, _best(row, points, finished))


def _best(row: str, points: list[Point], finished: Finished) -> Record | None:
    records = [finished.get(_tune(row, point, finished).key) for point in points]
    if any(record is None for record in records):
        return None
    ended_well = [record for record in records if record is not None and record.value is not None]
    return max(ended_well, key=lambda record: (record.value or 0.0, -float(record.context["lr"])), default=None)


def _edges(row: str, points: list[Point], best: Record | None) -> list[str]:
    if best is None:
        return []
    axes = _axes_of(points, list(ROWS[row].grid))
    return [name for name, values in axes.items() if len(values) > 2 and best.context[name] in (values[0], values[-1])]


def _grown(row: str, points: list[Point], best: Record | None) -> list[Point]:
    """Two further points: beyond the edge that the best lies on, else beyond the nearer end of the learning rates."""
    names = list(ROWS[row].grid)
    axes, edges = _axes_of(points, names), _edges(row, points, best)
    along = edges[0] if edges else names[0]
    other = next(name for name in names if name != along)
    values = axes[along]
    at = values.index(float(best.context[along])) if best else 0
    beyond = _beyond(values, up=at >= len(values) / 2)
    middle = float(best.context[other]) if best else axes[other][0]
    return [{along: beyond, other: value} for value in _two_near(axes[other], middle)]


def _beyond(values: tuple[float, ...], *, up: bool) -> float:
    """The next value of a geometric grid, with two digits."""
    if len(values) < 2:
        return values[0] * (3.0 if up else 1 / 3.0)
    step = values[-1] / values[-2] if up else values[0] / values[1]
    return float(f"{(values[-1] if up else values[0]) * step:.1e}")


def _two_near(values: tuple[float, ...], middle: float) -> tuple[float, ...]:
    """The value itself and its neighbour (the lower one of two)."""
    at = values.index(middle)
    start = max(0, at - 1)
    return values[start : start + 2]


def _axes_of(points: Sequence[Point], names: list[str]) -> Axes:
    return {name: tuple(sorted({point[name] for point in points})) for name in names}


def _tune(row: str, point: dict[str, float], finished: Finished) -> Trial:
    return Trial("tune", {"row": row, **point, **_moving(row, finished), "seed": TUNING_SEED})


def _moving(row: str, finished: Finished) -> dict[str, Fact]:
    """The gradients' size, for an optimizer whose p moves along the ridge."""
    if ROWS[row].end_p is None:
        return {}
    found = float(finished[scale_trial("gradient scale").key].context["gradient_scale"])
    return {"gradient_scale": float(f"{found:.3g}")}


def final_trials(finished: Finished, scale: Scale) -> list[Trial]:
    """The chosen values of every optimizer with fresh seeds, all optimizers of a seed before the next seed."""
    extension = extensions_done(finished, scale)
    best = {row: chosen(row, finished, scale, extension) for row in scale.rows}
    trials = []
    for seed in range(TUNING_SEED + 1, TUNING_SEED + 1 + scale.seeds):
        for row, record in best.items():
            if record is not None:
                values = {name: record.context[name] for name in ROWS[row].grid}
                trials.append(Trial("final", {"row": row, **values, **_moving(row, finished), "seed": seed}))
    return trials


def map_trials(scale: Scale, stage: str = "map", p: Sequence[float] | None = None) -> list[Trial]:
    """Padam ("official", no weight decay) over p and the learning rate."""
    return [
        Trial(stage, {"row": "padam_8", "p": value, "lr": lr, "weight_decay": 0.0, "seed": TUNING_SEED})
        for lr in scale.map_lr
        for value in (scale.map_p if p is None else p)
    ]


def second_trials(finished: Finished, scale: Scale) -> list[Trial]:
    """Some columns of the map on the second set of images, and the gradients' size there."""
    if scale.second is None:
        return []
    return [scale_trial("second gradient scale"), *map_trials(scale, "second map", scale.second_p)]
