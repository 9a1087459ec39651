"""Carries out a recipe in child processes that kill themselves. Arguments: recipe, folder, then "WHEN STAGE" pairs.

One interpreter forks all children, so that torch, and the packages that stages import where they use them, are imported
once. WHEN is "step" (the ninth update of the stage's training) or "write" (when the stage's first file is whole but not
yet in its place). At the end a child does the rest. Prints the exit code of each child. Several folders, each with its
own pairs, are divided by "--".
"""

import importlib
import importlib.util
import os
import signal
import sys
from dataclasses import replace

import torch
import torch._dynamo
from torch.optim.optimizer import register_optimizer_step_post_hook

from linnet.recipe import runner

USED = (
    "linnet.ensemble", "linnet.report", "sklearn.datasets", "scipy.ndimage", "matplotlib.figure", "jinja2", "PIL.Image",
    "onnx", "onnxscript", "onnxruntime", "torch.onnx._internal.exporter._core",
)  # fmt: skip


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def before_its_step(needs):
    """The networks that a stage needs, unless the ninth update comes first."""
    count = 0

    def counted(*_):
        nonlocal count
        count += 1
        if count == 9:
            die()

    def doomed(work):
        register_optimizer_step_post_hook(counted)
        return needs(work)

    return doomed


def before_its_write(do):
    def doomed(work):
        os.replace = die
        return do(work)

    return doomed


def carry_out(recipe, out, when="", name=""):
    stages = runner.stages_of

    def doomed(plan):
        return tuple(
            stage
            if stage.name != name
            else replace(stage, needs=before_its_step(stage.needs))
            if when == "step"
            else replace(stage, do=before_its_write(stage.do))
            for stage in stages(plan)
        )

    runner.stages_of = doomed
    runner.run(recipe, out=out, overrides={"train.checkpoint_every": 3})


if __name__ == "__main__":
    torch.set_num_threads(1)
    for package in USED:
        if importlib.util.find_spec(package.partition(".")[0]):
            importlib.import_module(package)
    path, *rest = sys.argv[1:]
    while rest:
        end = rest.index("--") if "--" in rest else len(rest)
        (folder, *doomed), rest = rest[:end], rest[end + 1 :]
        for words in [*doomed, ""]:
            child = os.fork()
            if not child:
                carry_out(path, folder, *words.split())
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
