"""docs/nuclei_reach.md: pictures from elsewhere and of other sizes, as the records say."""

from __future__ import annotations

from pathlib import Path

from benchmarks import DOCS, RECORDS
from benchmarks.nuclei import ablation, flags, outside, scale, teaching
from benchmarks.page import Page, measured
from linnet.results import read_records

_HEAD = """# How far the shipped detector carries

This page is written by `python -m benchmarks readme` from records; a test compares the two. Everything was found with
the default settings. Pictures "never seen" took no part in training or in thresholds. They are not wholly blind: the
rule that tells dark H&E from fluorescence was mended after a look at MoNuSeg and checked on the DAB pictures too, and
test figures were known before the last rule of the search for the scale, whose constants come from training and
validation images. Training draws pictures of crowded tissue, and a rule knows pieces of nuclei, because the detector
failed on the crowded fluorescence tissue below, which was looked at; no constant of either was chosen by its scores.
"""
_SIZES = """## Nuclei of other sizes

The test images shown at other sizes; F1 within 5 px of the original. Without the search a picture is looked at as it
is; with it, `--diameter auto` first finds the size of its nuclei. The time is that beside a search at the scale that
was chosen.
"""
_FLAGS = """## When a result is flagged

A count that can't be trusted should be `look` or `out_of_domain`, and one that can should be `ok`. Known pictures count
once, whatever crops they have.
"""
_TEACHING = """## What teaching costs

`linnet nuclei train` with ten H&E images, from the shipped detector: every second crop is one of the pictures that it
was trained on, so that it doesn't forget them.
"""
_ABLATION = f"""## What each part brings

Trained without one part of the recipe, or searched without one, and measured on what the parts are there for:
validation images as they are, at a third of their size, with specks of dust and hot pixels twenty times as bright as
they are, and saved as a picture in blue; drawn pictures of crowded tissue that training doesn't see; and tiles of 96 px
without a nucleus. Each row is one training of {ablation.EPOCHS} epochs in place of 20 with one random seed, so that
figures lie below those of the shipped detector, and small differences say nothing.
"""


def page_text(records: Path = RECORDS) -> str:
    """The page.

    Args:
        records: Folder of the records.
    """
    names = ("nuclei_outside", "nuclei_scale", "nuclei_flags", "nuclei_teaching", "nuclei_ablation")
    elsewhere, sizes, flagged, taught, without = (read_records(records / f"{name}.jsonl") for name in names)
    parts = [
        _HEAD,
        f"{outside.as_markdown(elsewhere)}\n{measured(elsewhere)}\n",
        _SIZES,
        f"{scale.as_markdown(sizes)}\n{measured(sizes)}\n",
        _FLAGS,
        f"{flags.as_markdown(flagged)}\n{measured(flagged)}\n",
        _TEACHING,
        f"{teaching.as_markdown(taught)}\n{measured(taught)}\n",
        _ABLATION,
        f"{ablation.as_markdown(without)}\n{measured(without)}\n",
    ]
    return "\n".join(parts)


PAGE = Page(DOCS / "nuclei_reach.md", page_text)
