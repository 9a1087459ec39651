"""docs/nuclei_reach.md: pictures from elsewhere and of other sizes, as the records say."""

from __future__ import annotations

from pathlib import Path

from benchmarks import DOCS, RECORDS
from benchmarks.nuclei import outside, scale
from benchmarks.page import Page, provenance
from linnet.results import read_records

_HEAD = """# How far the shipped detector carries

This page is written by `python -m benchmarks readme` from records; a test compares the two. Everything was found with
the default settings. Pictures "never seen" took no part in training or in thresholds. They are not wholly blind: the
rule that tells dark H&E from fluorescence was mended after a look at MoNuSeg and checked on the DAB pictures too, and
test figures were known before the last rule of the search for the scale, whose constants come from training and
validation images.
"""
_SIZES = """## Nuclei of other sizes

The test images shown at other sizes; F1 within 5 px of the original. Without the search a picture is looked at as it
is; with it, `--diameter auto` first finds the size at which its nuclei are surest. The search costs time beyond that of
the scale that it chooses: little in an image of a megapixel and more, much in a small one.
"""


def page_text(records: Path = RECORDS) -> str:
    """The page.

    Args:
        records: Folder of the records.
    """
    elsewhere, sizes = (read_records(records / f"{name}.jsonl") for name in ("nuclei_outside", "nuclei_scale"))
    parts = [
        _HEAD,
        f"{outside.as_markdown(elsewhere)}\n\nMeasured by {provenance(elsewhere)}\n",
        _SIZES,
        f"{scale.as_markdown(sizes)}\n\nMeasured by {provenance(sizes)}\n",
    ]
    return "\n".join(parts)


PAGE = Page(DOCS / "nuclei_reach.md", page_text)
