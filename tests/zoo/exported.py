"""A second, independent tracer: torch.export decides what the program is, the recorder only writes it down.

Used to check the first one: both must give the same channel classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree

from linnet.core.program import module_copy
from linnet.core.program.example import Example
from linnet.core.program.program import Program
from linnet.core.program.recorder import WHOLE, Recorder

KEPT = {op for op, _, _ in WHOLE.values()}


def record_export(
    model: nn.Module,
    example: Any,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Program:
    """The operators that torch.export finds in `model(example)`, with module paths from its own notes.

    Args:
        model: An unwrapped module that torch.export understands.
        example: As for `trace.record`; its leading axis should be 1.
        shapes: Dotted name -> other size.
        attributes: Module path -> attributes that go with these sizes.

    Returns:
        The program, `.tracer` "export".
    """
    given = Example.of(example).on_meta()
    copy = module_copy.meta(model, shapes, attributes)
    exported = torch.export.export(copy, given.args, given.kwargs, strict=False)
    module = exported.module()
    recorder = Recorder(copy)
    args, kwargs = recorder.take_inputs(given)
    layers = {name: recorder.path[0] if not name else (name, _kind(m)) for name, m in copy.named_modules()}
    with torch.no_grad(), recorder:
        outputs = _Walk(module, recorder, layers, copy).run(*args, *kwargs.values())
    found = [(f"output[{n}]", recorder.number(t)) for n, t in enumerate(_pytree.tree_leaves(outputs))]
    program = recorder.program(tuple(found), given.samples, "export")
    tables = {
        program.buffers[name]: buffer.detach().cpu().numpy().copy()
        for name, buffer in model.named_buffers()
        if buffer.ndim and not buffer.is_floating_point()
    }
    return dataclasses.replace(program, constants={**program.constants, **tables})


def _kind(module: nn.Module) -> str:
    return next((c.__name__ for c in type(module).__mro__ if c.__module__.startswith("torch.nn.modules")), "")


class _Walk(fx.Interpreter):
    """Runs an exported program node by node, telling the recorder where each node came from."""

    def __init__(
        self, module: fx.GraphModule, recorder: Recorder, layers: Mapping[str, tuple[str, str]], copy: nn.Module
    ):
        super().__init__(module)
        self.recorder, self.layers = recorder, layers
        self.own = {**dict(copy.named_parameters()), **dict(copy.named_buffers())}

    def run_node(self, n: fx.Node) -> Any:
        stack = n.meta.get("nn_module_stack") or {}
        path = list(stack.values())[-1][0] if stack else ""
        path = path.removeprefix("L['self'].").removeprefix("L['self']")
        self.recorder.path.append(self.layers.get(path, (path, "")))
        target = n.target
        self.recorder.caller = target.name().partition("::")[2].partition(".")[0] if hasattr(target, "name") else ""  # type: ignore[union-attr]
        try:
            return super().run_node(n)
        finally:
            self.recorder.path.pop()

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        op = target.name() if isinstance(target, torch._ops.OpOverload) else ""
        if op not in KEPT:
            return super().call_function(target, args, kwargs)
        recorded = self.recorder.arguments(args), self.recorder.arguments(kwargs)
        self.recorder.paused += 1
        try:
            result = target(*args, **kwargs)
        finally:
            self.recorder.paused -= 1
        self.recorder.add(op, *recorded, result)
        return result

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.own[target] if target in self.own else super().get_attr(target, args, kwargs)
