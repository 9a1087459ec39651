"""Run a network to compare it with another: without dropout, with the same noise, and all random states as before."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from linnet.core.linalg.precision import full_float32
from linnet.core.program.example import Example
from linnet.core.program.recorder import leaves

aten = torch.ops.aten


def outputs(model: nn.Module, given: Example, *, training: bool) -> list[tuple[str, Tensor]]:
    """(name, tensor) of each tensor that a network returns.

    Tensors that its code makes are of the given ones' precision where it names none. Noise is at its mean: a narrower
    network would draw other numbers.
    """
    model.train(training)
    kinds = {t.dtype for _, t in given.tensors() if t.is_floating_point()} | {p.dtype for p in model.parameters()}
    with _undisturbed(), torch.no_grad(), _default(kinds), _NoDropout(), _NoNoise():
        return list(leaves(model(*given.args, **given.kwargs), "output"))


def low_precision(model: nn.Module, given: Example, *, training: bool) -> bool:
    """Whether a network in float64 computes some floats in less, as its code says (`x.float()`)."""
    with _Precisions() as seen:
        outputs(model, given, training=training)
    return bool(seen.kinds - {torch.float64})


class _Precisions(TorchDispatchMode):
    """Notes the types of all floating-point results."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, (tuple, list)) else (result,)
        self.kinds |= {one.dtype for one in made if isinstance(one, Tensor) and one.is_floating_point() and one.ndim}
        return result


class _NoNoise(TorchDispatchMode):
    """Random numbers are at their mean; a coin always falls on 1."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet is aten.bernoulli_:
            return args[0].fill_(1)
        if packet is aten.bernoulli:
            return torch.ones_like(args[0])
        if packet in (aten.normal_, aten.uniform_) and len(args) <= 3 and not (kwargs.keys() - {"generator"}):
            low, high = (*args[1:], 0.0, 1.0)[:2]
            return args[0].fill_(low if packet is aten.normal_ else (low + high) / 2)
        result = func(*args, **kwargs)
        if packet in (aten.randn, aten.randn_like):
            return result.fill_(0)
        if packet in (aten.rand, aten.rand_like):
            return result.fill_(0.5)
        return result


@contextlib.contextmanager
def _default(kinds: set[torch.dtype]) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if torch.float64 in kinds else before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class _NoDropout(TorchFunctionMode):
    """Every dropout passes its input through."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if "dropout" in name and args and isinstance(args[0], Tensor):
            return args[0]
        if name == "scaled_dot_product_attention":
            kwargs.pop("dropout_p", None)
            args = (*args[:4], 0.0, *args[5:]) if len(args) > 4 else args
        return func(*args, **kwargs)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """The same draws for both networks, all random states as before afterwards, full float32 products on CUDA."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with full_float32(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
