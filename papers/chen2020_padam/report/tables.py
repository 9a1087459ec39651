"""The study's tables as rows of text, for the README and for the page."""

from __future__ import annotations

import math
from statistics import fmean

from linnet.optim import padam_lr
from papers.chen2020_padam.optimizers import ROWS
from papers.chen2020_padam.report.abstract import SEEDS_NEEDED, claims
from papers.chen2020_padam.report.findings import (
    REFERENCE,
    Result,
    difference,
    epochs_to_reach,
    final_accuracy,
    results,
)
from papers.chen2020_padam.report.learning_rate import (
    FACTOR_ALLOWED,
    accuracies,
    fit_rule,
    gradient_size,
    ridge,
    rule_on_second,
)
from papers.chen2020_padam.scales import Scale
from papers.study import Finished
from papers.table import Table
from papers.verdict import mean_and_sd, shown, table_of_claims


def claims_table(finished: Finished, scale: Scale) -> Table:
    """Claim, theirs, ours, n, verdict."""
    found = claims(finished, results(finished, scale))
    return table_of_claims("What the abstract claims and what came out", found)


def tuning_table(finished: Finished, scale: Scale) -> Table:
    """The grids and what was chosen."""
    rows = []
    for result in results(finished, scale).values():
        grid = "; ".join(f"{name} {', '.join(f'{v:g}' for v in values)}" for name, values in result.axes.items())
        best = ", ".join(f"{name} {value:g}" for name, value in result.best.items())
        edge = f"yes: {', '.join(result.edges)}" if result.edges else "no"
        rows.append([result.label, grid, f"{result.trials} ({result.diverged})", best, edge])
    columns = ["optimizer", "values tried", "trials (diverged)", "chosen", "still on an edge"]
    return Table("Equal tuning budgets: one seed, chosen by accuracy on the validation images", columns, rows)


def optimizers_table(finished: Finished, scale: Scale) -> Table:
    """Accuracy on the test images, difference to SGD, epochs and seconds."""
    found = results(finished, scale)
    reference = found.get(REFERENCE)
    goal = final_accuracy(reference) if reference else math.nan
    rows = [_optimizer_row(result, reference, goal, scale) for result in found.values() if result.runs]
    columns = [
        "optimizer",
        "n",
        "test accuracy, mean (sd)",
        "difference to SGDM, 95 % t interval",
        "test loss, nat",
        "epochs to SGDM's final accuracy",
        "s per run, machine shared",
    ]
    return Table("Fresh seeds, the same initial weights and batches for all; last epoch, test images", columns, rows)


def variants_table(finished: Finished, scale: Scale) -> Table:
    """Decaying p against constant p, and the bias corrections against the default one."""
    found = results(finished, scale)
    rows = []
    for row, result in found.items():
        baseline = found.get(ROWS[row].baseline)
        if ROWS[row].baseline == REFERENCE or baseline is None or not result.runs:
            continue
        pair = difference(result, baseline)
        decided = pair is not None and pair.interval is not None and pair.n >= SEEDS_NEEDED
        verdict = _sign(pair.interval) if decided else "not decided"  # type: ignore[union-attr]
        rows.append([result.label, baseline.label, shown(pair), str(pair.n if pair else 0), verdict])
    columns = ["variant", "against", "difference of test accuracy, 95 % t interval", "n", "says"]
    return Table("Variants, each with the tuning budget of all (ours; the paper has none of them)", columns, rows)


def ridge_table(finished: Finished, scale: Scale) -> Table:
    """The best learning rate at each p beside the fitted and the predicted rule."""
    peaks = ridge(accuracies(finished, scale))
    fitted, size = fit_rule(peaks), gradient_size(finished)
    reference = next((peak for peak in peaks if peak.p == 0.5), None)
    rows = []
    for peak in peaks:
        edge = " (edge of the map)" if peak.on_edge else ""
        rows.append(
            [
                f"{peak.p:g}",
                f"{peak.lr:.2g}{edge}",
                f"{fitted.lr(peak.p):.2g}" if fitted else "-",
                f"{padam_lr(reference.lr, 0.5, peak.p, size):.2g}" if reference and size else "-",
                f"{peak.accuracy:.4f}",
            ]
        )
    columns = ["p", "best lr", "fitted rule", "predicted from the gradients' size", "validation accuracy there"]
    return Table("How the learning rate goes with p", columns, rows)


def ridge_words(finished: Finished, scale: Scale) -> str:
    """The two values of r in a sentence."""
    fitted, size = fit_rule(ridge(accuracies(finished, scale))), gradient_size(finished)
    if fitted is None or size is None:
        return "The map was not run."
    return (
        f"Rule: lr(p) = lr(1/2) r^(1 - 2p). Fitted to the ridge: r = {fitted.r:.3g}. Predicted as "
        f"1 / (typical gradient) from one epoch of Adam (mean of sqrt(v), {size:.2g}): r = {1 / size:.3g}."
    )


def rule_table(finished: Finished, scale: Scale) -> Table:
    """Predicted against found learning rates on the second set."""
    rows = [
        [f"{test.p:g}", f"{test.found:.2g}", f"{test.predicted:.2g}", f"{test.factor:.2g}", f"{test.fitted:.2g}"]
        for test in rule_on_second(finished, scale)
    ]
    columns = [
        "p",
        "best lr found",
        "predicted (gradients' size there)",
        "off by a factor",
        "by r fitted to the first set",
    ]
    return Table("The rule on the second set of images, from the best learning rate at p = 1/2 there", columns, rows)


def rule_words(finished: Finished, scale: Scale) -> str:
    """Whether the rule is offered, in a sentence."""
    tests = rule_on_second(finished, scale)
    if not tests:
        return "The test of the rule on the second set of images was not run, so the package offers no such rule."
    worst = max(test.factor for test in tests)
    if worst <= FACTOR_ALLOWED:
        return (
            f"On the second set of images the rule's largest error is a factor {worst:.2g}, within the "
            f"{FACTOR_ALLOWED:g} that was set before: `linnet.optim.padam_lr` offers it, as a start for tuning."
        )
    return (
        f"On the second set of images the rule's largest error is a factor {worst:.2g}, more than the "
        f"{FACTOR_ALLOWED:g} that was set before: the package does not offer it."
    )


def _optimizer_row(result: Result, reference: Result | None, goal: float, scale: Scale) -> list[str]:
    mean, sd = mean_and_sd(result.numbers("test_accuracy"))
    spread = "-" if math.isnan(sd) else f"{sd:.4f}"
    pair = None if reference is None or result.row == REFERENCE else difference(result, reference)
    epochs = epochs_to_reach(result, goal)
    seconds = [float(record.context["wall_s"]) for record in result.runs.values()]
    diverged = len(result.runs) - len(result.seeds())
    return [
        result.label,
        f"{len(result.seeds())}{f' ({diverged} diverged)' if diverged else ''}",
        f"{mean:.4f} ({spread})",
        "-" if pair is None else shown(pair),
        f"{mean_and_sd(result.numbers('test_nll'))[0]:.4f}",
        f"more than {scale.epochs}" if math.isinf(epochs) else f"{epochs:g}",
        f"{fmean(seconds):.1f}",
    ]


def _sign(interval: tuple[float, float]) -> str:
    if interval[0] > 0:
        return "better"
    return "worse" if interval[1] < 0 else "no difference shown"
