"""What the records say about each claim of the abstract: means over seeds with intervals, and verdicts from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from linnet.results import Record, t_interval
from papers.karakida2020_ngd.trials import CURVES, LAYERWISE
from papers.study import Fact, Finished
from papers.table import Table
from papers.verdict import Verdict, all_of


@dataclass(frozen=True)
class Found:
    """A number of each seed.

    Attributes:
        values: One for each seed.
    """

    values: Sequence[float]

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's, 95 %."""
        return t_interval(self.values) if len(self.values) > 1 else None

    def below(self, bound: float) -> Verdict:
        """Whether the mean is below a bound."""
        if not self.values:
            return "not run"
        if self.interval is None:
            return "not decided"
        low, high = self.interval
        return "holds" if high < bound else "does not hold" if low > bound else "not decided"

    def __str__(self) -> str:
        if not self.values:
            return "not run"
        mean, interval = fmean(self.values), self.interval
        return f"{mean:.3g}" if interval is None else f"{mean:.3g} [{interval[0]:.2g}, {interval[1]:.2g}]"


def records_of(finished: Finished, stage: str, **settings: Fact) -> list[Record]:
    """The records of a stage with these settings."""
    return [
        r
        for r in finished.values()
        if r.context["stage"] == stage and all(r.context.get(k) == v for k, v in settings.items())
    ]


def of(finished: Finished, stage: str, read: Callable[[Record], float | None], **settings: Fact) -> Found:
    """A number of every record of a stage with these settings, in the order of the seeds."""
    chosen = sorted(records_of(finished, stage, **settings), key=lambda record: int(record.context["seed"]))
    return Found([number for record in chosen if (number := read(record)) is not None])


def fact(name: str) -> Callable[[Record], float | None]:
    """Reads one fact of a record."""

    def read(record: Record) -> float | None:
        found = record.context.get(name)
        return None if found is None else float(found)

    return read


def value(record: Record) -> float | None:
    """A record's value."""
    return record.value


def share_left(record: Record) -> float:
    """Training loss after one step as a share of that before it."""
    return float(record.context["train_1"]) / float(record.context["train_0"])


def slope(finished: Finished, stage: str, **settings: Fact) -> Found:
    """d log value / d log width for each seed."""
    points: dict[int, list[tuple[float, float]]] = {}
    for record in records_of(finished, stage, **settings):
        if record.value:
            pair = math.log(float(record.context["width"])), math.log(record.value)
            points.setdefault(int(record.context["seed"]), []).append(pair)
    return Found([_slope(pairs) for _, pairs in sorted(points.items()) if len(pairs) > 1])


def _slope(pairs: Sequence[tuple[float, float]]) -> float:
    x, y = fmean(p[0] for p in pairs), fmean(p[1] for p in pairs)
    return sum((p[0] - x) * (p[1] - y) for p in pairs) / sum((p[0] - x) ** 2 for p in pairs)


def claims(finished: Finished) -> Table:
    """Claim, ours, n and verdict of the abstract's five claims."""
    left = {a: of(finished, "curve", share_left, approx=a, c=1.0) for a in CURVES}
    gaps = {a: of(finished, "curve", value, approx=a, c=0.5) for a in LAYERWISE}
    errors = {a: of(finished, "curve", fact("isotropy_error"), approx=a) for a in LAYERWISE}
    falls = {a: slope(finished, "width", approx=a) for a in LAYERWISE}
    units = {a: of(finished, "unit", value, activation=a) for a in ("tanh", "relu")}
    rows = [
        (
            "(1) approximate Fisher information converges as fast as the exact one",
            "loss left after one step of c = 1 (bound: half of what gradient descent leaves, eta = 1 / lambda_max; "
            "the verdict is on exact, block, tridiagonal and kfac): " + _each(left),
            all_of([left[a].below(0.5 * fmean(left["gradient"].values or [math.nan])) for a in LAYERWISE]),
        ),
        (
            "(2) in the wide limit all follow one line in function space",
            "largest distance from the line at c = 0.5 as a share of the first loss (bound: 0.1): " + _each(gaps),
            all_of([gap.below(0.1) for gap in gaps.values()]),
        ),
        (
            "(2) the distance from the line falls with the width",
            "slope of log distance on test points against log width (bound: 0; theory about -0.5): " + _each(falls),
            all_of([found.below(0.0) for found in falls.values()]),
        ),
        (
            "(3, 5) layer-wise approximations have an isotropic gradient in function space",
            "isotropy error at damping 0 (bound: 1e-8): " + _each(errors),
            all_of([error.below(1e-8) for error in errors.values()]),
        ),
        (
            "(4) so has the unit-wise one, under assumptions (tanh: exact; ReLU: nearly)",
            "isotropy error over all widths (bounds: 1e-8 for tanh, a falling error for ReLU): " + _each(units),
            all_of([units["tanh"].below(1e-8), slope(finished, "unit", activation="relu").below(0.0)]),
        ),
    ]
    n = str(len({record.context["seed"] for record in finished.values()}))
    shown = [(claim, ours, n, verdict) for claim, ours, verdict in rows]
    return Table("Claims of the abstract", ("claim", "ours", "n", "verdict"), shown)


def _each(found: dict[str, Found]) -> str:
    return ", ".join(f"{name} {numbers}" for name, numbers in found.items())


def details(finished: Finished) -> list[Table]:
    """What stands beside the claims; tables without a row are left out."""
    error, alpha = fact("isotropy_error"), fact("alpha")

    def cells(stage: str, *reads: Callable[[Record], float | None], **settings: Fact) -> list[str]:
        return [str(of(finished, stage, read, **settings)) for read in reads]

    def state(count: int) -> str:
        refused = any("refused" in record.context for record in records_of(finished, "layers", layers=count))
        return "refused" if refused else "trains"

    dampings = sorted({float(record.context["damping"]) for record in records_of(finished, "damping")})
    sets = sorted({str(record.context["data"]) for record in records_of(finished, "ten")})
    tables = [
        Table(
            "Tridiagonal by number of layers",
            ("L", "alpha", "isotropy error", "loss left, c = 1", "state"),
            [
                [str(count), *cells("layers", value, error, fact("loss_share"), layers=count), state(count)]
                for count in (3, 4, 5, 6, 7)
            ],
        ),
        Table(
            "Entry-wise: the counter-example",
            ("condition number of K", "of the NTK"),
            [cells("entry", value, fact("condition_ntk"))],
        ),
        Table(
            "K-FAC with half as many input dimensions as samples",
            ("Forster transform", "isotropy error", "alpha", "N (L - 2) + M0 + 1"),
            [
                [word, *cells("forster", value, alpha, fact("alpha_theory"), transform=done)]
                for word, done in (("without", False), ("with", True))
            ],
        ),
        Table(
            "Cross entropy",
            ("approx", "isotropy error", "alpha", "loss left, c = 1"),
            [[a, *cells("cross_entropy", value, alpha, share_left, approx=a)] for a in ("exact", "block")],
        ),
        Table(
            "Damping, c = 1",
            ("approx", "damping", "alpha", "isotropy error", "loss left", "distance from the line"),
            [
                [a, f"{d:g}", *cells("damping", alpha, error, share_left, value, approx=a, damping=d)]
                for d in dampings
                for a in LAYERWISE
            ],
        ),
        Table(
            "Ten classes",
            ("data", "approx", "isotropy error", "loss left, c = 1"),
            [[d, a, *cells("ten", error, share_left, approx=a, data=d)] for d in sets for a in LAYERWISE],
        ),
    ]
    return [table for table in tables if table.rows]
