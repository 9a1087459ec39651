"""Composite functions of torch that are recorded in one piece, since their parts would hide what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# With the order of their arguments. A Python function of `functional` reaches the recorder before the builtin that it
# wraps.
_RMS = ("input", "normalized_shape", "weight", "eps")
_INSTANCE = ("input", "weight", "bias", "running_mean", "running_var", "use_input_stats", "momentum", "eps")
_LINEAR = ("input", "weight", "bias")
_ATTENTION = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
WHOLE: dict[Callable[..., Any], tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    # function: (operator, the function's order of arguments, the node's order of arguments)
    torch.rms_norm: ("aten::rms_norm", _RMS, _RMS),
    functional.rms_norm: ("aten::rms_norm", _RMS, _RMS),
    torch.instance_norm: ("aten::instance_norm", _INSTANCE, _INSTANCE),
    functional.instance_norm: (
        "aten::instance_norm",
        ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"),
        _INSTANCE,
    ),
    functional.pad: ("aten::_pad_circular", ("input", "pad", "mode", "value"), ("input", "pad")),  # circular ones only
    functional.linear: ("aten::linear", _LINEAR, _LINEAR),  # its parts depend on the layout of the input
    functional.scaled_dot_product_attention: ("aten::scaled_dot_product_attention", _ATTENTION, _ATTENTION),
}
_DROPOUT = ("input", "p", "training", "inplace")
_DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
# In training mode; in eval mode they are nothing.
DROPOUTS = {getattr(functional, name): ("aten::dropout", _DROPOUT, _DROPOUT[:1]) for name in _DROPOUTS}
# These make a view or a copy, as the layout of the sizes at hand allows; an edit must not see a difference.
RESHAPES = frozenset({torch.reshape, Tensor.reshape, torch.flatten, Tensor.flatten})


class Whole(TorchFunctionMode):
    """Notes which function of torch is called, and keeps the composite ones of `WHOLE` in one piece."""

    def __init__(self, recorder: Any):
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in RESHAPES and not self.recorder.paused:
            return self._reshape(func, args, kwargs)
        whole = WHOLE.get(func)
        if func in DROPOUTS and kwargs.get("training", args[2] if len(args) > 2 else True):
            whole = DROPOUTS[func]
        if func is functional.pad and "circular" not in (*args[2:3], kwargs.get("mode")):
            whole = None
        if whole is None or self.recorder.paused:
            before, self.recorder.caller = self.recorder.caller, getattr(func, "__name__", "")
            try:
                return func(*args, **kwargs)
            finally:
                self.recorder.caller = before
        op, given, wanted = whole
        by_name = {**dict(zip(given, args, strict=False)), **kwargs}
        recorded = self.recorder.arguments(tuple(by_name.get(name) for name in wanted))
        self.recorder.paused += 1
        try:
            result = func(*args, **kwargs)
        finally:
            self.recorder.paused -= 1
        self.recorder.add(op, recorded, {}, result)
        return result

    def _reshape(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """One node, whether the layout of these sizes needs a copy or a view."""
        source = self.recorder.arguments(args[0] if args else kwargs["input"])
        self.recorder.paused += 1
        try:
            result = func(*args, **kwargs)
        finally:
            self.recorder.paused -= 1
        sizes = kwargs.get("shape", args[1] if len(args) == 2 and not isinstance(args[1], int) else args[1:])
        before, self.recorder.caller = self.recorder.caller, func.__name__
        self.recorder.add("aten::reshape", (source, list(sizes) if func.__name__ == "reshape" else []), {}, result)
        self.recorder.caller = before
        return result
