"""docs/nuclei_peers.md: StarDist and Spotiflow beside linnet, as the records say."""

from __future__ import annotations

from pathlib import Path

from benchmarks import DOCS, RECORDS
from benchmarks.nuclei.rivals.table import cost_table, f1_table, missing, versions
from benchmarks.page import Page, measured
from linnet.results import read_records

_HEAD = """# Beside StarDist and Spotiflow

This page is written by `python -m benchmarks readme` from records; a test compares the two. Each program learned from
the same images, the train parts of DSB 2018 and TNBC: StarDist from the full outlines of their nuclei, linnet and
Spotiflow from one point for each. Each got the same {budget} of one CPU core, counted in CPU seconds, so that what else
runs on the machine takes nothing from anybody: on an idle machine they are wall seconds. Columns marked 3x have three
times as much{absent}. linnet's number of steps is fixed beforehand and may take
longer: the second table says how long. Nobody sees MoNuSeg.

The budget is small because the machine is: **the peers aren't at their best here**. Their authors train for hours on a
GPU, and their published models, which would have to be fetched from the network, take no part. The table says what each
makes of minutes on one core.
"""
_HOW = """## How it was done

- One-to-one matching within 3, 5 and 7 px and within half the median radius of the group's nuclei; 95 % intervals are
  bootstraps over pictures, not over crops. n counts test images, in brackets the pictures that they were cut from; one
  picture alone has no interval. The best of a row is bold. One score threshold for all groups: the one with the best F1
  within 5 px on the validation images.
- Each column is one training with one random seed: the intervals hold nothing of the spread between trainings.
- StarDist: a grid of 2 and 32 rays, turned, mirrored and brightened patches, the weights with the lowest validation
  loss, polygons that overlap by at most 0.4; its point is the centre that it predicts from. Its own settings are
  patches of 256 px and a learning rate of 3e-4; "smaller patches" are 128 px and 1e-3, which make about four times as
  many steps in the same time. These settings, not StarDist's own, are the ones trained for three times as long.
- Spotiflow: its default configuration for three channels, but targets 3 px wide in place of 1, since nuclei are no
  points of light; the last weights.
- linnet: the small network and the settings of `linnet.nuclei.train`, from scratch; without the search for the scale,
  which the others lack. Its learning rate falls to 0 at the last step, so the number of steps is fixed beforehand, from
  a short trial; the table says how long they really took.
- "Until the first result": importing the library, reading the images, training, and choosing the threshold.
- Cellpose is timed only: its weights lie on a model hub, from which nothing is fetched here. Random weights take the
  same time; what is timed is its network over its own tiles, at the images' size, without the step from flows to
  outlines, so that a whole search takes longer.
- `python -m benchmarks nuclei --peers` makes an environment for each library first (`.venv-stardist`,
  `.venv-spotiflow` and `.venv-cellpose`, about 2 GB each; `LINNET_RIVALS` names another folder for them). What was
  trained lies in `runs/rivals`, so that the same command goes on where it was stopped; `--only NAME` runs one part.
- "Search" is timed on every fourth test image of DSB, all programs in turns in one run, one thread each.
"""
_COST = "## What it costs\n"


def page_text(records: Path = RECORDS) -> str:
    """The page.

    Args:
        records: Folder of the records.
    """
    known = read_records(records / "nuclei_peers.jsonl")
    budget = next(float(r.context["budget_s"]) for r in known if r.name == "nuclei.rivals.training")
    absent = missing(known)
    parts = [
        _HEAD.format(
            budget="minute" if budget == 60 else f"{budget / 60:g} minutes",
            absent="; what hasn't run yet is named below the tables" if absent else "",
        ),
        f1_table(known) + "\n",
        _COST,
        cost_table(known) + "\n",
        *([f"Not here:\n\n{absent}\n"] if absent else []),
        _HOW,
        f"Versions: {versions(known)}.",
        measured(known).strip() + "\n",
    ]
    return "\n".join(parts)


PAGE = Page(DOCS / "nuclei_peers.md", page_text)
