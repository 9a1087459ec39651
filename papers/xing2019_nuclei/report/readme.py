"""The README of the study."""

from __future__ import annotations

from textwrap import fill

from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.report.page import all_tables, progress, rule_lines
from papers.page import not_run_section, picture_section, provenance, section
from papers.verdict import table_of_claims
from papers.xing2019_nuclei.report.claims import NEEDED, claims, not_run
from papers.xing2019_nuclei.report.left_out import left_out
from papers.xing2019_nuclei.report.pictures import drawable

HEAD = """\
# Xing et al. 2019: which training images a nucleus detector needs

F. Xing, Y. Xie, X. Shi, P. Chen, Z. Zhang, L. Yang: Towards pixel-to-pixel deep nucleus detection in microscopy images.
BMC Bioinformatics 20, 2019, 472. Only its abstract is quoted; no figure here is theirs.

    python papers/xing2019_nuclei/run.py --scale cpu --data DATA      # resumes by its records
    linnet nuclei study papers/xing2019_nuclei/plan.toml --data DATA  # the same trainings, with its own page

"""
DIFFERS = """\
The paper used images of 23 organs or diseases from several institutions, which are not to be had, and its own network.
Here are eight groups of public images: five kinds of the DSB 2018 set, which are ways of imaging rather than organs,
breast cancer of TNBC, and bladder and kidney of MoNuSeg. The network is linnet's small one (output stride 2), trainings
are short, and points are matched within 5 px and within half the median radius. Most groups have few test pictures and
are marked so: their intervals hold the spread between seeds, but little of that between pictures, so that "better" and
"worse" are said of these very pictures. Few validation images choose the best other group, and where a group has none,
its training images do; verdict (2) therefore also says what the test images would have chosen. A verdict says in which
direction our records point, never that a figure was reproduced.
"""


def text(found: Findings, scale: str) -> str:
    """The README."""
    tables = [
        section(title, *([each.as_markdown() for each in shown if each.rows] or ["Not run.\n"]))
        for title, shown in all_tables(found).items()
    ]
    parts = [
        HEAD,
        f"Scale: {scale}. {progress(found)}\n",
        section("Verdicts", table_of_claims(f"Fewer than {NEEDED} seeds decide nothing", claims(found))),
        section("What differs from the paper", DIFFERS),
        section("What this scale leaves out", f"{fill(left_out(found), 120)}\n"),
        section("A rule for users", *(f"{line}\n" for line in rule_lines(found))),
        picture_section(drawable(found)),
        *tables,
        not_run_section(not_run(found)),
        provenance(found.finished),
    ]
    return "\n".join(part for part in parts if part)
