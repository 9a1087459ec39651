"""README.md of the paper's folder, written from the records."""

from __future__ import annotations

from papers.page import not_run_section, picture_section, provenance, section
from papers.simons2021_jets.networks import FROZEN
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

`DATA` holds `mnist`, `deeppcb` and `research_only/magnetic_tile`; LUTs need the extra `hardware`. This page is written
from the records by the same command.
"""

_PROTOCOL = """## Protocol

One network, two 3 x 3 convolutions (widths w and 2w), each with max pooling, batch norm and sign, then a +-1 linear
layer with batch norm; only the type of layer changes ("float" has real weights and ReLU; "jet first, binary second" has
one of each). Adam with betas 0.5 and 0.99, cosine to 0, batch-norm momentum 0.3, batches of 100, {steps} updates. The
rate is chosen for each set, type and width among {rates} values on held-out images with a seed that no comparison uses;
the test images are looked at once a network. Equivalence is tested by two one-sided tests with a margin of 1 point;
fewer than {needed} seeds are called inconclusive whatever they show. Brackets are 95 % intervals: Student's t for
differences, bootstrap over seeds for means.

| set | training | held out | test | score |
|---|---|---|---|---|
| mnist | {images:,} | {held_out:,} | {test:,} | accuracy |
| deeppcb: 32 x 32 patches of circuit boards, good or with a defect | 3,656 | 588 | 1,436 | mean of both recalls |
| magnetic_tile: tiles at 32 x 32, 81 defects to 20 good ones in the test | 292 | 52 | 101 | mean of both recalls |

Boards of one group are on one side of the split (`linnet.data.circuit_boards`), and so are near-duplicate tiles
(`linnet.data.magnetic_tiles`). A hundred tiles give an interval of about nine points: nothing on tiles is decided.

LUTs are those of the first seed's whole network with its learned kernels, mapped by yosys to ECP5, one pixel a clock;
after pools outputs take turns in the same adders (`share="auto"`), which saves binary layers more than jets.
Trainings this short say nothing about long ones: the order of the types is known to turn with the rate and with the
number of updates.
"""


def text(study: Study) -> str:
    """The page as Markdown."""
    scale = study.scale
    protocol = _PROTOCOL.format(
        steps=scale.steps, images=scale.images, rates=scale.rates, held_out=scale.held_out, test=scale.test_images,
        needed=SEEDS_NEEDED,
    )  # fmt: skip
    shown = pictures.drawable(study)
    parts = [_HEAD, f"Scale `{scale.name}`: {', '.join(scale.sets)}, {len(study.finished)} trainings.\n"]
    parts += [section("Claims", tables.claims(study)), protocol]
    parts += [section("Accuracy", tables.accuracies(study)), section("Equal LUTs", tables.equal_area(study))]
    parts += [section("Kernels", tables.kernel_table(study))]
    parts += [picture_section(shown), not_run_section(_not_run(study)), provenance(study.finished)]
    return "\n".join(part for part in parts if part)


def _not_run(study: Study) -> list[tuple[str, str]]:
    left = [
        (
            f"{tables.NAMES[kind]}, {data}, width {width}",
            f"{len(study.scores(data, width, kind))} of {study.scale.seeds} seeds",
        )
        for data in study.scale.sets
        for width in study.scale.widths
        for kind in tables.NAMES
        if len(study.scores(data, width, kind)) < study.scale.seeds
    ]
    cells = [(width, kind) for width in study.scale.widths for kind in FROZEN]
    for data in study.scale.sets if study.scale.mapped else ():
        mapped = sum(study.area(data, width, kind) is not None for width, kind in cells)
        if mapped < len(cells):
            left.append((f"LUTs, {data}", f"{mapped} of {len(cells)} networks"))
    return [*left, ("scale `gpu`", "widths up to 32, ten seeds")] if study.scale.name != "gpu" else left
