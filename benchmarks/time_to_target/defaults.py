"""Time to target with each optimizer's own defaults, nobody tuned: a CNN, a ViT, a ResNet-18, a language model.

    python -m benchmarks.time_to_target.defaults --data DATA --out benchmarks/records/time_to_target/defaults.jsonl
    python -m benchmarks.time_to_target.defaults --data DATA --out ... --times

Three seeds each. The text is that of the documentation that Python ships (`pydoc_data.topics`). Runs that the file
holds aren't repeated. `--times` measures the mean step of every rival over 100 steps, in turns in one process.
"""

from __future__ import annotations

import argparse
import math
import pydoc_data.topics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import machine_state
from benchmarks.networks import ResNet18, ViTTiny
from benchmarks.small_networks import small_cnn
from benchmarks.time_to_target.character_model import CharacterModel
from benchmarks.time_to_target.problems import Scale, images
from benchmarks.time_to_target.rivals import DIVERGED, missing
from linnet.errors import TrainingError
from linnet.optim import NaturalGradient
from linnet.results import Record, append_record, read_records

COMMAND = "python -m benchmarks.time_to_target.defaults --data DATA --out RECORDS"
SEEDS, EVERY = 3, 20
RIVALS: Mapping[str, str] = {
    "kfac": '**ours**, `NaturalGradient(model, "cross_entropy", "kfac")`',
    "kfac_005": "**ours**, the same with lr=0.05, as the how-to has it",
    "adamw": "AdamW",
    "sgd": "SGD",
    "sgd_01": "SGD, lr 0.1 and momentum 0.9, as papers have it",
    "muon": "`torch.optim.Muon`, kernels as matrices; embeddings, norms and biases by AdamW",
    "soap": "SOAP (pytorch_optimizer)",
}
TITLES: Mapping[str, str] = {
    "fashion_mnist": "Fashion-MNIST, small CNN, batch 128",
    "vit": "Fashion-MNIST, vision transformer of 4 blocks of width 64, batch 64",
    "resnet18": "CIFAR-10 as JPEG, torchvision's ResNet-18, batch 64",
    "characters": "Characters of Python's documentation, transformer of 2 blocks, batch 16 x 64",
}
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """One problem.

    Attributes:
        title: How the table calls it.
        model: Makes the network.
        batch: Gives a training batch from a generator.
        held_out: Inputs and classes that accuracy is read on.
        target: Accuracy to reach.
        steps: Of a run.
    """

    title: str
    model: Callable[[], nn.Module]
    batch: Callable[[torch.Generator], Pair]
    held_out: Pair
    target: float
    steps: int = 300


def fashion(data: Path | None) -> Task:
    """The small CNN of the study."""
    return _on_images("fashion_mnist", data, TITLES["fashion_mnist"], small_cnn, samples=128, target=0.85)


def vit(data: Path | None) -> Task:
    """A small vision transformer on the same images."""
    model = partial(ViTTiny, 28, 4, 10, channels=1, width=64, blocks=4, heads=4)
    return _on_images("fashion_mnist", data, TITLES["vit"], model, samples=64, target=0.75)


def resnet18(data: Path | None) -> Task:
    """torchvision's ResNet-18 on small colour images."""
    model = partial(ResNet18, 10)
    return _on_images("cifar10_jpeg", data, TITLES["resnet18"], model, samples=64, target=0.40, steps=160)


def _on_images(
    name: str, data: Path | None, title: str, model: Callable[[], nn.Module], *, samples: int, target: float,
    steps: int = 300,
) -> Task:  # fmt: skip
    loaded = images(name, Scale(20_000, 2_000, 100, target, 0, steps), data)
    x, y = loaded.train

    def batch(order: torch.Generator) -> Pair:
        chosen = torch.randint(0, len(x), (samples,), generator=order)
        return x[chosen], y[chosen]

    return Task(title, model, batch, loaded.held_out, target, steps)


def characters(data: Path | None = None, *, length: int = 64, samples: int = 16) -> Task:
    """The next character of the text, at every place of `length`; the last tenth of the text is held out."""
    text = "\n".join(pydoc_data.topics.topics[key] for key in sorted(pydoc_data.topics.topics))
    alphabet = sorted(set(text))
    codes = torch.tensor([alphabet.index(c) for c in text])
    kept, rest = codes[: len(codes) * 9 // 10], codes[len(codes) * 9 // 10 :]
    windows = rest[: 256 * (length + 1)].view(-1, length + 1)

    def batch(order: torch.Generator) -> Pair:
        starts = torch.randint(0, len(kept) - length, (samples, 1), generator=order)
        rows = kept[starts + torch.arange(length + 1)]
        return rows[:, :-1], rows[:, 1:]

    model = partial(CharacterModel, len(alphabet), length)
    return Task(TITLES["characters"], model, batch, (windows[:, :-1], windows[:, 1:]), 0.40)


EMBEDDINGS = ("embedding.weight", "places", "token")  # by AdamW, as Muon's authors have it
TASKS: Mapping[str, Callable[[Path | None], Task]] = {
    "fashion_mnist": fashion, "characters": characters, "vit": vit, "resnet18": resnet18,
}  # fmt: skip


class MuonOnKernels(torch.optim.Muon):
    """Muon on kernels as matrices (O, I) of the same memory, as its authors do; it takes matrices only."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.own = parameters
        self.matrices = [nn.Parameter(p.detach().flatten(1)) for p in parameters]
        super().__init__(self.matrices)

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update with the gradients of the kernels."""
        for matrix, p in zip(self.matrices, self.own, strict=True):
            matrix.grad = None if p.grad is None else p.grad.flatten(1)
        super().step(closure)


def optimizers(name: str, model: nn.Module) -> list[torch.optim.Optimizer]:
    """The optimizers of one rival, as their constructors make them."""
    parameters = list(model.parameters())
    if name.startswith("kfac"):
        return [NaturalGradient(model, "cross_entropy", "kfac", lr=0.05 if name == "kfac_005" else None)]
    if name == "muon":
        taken = [p.ndim >= 2 and n not in EMBEDDINGS for n, p in model.named_parameters()]
        rest = [p for p, muon in zip(parameters, taken, strict=True) if not muon]
        return [MuonOnKernels([p for p, muon in zip(parameters, taken, strict=True) if muon]), torch.optim.AdamW(rest)]
    if name == "soap":
        from pytorch_optimizer import SOAP  # pyright: ignore[reportMissingImports]

        return [SOAP(parameters)]
    if name == "adamw":
        return [torch.optim.AdamW(parameters)]
    return [torch.optim.SGD(parameters, 0.1, 0.9) if name == "sgd_01" else torch.optim.SGD(parameters)]


def update(model: nn.Module, steppers: Sequence[torch.optim.Optimizer], pair: Pair) -> float:
    """One step of a batch; its loss."""
    x, y = pair
    model.zero_grad()
    f = model(x)
    loss = cross_entropy(f.flatten(0, -2), y.flatten())
    loss.backward()
    for stepper in steppers:
        stepper.step()
    return float(loss.detach())


@torch.no_grad()
def accuracy(model: nn.Module, pair: Pair) -> float:
    """Share of classes that are right, in eval mode."""
    model.eval()
    right = sum(int((model(x).argmax(-1) == y).sum()) for x, y in zip(*(p.split(250) for p in pair), strict=True))
    model.train()
    return right / pair[1].numel()


def trained(problem: str, task: Task, name: str, seed: int) -> Record:
    """One run: accuracy after the last step, and the first look that was at the target."""
    torch.manual_seed(1000 + seed)
    model, order, reached, now = task.model(), torch.Generator().manual_seed(seed), -1, 0.0
    steppers = optimizers(name, model)
    for step in range(1, task.steps + 1):
        try:
            fine = math.isfinite(update(model, steppers, task.batch(order)))
        except (*DIVERGED, TrainingError):
            fine = False
        if not fine:
            now = 0.0
            break
        if step % EVERY == 0:
            now = accuracy(model, task.held_out)
            reached = step if reached < 0 and now >= task.target else reached
    context: dict[str, Any] = {
        "problem": problem,
        "steps_to_target": reached,
        "target": task.target,
        "steps": task.steps,
    }
    return Record.measured(
        "natural.defaults", now, n=1, rng_seed=seed, method=name, split="val", context=context, command=COMMAND
    )


def timed(problem: str, task: Task) -> list[Record]:
    """Seconds of a rival's step, the mean over 100 steps after 10, ten at a time in turns."""
    runs: dict[str, tuple[nn.Module, list[torch.optim.Optimizer]]] = {}
    for name in _rivals():
        torch.manual_seed(1000)
        model = task.model()
        runs[name] = model, optimizers(name, model)
    order = torch.Generator().manual_seed(0)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for block in range(11):
        pairs = [task.batch(order) for _ in range(10)]
        for name, (model, steppers) in runs.items():
            begin = time.perf_counter()
            for pair in pairs:
                update(model, steppers, pair)
            if block:
                seconds[name].append((time.perf_counter() - begin) / len(pairs))
    return [
        Record.measured(
            "natural.defaults.step", float(np.mean(each)), unit="s", n=100, method=name, rng_seed=0,
            context={"problem": problem, **machine_state()}, command=f"{COMMAND} --times",
        )
        for name, each in seconds.items()
    ]  # fmt: skip


def as_markdown(records: Sequence[Record]) -> str:
    """A table for each problem: the sooner in steps, the higher."""
    parts = []
    for problem, title in TITLES.items():
        found = [r for r in records if r.context.get("problem") == problem]
        first = next((r.context for r in found if r.name == "natural.defaults"), None)
        if first is None:
            continue
        rows = sorted(filter(None, (_row(name, found) for name in RIVALS)))
        head = "| rival | arrived | steps | seconds | a step | accuracy held out |"
        goal = f"to {first['target']:.0%} of what is held out, at most {first['steps']} steps"
        parts.append(f"**{title}**: {goal}\n")
        parts.append("\n".join([head, "|---" * 6 + "|", *(text for _, text in rows)]) + "\n")
    return "\n".join(parts)


def _row(name: str, found: Sequence[Record]) -> tuple[float, str] | None:
    runs = [r for r in found if r.method == name and r.name == "natural.defaults"]
    if not runs:
        return None
    each = next((r.value for r in found if r.method == name and r.name == "natural.defaults.step"), None)
    steps = [int(r.context["steps_to_target"]) for r in runs if int(r.context["steps_to_target"]) > 0]
    most = 2 * len(steps) > len(runs)
    middle = float(np.median(steps)) if most else math.inf
    values = [r.value or 0.0 for r in runs]
    cells = [
        RIVALS[name],
        f"{len(steps)} of {len(runs)}",
        f"{middle:.0f} ({min(steps)} to {max(steps)})" if most else "not by most",
        f"{middle * each:.3g}" if most and each else "",
        "not measured" if each is None else f"{1e3 * each:.3g} ms",
        f"{np.median(values):.3f} ({min(values):.3f} to {max(values):.3f})",
    ]
    return middle - float(np.median(values)), f"| {' | '.join(cells)} |"


def _rivals() -> list[str]:
    return [name for name in RIVALS if missing(name) is None]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the file doesn't hold, or measures the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=tuple(TASKS))
    parser.add_argument("--rivals", nargs="+", choices=tuple(RIVALS), default=tuple(RIVALS))
    parser.add_argument("--times", action="store_true")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    records = list(read_records(given.out)) if given.out.exists() else []
    done = {(r.name, r.context["problem"], r.method, r.rng_seed) for r in records}
    for problem, make in TASKS.items():
        if given.only not in (None, problem):
            continue
        task = make(given.data)
        if given.times:
            for record in timed(problem, task):
                append_record(given.out, record)
            continue
        for seed in range(SEEDS):
            for name in (each for each in _rivals() if each in given.rivals):
                if ("natural.defaults", problem, name, seed) not in done:
                    record = trained(problem, task, name, seed)
                    append_record(given.out, record)
                    print(problem, name, seed, record.value, record.context["steps_to_target"], flush=True)
    print(as_markdown(read_records(given.out)))


if __name__ == "__main__":
    main()
