"""A detector's program, asked from here: it trains, searches and is timed in the environment of its library."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT
from benchmarks.nuclei.rivals.environment import interpreter

_ANSWER = "answer "
_ONE_THREAD = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)


@dataclass(frozen=True)
class Program:
    """The program of a library.

    Attributes:
        library: "linnet", "stardist" or "spotiflow".
        job: File with the images.
        folder: For what it learns.
        worker: The program; None: that of the library.
    """

    library: str
    job: Path
    folder: Path
    worker: Path | None = None

    def trained(self, budgets: int, seconds: float) -> list[dict[str, Any]]:
        """Facts of so many budgets of CPU seconds and more; those that are done aren't done again."""
        done = self._facts()
        while len(done) < budgets:
            done.append(self._ask("train", str(seconds)) | {"budget_s": seconds})
            self._file.write_text(json.dumps(done), encoding="utf-8")
        return done

    def has_found(self, name: str) -> bool:
        """Whether the images were searched already."""
        return (self.folder / f"{name}.json").exists()

    def found(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(n, 3) points and scores of each validation and test image, and facts of the search.

        Args:
            name: Of the file that keeps them.
        """
        points, facts = self.folder / f"{name}.npz", self.folder / f"{name}.json"
        if not self.has_found(name):
            facts.write_text(json.dumps(self._ask("find", str(points))), encoding="utf-8")
        with np.load(points) as stored:
            return {image: stored[image] for image in stored.files}, json.loads(facts.read_text(encoding="utf-8"))

    @contextmanager
    def timed(self, threshold: float) -> Iterator[subprocess.Popen[str]]:
        """The program, ready to search the timed images once for each line that it is sent."""
        words = self._words("time", str(threshold))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(words, text=True, env=_environment(), **pipes) as process:
            try:
                yield process
            finally:
                assert process.stdin is not None
                with suppress(BrokenPipeError):  # it ended before it read all that it was sent
                    process.stdin.close()

    @property
    def _file(self) -> Path:
        return self.folder / "budgets.json"

    def _facts(self) -> list[dict[str, Any]]:
        return json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else []

    def _words(self, task: str, *rest: str) -> list[str]:
        worker = self.worker or Path(__file__).with_name("workers") / f"{self.library}_worker.py"
        return [str(interpreter(self.library)), str(worker), task, str(self.job), str(self.folder), *rest]

    def _ask(self, task: str, *rest: str) -> dict[str, Any]:
        outcome = subprocess.run(self._words(task, *rest), capture_output=True, text=True, env=_environment())
        if outcome.returncode:
            raise RuntimeError(f"{self.library} failed: {_last(outcome.stderr or outcome.stdout)}")
        return next(answer for line in reversed(outcome.stdout.splitlines()) if (answer := _answer(line)))


def passed(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What one pass over the timed images took."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # then there is no answer either
        process.stdin.write("go\n")
        process.stdin.flush()
    for line in process.stdout:
        if answer := _answer(line):
            return answer
    raise RuntimeError(f"The program {process.args} ended while it was timed.")


def _answer(line: str) -> dict[str, Any]:
    return json.loads(line[len(_ANSWER) :]) if line.startswith(_ANSWER) else {}


def _last(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines() or ["it said nothing"]
    return lines[-1]


def _environment() -> dict[str, str]:
    """One thread for each, and linnet importable where it is this repository's."""
    return {
        **os.environ,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "PYTHONPATH": str(ROOT / "src"),
        "CUDA_VISIBLE_DEVICES": "",
    }
