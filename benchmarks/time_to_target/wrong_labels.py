"""Training where labels are wrong: every approximation beside Adam's best of three rates.

    python -m benchmarks.time_to_target.wrong_labels --data DATA --out RECORDS

An MLP on 2,000 images of 14 x 14, of which a share has its label redrawn, 120 steps of 128, one seed. K-FAC has its
defaults; the other approximations have the settings that the how-to gives for minibatches. A run's value is its loss on
all training images, with their redrawn labels, after the last step. Runs that the file holds aren't repeated.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.time_to_target.problems import Images, Scale, images
from benchmarks.time_to_target.rivals import DIVERGED
from benchmarks.time_to_target.trials import accuracy
from linnet.errors import TrainingError
from linnet.optim import NaturalGradient
from linnet.results import Record, append_record, read_records

PROBLEM = "fashion_mnist"
SCALE = Scale(images=2_000, held_out=2_000, tested=100, target=0.0, tune_steps=0, steps=120)
SHARES = (0.0, 0.1, 0.3, 1.0)
ADAM = (1e-3, 3e-3, 1e-2)
OURS = ("kfac", "exact", "block", "tridiagonal", "unit")
COMMAND = "python -m benchmarks.time_to_target.wrong_labels --data DATA --out RECORDS"
Step = Callable[[Tensor, Tensor], object]


def runs() -> Iterator[tuple[str, float]]:
    """(method, share of labels that are redrawn) of every run."""
    for share in SHARES:
        yield from ((f"adam {lr:g}", share) for lr in ADAM)
        yield from ((approx, share) for approx in OURS)


def redrawn(y: Tensor, share: float) -> Tensor:
    """Labels of which a share, drawn at random, is drawn anew among the ten classes."""
    draw = torch.Generator().manual_seed(1)
    other = torch.randint(0, 10, y.shape, generator=draw)
    return torch.where(torch.rand(y.shape, generator=draw) < share, other, y)


def network() -> nn.Module:
    """Three linear layers on images of half the size: small enough for every approximation."""
    hidden = [nn.Linear(196, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10)]
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), *hidden)


def step_of(method: str, model: nn.Module) -> Step:
    """One step on a batch."""
    if method.startswith("adam"):
        return _everyday(model, torch.optim.Adam(model.parameters(), float(method.split()[1])))
    if method == "kfac":
        return _everyday(model, NaturalGradient(model, "cross_entropy", "kfac"))
    approx: Any = method
    return NaturalGradient(model, "cross_entropy", approx, "sampled", damping=0.1, c=0.3).step


def _everyday(model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def trained(method: str, share: float, data: Images) -> Record:
    """One run: the loss on all training images after the last step, infinite where it diverged."""
    torch.manual_seed(1000)
    model, order = network(), torch.Generator().manual_seed(0)
    step, x, y = step_of(method, model), data.train[0], redrawn(data.train[1], share)
    loss = math.inf
    try:
        for _ in range(SCALE.steps):
            chosen = torch.randint(0, len(x), (SCALE.batch,), generator=order)
            step(x[chosen], y[chosen])
        loss = float(cross_entropy(model(x), y).detach())
    except (*DIVERGED, TrainingError):
        pass  # the loss stays infinite: the run is in the table as one that diverged
    fine = math.isfinite(loss)
    held_out = accuracy(model, data.held_out) if fine else 0.0
    context = {"problem": PROBLEM, "share": share, "steps": SCALE.steps, "batch": SCALE.batch, "held_out": held_out}
    return Record.measured(
        "natural.wrong_labels", loss if fine else None, n=1, rng_seed=0, method=method, split="train", context=context,
        command=COMMAND,
    )  # fmt: skip


def as_markdown(records: Sequence[Record]) -> str:
    """Training loss and held-out accuracy, a row for each method."""
    found = {(r.method, r.context["share"]): r for r in records}
    heads = [f"{share:.0%} redrawn" for share in SHARES]
    rows = [f"| | {' | '.join(heads)} |", "|---" * (len(SHARES) + 1) + "|"]
    best = [min((found[f"adam {lr:g}", share] for lr in ADAM), key=_loss) for share in SHARES]
    rows.append(f"| Adam, its best of {len(ADAM)} rates | {' | '.join(_cell(r, str(r.method)) for r in best)} |")
    rows += [f"| {approx} | {' | '.join(_cell(found[approx, share]) for share in SHARES)} |" for approx in OURS]
    worse = [
        f"{approx} at {share:.0%}"
        for approx in OURS
        for share, adam in zip(SHARES, best, strict=True)
        if _loss(found[approx, share]) > _loss(adam)
    ]
    told = f"Worse than Adam's best: {', '.join(worse)}." if worse else "None ends worse than Adam's best."
    return "\n".join(rows) + f"\n\n{told}"


def _loss(record: Record) -> float:
    return math.inf if record.value is None else record.value


def _cell(record: Record, rate: str = "") -> str:
    if record.value is None:
        return "diverged"
    named = f", {rate.replace('adam', 'lr')}" if rate else ""
    return f"{record.value:.3f} ({float(record.context['held_out']):.3f}{named})"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the file doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    data = images(PROBLEM, SCALE, given.data)
    done = {(r.method, r.context["share"]) for r in read_records(given.out)} if given.out.exists() else set()
    for method, share in runs():
        if (method, share) not in done:
            record = trained(method, share, data)
            append_record(given.out, record)
            print(method, share, record.value, record.context["held_out"], flush=True)


if __name__ == "__main__":
    main()
