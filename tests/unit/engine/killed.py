"""Trains in child processes that the test may kill. Reads "folder optimizer out" lines; tells pids and steps.

One interpreter forks all children, so that torch is imported once.
"""

import os
import sys

import torch._dynamo  # noqa: F401  the first optimizer step imports it, which takes seconds
from safetensors.torch import save_file

from linnet.engine import Listener
from tests.unit.engine.small import train


class Tell(Listener):
    """Prints each step."""

    def on_step(self, run):
        print("step", run.step, flush=True)


def train_and_save(folder, optimizer, out):
    result = train(folder, optimizer=optimizer, checkpoint_every=3, epochs=6, listeners=[Tell()])
    save_file(result.model.state_dict() | {f"average.{k}": v for k, v in result.averaged.items()}, out)


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if not child:
            train_and_save(*line.split())
            os._exit(0)
        print("pid", child, flush=True)
        print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
