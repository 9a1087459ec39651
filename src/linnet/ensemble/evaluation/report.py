"""Report: what one evaluation found, as a table, a picture and records."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linnet.arrays import Floats
from linnet.ensemble.metrics.calibration_errors import ece_debiased_interval
from linnet.results import Record, mean_interval, reliability, share_interval
from linnet.results.classification import reliability_records

_LEVEL = 0.95
_MEANS = ("nll", "brier", "calibrated_nll", "calibrated_brier", "mae")


@dataclass(frozen=True)
class Report:
    """Measures of one ensemble or module; made by `evaluate`.

    Attributes:
        metrics: Set -> measure -> value; see `evaluate`.
        n: Samples of each set; of "shifted" those of all sets together.
        task: "classification", "regression" or "dense".
        members: How many networks were pooled.
        temperature: Of the calibrated measures; None without.
        method: Name in tables and records.
        rng_seed: Seed of the training; `compare` pairs by it.
        bins: Of the calibration errors.
        order: Digest of the clean targets: reports of equal order have the same samples in the same places.
        samples: Set -> measure -> value of each sample, of the clean set, of the mean over the shifted sets, and
            uncertainties of "ood".
    """

    metrics: Mapping[str, Mapping[str, float]]
    n: Mapping[str, int]
    task: str = "classification"
    members: int = 1
    temperature: float | None = None
    method: str = ""
    rng_seed: int | None = None
    bins: int = 15
    order: str = ""
    samples: Mapping[str, Mapping[str, Floats]] = field(default_factory=dict, repr=False)

    def to_markdown(self, *, each_shift: bool = False) -> str:
        """A table: a row for each measure, a column for each set.

        Args:
            each_shift: With a column for each shifted set, not only their mean.
        """
        sets = [name for name in self.metrics if each_shift or not name.startswith("shifted/")]
        rows = list(dict.fromkeys(measure for name in sets for measure in self.metrics[name]))
        lines = [f"| {self.method} | {' | '.join(sets)} |", f"|---|{'---|' * len(sets)}"]
        for row in rows:
            cells = (f"{self.metrics[name][row]:.4f}" if row in self.metrics[name] else "-" for name in sets)
            lines.append(f"| {row} | {' | '.join(cells)} |")
        lines.append(f"| n | {' | '.join(str(self.n[name]) for name in sets)} |")
        return "\n".join(lines)

    def records(self, *, facts: Mapping[str, Any] | None = None) -> list[Record]:
        """A record of each measure, named "<set>.<measure>", and the bins of the clean set's reliability.

        Accuracy has Wilson's interval, means their normal one, the debiased calibration error a bootstrap one, each of
        95 % over the samples of this one model.

        Args:
            facts: Further fields of every record: split, context.
        """
        shared = dict(facts or {})
        context = {"members": self.members, "task": self.task, **shared.pop("context", {})}
        common = {"method": self.method, "rng_seed": self.rng_seed, **shared}
        if self.temperature is not None:
            context["temperature"] = self.temperature
        found = [
            Record.measured(
                f"{name}.{measure}",
                value,
                unit="nat" if measure.endswith("nll") else "",
                n=self.n[name],
                context=context,
                **self._spread(name, measure),
                **common,
            )
            for name, measures in self.metrics.items()
            for measure, value in measures.items()
        ]
        clean = self.samples.get("clean", {})
        if "confidence" in clean:
            parts = reliability(clean["confidence"], clean["accuracy"] > 0.5, bins=self.bins)
            found += reliability_records(parts, context=context, **common)
        return found

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draws reliability, rejection curve, uncertainty in and out of distribution, and the shifted errors.

        Args:
            path: Of the picture; its ending says the format (png, svg, pdf).

        Returns:
            The path.

        Raises:
            InputError: the task is a regression, or the report holds no samples.
        """
        from linnet.ensemble.evaluation.pictures import draw  # matplotlib takes long to load

        return draw(self, Path(path))

    def _spread(self, name: str, measure: str) -> dict[str, Any]:
        own: Mapping[str, Floats] = self.samples.get(name, {}) if name == "clean" else {}
        if measure == "accuracy" and measure in own:
            return {"interval": share_interval(int(own[measure].sum()), len(own[measure])), "level": _LEVEL}
        if measure in _MEANS and measure in own and len(own[measure]) > 1:
            return {"interval": mean_interval(_listed(own[measure])), "level": _LEVEL}
        if measure == "ece_debiased" and "confidence" in own:
            interval = ece_debiased_interval(own["confidence"], own["accuracy"] > 0.5, self.bins, level=_LEVEL)
            return {"interval": interval, "level": _LEVEL}
        return {}


def _listed(values: Floats) -> Sequence[float]:
    return values.tolist()
