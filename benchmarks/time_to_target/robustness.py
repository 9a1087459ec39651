"""How far rate and damping can be wrong: K-FAC over two decades of both, bounded steps beside unbounded ones.

    python -m benchmarks.time_to_target.robustness --data DATA --out benchmarks/records/time_to_target/robustness.jsonl

Every run trains the small CNN of the time-to-target study with one seed. Its value is the accuracy on held-out training
images after the last step, 0 where it diverged or was stopped. Runs that the file holds aren't repeated. Settings that
a run doesn't name are the constructor's.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.time_to_target.problems import PROBLEMS, Images, Scale, images
from benchmarks.time_to_target.rivals import DIVERGED
from benchmarks.time_to_target.trials import accuracy
from linnet.errors import TrainingError
from linnet.optim import KroneckerOptions, NaturalGradient
from linnet.results import Record, append_record, read_records

PROBLEM = "fashion_mnist"
SCALE = Scale(images=20_000, held_out=2_000, tested=100, target=0.0, tune_steps=0, steps=200)
RATES = (0.003, 0.01, 0.02, 0.05, 0.1, 0.3)
DAMPINGS = (0.001, 0.01, 0.1)
TRAINS = 0.80  # a run that ends at this accuracy or above trains; chosen before the first run
UNBOUNDED = "unbounded, refreshed every 100"
CLIPS: Mapping[str, float] = {"kl_clip=0.01": 1e-2, "kl_clip=0.001": 1e-3}
RIVALS: Mapping[str, tuple[float, ...]] = {"adam": (1e-3, 3e-3, 1e-2), "sgd": (0.03, 0.1, 0.3)}
COMMAND = "python -m benchmarks.time_to_target.robustness --data DATA --out RECORDS"


def runs() -> Iterator[dict[str, float | str]]:
    """The settings of every run."""
    for method, rates in RIVALS.items():
        yield from ({"method": method, "lr": lr} for lr in rates)
    for method in (UNBOUNDED, *CLIPS):
        for damping in DAMPINGS:
            yield from ({"method": method, "lr": lr, "damping": damping} for lr in RATES)


def optimizer_of(model: nn.Module, settings: Mapping[str, float | str]) -> torch.optim.Optimizer:
    """The optimizer of one run."""
    method, lr = str(settings["method"]), float(settings["lr"])
    if method == "adam":
        return torch.optim.Adam(model.parameters(), lr)
    if method == "sgd":
        return torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    bounded = method != UNBOUNDED
    return NaturalGradient(
        model, "cross_entropy", "kfac", "sampled", damping=float(settings["damping"]), lr=lr,
        kl_clip=CLIPS[method] if bounded else None, kronecker=KroneckerOptions(dense_start=bounded),
        stop_above=10.0 if bounded else None,
    )  # fmt: skip


def trained(settings: Mapping[str, float | str], data: Images) -> Record:
    """One run: held-out accuracy after the last step; the mean training loss of the last 20 steps is in its context."""
    torch.manual_seed(1000)
    model = PROBLEMS[PROBLEM].model()
    optimizer, order, losses = optimizer_of(model, settings), torch.Generator().manual_seed(0), list[float]()
    x, y = data.train
    fine = True
    for _ in range(SCALE.steps):
        chosen = torch.randint(0, len(x), (SCALE.batch,), generator=order)
        optimizer.zero_grad()
        loss = cross_entropy(model(x[chosen]), y[chosen])
        losses.append(float(loss.detach()))
        fine = math.isfinite(losses[-1]) and losses[-1] < 1e3
        if not fine:
            break
        try:
            loss.backward()
            optimizer.step()
        except (*DIVERGED, TrainingError):
            fine = False
            break
    value = accuracy(model, data.held_out) if fine else 0.0
    last = sum(losses[-20:]) / len(losses[-20:])
    context = {"problem": PROBLEM, "steps": len(losses), "batch": SCALE.batch, "train_loss": last, **settings}
    return Record.measured(
        "natural.robustness", value, n=1, rng_seed=0, method=str(settings["method"]), split="val", context=context,
        command=COMMAND,
    )  # fmt: skip


def as_markdown(records: Sequence[Record]) -> str:
    """Held-out accuracy by rate, a row for each method and damping; then how many settings train."""
    rows = ["| | " + " | ".join(f"lr {lr:g}" for lr in RATES) + " |", "|---" * (len(RATES) + 1) + "|"]
    found = {(r.method, r.context.get("damping"), r.context["lr"]): r for r in records}
    shares: list[str] = []
    for method in (UNBOUNDED, *CLIPS):
        ends = {damping: [found[method, damping, lr].value or 0.0 for lr in RATES] for damping in DAMPINGS}
        rows += [
            f"| kfac, {method}, damping {damping:g} | {' | '.join(f'{end:.3f}' for end in of)} |"
            for damping, of in ends.items()
        ]
        every = [end for of in ends.values() for end in of]
        trained, diverged = sum(end >= TRAINS for end in every), sum(end == 0.0 for end in every)
        shares.append(f"{method}: {trained} of {len(every)} settings train, {diverged} diverge")
    rivals = [
        f"{method} " + ", ".join(f"{found[method, None, lr].value:.3f} at {lr:g}" for lr in rates)
        for method, rates in RIVALS.items()
    ]
    losses = {method: _least_loss(records, method) for method in (*CLIPS, *RIVALS)}
    return (
        "\n".join(rows)
        + f"\n\nA setting trains where its run ends at {TRAINS:.0%} or above. {'; '.join(shares)}.\n\nBeside them, "
        + f"momentum 0.9 in sgd, none in kfac: {'; '.join(rivals)}. The least training loss at the end (mean of the "
        + "last 20 steps) of the settings of each: "
        + ", ".join(f"{method} {loss:.3f}" for method, loss in losses.items())
        + "."
    )


def _least_loss(records: Sequence[Record], method: str) -> float:
    return min(float(r.context["train_loss"]) for r in records if r.method == method and r.value)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the file doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    data = images(PROBLEM, SCALE, given.data)
    records = list(read_records(given.out)) if given.out.exists() else []
    done = [{key: record.context.get(key) for key in ("method", "lr", "damping")} for record in records]
    for settings in runs():
        if {key: settings.get(key) for key in ("method", "lr", "damping")} in done:
            continue
        record = trained(settings, data)
        append_record(given.out, record)
        print(settings, record.value, record.context["train_loss"], flush=True)


if __name__ == "__main__":
    main()
