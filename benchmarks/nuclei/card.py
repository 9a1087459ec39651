"""docs/model_card.md: what the shipped weights say of themselves, in words."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any

import linnet.nuclei
from benchmarks import DOCS
from benchmarks.nuclei.accuracy import GROUPS
from benchmarks.page import Page
from linnet.nuclei import Detector

_HEAD = """# The shipped detector

This page is written by `python -m benchmarks readme` from the metadata of the weights file; a test compares the two.

`linnet.nuclei.load("default")` finds nuclei in gray and colour images, bright on dark or dark on bright, and gives
their centres. It is a small fully convolutional network that predicts a proximity map (high at the centre of a
nucleus, falling to 0 at about half the distance to the next one) and the offset from each cell of its grid to the
centre. The pixel-to-pixel regression of proximity maps follows Xing et al. 2019; the network, the constants and the
training are ours.
"""

_LIMITS = """## Limits

- It gives centres and equivalent diameters, not outlines.
- It also learned from drawn pictures of crowded tissue in fluorescence and from pictures without a nucleus, which the
  recipe makes itself; the numbers of images and nuclei above leave them out.
- The rule that tells pieces of nuclei from small nuclei is younger than the tables above, and changes none of them.
- `score` ranks detections. It is no probability, and counts come without an interval: this release is not calibrated.
- The groups of tissue rest on few pictures (see the table): their F1 says little about other tissue, other stains or
  other scanners. How it does on sets that it never saw stands on [its own page](nuclei_reach.md).
- 95 % of the nuclei that it has seen measure 7 to 60 pixels across, half of them less than 20. The scale of others is
  found (`--diameter auto`) among eight from a quarter to 2.8; give `--diameter` (`diameter_px`) where it isn't.
- It has seen no 3-D stacks, no electron microscopy, and nothing that isn't a nucleus.
- Not for diagnosis. On a new kind of image, annotate some pictures, run `linnet nuclei evaluate`, and if needed
  `linnet nuclei train`.
- The H&E sections of triple-negative breast cancer are those of Naylor et al., IEEE TMI 38:448 (2019), CC BY 4.0,
  Zenodo 10.5281/zenodo.2579118.
- 43 of the 200 images of the public set BBBC039 are also in its data, so that set is no independent test of it.
"""


def model_card(detector: Detector, content: bytes) -> str:
    """The page for a detector and the bytes of its file."""
    parts = [_HEAD, _facts(detector, content), *(_scores(detector.card, split) for split in ("test", "validation"))]
    return "\n".join([*parts, _LIMITS])


def shipped_card() -> str:
    """The page for the weights that come with this package."""
    content = (files("linnet.nuclei") / "weights" / "default.safetensors").read_bytes()
    return model_card(linnet.nuclei.load("default"), content)


def _facts(detector: Detector, content: bytes) -> str:
    card = detector.card
    parameters = sum(parameter.numel() for parameter in detector.network.parameters())
    rows = {
        "file": f"`linnet/nuclei/weights/default.safetensors`, {len(content) / 1e6:.2f} MB",
        "SHA-256": f"`{hashlib.sha256(content).hexdigest()}`",
        "network": f"preset `{detector.preset}`, {parameters:,} parameters",
        "data": f"{card.get('data')} ({card.get('licence')}): {card.get('training_images')} images, "
        f"{card.get('training_nuclei'):,} nuclei for training",
        "split": f"by picture (`mosaic_id`), digest `{card.get('split_digest')}`",
        "made by": f"`make weights` (recipe `{card.get('recipe')}`, seed {card.get('rng_seed')})",
        "when": f"{card.get('date')}, commit `{card.get('commit')}`",
        "threshold": f"score {detector.thresholds.score:.3g}, chosen on the validation images",
        "licence": "of the weights: that of linnet, BSD-3-Clause",
    }
    return "\n".join(["## Facts", "", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items()), ""])


def _scores(card: dict[str, Any], split: str) -> str:
    title = "Test images" if split == "test" else "Validation images (they chose the threshold)"
    table = card.get("metrics", {}).get(split, {})
    lines = [f"## {title}", "", f"One-to-one matching within {card.get('radius_px'):g} px; pooled over the images.", ""]
    lines += ["| images | n | pictures | nuclei | F1 | precision | recall |", "|---|---|---|---|---|---|---|"]
    for group in (*GROUPS, "breast_tnbc", "all"):
        if group in table:
            row = table[group]
            numbers = " | ".join(f"{row[name]:.3f}" for name in ("f1", "precision", "recall"))
            lines.append(f"| {group} | {row['images']} | {row['pictures']} | {row['nuclei']:,} | {numbers} |")
    return "\n".join([*lines, ""])


PAGE = Page(DOCS / "model_card.md", shipped_card)
