"""A small training run whose every part matters for an exact resume: dropout, batch norm, momentum, shuffling."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from linnet.engine import Average, Listener, Schedule, fit

ROOT = Path(__file__).parents[3]
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01, amsgrad=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
}


class Classify:
    """Cross-entropy and accuracy; validates by the mean weight."""

    def loss(self, model, batch):
        x, y = batch
        logits = model(x)
        return nn.functional.cross_entropy(logits, y), {"accuracy": (logits.argmax(1) == y).float().mean()}

    def validate(self, model, compute):
        assert not model.training
        torch.rand(3)  # a validation that draws must not change the training
        return {"score": float(sum(weight.sum() for weight in model.parameters()))}


def images(count=40):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, 4, generator=generator), torch.randint(0, 3, (count,), generator=generator)


def shuffled(batch_size=8, *, count=40):
    return DataLoader(TensorDataset(*images(count)), batch_size=batch_size, shuffle=True)


def network(*, dropout=0.3, norm=True, rng_seed=1):
    with torch.random.fork_rng():
        torch.manual_seed(rng_seed)
        middle = [nn.BatchNorm1d(8)] if norm else []
        return nn.Sequential(nn.Linear(4, 8), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


class StopAt(Listener):
    """Asks to stop after some updates."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            run.stop("it was asked for")


def train(folder=None, *, optimizer="sgd", epochs=4, model=None, loader=None, task=None, **options):
    """Runs `fit` on the small problem; every option of `fit` can be given."""
    model = model if model is not None else network()
    options = {
        "schedule": Schedule("cosine", warmup_steps=3),
        "average": Average(0.9),
        "grad_clip": 1.0,
        "progress": "off",
        "rng_seed": 7,
    } | options
    optimizer = OPTIMIZERS[optimizer](model.parameters()) if isinstance(optimizer, str) else optimizer
    loader = loader if loader is not None else shuffled()
    return fit(model, task or Classify(), loader, optimizer=optimizer, epochs=epochs, folder=folder, **options)


def assert_equal_states(ours, theirs):
    """Raises unless two state dicts hold the same names and bits."""
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype, name
        assert torch.equal(tensor, theirs[name]), name


def assert_equal_runs(ours, theirs):
    """Raises unless two results hold the same weights, averages and history, bit for bit."""
    assert_equal_states(ours.model.state_dict(), theirs.model.state_dict())
    assert (ours.averaged is None) == (theirs.averaged is None)
    assert_equal_states(ours.averaged or {}, theirs.averaged or {})
    assert ours.history == theirs.history


def python(*words, **options):
    """Runs this interpreter with the package and the tests on its path, and as many threads."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    threads = str(torch.get_num_threads())  # other numbers of threads give other bits
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen([sys.executable, *words], env=environment, text=True, **options)
