"""Runtime: onnxruntime or torch, loaded on first use."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from linnet.core.program.example import Example
from linnet.engine.onnx.model import batch_of, to_onnx
from linnet.errors import MissingExtra


def require(*packages: str) -> None:
    """Loads packages of the extra `onnx`.

    Raises:
        MissingExtra: one isn't there; the message has the line that installs it.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError as fault:
            raise MissingExtra(
                f"ONNX networks need the package {package}, which can't be loaded ({fault}). "
                'Install it: pip install "linnet[onnx]"'
            ) from fault


def session(model: bytes, *, threads: int = 1) -> Any:
    """An onnxruntime session on the CPU.

    Args:
        model: An ONNX model.
        threads: Of one operator.
    """
    require("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_call(model: bytes, inputs: list[npt.NDArray[Any]], *, threads: int = 1) -> Callable[[], object]:
    """A call of an ONNX model on these inputs."""
    run = session(model, threads=threads)
    feed = dict(zip((entry.name for entry in run.get_inputs()), inputs, strict=True))
    return lambda: run.run(None, feed)


def network_call(plain: nn.Module, example: Example, runtime: str, *, batch: int, threads: int) -> Callable[[], object]:
    """A call of a whole network: exported to onnxruntime, or the module itself in torch.

    Args:
        plain: From `onnx_model.still`.
        example: What it takes.
        runtime: "onnxruntime" or "torch".
        batch: Samples of the call.
        threads: Of the call.
    """
    given = batch_of(example, batch, torch.randn)
    if runtime == "torch":

        def call() -> object:
            with torch.inference_mode():
                return plain(*given.args, **given.kwargs)

        return call
    require("onnx", "onnxscript", "onnxruntime")
    return onnx_call(to_onnx(plain, example), [tensor.numpy() for _, tensor in given.tensors()], threads=threads)


def runtime_name(runtime: str) -> str:
    """Name and version: "onnxruntime 1.32.0"."""
    if runtime == "torch":
        return f"torch {torch.__version__}"
    require("onnx", "onnxscript", "onnxruntime")
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def cpu_name() -> str:
    """Model and architecture of the processor."""
    from linnet.results import machine

    return f"{platform.machine()}, {machine().rpartition(', ')[2]}"
