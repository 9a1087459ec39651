"""README.md of the paper's folder, written from the records."""

from __future__ import annotations

from collections.abc import Sequence

from papers.page import not_run_section, picture_section, provenance, section
from papers.qi2021_pruning.plan import next_trials
from papers.qi2021_pruning.report import pictures, tables
from papers.qi2021_pruning.report.conclusion import ablation_words, outcome_words
from papers.qi2021_pruning.report.findings import Study
from papers.qi2021_pruning.report.headline import first_line, section_of

_TITLE = "# Pruned while it trains, straight to a budget\n"
_HEAD = """\
C. Qi, S. Shen, R. Li, Z. Zhao, Q. Liu, J. Liang, H. Zhang: An efficient pruning scheme of deep neural networks for
Internet of Things applications. EURASIP J. Adv. Signal Process. 2021. What is compared with the paper are the claims
of its abstract, which prints no accuracy; its equations, tables and settings were not seen. So the bar is ours: the
sliced network of the last epoch, at most 0.4 points below our own dense network, and above rivals with the same epochs
and the same multiply-accumulates (MACs).

```console
$ python papers/qi2021_pruning/run.py --scale smoke          # scikit-learn's digits, seconds; claims nothing
$ python papers/qi2021_pruning/run.py --scale cpu            # resumable by arm and seed; LINNET_DATA names the data
$ python papers/qi2021_pruning/run.py --scale cpu --time     # milliseconds, apart from any training, machine at rest
$ python papers/qi2021_pruning/run.py --scale headline          # VGG-16 of half width; also resumable in a training
$ python papers/qi2021_pruning/run.py --scale headline_full     # VGG-16, one seed
$ python papers/qi2021_pruning/run.py --scale gpu --minutes 6   # VGG-16 at the paper's rate; again until all is done
```

The data are `fashion_mnist` and `cifar10_jpeg` (a lossy JPEG copy: its accuracies compare arms here, nothing else).
This page is written from the records by the same command.

## What is the predecessor's, and what is ours

The base is the published behaviour of the method's predecessor from the same group (dynamic channel propagation): the
utility of a channel is the mean over samples of the absolute first-order Taylor term, divided by the layer's largest;
it fades by 0.6 with each measurement and stays for masked channels, so that these can come back; masks follow one
threshold for all layers. Ours are: utilities divided by the layer's mean and remembered as a running mean (the
predecessor's ways are options, and rows of the ablation); a budget in costs of the sliced network (MACs, parameters,
bytes, milliseconds) that no step exceeds; several limits at once, with a price; channels tied by additions and
concatenations; masks at the reads; measuring at every fourth step; the freeze at half of the training, where channels
are taken out of the network and of the optimizer; and the proof that the sliced network is the one that was trained.
See also [what we know of the paper](../../docs/concepts/known_of_pruning.md).
"""

_LIMITS = """## What this does not show

- A thin VGG, {images} training images, {epochs} epochs: nothing follows for large networks or long training, where
  masks have time to settle. Networks this thin have little to spare.
- Every seed is tested on the same {test} test images: the intervals are those of seeds, not of images.
- With so many rows one interval in twenty misses by chance.
- Arms share one learning rate, tuned for the dense network. Fine-tuning has a tuned factor on it; our pruner has its
  defaults.
- Torch-Pruning's sparse training is not used, only its group norm and its slicing.
- Milliseconds are torch's on one thread; a runtime such as onnxruntime rewards other widths.{noise}
"""


def text(study: Study | None, headlines: Sequence[Study] = ()) -> str:
    """The page as Markdown.

    Args:
        study: At one of the scales with every arm; None: only the headline was run.
        headlines: The scales of the headline that were run.
    """
    first = first_line(headlines)
    parts = [_TITLE, first and first + "\n", _HEAD, section_of(headlines)]
    if study is None:
        return "\n".join([part for part in parts if part] + [provenance(headlines[0].trainings)])
    claims = section("Claims", tables.claims_table(study, headlines))
    parts += [_what(study), claims, outcome_words(study) + "\n"]
    parts.append(section("Arms", *(tables.arms_table(study, name) for name in study.scale.sets)))
    parts += [section("Ablation", tables.ablation_table(study)), ablation_words(study) + "\n"]
    parts += [section("Tuning", tables.tuning_table(study)), picture_section(pictures.drawable(study))]
    every = {key: record for one in (study, *headlines) for key, record in one.trainings.items()}
    parts += [not_run_section(_not_run(study)), _limits(study), provenance(every)]
    return "\n".join(part for part in parts if part)


def _what(study: Study) -> str:
    """What was trained in the study beside the headline, in a paragraph."""
    scale = study.scale
    seconds = sum(float(record.context.get("wall_s", 0)) for record in study.trainings.values())
    stages = ", then ".join("-".join(map(str, stage)) for stage in scale.stages)
    halved = ", made half as large by the mean of 2 x 2 pixels" if scale.halved else ""
    images = f"{scale.images:,}" if scale.images > 0 else "all"
    return (
        f"Scale `{scale.name}`: {' and '.join(f'`{name}`' for name in scale.sets)}, {images} training images{halved}; "
        f"VGG with stages {stages}; {scale.epochs} epochs in batches of {scale.batch_size}, SGD with momentum 0.9, "
        f"weight decay 1e-4, cosine schedule; widths of our pruner in multiples of {scale.align}. "
        f"{len(study.trainings)} trainings, {seconds / 60:.0f} minutes of one process with one thread, at low priority "
        "beside other work. "
        "Fine-tuned arms train whole for half of the epochs; start values and batches of a seed are the same for all "
        "arms.\n"
    )


def _not_run(study: Study) -> list[tuple[str, str]]:
    following = next_trials(study.trainings, study.scale, peer=study.peer_ran())
    left = [trial for trial in following if trial.key not in study.trainings]
    rows = []
    if left:
        stages = ", ".join(sorted({trial.stage for trial in left}))
        rows.append((f"scale `{study.scale.name}`", f"cut: {len(left)} runs of {stages}"))
    if not study.times:
        rows.append(("milliseconds", "not measured: `--time`"))
    if not study.peer_ran():
        rows.append(("Torch-Pruning", "not run: `make peers` installs it"))
    if study.diverged():
        rows.append(("runs that diverged", str(study.diverged())))
    if study.scale.name != "gpu":
        what = "scale `gpu` (VGG-16, 160 epochs, 23.8 % of the MACs and 5.9 % of the parameters)"
        rows.append((what, "not run here"))
    return rows


def _limits(study: Study) -> str:
    scale = study.scale
    images = f"{scale.images:,}" if scale.images > 0 else "all"
    test = f"{scale.test_images:,}" if scale.test_images else "same"
    found = [float(record.context["noise"]) for record in study.times.values()]
    noise = (
        f" The\n  95 % quantile of a network's times was up to {max(found):.1f} times their median." if found else ""
    )
    return _LIMITS.format(images=images, epochs=scale.epochs, test=test, noise=noise)
