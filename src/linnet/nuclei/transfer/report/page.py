"""The page of a study, self-contained, and the same tables as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.groups import Group
from linnet.nuclei.transfer.report import tables
from linnet.nuclei.transfer.report.figures import heat_map, mixture_chart, shot_curves
from linnet.nuclei.transfer.report.tables import TextTable
from linnet.nuclei.transfer.report.worst import worst_pictures
from linnet.nuclei.transfer.rule import derive_rule
from linnet.report import Section, figure, image, note, page, table, tiles
from linnet.results import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from linnet.report import Content

PAGE, MARKDOWN = "report.html", "report.md"
NOT_RUN = "Not run."
TITLE = "Which images must a detector have seen?"
HOW = (
    "Detectors are trained on each group alone, on mixtures, and on few images of a target. Each is tested on the test "
    "images of every group, at their own size; thresholds and sources are chosen on validation images (few images "
    "choose their own). F1 is pooled over the pictures of a group; intervals are 95 % bootstrap intervals over seeds "
    "and pictures, differences are paired."
)


def write_pages(folder: Path, findings: Findings, groups: Mapping[str, Group] | None) -> None:
    """Writes `report.html` and `report.md`.

    Args:
        folder: Of the study; its networks show the worst transfer.
        findings: What the records say.
        groups: For pictures of the worst transfer; None leaves them out.
    """
    atomic_write(folder / PAGE, html(findings, folder, groups))
    atomic_write(folder / MARKDOWN, markdown(findings))


def markdown(findings: Findings) -> str:
    """All tables and the rule."""
    parts = [f"# {TITLE}", "", HOW, "", progress(findings), ""]
    for title, shown in all_tables(findings).items():
        rows = [each.as_markdown() for each in shown if each.rows]
        parts += [f"## {title}", "", *(rows or [f"{NOT_RUN}\n"])]
    return "\n".join([*parts, "## A rule for users", "", *(f"{line}\n" for line in rule_lines(findings))])


def all_tables(findings: Findings) -> dict[str, list[TextTable]]:
    """The tables of each section, by its title."""
    matrix = [tables.matrix_table(findings, radius) for radius in ("px", "half")]
    return {
        "Train on A, test on B": [*matrix, tables.own_or_other_table(findings)],
        "Few images of the target": [tables.shots_table(findings), tables.gain_table(findings)],
        "Mixtures": [tables.mixture_table(findings)],
        "What is forgotten": [tables.forgetting_table(findings)],
        "Groups": [tables.group_table(findings)],
    }


def progress(findings: Findings) -> str:
    """How many of the trainings the records hold, by their part."""
    done, planned = findings.done, findings.planned
    told = {
        "alone": "of each group alone",
        "mixture": "of mixtures",
        "others": "of all other groups",
        "shots": "of few target images",
    }
    parts = [f"{done[stage]} of {planned[stage]} {words}" for stage, words in told.items() if planned[stage]]
    return f"{sum(done.values())} of {sum(planned.values())} trainings are finished: {', '.join(parts)}."


def rule_lines(findings: Findings) -> list[str]:
    """The rule for each start from another group, or what stands in its way."""
    starts = [start for start in ("best", "mixture") if start in findings.study.settings["starts"]]
    rules = [derive_rule(findings, start) for start in starts]
    found = [rule.sentence() for rule in rules if rule.tried]
    return found or [NOT_RUN]


def html(findings: Findings, folder: Path, groups: Mapping[str, Group] | None) -> str:
    """The page."""
    pictures = {
        "Train on A, test on B": ("F1 of every pair of groups, as the table below gives it", heat_map(findings)),
        "Few images of the target": (
            "F1 over the number of the target's images; a ring: level with training on all of it",
            shot_curves(findings),
        ),
        "Mixtures": ("F1 of mixtures less F1 of the target alone", mixture_chart(findings)),
    }
    sections = [Section(title, _body(pictures.get(title), each)) for title, each in all_tables(findings).items()]
    sections.insert(-1, Section("A rule for users", [note(*rule_lines(findings))]))
    shown = [] if groups is None else worst_pictures(findings, groups, folder)
    if shown:
        body = [image(each.pixels, alt=each.caption, caption=each.caption, max_bytes=120_000) for each in shown]
        sections.insert(1, Section("The worst transfer", body))
    record = next(iter(findings.finished.values()))
    lead = [("groups", str(len(findings.groups))), ("trainings", str(len(findings.finished)))]
    facts = [("Machine", record.machine), ("Commit", record.commit), ("Command", record.command)]
    return page(TITLE, sections, lead=tiles(lead) + note(HOW, progress(findings)), facts=facts)


def _body(picture: tuple[str, Figure | None] | None, shown: list[TextTable]) -> list[Content]:
    caption, drawn = picture or ("", None)
    parts: list[Content] = [] if drawn is None else [figure(drawn, alt=caption, caption=caption)]
    parts += [table(each.columns, each.rows, caption=each.caption) for each in shown if each.rows]
    return parts or [NOT_RUN]
