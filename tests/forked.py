"""Code in fresh processes that needn't load torch: each is forked from one that has loaded it and done nothing else."""

import multiprocessing
import os
import sys
import types
import warnings
from collections.abc import Mapping
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch"])


def run(code: str, folder: Path) -> None:
    """Runs code as `python -W error -c code` does in a folder; what it prints goes to this process's output.

    Raises:
        AssertionError: it didn't end well; its output has the reason.
    """
    process = _CONTEXT.Process(target=_run, args=(code, str(folder), dict(os.environ)))
    process.start()
    process.join()
    assert process.exitcode == 0, f"exit code {process.exitcode}"


def _run(code: str, folder: str, environment: Mapping[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c"]
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    warnings.resetwarnings()
    warnings.simplefilter("error")
    exec(compile(code, "<string>", "exec"), module.__dict__)
