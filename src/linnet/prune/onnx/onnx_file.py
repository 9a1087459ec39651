"""Export: a network as an ONNX file that computes the same, checked by running it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from linnet.core.program.example import Example
from linnet.engine.onnx.model import batch_of, example_of, still, to_onnx
from linnet.engine.onnx.runtime import require, session
from linnet.errors import GraphError, InputError, ProofError
from linnet.prune.masks.masks import has_masks
from linnet.results import atomic_write

TOLERANCE = 1e-4  # of the largest output: float32 sums in another order, batch norms folded into weights
_BATCHES = (1, 7, 3)  # one that exporters like to take for a constant, an odd one, another


def export(small: nn.Module, path: str | os.PathLike[str], example: Any = None, *, any_size: bool = False) -> Path:
    """Writes a network as an ONNX file: any number of samples, batch norms folded, float32.

    The file is run with onnxruntime on three random batches (of 1, 7 and 3 samples) before it takes its name:
    max |file - network| <= 1e-4 max |network| on every output. It holds the operators and weights only, no line of the
    code and no path of the machine that it was made on.

    Args:
        small: Any network; what `finish` and `extract` gave needs no example. It is only read, in eval mode.
        path: The file, ending in `.onnx`; replaced when it exists.
        example: A tensor, a tuple of arguments or a dict of keyword arguments; None takes that of the network's edit.
        any_size: Whether images may have any height and width, where the network takes them; the file is then run on
            images of twice the example's size as well.

    Returns:
        The path.

    Raises:
        MissingExtra: `pip install "linnet[onnx]"` is needed.
        InputError: the path doesn't end in `.onnx`, or there is no example.
        GraphError: the network can't be expressed in ONNX, or a pruner's masks are still on it.
        ProofError: the file computes something else; it isn't kept.
        OSError: the disk is full, say; what stood there before is still there.

    Source:
        torch.onnx (the exporter by torch.export); the check is ours.
    """
    require("onnx", "onnxscript", "onnxruntime")
    path = Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"`path` must end in .onnx, such as small.onnx (got {path}).")
    if has_masks(small):
        raise GraphError(
            f"This {type(small).__name__} has a pruner's masks, so its file would be as large as the whole "
            "network's. Export the network that `finish` returned."
        )
    plain, given = still(small), example_of(small, example)
    written = to_onnx(plain, given, any_size=any_size)
    error = _difference(plain, [given, *([given.map(_twice_as_large)] if any_size else [])], written)
    if not error <= TOLERANCE:
        raise ProofError(
            f"{path}: the outputs of onnxruntime must be within {TOLERANCE:g} of the network's, by the largest "
            f"(got {error:.2g}). The file wasn't kept. Check for an operator that draws numbers or counts samples."
        )
    return atomic_write(path, written)


def _twice_as_large(tensor: Tensor) -> Tensor:
    return tensor.repeat(1, 1, 2, 2) if tensor.ndim == 4 else tensor


def _difference(plain: nn.Module, examples: Sequence[Example], written: bytes) -> float:
    """Largest difference of any output over its largest size, over the examples and batches."""
    run = session(written)
    generator, worst = torch.Generator().manual_seed(0), 0.0
    for example, samples in product(examples, _BATCHES):
        given = batch_of(example, samples, lambda *size, **kind: torch.randn(*size, generator=generator, **kind))
        with torch.no_grad():
            wanted = [t for t in _pytree.tree_leaves(plain(*given.args, **given.kwargs)) if isinstance(t, Tensor)]
        names = [entry.name for entry in run.get_inputs()]
        tensors = [tensor.numpy() for _, tensor in given.tensors()]
        if len(names) != len(tensors):
            raise ProofError(
                f"The ONNX model must have the inputs {given} (got {names}). The network must use every input."
            )
        feed = dict(zip(names, tensors, strict=True))
        try:
            found = run.run(None, feed)
        except Exception as error:  # onnxruntime raises private classes for sizes that don't fit
            raise ProofError(f"onnxruntime refuses a batch of {samples}: {str(error).splitlines()[0]}") from error
        for ours, its in zip(wanted, found, strict=True):
            its = torch.from_numpy(its)
            if ours.shape != its.shape:
                return float("inf")
            apart = (ours.double() - its.double()).abs().max() / ours.double().abs().max().clamp_min(1e-30)
            worst = max(worst, float(apart)) if bool(torch.isfinite(apart)) else float("nan")
    return worst
