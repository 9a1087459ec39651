"""A device: waits for its part of each round, trains it on its own pictures, gives it back."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from exchange import Sign, read_part, waited_for, write_part
from problem import network, pictures, shard
from torch import Tensor, nn

from linnet.prune import extract


def train(small: nn.Module, x: Tensor, y: Tensor, *, epochs: int, rng_seed: int) -> None:
    """A few passes of SGD."""
    optimizer, draw = torch.optim.SGD(small.parameters(), lr=0.1, momentum=0.9), torch.Generator().manual_seed(rng_seed)
    small.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=draw).split(32):
            if len(rows) > 1:
                optimizer.zero_grad()
                nn.functional.cross_entropy(small(x[rows]), y[rows]).backward()
                optimizer.step()


def work(folder: Path, device: int, *, rounds: int, data: str, epochs: int, patience_s: float, dies_in: int) -> None:
    """All rounds of one device.

    Args:
        folder: Where parts are exchanged.
        device: Its number.
        rounds: How many there are.
        data: Name of the pictures.
        epochs: Passes over its own pictures in each round.
        patience_s: How long the coordinator may be silent.
        dies_in: Round in whose middle it dies; -1 never.
    """
    x, y = shard(*pictures(data)[:2], device)
    with Sign(folder / f"device-{device}.alive"):
        for number in range(rounds):
            given = folder / f"round-{number}" / f"to-{device}.safetensors"
            if not waited_for(given, folder / "coordinator.alive", patience_s):
                return
            plan, state, _ = read_part(given)
            small = extract(network(), plan)  # the right sizes; what it knows comes from the file
            small.load_state_dict(state)
            if number == dies_in:
                os._exit(1)
            train(small, x, y, epochs=epochs, rng_seed=number)
            write_part(folder / f"round-{number}" / f"from-{device}.safetensors", plan, small.state_dict(), len(x))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("device", type=int)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--data", choices=["digits", "fashion"], default="digits")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--patience-s", type=float, default=20.0)
    parser.add_argument("--dies-in", type=int, default=-1)
    work(**vars(parser.parse_args()))
