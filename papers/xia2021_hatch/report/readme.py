"""The README of the study."""

from __future__ import annotations

from papers.page import not_run_section, picture_section, provenance, section
from papers.study import Finished
from papers.xia2021_hatch.report import pictures, tables
from papers.xia2021_hatch.scales import BUDGET, MEMBERS, Scale

TITLE = "# Xia et al. 2021: HatchEnsemble"

ABOUT = f"""Y. Xia, J. Zhang, T. Jiang, Z. Gong, W. Yao, L. Feng: HatchEnsemble: an efficient and practical uncertainty
quantification method for deep neural networks. Complex & Intelligent Systems 7, 2021. Only its abstract is quoted;
networks, factors, noise and rivals are linnet's choices.

Every arm but the full Deep Ensemble ({MEMBERS} members) has {BUDGET:.0%} of its training compute, counted in
multiply-accumulates of the real networks. (a): accuracy, calibrated NLL and shifted ECE not worse than the full Deep
Ensemble (within 0.003, 0.01 and 0.005). (b): calibrated NLL and shifted ECE better than each rival. Shifted: the 15
corruptions of linnet's generated suite at severities 1, 3 and 5. Images are halved in size (14 x 14, 16 x 16); networks
have five convolutions and about 65,000 parameters; training is bfloat16 autocast with channels last, one member after
the other on one thread, and its seconds are processor time. The temperature is of clean validation images. Dials are
chosen by one training of each candidate on a seed of its own: the smallest sum of the calibrated NLL of clean
validation images and of validation images under the four extra corruptions. All candidates of the hatches have the rate
0.1; those of most rivals are three rates.

    python papers/xia2021_hatch/run.py --scale cpu --data DATA   # search, then all seeds; resumes by its records
"""


def _sizes(scale: Scale) -> str:
    """How many images a scale uses, in a sentence."""
    steps = scale.epochs * (scale.train // 64)
    return (
        f"\nScale `{scale.name}`: {scale.train:,} training images of each set (a fixed subset), {scale.epochs} passes "
        f"({steps}\nsteps of 64) for a full member; {scale.held:,} images for validation and as many for the test; "
        f"{scale.shifted} test images under each\ncorruption and severity.\n"
    )


def text(finished: Finished, scale: Scale) -> str:
    """The whole README."""
    names = tables.sets_of(finished, scale)
    missing = [(f"all arms on {name}", "not run") for name in scale.sets if name not in names]
    for name in names:
        done = min(len(seeds) for seeds in tables.runs(finished, name).values())
        arms = len(tables.runs(finished, name))
        if done < scale.seeds or arms < len(tables.arms_of(scale)):
            missing.append((f"{name}: {scale.seeds} seeds of {len(tables.arms_of(scale))} arms", f"{done} of {arms}"))
    if not scale.searched:
        missing.append(("the search of the dials (`--scale cpu`)", "not run"))
    missing.append(("budgets other than 50 % (25 % only as one of the Deep Ensemble's members)", "not run"))
    missing.append(("`gpu`: CIFAR-10-JPEG with a WRN-16-4 or ResNet-18", "not run"))
    parts = [
        f"{TITLE}\n\n**{tables.first_line(finished, scale)}**\n",
        ABOUT + _sizes(scale),
        section("Verdict", tables.verdicts(finished, scale)),
        section("Claims", tables.claims(finished, scale)),
        *(
            section(name, tables.results(finished, scale, name), tables.differences(finished, scale, name))
            for name in names
        ),
        section("Dials", tables.dials(finished, scale)),
        picture_section(pictures.drawable(finished, scale)),
        not_run_section(missing),
        provenance(finished),
    ]
    return "\n".join(part for part in parts if part)
