"""README.md of the paper's folder, written from the records."""

from __future__ import annotations

from papers.chen2020_padam.plan import extensions_done, next_trials
from papers.chen2020_padam.report import pictures, tables
from papers.chen2020_padam.report.findings import results
from papers.chen2020_padam.scales import Problem, Scale
from papers.page import not_run_section, picture_section, provenance, section
from papers.study import Finished
from papers.table import as_markdown

_HEAD = """# Padam: closing the generalization gap of adaptive gradient methods

J. Chen, D. Zhou, Y. Tang, Z. Yang, Y. Cao, Q. Gu, IJCAI 2020. What is compared with the paper are the claims of its
abstract; no figure of its tables was at hand, and their trainings of 200 epochs are out of reach here. The optimizer is
`linnet.optim.Padam`.

```console
$ python papers/chen2020_padam/run.py --scale smoke             # digits, under a minute; claims nothing
$ python papers/chen2020_padam/run.py --scale cpu --data DATA   # resumable; how long it ran stands below
$ python papers/chen2020_padam/run.py --scale gpu --data DATA   # ResNet-18 on CIFAR-10 (JPEG)
```

`DATA` holds `fashion_mnist` and `cifar10_jpeg`. This page is written from the records by the same command.
"""

_LIMITS = """## What this does not show

- One small network, a subset of one set of images, short training with a cosine schedule: nothing follows for large
  networks or long training. CIFAR-10 is a lossy JPEG copy here; its accuracies can't be compared with published ones.
- The grids have two values of weight decay, so a best weight decay always lies on an edge; only learning rates and eps
  are looked at for edges.
- One run for each point of the map, and one seed for tuning: a best value is known to about one step of its grid.
- "Adam, tuned eps" stands in the table because eps is another dial of adaptivity.
- Hundreds of updates are fewer than the 1,000 over which the default bias correction warms up, so best learning rates
  of small p are higher here than in long training.
- Seconds per run are those of two processes beside whatever else the machine did: they compare nothing.
- Intervals are Student's t over seeds, for each row by itself: with so many rows one in twenty is off by chance.
"""


def text(finished: Finished, scale: Scale) -> str:
    """The page as Markdown."""
    parts = [_HEAD, _what(finished, scale), section("Claims", tables.claims_table(finished, scale))]
    parts.append(section("Optimizers", tables.optimizers_table(finished, scale), tables.tuning_table(finished, scale)))
    parts.append(section("Decaying p, and the bias corrections", tables.variants_table(finished, scale)))
    parts.append(section("p and the learning rate", tables.ridge_table(finished, scale)))
    parts.append(tables.ridge_words(finished, scale) + "\n")
    if scale.second is not None:
        rule = tables.rule_table(finished, scale)
        parts += [as_markdown(rule)] if rule.rows else []
        parts.append(tables.rule_words(finished, scale) + "\n")
    parts += [picture_section(pictures.drawable(finished, scale)), not_run_section(_not_run(finished, scale))]
    parts += [_limits(scale), provenance(finished)]
    return "\n".join(part for part in parts if part)


def _limits(scale: Scale) -> str:
    if scale.second is None or len(scale.map_lr) < 2:
        return _LIMITS
    tested = ", ".join(f"{p:g}" for p in scale.second_p)
    step = scale.map_lr[1] / scale.map_lr[0]
    return _LIMITS + (
        f"- The learning rates of the map are a factor {step:.2g} apart, which is more than the "
        f"errors of the rule that it tests; the second set has p = {tested} only.\n"
    )


def _what(finished: Finished, scale: Scale) -> str:
    """What was trained, in a paragraph."""
    seconds = sum(float(record.context.get("wall_s", 0)) for record in finished.values())
    grown = extensions_done(finished, scale)
    return (
        f"Scale `{scale.name}`: {_problem(scale.problem)}, {scale.epochs} epochs in batches of {scale.batch_size}, "
        f"cosine schedule. {len(finished)} runs, {seconds / 60:.0f} minutes of processes with one thread in all. Every "
        f"optimizer has the same number of tuning trials; for all at once, the grids grow by two trials each while a "
        f"best value lies on an edge: {_times(grown)} here. Then {scale.seeds} fresh seeds.\n"
    )


def _problem(problem: Problem) -> str:
    images = f"{problem.images:,} training images (a fifth of them for validation)" if problem.images else "all images"
    options = ", ".join(f"{name} {value}" for name, value in problem.options.items())
    network = f"network `{problem.network.__name__.strip('_')}`{f' ({options})' if options else ''}"
    return f"`{problem.data}`, {images}, {network}"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _not_run(finished: Finished, scale: Scale) -> list[tuple[str, str]]:
    """What is missing of this scale, and the scale that wasn't run."""
    left = [trial for trial in next_trials(finished, scale) if trial.key not in finished]
    rows = []
    if left:
        stages = ", ".join(sorted({trial.stage for trial in left}))
        rows.append((f"scale `{scale.name}`", f"cut: {len(left)} runs of {stages} and what follows from them"))
    missing = [row for row in scale.rows if row not in results(finished, scale)]
    if missing:
        rows.append(("optimizers", f"not tuned yet: {', '.join(missing)}"))
    if scale.name != "gpu":
        rows.append(("scale `gpu` (ResNet-18 on CIFAR-10-JPEG, 15 epochs)", "not run"))
    return [*rows, ("the paper's tables (200 epochs)", "out of reach")]
