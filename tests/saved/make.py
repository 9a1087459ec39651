"""Writes those files of this folder that are missing: `python -m tests.saved.make`. What they hold must go on loading.

A file that exists is never written again: it stands for those that users have.
"""

import json
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

import linnet
from linnet.data import ArrayLoader
from linnet.engine import Average, GroupSchedule, Listener, Schedule, fit
from linnet.models import create
from linnet.optim import NaturalGradient, Padam
from linnet.prune import Budget, Pruner, Pruning, plan
from linnet.recipe.classifier_file import save_classifier

HERE = Path(__file__).parent
EXAMPLE = torch.zeros(1, 1, 8, 8)
METHODS = ("padam_pruned", "kfac")


class Killed(Exception):
    """The run ended before its time."""


class KillAt(Listener):
    """Ends a run after some steps as a crash does; 0 never does."""

    def __init__(self, step: int):
        self.step = step

    def on_gradients(self, run):
        if run.step == self.step > 0:
            raise Killed


class Classify:
    """Cross entropy."""

    def loss(self, model, batch):
        x, y = batch
        return nn.functional.cross_entropy(model(x), y), {}

    def validate(self, model, compute):
        return {}


def network() -> nn.Module:
    """A small convolutional network with batch norm."""
    torch.manual_seed(0)
    return create("tiny", input_shape=(1, 8, 8), classes=3, width=8)


def batches() -> ArrayLoader:
    """Four batches of eight noise images."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(32, 1, 8, 8, generator=draw), torch.randint(0, 3, (32,), generator=draw)
    return ArrayLoader((x, y), batch_size=8, rng_seed=0)


def train(folder: Path, method: str, *, kill: int = 0):
    """Four epochs of four steps by a method, whose checkpoints hold what every part of the loop keeps."""
    model = network()
    listeners: list[Listener] = [KillAt(kill)]
    if method == "padam_pruned":
        optimizer = Padam(model.parameters(), lr=0.05, weight_decay=1e-4)
        listeners.append(Pruning(Pruner(model, EXAMPLE, Budget(macs=0.5), align=1, steps=16)))
        listeners.append(GroupSchedule("p", 0.25, 0.0))
    else:
        optimizer = NaturalGradient(
            model, "cross_entropy", "kfac", lr=0.05, damping=0.1, kl_clip=None, dense_start=False
        )
    return fit(
        model, Classify(), batches(), optimizer=optimizer, epochs=4, folder=folder, checkpoint_every=1, keep=1,
        schedule=Schedule("cosine", warmup_steps=2), average=Average(0.9), listeners=listeners, progress="off",
    )  # fmt: skip


def main() -> None:
    """Writes every kind of file that isn't there yet."""
    model = network()
    graph = linnet.ChannelGraph(model, EXAMPLE)
    free = next(c for c in graph.classes.values() if c.frozen is None)
    small = linnet.resize(model, graph, {free.name: [2] + [0] * 3 + [1] * (free.size - 4)})
    options = {"input_shape": (1, 8, 8), "classes": 3, "width": 8}
    facts = {"classes": ["a", "b", "c"]}
    writers = {
        "graph.json": lambda path: path.write_text(json.dumps(graph.to_dict()) + "\n"),
        "network.safetensors": lambda path: linnet.save(small, path),
        "plan.json": lambda path: path.write_text(plan(model, EXAMPLE, Budget(macs=0.5), align=1).to_json() + "\n"),
        "classifier.safetensors": lambda path: save_classifier(small, path, name="tiny", options=options, facts=facts),
    }
    writers |= {method: lambda path, method=method: train(path, method, kill=9) for method in METHODS}
    for name, write in writers.items():
        if not (HERE / name).exists():
            with suppress(Killed):
                write(HERE / name)


if __name__ == "__main__":
    main()
