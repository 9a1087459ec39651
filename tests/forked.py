"""Code in fresh processes that needn't load torch: each is forked from one that has loaded it and done nothing else."""

import multiprocessing
import os
import runpy
import sys
import types
import warnings
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import torch.distributed

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch", "torch._dynamo"])  # DDP, optimizers and graphs load the second


class Surroundings(NamedTuple):
    """What a new process takes over from this one."""

    environment: dict[str, str]
    path: list[str]
    threads: int


def run(code: str, folder: Path, *words: str) -> None:
    """Runs code as `python -W error -c code words` does in a folder; what it prints goes to this process's output.

    Raises:
        AssertionError: it didn't end well; its output has the reason.
    """
    process = start(code, folder, *words, strict=True)
    process.join()
    assert process.exitcode == 0, f"exit code {process.exitcode}"


def start(code: str, folder: Path, *words: str, strict: bool = False) -> BaseProcess:
    """Starts code as `python -c code words` does in a folder; `strict` makes its warnings errors."""
    process = _CONTEXT.Process(target=_run, args=(code, str(folder), words, strict, _here()))
    process.start()
    return process


def run_on_ranks(script: Path, folder: Path, *words: str, count: int = 2, within_s: float = 240) -> str:
    """Runs a script in processes that `dist.init_process_group("gloo")` joins, as torchrun does on one machine.

    Args:
        script: The file.
        folder: For the output.
        words: Arguments of the script.
        count: Number of processes.
        within_s: Time after which they are ended.

    Returns:
        What all of them printed, one after another.

    Raises:
        AssertionError: one didn't end well; the message has its output.
    """
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    joined = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    outputs = [folder / f"output-{rank}.txt" for rank in range(count)]
    processes = []
    for rank, output in enumerate(outputs):
        own = joined | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(_CONTEXT.Process(target=_run_on_rank, args=(str(script), words, own, str(output), _here())))
    for process in processes:
        process.start()
    for process in processes:
        process.join(within_s)
        process.kill()
        process.join()
    told = "\n".join(output.read_text() for output in outputs)
    assert all(process.exitcode == 0 for process in processes), told
    return told


def _here() -> Surroundings:
    return Surroundings(dict(os.environ), sys.path, torch.get_num_threads())


def _take_over(here: Surroundings, argv: list[str]) -> None:
    os.environ.clear()
    os.environ.update(here.environment)
    sys.path[:] = here.path
    sys.argv = argv
    torch.set_num_threads(here.threads)  # other numbers of threads give other bits


def _run(code: str, folder: str, words: tuple[str, ...], strict: bool, here: Surroundings) -> None:
    _take_over(here, ["-c", *words])
    os.chdir(folder)
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    if strict:
        warnings.simplefilter("error")
    exec(compile(code, "<string>", "exec"), module.__dict__)


def _run_on_rank(
    script: str, words: tuple[str, ...], joined: Mapping[str, str], output: str, here: Surroundings
) -> None:
    with Path(output).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _take_over(here, [script, *words])
    os.environ.update(joined)
    runpy.run_path(script, run_name="__main__")
