"""`Program.verify`: every value of every frame, in all backends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from linnet.errors import InputError, ToolError
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.reference.numpy_reference import trace_numpy
from linnet.jet.reference.torch_reference import trace_torch
from linnet.jet.verification.backends import BACKENDS, Backend, Job
from linnet.jet.verification.records import Ran, Verification, require_equal
from linnet.suggest import one_of

BATCH = 128


def prove(
    graph: IntegerGraph,
    pixels: Tensor,
    backends: Sequence[str] | str,
    directory: str | os.PathLike[str] | None,
    *,
    thorough: bool,
    known: Mapping[str, Backend] = BACKENDS,
) -> Verification:
    """Compares torch with numpy layer by layer, and each backend's output with theirs.

    Args:
        graph: The program.
        pixels: Checked pixels (N, *input shape).
        backends: Names, or "available".
        directory: Folder whose files are checked as they are.
        thorough: All builds of a backend.
        known: The backends there are.

    Raises:
        MismatchError: a value differs.
        ToolError: a backend that was asked for can't run here.
        InputError: a backend isn't known, or there are no frames.
    """
    wanted, skipped = _wanted(backends, known)
    if len(pixels) == 0:
        raise InputError("`x` must hold at least one frame (got none).")
    begun = time.perf_counter()
    expected, values = _references(graph, pixels)
    ran = [Ran("numpy", "every layer against torch", values, time.perf_counter() - begun, f"numpy {np.__version__}")]
    folder = None if directory is None else Path(directory)
    job = Job(graph, pixels.numpy(), expected, folder, thorough, backends == "available", skipped)
    for name in wanted:
        ran += known[name].check(job)
    return Verification(graph.hash, len(pixels), tuple(ran), job.skipped)


def _wanted(backends: Sequence[str] | str, known: Mapping[str, Backend]) -> tuple[list[str], dict[str, str]]:
    if backends == "available":
        missing = {name: backend.missing() for name, backend in known.items()}
        return [name for name, why in missing.items() if not why], {name: why for name, why in missing.items() if why}
    if isinstance(backends, str) or not isinstance(backends, Iterable):
        raise InputError(f'`backends` must be a list of names or "available" (got {backends!r}). E.g. ["c"].')
    names = list(dict.fromkeys(backends))
    for name in names:
        one_of("backends", name, ("torch", "numpy", *known))
        why = known[name].missing() if name in known else ""
        if why:
            raise ToolError(f'`backends` asks for {name!r}, which can\'t run here: {why} Or give backends="available".')
    return [name for name in names if name in known], {}


def _references(graph: IntegerGraph, pixels: Tensor) -> tuple[np.ndarray, int]:
    """The output of all frames, and how many values were compared: every node's of every frame."""
    parts, values = [], 0
    for start in range(0, len(pixels), BATCH):
        part = pixels[start : start + BATCH]
        with torch.no_grad():
            ours = [value.numpy() for value in trace_torch(graph, part)]
        theirs = trace_numpy(graph, part.numpy())
        for node, expected, found in zip(graph.nodes[1:], ours[1:], theirs[1:], strict=True):
            values += require_equal("numpy", node, expected, found, start)
        parts.append(ours[-1])
    return np.concatenate(parts), values
