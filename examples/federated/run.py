"""All four processes on one machine: the coordinator and three devices, of which the last dies in round 2."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from pathlib import Path

import coordinator
import device
import torch
from problem import DEVICES


def main(folder: Path, *, rounds: int, data: str, epochs: int, patience_s: float) -> list[dict]:
    """Runs the rounds; gives what the coordinator told of each."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)]).step()  # loads what every device's first step would load
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")  # fork: torch loads once
    devices = [
        context.Process(
            target=device.work,
            args=(folder, number),
            kwargs={
                "rounds": rounds, "data": data, "epochs": epochs, "patience_s": patience_s,
                "dies_in": 1 if number == DEVICES - 1 else -1,
            },
        )
        for number in range(DEVICES)
    ]  # fmt: skip
    kind = {"rounds": rounds, "data": data, "patience_s": patience_s}
    processes = [context.Process(target=coordinator.work, args=(folder,), kwargs=kind), *devices]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if processes[0].exitcode:
        raise SystemExit("the coordinator failed; its messages are above.")
    return json.loads((folder / "rounds.json").read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None, help="kept; a temporary one if left out")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--data", choices=["digits", "fashion"], default="digits")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--patience-s", type=float, default=20.0, help="how long one may be silent")
    options = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.pop("folder") or Path(temporary)
        for row in main(folder, **options):
            sys.stdout.write(f"{json.dumps(row)}\n")
