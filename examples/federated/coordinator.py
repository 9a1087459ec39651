"""The coordinator: a part for every device's budget, and back into the one network what comes in time."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch
from exchange import Sign, read_part, waited_for, write_part
from problem import DEVICES, SHARES, network, pictures
from safetensors.torch import save_file
from torch import Tensor, nn

from linnet.prune import Budget, extract, plan, scatter

logger = logging.getLogger(__name__)


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of pictures that are told rightly."""
    return float((model.eval()(x).argmax(1) == y).float().mean())


def one_round(model: nn.Module, folder: Path, *, patience_s: float, present: list[int]) -> dict[str, Any]:
    """Gives parts out and puts back what comes; a device that died isn't asked again."""
    example, sent = torch.zeros(1, 1, 8, 8), 0
    for device in present:
        made = plan(model, example, Budget(params=SHARES[device]), align=1, criterion="l1")
        sent += write_part(folder / f"to-{device}.safetensors", made, extract(model, made).state_dict(), 0)
    parts, weights, answered, received = [], [], [], 0
    for device in present:
        back = folder / f"from-{device}.safetensors"
        if not waited_for(back, folder.parent / f"device-{device}.alive", patience_s):
            logger.warning("device %d gave no sign for %g s; the round closes without it", device, patience_s)
            continue
        made, state, samples = read_part(back)
        parts.append((made, state))
        weights.append(float(samples))
        answered.append(device)
        received += back.stat().st_size
    if parts:
        scatter(model, parts, weights)
    return {"devices": answered, "bytes sent": sent, "bytes received": received}


def work(folder: Path, *, rounds: int, data: str, patience_s: float) -> None:
    """All rounds; leaves `rounds.json` and `model.safetensors` in the folder.

    Args:
        folder: Where parts are exchanged.
        rounds: How many.
        data: Name of the pictures.
        patience_s: How long a device may be silent.
    """
    model, present, told = network(), list(range(DEVICES)), []
    _, _, x, y = pictures(data)
    with Sign(folder / "coordinator.alive"):
        for number in range(rounds):
            found = one_round(model, folder / f"round-{number}", patience_s=patience_s, present=present)
            present = found["devices"]
            told.append({"round": number, **found, "accuracy": accuracy(model, x, y)})
            (folder / "rounds.json").write_text(json.dumps(told, indent=1))
    save_file(model.state_dict(), folder / "model.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--data", choices=["digits", "fashion"], default="digits")
    parser.add_argument("--patience-s", type=float, default=20.0)
    work(**vars(parser.parse_args()))
