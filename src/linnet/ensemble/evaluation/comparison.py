"""compare: methods against a baseline, paired by seed; "better" only where the interval excludes 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnet.arrays import Floats
from linnet.ensemble.evaluation.report import Report
from linnet.errors import InputError
from linnet.results import Record, t_interval
from linnet.suggest import meant

_HIGHER = ("accuracy", "auroc_entropy", "auroc_epistemic", "auroc_variance")
_NEITHER = ("disagreement",)
_DRAWS = 1000
_ENOUGH = 5


@dataclass(frozen=True)
class Difference:
    """One measure of one method against the baseline.

    Attributes:
        method: Whose.
        measure: "<set>.<measure>": "clean.calibrated_nll".
        value: Mean over seeds.
        baseline: The baseline's mean over the same seeds.
        difference: Mean of the paired differences, method - baseline.
        interval: Student's interval of it over seeds.
        bootstrap: Interval over seeds, and images within: a hierarchical bootstrap. None for measures that are no
            means over images, and where reports have no images in common.
        verdict: "better" or "worse" where each interval that is there excludes 0, else "undecided"; "" for measures
            that are neither.
        n: Seeds.
    """

    method: str
    measure: str
    value: float
    baseline: float
    difference: float
    interval: tuple[float, float]
    bootstrap: tuple[float, float] | None
    verdict: str
    n: int


@dataclass(frozen=True)
class Comparison:
    """All differences from one baseline.

    Attributes:
        baseline: Its name.
        rows: By method, then measure.
        level: Coverage of the intervals.
    """

    baseline: str
    rows: tuple[Difference, ...]
    level: float

    def to_markdown(self) -> str:
        """A table, a row for each method and measure."""
        named = (
            "method",
            "measure",
            "value",
            self.baseline,
            "difference",
            f"{self.level:.0%} interval",
            "verdict",
            "n",
        )
        lines = [f"| {' | '.join(named)} |", f"|{'---|' * len(named)}"]
        for row in self.rows:
            low, high = row.interval
            lines.append(
                f"| {row.method} | {row.measure} | {row.value:.4f} | {row.baseline:.4f} | {row.difference:+.4f} | "
                f"[{low:+.4f}, {high:+.4f}] | {row.verdict or '-'} | {row.n} |"
            )
        if any(row.n < _ENOUGH for row in self.rows):
            lines.append(f"\nFewer than {_ENOUGH} seeds: a first look, not a result.")
        return "\n".join(lines)

    def records(self) -> list[Record]:
        """A record of each difference, named "difference.<set>.<measure>"."""
        return [
            Record.measured(
                f"difference.{row.measure}",
                row.difference,
                n=row.n,
                interval=row.interval,
                level=self.level,
                method=row.method,
                context={"baseline": self.baseline, "verdict": row.verdict, "baseline_value": row.baseline},
            )
            for row in self.rows
        ]


def compare(
    reports: Mapping[str, Sequence[Report]],
    baseline: str,
    *,
    measures: Sequence[str] | None = None,
    level: float = 0.95,
    rng_seed: int = 0,
) -> Comparison:
    """The difference of each method from a baseline, paired by the seed of training.

    Args:
        reports: Method -> its reports, one for each seed; all methods have the same seeds, at least two. Five or more
            make a result.
        baseline: One of the methods.
        measures: "<set>.<measure>" to compare; None: all of "clean", "shifted" and "ood" that every report has.
        level: Coverage, 0 < level < 1.
        rng_seed: Of the bootstrap.

    Raises:
        InputError: the baseline or a measure is unknown, seeds are missing, repeated or differ, or are fewer than two.

    Source:
        Student 1908; hierarchical bootstrap of seeds and, within, images: Davison & Hinkley 1997, section 3.8.
    """
    if not isinstance(reports, Mapping):
        raise InputError(
            f"`reports` must be a mapping of method to its reports (got {type(reports).__name__}). Give "
            '{"hatched": [report, ...], "single": [...]}.'
        )
    if not reports:
        raise InputError("`reports` must hold the reports of the baseline and of another method (got none).")
    if baseline not in reports:
        raise InputError(
            f"`baseline` must be one of {', '.join(map(repr, reports))} (got {baseline!r}).{meant(baseline, reports)}"
        )
    if not 0 < level < 1:
        raise InputError(f"`level` must be between 0 and 1 (got {level}). Give a coverage like 0.95.")
    by_seed = {method: _by_seed(method, own) for method, own in reports.items()}
    seeds = sorted(by_seed[baseline])
    for method, own in by_seed.items():
        if sorted(own) != seeds:
            raise InputError(
                f"`reports` must have the same seeds for every method (got {sorted(own)} for {method!r} and {seeds} "
                f"for {baseline!r}). Run the missing ones, or leave them out of both."
            )
    if len(seeds) < 2:
        raise InputError(f"`reports` must hold at least 2 seeds to be compared (got {len(seeds)}). Train with more.")
    ordered = {method: [own[seed] for seed in seeds] for method, own in by_seed.items()}
    wanted = _measures(ordered, measures)
    weights = _Resampled(rng_seed, len(seeds))
    rows = [
        _difference(method, measure, own, ordered[baseline], level=level, resampled=weights)
        for method, own in ordered.items()
        if method != baseline
        for measure in wanted
    ]
    return Comparison(baseline, tuple(rows), level)


def _by_seed(method: str, reports: Sequence[Report]) -> dict[int, Report]:
    found: dict[int, Report] = {}
    if not isinstance(reports, (list, tuple)) or not all(isinstance(report, Report) for report in reports):
        raise InputError(
            f"`reports[{method!r}]` must be a list of reports, one for each seed (got {type(reports).__name__}). Give "
            "what `evaluate` returned, in a list."
        )
    for report in reports:
        if report.rng_seed is None or report.rng_seed in found:
            raise InputError(
                f"`reports[{method!r}]` must have one seed each (got rng_seed {report.rng_seed}"
                f"{' twice' if report.rng_seed in found else ''}). Say evaluate(..., rng_seed=...) for each training."
            )
        found[report.rng_seed] = report
    return found


def _measures(reports: Mapping[str, Sequence[Report]], wanted: Sequence[str] | None) -> list[str]:
    every = [report for own in reports.values() for report in own]
    named = [[f"{name}.{measure}" for name, own in report.metrics.items() for measure in own] for report in every]
    common = [name for name in named[0] if all(name in own for own in named)]
    if wanted is None:
        return [name for name in common if not name.startswith("shifted/")]
    if isinstance(wanted, str):
        raise InputError(f"`measures` must be a list of measures (got {wanted!r}). Give measures=[{wanted!r}].")
    unknown = [name for name in wanted if name not in common]
    if unknown:
        raise InputError(
            f"`measures` must be measures that every report has (got {unknown[0]!r}).{meant(unknown[0], common)}"
        )
    return list(wanted)


def _difference(
    method: str, measure: str, own: Sequence[Report], base: Sequence[Report], *, level: float, resampled: _Resampled
) -> Difference:
    place, _, name = measure.rpartition(".")
    ours = np.array([report.metrics[place][name] for report in own])
    theirs = np.array([report.metrics[place][name] for report in base])
    gaps = ours - theirs
    interval = t_interval(gaps.tolist(), level=level)
    images = _image_gaps(place, name, own, base)
    bootstrap = None if images is None else resampled.interval(images, level)
    return Difference(
        method=method,
        measure=measure,
        value=float(ours.mean()),
        baseline=float(theirs.mean()),
        difference=float(gaps.mean()),
        interval=interval,
        bootstrap=bootstrap,
        verdict=_verdict(name, [interval] if bootstrap is None else [interval, bootstrap]),
        n=len(gaps),
    )


def _image_gaps(place: str, name: str, own: Sequence[Report], base: Sequence[Report]) -> Floats | None:
    """(seeds, images) differences, of measures that are means over the same images in the same order."""
    if len({report.order for report in (*own, *base)}) != 1 or name in ("confidence", "entropy", "epistemic"):
        return None
    pairs = [
        (a.samples.get(place, {}).get(name), b.samples.get(place, {}).get(name)) for a, b in zip(own, base, strict=True)
    ]
    gaps = [a - b for a, b in pairs if a is not None and b is not None and a.shape == b.shape]
    return np.stack(gaps) if len(gaps) == len(pairs) and len({len(gap) for gap in gaps}) == 1 else None


def _verdict(name: str, intervals: Sequence[tuple[float, float]]) -> str:
    if name in _NEITHER:
        return ""
    if all(low > 0 for low, _ in intervals):
        return "better" if name in _HIGHER else "worse"
    if all(high < 0 for _, high in intervals):
        return "worse" if name in _HIGHER else "better"
    return "undecided"


class _Resampled:
    """Draws of seeds and of images, made once for each number of images."""

    def __init__(self, rng_seed: int, seeds: int) -> None:
        self._rng_seed = rng_seed
        self._counts: dict[int, Any] = {}
        self._seeds = np.random.default_rng(rng_seed).integers(seeds, size=(_DRAWS, seeds))

    def interval(self, gaps: Floats, level: float) -> tuple[float, float]:
        means = self._of(gaps.shape[1]) @ gaps.T.astype(np.float32) / gaps.shape[1]
        drawn = np.take_along_axis(means, self._seeds, axis=1).mean(axis=1)
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def _of(self, images: int) -> Any:
        """(draws, images) how often each image was drawn."""
        if images not in self._counts:
            generator = np.random.default_rng([self._rng_seed, images])
            rows = (np.bincount(generator.integers(images, size=images), minlength=images) for _ in range(_DRAWS))
            self._counts[images] = np.stack([row.astype(np.float32) for row in rows])
        return self._counts[images]
