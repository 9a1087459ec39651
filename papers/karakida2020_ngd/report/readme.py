"""README.md of the paper's folder, written from the records."""

from __future__ import annotations

from papers.karakida2020_ngd.problems import SCALES
from papers.karakida2020_ngd.report.abstract import claims, details
from papers.karakida2020_ngd.trials import STAGES
from papers.page import provenance, section
from papers.study import Finished
from papers.table import rows_as_markdown

_HEAD = """# Understanding approximate Fisher information for fast convergence of natural gradient descent

R. Karakida, K. Osawa, NeurIPS 2020. What is compared with the paper are the claims of its abstract; equations, alpha
and constants were derived for linnet (`linnet.optim.NaturalGradient`, `linnet.optim.predict`).

```console
$ python papers/karakida2020_ngd/run.py --scale smoke             # digits, width 128; claims nothing
$ python papers/karakida2020_ngd/run.py --scale cpu --data DATA   # minutes on two cores; resumable
$ python papers/karakida2020_ngd/run.py --scale gpu --data DATA   # width 4096, ten seeds
```

`DATA` holds `mnist` and `cifar10_jpeg`. This page is written from the records by the same command.
"""

_LIMITS = """## What this does not show

- Full batches of {samples} samples and a few steps: nothing follows for minibatches or for accuracy.
- Isotropy at damping 0 needs rank conditions only, no width; the width is needed for the outputs to stay linear over a
  step. The line of K-FAC is the same as that of the others, but its steps in the parameters are larger, so at a given
  width it lies further off.
- The unit-wise step has a large component outside the linear regime at these widths with ReLU: it overshoots at
  c = 1 although its isotropy error is small. So does K-FAC with ten classes.
- No figure of the paper's tables was at hand.
"""


def text(finished: Finished) -> str:
    """The page as Markdown."""
    first = next(iter(finished.values()))
    scale = SCALES[str(first.context["scale"])]
    minutes = sum(float(r.context["wall_s"]) for r in finished.values()) / 60
    what = (
        f"Scale `{scale.name}`: {first.context['data']}, digits 0 and 7, N = {scale.samples}, width {scale.width}, "
        f"three layers (where not said otherwise), ReLU, no biases, float64; up to {scale.seeds} seeds. "
        f"{len(finished)} trials, {minutes:.0f} minutes of one process. Brackets are 95 % intervals "
        "over seeds (Student's t).\n"
    )
    parts = [_HEAD, what, section("Claims", rows_as_markdown(claims(finished)))]
    parts += [f"![Loss against step, c = {c:g}](pictures/curves_{c:g}.png)\n" for c in (0.5, 1.0)]
    parts += [section(table.caption, rows_as_markdown(table)) for table in details(finished)]
    parts += [_not_run(finished), _LIMITS.format(samples=scale.samples)]
    return "\n".join([*parts, provenance(finished, ("torch",), dated=False)])


def _not_run(finished: Finished) -> str:
    """Stages without a trial, and scales."""
    left = [stage for stage in STAGES if all(r.context["stage"] != stage for r in finished.values())]
    rows = [f"- Stage `{stage}`: cut, as time was up; the same command goes on." for stage in left]
    return section("What was not run", *rows, "- Scale `gpu`: width 4096, ten seeds.\n")
