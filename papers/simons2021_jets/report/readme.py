"""README.md of the paper's folder, written from the records."""

from __future__ import annotations

from papers.page import not_run_section, picture_section, provenance, section
from papers.simons2021_jets.report import pictures, tables
from papers.simons2021_jets.report.findings import SEEDS_NEEDED, Study

_HEAD = """# Efficient binarized convolutional layers for visual inspection applications

T. Simons, D.-J. Lee, Electronics 10(13), 2021, 1511. Only the abstract was at hand, so "theirs" holds its three
sentences and no number: the network, the data and the training here are linnet's.

```console
$ python papers/simons2021_jets/run.py --scale smoke             # synthetic gratings, seconds; claims nothing
$ python papers/simons2021_jets/run.py --scale cpu --data DATA   # minutes on two cores; resumable
$ python papers/simons2021_jets/run.py --scale gpu --data DATA   # widths 4 to 32, ten seeds
```

`DATA` holds `mnist`. This page is written from the records by the same command.
"""

_PROTOCOL = """## Protocol

One network, two 3 x 3 convolutions (widths w and 2w), each with max pooling, batch norm and sign, then a +-1 linear
layer with batch norm; only the type of layer changes ("float" has real weights and ReLU). Adam with betas 0.5 and 0.99,
cosine to 0, batch-norm momentum 0.3, batches of 100, {epochs} epochs, {images:,} training images. The rate is chosen
for each type and width among {rates} values on {held_out:,} held-out images with a seed that no comparison uses; the
{test:,} test images are looked at once a network. Equivalence is tested by two one-sided tests with a margin of 1
point; fewer than {needed} seeds are called inconclusive whatever they show. Brackets are 95 % intervals (Student's t).

Trainings this short on so few images say nothing about long ones: the order of the types is known to turn with the rate
and with the number of epochs. No inspection images are among the data, and the LUTs of a design aren't counted.
"""


def text(study: Study) -> str:
    """The page as Markdown."""
    scale = study.scale
    protocol = _PROTOCOL.format(
        epochs=scale.epochs, images=scale.images, rates=scale.rates, held_out=scale.held_out, test=scale.test_images,
        needed=SEEDS_NEEDED,
    )  # fmt: skip
    shown = pictures.drawable(study)
    parts = [_HEAD, f"Scale `{scale.name}`: {scale.data}, {len(study.finished)} trainings.\n"]
    parts += [section("Claims", tables.claims(study)), protocol]
    parts += [section("Accuracy", tables.accuracies(study)), section("Kernels", tables.kernel_table(study))]
    parts += [picture_section(shown), not_run_section(_not_run(study)), provenance(study.finished)]
    return "\n".join(part for part in parts if part)


def _not_run(study: Study) -> list[tuple[str, str]]:
    left = [
        (f"{tables.NAMES[kind]}, width {width}", f"{len(study.accuracies(kind, width))} of {study.scale.seeds} seeds")
        for width in study.scale.widths
        for kind in tables.NAMES
        if len(study.accuracies(kind, width)) < study.scale.seeds
    ]
    return [
        *left,
        ("inspection images (circuit boards, magnetic tiles)", "not part of this study yet"),
        ("accuracy at equal LUTs", "the picture has bit-weighted additions in their place"),
        ("scale `gpu`", "widths up to 32, ten seeds"),
    ]
