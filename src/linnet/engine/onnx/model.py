"""A network as an ONNX model in memory: operators and weights, nothing of the machine it was made on."""

from __future__ import annotations

import copy
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.program.example import Example, example_from_dict
from linnet.core.program.module_copy import rebuild, unwrap
from linnet.errors import GraphError, InputError

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TRACED = 2  # samples while recording: a size of 1 would be taken for a constant


def still(network: nn.Module) -> nn.Module:
    """A copy in eval mode and float32 on the CPU, hooks included, without gradients."""
    plain = rebuild(unwrap(network), lambda _, tensor: _float32(tensor.detach().cpu()), hooks="own").eval()
    return plain.requires_grad_(requires_grad=False)


def to_onnx(
    plain: nn.Module, example: Example, *, outputs: Sequence[str] | None = None, any_size: bool = False
) -> bytes:
    """A network of `still` as an ONNX model.

    Args:
        plain: The network.
        example: What it takes.
        outputs: Their names; None: the exporter's.
        any_size: Whether images (inputs of four axes) may have any height and width.

    Raises:
        GraphError: it can't be expressed in ONNX.
    """
    given = batch_of(example, _TRACED, torch.zeros)
    sides = {2: "height", 3: "width"} if any_size else {}
    named = lambda t: {0: "batch", **(sides if t.ndim == 4 else {})} if t.ndim else None  # noqa: E731
    axes = given.map(named)  # type: ignore[arg-type,return-value]
    shapes = axes.kwargs if axes.kwargs and not axes.args else (*axes.args, *axes.kwargs.values())
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                plain,
                given.args,
                kwargs=given.kwargs,
                dynamo=True,
                dynamic_shapes=shapes,
                output_names=outputs,
                verbose=False,
            )
    except Exception as error:  # whatever the exporter or an operator's rule raises
        said = _reason(error)
        hooked = any(module._forward_pre_hooks or module._forward_hooks for module in plain.modules())
        remedy = (
            "It has hooks, perhaps a pruner's masks: export the network that `finish` returned."
            if hooked
            else "Every operator needs an ONNX form, and none may depend on the number of samples; `linnet.save` keeps "
            "any network."
        )
        raise GraphError(f"`{type(plain).__name__}` can't be expressed in ONNX ({said}). {remedy}") from error
    assert program is not None
    return _stripped(program.model_proto)


def _reason(error: BaseException) -> str:
    """What an exporter's error comes from, in one line: its own text is a list of steps, in colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


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
            f"`example` must be given, as this {type(network).__name__} wasn't made by an edit that knows one. "
            "Give inputs as the network takes them: export(network, path, torch.zeros(1, 3, 32, 32))."
        )
    return example_from_dict(stored)


def batch_of(example: Example, samples: int, draw: Any) -> Example:
    """A call like the example with this many samples: floats are drawn, other values repeat the first sample's.

    Args:
        example: What the network takes.
        samples: Size of every tensor's leading axis.
        draw: Makes a float32 tensor from sizes: torch.zeros, torch.randn.
    """

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
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger, level in zip(loggers, (logging.ERROR, logging.CRITICAL), strict=True):
            logger.setLevel(level)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
