"""An ensemble as one ONNX file whose outputs are its answer and both kinds of uncertainty."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.program.example import Example
from linnet.engine.onnx.model import batch_of, still, to_onnx
from linnet.engine.onnx.runtime import require, session
from linnet.ensemble.arguments import file_path, running
from linnet.ensemble.outputs import require_equal
from linnet.errors import InputError, ProofError
from linnet.results import atomic_write

CLASS_OUTPUTS = ("probs", "entropy", "aleatoric", "epistemic")
VALUE_OUTPUTS = ("mean", "variance", "aleatoric", "epistemic")
TOLERANCE = 1e-5
BATCHES = (1, 7, 3)


class ClassAnswers(nn.Module):
    """Probabilities and uncertainty in float32, from logarithms, with 0 log 0 = 0.

    Args:
        members: The networks.
        temperature: Of the pool; None: 1.
    """

    def __init__(self, members: Sequence[nn.Module], temperature: float | None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.inverse = 1.0 / (temperature or 1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(probs, entropy, aleatoric, epistemic) of a batch."""
        logs = torch.stack([member(x).log_softmax(1) for member in self.members])
        probs = logs.exp()
        pooled = probs.mean(0)
        entropy, aleatoric = _entropy(pooled, 1), _entropy(probs, 2).mean(0)
        most = logs.amax(0, keepdim=True)  # logarithm of the pool, where probabilities underflow too
        log_pooled = (most + (logs - most).exp().mean(0, keepdim=True).log()).squeeze(0)
        return (log_pooled * self.inverse).softmax(1), entropy, aleatoric, entropy - aleatoric


class ValueAnswers(nn.Module):
    """Mean and variance of regression members.

    Args:
        members: Networks that give values, or pairs (mean, log variance).
        factor: Of the variance; None: 1.
    """

    def __init__(self, members: Sequence[nn.Module], factor: float | None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.factor = factor or 1.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(mean, variance, aleatoric, epistemic) of a batch."""
        found = [member(x) for member in self.members]
        means = torch.stack([one[0] if isinstance(one, tuple) else one for one in found])
        mean = means.mean(0)
        epistemic = (means - mean).square().mean(0)
        if isinstance(found[0], tuple):
            aleatoric = torch.stack([one[1] for one in found]).exp().mean(0)
        else:
            aleatoric = torch.zeros_like(mean)
        return mean, (aleatoric + epistemic) * self.factor, aleatoric, epistemic


def _entropy(probs: Tensor, axis: int) -> Tensor:
    logs = torch.where(probs > 0, probs, torch.ones_like(probs)).log()
    return -(probs * logs).sum(axis)


def write_onnx(
    members: Sequence[nn.Module],
    path: str | os.PathLike[str],
    example: Any,
    *,
    task: str,
    temperature: float | None,
) -> Path:
    """Writes the file, after onnxruntime has computed the same on three random batches.

    Args:
        members: The networks; only read.
        path: Ends in `.onnx`; replaced when it exists.
        example: A tensor: inputs as the members take them.
        task: "classification", "dense" or "regression".
        temperature: Of the pool, or a regression's factor of the variance.

    Returns:
        The path.

    Raises:
        MissingExtra: `pip install "linnet[onnx]"` is needed.
        InputError: the path isn't one of a file that can be written, the members can't run on the example, or their
            outputs differ.
        GraphError: a member can't be expressed in ONNX.
        ProofError: the file computes something else; it isn't kept.
    """
    require("onnx", "onnxscript", "onnxruntime")
    path = file_path(path, ".onnx", call="export(path, example)")
    if not isinstance(example, Tensor):
        raise InputError(
            f"`example` must be a tensor: inputs as the members take them (got {type(example).__name__}). Give a batch "
            'of them, such as ens.export("ens.onnx", x[:2]).'
        )
    copies = [still(member) for member in members]
    regression = task == "regression"
    made = ValueAnswers(copies, temperature) if regression else ClassAnswers(copies, temperature)
    plain = made.eval().requires_grad_(requires_grad=False)
    given = Example.of(example).on_cpu()
    outputs = []
    for copy in copies:
        with torch.no_grad(), running("example", copy, example):
            outputs.append(copy(given.args[0]))
    require_equal(outputs)
    names = VALUE_OUTPUTS if regression else CLASS_OUTPUTS
    written = to_onnx(plain, given, outputs=names)
    error = _difference(plain, given, written)
    if not error <= TOLERANCE:
        raise ProofError(
            f"{path}: onnxruntime computes something other than the ensemble does (they differ by {error:.2g}; at most "
            f"{TOLERANCE:g} is allowed). The file wasn't kept. Look for an operator that draws random numbers or "
            "depends on the number of samples, and replace it."
        )
    return atomic_write(path, written)


def _difference(plain: nn.Module, example: Example, written: bytes) -> float:
    """Largest difference of any output, relative where it is above 1."""
    run, worst = session(written), 0.0
    generator = torch.Generator().manual_seed(0)
    name = run.get_inputs()[0].name
    for samples in BATCHES:
        given = batch_of(example, samples, lambda *size, **kind: torch.randn(*size, generator=generator, **kind))
        with torch.no_grad():
            wanted = plain(*given.args)
        found = run.run(None, {name: given.args[0].numpy()})
        for ours, its in zip(wanted, found, strict=True):
            gap = (ours - torch.from_numpy(its)).abs() / ours.abs().clamp_min(1.0)
            worst = (
                max(worst, float(gap.max())) if ours.shape == its.shape and bool(gap.isfinite().all()) else float("inf")
            )
    return worst
