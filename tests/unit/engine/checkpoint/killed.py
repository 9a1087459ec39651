"""Trains in child processes that the test may kill. Reads "folder optimizer out doomed" lines; tells pids and steps.

One interpreter forks all children, so that torch is imported once.
"""

import os
import sys
import time

import torch._dynamo  # noqa: F401  the first optimizer step imports it, which takes seconds
from safetensors.torch import save_file

from linnet.engine import Listener
from tests.unit.engine.small import train


def tell(kind, number):
    """Writes a whole line at once; a line of `print` may be cut by the kill where PYTHONUNBUFFERED is set."""
    os.write(sys.stdout.fileno(), f"{kind} {number}\n".encode())


class Tell(Listener):
    """Prints each step; one that shall be killed waits for it before the last."""

    def __init__(self, *, doomed):
        self.doomed = doomed

    def on_step(self, run):
        tell("step", run.step)
        if self.doomed and run.step == run.steps_total - 1:
            time.sleep(100)


def train_and_save(folder, optimizer, out, doomed):
    listeners = [Tell(doomed=doomed == "True")]
    result = train(folder, optimizer=optimizer, checkpoint_every=3, epochs=6, listeners=listeners)
    save_file(result.model.state_dict() | {f"average.{k}": v for k, v in result.averaged.items()}, out)


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if not child:
            train_and_save(*line.split())
            os._exit(0)
        tell("pid", child)
        tell("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
