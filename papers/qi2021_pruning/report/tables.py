"""The study's tables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from papers.qi2021_pruning.ablation import VARIANTS
from papers.qi2021_pruning.arms import ARMS
from papers.qi2021_pruning.report.abstract import SEEDS_NEEDED, claims, decided, shown
from papers.qi2021_pruning.report.findings import Runs, Study, difference, label, numbers
from papers.table import Table
from papers.verdict import mean_and_sd, table_of_claims


def claims_table(study: Study, headlines: Sequence[Study] = ()) -> Table:
    """Claim, theirs, ours, n, verdict."""
    caption = "The claims of the abstract, then our own bar (ours - theirs in points of test accuracy, 95 % t interval)"
    return table_of_claims(caption, claims(study, headlines))


def arms_table(study: Study, data: str) -> Table:
    """Every arm on one set: accuracy, differences, calibration, cost, milliseconds."""
    rows, first = [_arm_row(study, data, "", "dense")], study.scale.budgets[0]  # trained longer at the first only
    for target in sorted(study.scale.budgets, key=lambda target: -target.macs):
        shown_arms = [arm for arm in ARMS if arm != "dense" and (arm != "uniform_longer" or target == first)]
        rows += [_arm_row(study, data, target.name, arm) for arm in shown_arms]
    columns = [
        "budget", "arm", "n", "accuracy (sd)", "points to dense", "ours - it, points", "nll, nat", "ECE", "MACs",
        "parameters", "training MACs", "ms, batch 1", "ms, batch 64",
    ]  # fmt: skip
    return Table(
        f"`{data}`: last epoch, test images; differences paired by seed, 95 % t intervals; costs as shares of dense",
        columns,
        [row for row in rows if row],
    )


def _arm_row(study: Study, data: str, budget: str, arm: str) -> list[str]:
    runs, dense = study.arm(data, budget, arm), study.arm(data, "", "dense")
    if not runs or not dense:
        missing = arm == "torch_pruning" and not study.peer_ran()
        why = "Torch-Pruning is not installed: `make peers`" if missing else "not run"
        return [budget or "100 %", label(arm), "0", why, *["-"] * 9]
    mean, sd = mean_and_sd(numbers(runs))
    ours = study.arm(data, budget, "ours")
    against = "-" if arm in ("ours", "dense") else shown(difference(ours, runs))
    return [
        budget or "100 %",
        label(arm),
        str(len(runs)),
        f"{mean:.3f}" + (f" ({sd:.3f})" if len(runs) > 1 else ""),
        "-" if arm == "dense" else shown(difference(runs, dense)),
        against,
        f"{fmean(numbers(runs, 'nll')):.3f}",
        f"{fmean(numbers(runs, 'ece')):.3f}",
        *(_share(runs, dense, name) for name in ("macs", "params", "train_macs")),
        *(_ms(study, data, budget, arm, batch) for batch in (1, 64)),
    ]


def _share(runs: Runs, dense: Runs, name: str) -> str:
    shared = sorted(set(runs) & set(dense))
    return (
        f"{fmean(float(runs[s].context[name]) / float(dense[s].context[name]) for s in shared):.3f}" if shared else "-"
    )


def _ms(study: Study, data: str, budget: str, arm: str, batch: int) -> str:
    found = study.ms(data, budget, arm, batch)
    return "-" if found is None else f"{found:.2f}"


def ablation_table(study: Study) -> Table:
    """Each variant beside what it changes."""
    rows = []
    for key in study.variants():
        variant, runs = VARIANTS[key], study.variant(key)
        mean, sd = mean_and_sd(numbers(runs))
        pair = difference(runs, study.variant(variant.baseline)) if variant.baseline else None
        macs, params = (fmean(numbers(runs, name)) for name in ("used_macs", "params"))
        rows.append(
            [
                variant.label,
                str(len(runs)),
                f"{mean:.3f}" + (f" ({sd:.3f})" if len(runs) > 1 else ""),
                "-" if pair is None else f"{shown(pair)}",
                "-" if pair is None else _says(decided(pair), pair.n),
                f"{macs:.3f}",
                f"{params:,.0f}",
                f"{fmean(numbers(runs, 'flips')):,.0f}",
            ]
        )
    columns = [
        "variant", "n", "validation accuracy (sd)", "points to its baseline", "says", "of the MAC limit", "parameters",
        "mask changes",
    ]  # fmt: skip
    return Table(
        "One option at a time, on images held out of the training set, at the first budget; the baseline of the row "
        "without a price is the one with it",
        columns,
        rows,
    )


def _says(verdict: str, n: int) -> str:
    open_words = "no difference shown" if n >= SEEDS_NEEDED else "too few seeds"
    return {"holds": "better", "does not hold": "worse"}.get(verdict, open_words)


def tuning_table(study: Study) -> Table:
    """What the learning rate and the factor of fine-tuning were chosen from."""
    rows = []
    for record in study.trainings.values():
        context = record.context
        if context["stage"] in ("rate", "fine-tuning"):
            tried = f"{context['lr']:g}" + (f" x {context['fine_tune']:g}" if "fine_tune" in context else "")
            value = "diverged" if record.value is None else f"{record.value:.3f}"
            rows.append([str(context["data"]), label(str(context["arm"])), tried, value])
    return Table(
        "Tuning on validation images, one seed: the rate for the dense network, which all arms take; the factor on it "
        "in fine-tuning for one-shot L1, which Torch-Pruning takes too",
        ["set", "arm", "learning rate", "validation accuracy"],
        rows,
    )
