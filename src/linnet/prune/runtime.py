"""Runtime: the packages that run an exported network, loaded when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

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
                f"ONNX files need the package {package}, which can't be loaded ({fault}). "
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
