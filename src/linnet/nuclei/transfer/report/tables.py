"""The tables of a study, as text: for the page, for Markdown and for a paper's README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linnet.nuclei.transfer.counts import RADII, Radius
from linnet.nuclei.transfer.estimate import Estimate
from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.plan import MIXTURES, STARTS

MIXTURE_NAMES = {
    "pooled": "all, in proportion",
    "sqrt": "all, by the square root",
    "even": "all, evenly",
    "weighted": "target as often as all others",
    "unaugmented": "all, in proportion, without changes of stain and brightness",
}
START_NAMES = {
    "best": "the best other group",
    "mixture": "a mixture of all others",
    "default": "the shipped detector",
    "scratch": "random weights",
}


@dataclass(frozen=True)
class TextTable:
    """Headings and rows of text; the caption is a sentence without a full stop."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        """The caption with the table under it."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join([f"{self.caption}.", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def shown(found: Estimate | None, *, signed: bool = False, counts: bool = False) -> str:
    """ "0.71 [0.66, 0.75]", with the numbers of seeds and pictures if wanted; "-" where there is none."""
    if found is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    interval = found.interval()
    text = f"{found.mean:{form}}"
    if interval is not None:
        text += f" [{interval[0]:{form}}, {interval[1]:{form}}]"
    return f"{text}, n = {found.pictures} x {found.seeds}" if counts else text


def marked(findings: Findings, group: str) -> str:
    """A group's name, marked where its test pictures are few."""
    return f"{group} (few)" if findings.study.few(group) else group


def group_table(findings: Findings) -> TextTable:
    """The groups in numbers."""
    rows = []
    for name, facts in findings.study.groups.items():
        pictures = [str(facts.pictures[split]) for split in ("train", "val", "test")]
        radius = f"{facts.half_radius_px:.1f} px ({facts.radius_from})"
        rows.append([marked(findings, name), facts.kind or "-", *pictures, f"{facts.nuclei:,}", radius])
    return TextTable(
        f'Groups; pictures are those that stay on one side, "few" marks fewer than {findings.study.settings["few"]} '
        "test pictures",
        ["group", "kind", "pictures to train", "to validate", "to test", "nuclei", "half the median radius"],
        rows,
    )


def matrix_table(findings: Findings, radius: Radius) -> TextTable:
    """Train on the row, test on the column."""
    rows = [
        [source, *(shown(findings.cell(source, target, radius), counts=True) for target in findings.groups)]
        for source in findings.groups
    ]
    return TextTable(
        f"F1 {within(findings, radius)}: trained on the row, tested on the column; 95 % interval, n = test pictures x "
        "seeds",
        ["trained on", *(marked(findings, target) for target in findings.groups)],
        rows,
    )


def own_or_other_table(findings: Findings) -> TextTable:
    """Each target's own training beside the best other group, chosen on validation images."""
    rows = []
    for target in findings.groups:
        source = findings.best_source(target)
        found = findings.own_less_best_other(target)
        if found is not None:
            half = findings.own_less_best_other(target, radius="half")
            standing = found.standing(findings.study.settings["margin"])
            rows.append(
                [marked(findings, target), source, shown(found, signed=True), shown(half, signed=True), standing]
            )
    return TextTable(
        "The target's own training less training on the best other group, which the target's validation images chose; "
        "level: within the margin",
        [
            "target",
            "best other group",
            f"F1 {within(findings, 'px')}",
            f"F1 {within(findings, 'half')}",
            "own training is",
        ],
        rows,
    )


def shots_table(findings: Findings) -> TextTable:
    """F1 by target, start and number of images."""
    rows = []
    for target in findings.study.targets:
        for start in STARTS:
            for rehearsal in (False, True):
                curve = findings.curve(target, start, rehearsal=rehearsal)
                if not any(curve) or (
                    rehearsal and not findings.shot_counts(target, start, max(curve), rehearsal=True)
                ):
                    continue
                from_ = START_NAMES[start] + (f" ({findings.best_source(target)})" if start == "best" else "")
                from_ += ", with rehearsal" if rehearsal else ""
                reached = "-" if rehearsal else _number(findings.level_from(target, start))
                cells = [shown(curve.get(k)) for k in (0, *findings.shots)]
                rows.append([marked(findings, target), from_, *cells, reached])
    shots = [f"k = {k}" for k in (0, *findings.shots)]
    margin = findings.study.settings["margin"]
    return TextTable(
        f"F1 {within(findings, 'px')} after training on k images of the target, at equal steps; level from: the "
        f"smallest k from which on it isn't more than {margin:g} below training on all of the target (90 % interval); "
        "not reached: no k for which that is shown, also where the interval is too wide",
        ["target", "begun from", *shots, "level from k"],
        rows,
    )


def gain_table(findings: Findings) -> TextTable:
    """Fine-tuning less training from scratch on the same k images."""
    from linnet.nuclei.transfer.estimate import difference

    rows = []
    for target in findings.study.targets:
        for start in STARTS[:-1]:
            cells = []
            for k in findings.shots:
                scratch = findings.shot_counts(target, "scratch", k)
                cells.append(
                    shown(difference(findings.shot_counts(target, start, k), scratch, target=target), signed=True)
                )
            if any(cell != "-" for cell in cells):
                rows.append([marked(findings, target), START_NAMES[start], *cells])
    shots = [f"k = {k}" for k in findings.shots]
    return TextTable(
        "F1 of fine-tuning less F1 of training from random weights on the same images, at equal steps",
        ["target", "begun from", *shots],
        rows,
    )


def mixture_table(findings: Findings) -> TextTable:
    """Each mixture less the target alone."""
    margin, rows = findings.study.settings["margin"], []
    for target in findings.groups:
        for weights in MIXTURES:
            found = findings.mixture_less_own(weights, target)
            if found is not None:
                own = shown(findings.cell(target, target))
                standing = found.standing(margin)
                rows.append(
                    [marked(findings, target), MIXTURE_NAMES[weights], own, shown(found, signed=True), standing]
                )
    return TextTable(
        f"F1 {within(findings, 'px')} of training on a mixture less F1 of training on the target alone",
        ["target", "mixture", "target alone", "mixture less target alone", "mixture is"],
        rows,
    )


def forgetting_table(findings: Findings) -> TextTable:
    """What fine-tuning forgets of its source, with and without rehearsal."""
    rows = []
    for target in findings.study.targets:
        for start in ("best", "mixture"):
            for k in findings.shots:
                pair = [findings.forgotten(target, start, k, rehearsal=rehearsal) for rehearsal in (False, True)]
                if any(pair):
                    cells = [shown(found, signed=True) for found in pair]
                    rows.append([marked(findings, target), START_NAMES[start], str(k), *cells])
    return TextTable(
        "What fine-tuning forgets: F1 on the source's test pictures after it less F1 before",
        ["target", "begun from", "k", "without rehearsal", "with rehearsal"],
        rows,
    )


def within(findings: Findings, radius: Radius) -> str:
    """The radius in words."""
    px = findings.study.settings["radius_px"]
    return f"within {px:g} px" if radius == RADII[0] else "within half the median radius"


def _number(k: int | None) -> str:
    return "not reached" if k is None else str(k)
