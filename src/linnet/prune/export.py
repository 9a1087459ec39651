"""Export: a network as an ONNX file that computes the same, checked by running it."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from linnet.core.example import Example, example_from_dict
from linnet.core.skeleton import rebuild, unwrap
from linnet.errors import GraphError, InputError, ProofError
from linnet.prune.runtime import require, session
from linnet.results import atomic_write

TOLERANCE = 1e-4  # of the largest output: float32 sums in another order, batch norms folded into weights
_BATCHES = (1, 7, 3)  # one that exporters like to take for a constant, an odd one, another
_TRACED = 2  # samples while recording: a size of 1 would be taken for a constant


def export(small: nn.Module, path: str | os.PathLike[str], example: Any = None) -> Path:
    """Writes a network as an ONNX file: any number of samples, batch norms folded, float32.

    The file is run with onnxruntime on three random batches (of 1, 7 and 3 samples) before it takes its name:
    max |file - network| <= 1e-4 max |network| on every output. It holds the operators and weights only, no line of the
    code and no path of the machine that it was made on.

    Args:
        small: Any network; what `finish` and `extract` gave needs no example. It is only read, in eval mode.
        path: Of the file, ending in `.onnx`; replaced when it exists.
        example: A tensor, a tuple of arguments or a dict of keyword arguments; None takes that of the network's edit.

    Returns:
        The path.

    Raises:
        MissingExtra: `pip install "linnet[onnx]"` is needed.
        InputError: the path doesn't end in `.onnx`, or there is no example.
        GraphError: the network can't be expressed in ONNX.
        ProofError: the file computes something else; it isn't kept.
        OSError: the disk is full, say; what stood there before is still there.

    Source:
        torch.onnx (the exporter by torch.export); the check is ours.
    """
    require("onnx", "onnxscript", "onnxruntime")
    path = Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"`path` is {path}; a name that ends in .onnx is needed, such as small.onnx.")
    plain, given = still(small), example_of(small, example)
    written = to_onnx(plain, given)
    error = _difference(plain, given, written)
    if not error <= TOLERANCE:
        raise ProofError(
            f"{path}: onnxruntime computes something else than the network: {error:.2g} of the largest output, at most "
            f"{TOLERANCE:g} is allowed. The file wasn't kept; does an operator draw numbers or count samples?"
        )
    return atomic_write(path, written)


def example_of(network: nn.Module, example: Any) -> Example:
    """The example given, or else the one that the network was edited on.

    Raises:
        InputError: there is neither.
    """
    if example is not None:
        return Example.of(example).on_cpu()
    stored = getattr(getattr(network, "linnet_edit", None), "example", None)
    if not stored:
        raise InputError(
            f"`example` is None and this {type(network).__name__} was made by no edit that knows one; give inputs as "
            "the network takes them: export(network, path, torch.zeros(1, 3, 32, 32))."
        )
    return example_from_dict(stored, lambda shape, dtype: torch.zeros(shape, dtype=dtype))


def still(network: nn.Module) -> nn.Module:
    """A copy in eval mode and float32 on the CPU, hooks included, without gradients."""
    plain = rebuild(unwrap(network), lambda _, tensor: _float32(tensor.detach().cpu()), keep_hooks=True).eval()
    return plain.requires_grad_(requires_grad=False)


def to_onnx(plain: nn.Module, example: Example) -> bytes:
    """A network of `still` as an ONNX model.

    Raises:
        GraphError: it can't be expressed in ONNX.
    """
    given = _batch(example, _TRACED, torch.zeros)
    axes = given.map(lambda tensor: {0: "batch"} if tensor.ndim else None)  # type: ignore[arg-type,return-value]
    shapes = axes.kwargs if axes.kwargs and not axes.args else (*axes.args, *axes.kwargs.values())
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                plain, given.args, kwargs=given.kwargs, dynamo=True, dynamic_shapes=shapes, verbose=False
            )
    except Exception as error:  # whatever the exporter or an operator's rule raises
        lines = [line for line in str(error).splitlines() if line.strip()]
        hooked = any(module._forward_pre_hooks or module._forward_hooks for module in plain.modules())
        remedy = (
            "It has hooks, a pruner's masks perhaps: export what `finish` gave."
            if hooked
            else "Every operator needs an ONNX form, and none may depend on the number of samples; `linnet.save` keeps "
            "any network."
        )
        raise GraphError(
            f"`{type(plain).__name__}` can't be expressed in ONNX ({type(error).__name__}: "
            f"{lines[0] if lines else ''}). {remedy}"
        ) from error
    assert program is not None
    return _stripped(program.model_proto)


def _difference(plain: nn.Module, example: Example, written: bytes) -> float:
    """Largest difference of any output over its largest size, over the batches."""
    run = session(written)
    generator, worst = torch.Generator().manual_seed(0), 0.0
    for samples in _BATCHES:
        given = _batch(example, samples, lambda *size, **kind: torch.randn(*size, generator=generator, **kind))
        with torch.no_grad():
            wanted = [t for t in _pytree.tree_leaves(plain(*given.args, **given.kwargs)) if isinstance(t, Tensor)]
        names = [entry.name for entry in run.get_inputs()]
        tensors = [tensor.numpy() for _, tensor in given.tensors()]
        if len(names) != len(tensors):
            raise ProofError(f"the ONNX model has the inputs {names} for {given}; the network must use every input.")
        feed = dict(zip(names, tensors, strict=True))
        try:
            found = run.run(None, feed)
        except Exception as error:  # onnxruntime raises classes of its own for sizes that don't fit
            raise ProofError(f"onnxruntime refuses a batch of {samples}: {str(error).splitlines()[0]}") from error
        for ours, its in zip(wanted, found, strict=True):
            its = torch.from_numpy(its)
            if ours.shape != its.shape:
                return float("inf")
            apart = (ours.double() - its.double()).abs().max() / ours.double().abs().max().clamp_min(1e-30)
            worst = max(worst, float(apart)) if bool(torch.isfinite(apart)) else float("nan")
    return worst


def _batch(example: Example, samples: int, draw: Any) -> Example:
    """A call like the example with this many samples: floats are drawn, other values repeat the first sample's."""

    def one(tensor: Tensor) -> Tensor:
        if not tensor.ndim:
            return _float32(tensor)
        if tensor.is_floating_point():
            return draw(samples, *tensor.shape[1:], dtype=torch.float32)
        return tensor[:1].expand(samples, *tensor.shape[1:]).contiguous()

    return example.map(one)


def _float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32, copy=True) if tensor.is_floating_point() else tensor.clone()


def _stripped(model: Any) -> bytes:
    """The model without notes on where each operator came from: they name files of this machine."""
    model = copy.deepcopy(model)
    model.producer_name, model.producer_version = "linnet", ""
    parts = [model, model.graph, *model.functions]
    for graph in (model.graph, *model.functions):
        parts += graph.node
    parts += [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]
    for part in parts:
        del part.metadata_props[:]
        if hasattr(part, "doc_string"):
            part.doc_string = ""
    return model.SerializeToString()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own warnings and log lines are about its insides, not about the network."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
