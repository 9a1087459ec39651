"""Record a forward pass as a `Program`: operators with parameter names, module paths and source lines.

A weightless copy of the model runs once on the meta device under a recorder (about a tenth of a second for ResNet-50,
at any image size). The given model, its mode, its hooks and all random states stay as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import linecache
import logging
import random
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from linnet.core.program import composites, module_copy
from linnet.core.program.companions import HookKey, forward_hooks, without
from linnet.core.program.composites import WHOLE, Whole
from linnet.core.program.example import Example, what_it_takes
from linnet.core.program.meta_kernels import called, empty_result
from linnet.core.program.program import Node, Program, Ref, Value
from linnet.errors import GraphError

logger = logging.getLogger(__name__)

TORCH = str(Path(str(torch.__file__)).parent)
SELF = (__file__, composites.__file__)
__all__ = ["TORCH", "WHOLE", "Recorder", "leaves", "record", "run"]
CONSTANT_ELEMENTS = 65536  # index tables up to so many are kept as constants (a Swin window table has 2401)


def record(
    model: nn.Module,
    example: Any,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    training: bool = False,
    observers: Collection[HookKey] | None = None,
) -> Program:
    """The operators that `model(example)` runs, its forward hooks included.

    The examples' leading axis is cut to 1 while recording; a model that refuses that is recorded as given. A model
    that can't run without elements (`.item()`, numpy, branches on values) is recorded on one real CPU forward. Hooks
    that only look on (they return nothing, and nothing uses what they compute) are left out.

    Args:
        model: Any module; DDP, DataParallel and compiled wrappers are taken off.
        example: A tensor, a tuple of positional arguments or a dict of keyword arguments; any batch size, any device.
        shapes: Dotted name -> size of parameters and buffers that get another size than the model's.
        attributes: Module path -> attributes that go with these sizes.
        training: Record what runs in training mode instead of eval mode.
        observers: The hooks to leave out; None finds them.

    Returns:
        The program; `.tracer` tells which way it was recorded.

    Raises:
        GraphError: the model is unfit (lazy, quantised ...) or can't run on the example.

    Source:
        ours.
    """
    model = module_copy.unwrap(model)
    module_copy.refuse_unfit(model)
    example = Example.of(example)
    take = partial(_recorded, model, example, shapes=shapes, attributes=attributes, training=training)
    program = take(left_out=observers or ())
    if observers is None and program.observers:
        return dataclasses.replace(take(left_out=program.observers), observers=program.observers)
    return program if observers is None else dataclasses.replace(program, observers=tuple(observers))


def _recorded(
    model: nn.Module,
    example: Example,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None,
    attributes: Mapping[str, Mapping[str, Any]] | None,
    training: bool,
    left_out: Collection[HookKey],
) -> Program:
    one = example.first_sample()
    several = example.samples != one.samples
    errors: list[Exception] = []
    # "made": tensors that the model's code makes are on the meta device too (it may write results into them)
    for tracer in ("meta", "made") if shapes else ("meta", "made", "real"):
        for given in (one, example) if several else (one,):
            try:
                if tracer == "real":
                    copy = without(module_copy.real(model, hooks="forward"), left_out).train(training)
                    return run(copy, given.on_cpu(), given.samples, tracer)
                copy = module_copy.meta(model, shapes, attributes, hooks="forward")
                copy = without(copy, left_out).train(training)
                with torch.device("meta") if tracer == "made" else contextlib.nullcontext():
                    return _with_tables(run(copy, given.on_meta(), given.samples, "meta"), model)
            except Exception as error:  # whatever the user's forward raises
                errors.append(error)
        if "more than 1 value per channel" in str(errors[-1]):  # of batch norm; no other way has more samples
            break
    raise GraphError(
        f"`example` must be an input that `{type(model).__name__}` can run on (got {example}, which fails: "
        f"{_short(errors[0]).rstrip('.')}). {what_it_takes(model, example)}"
    ) from errors[0]


def _with_tables(program: Program, model: nn.Module) -> Program:
    """The program with the elements of small integer buffers: a meta tensor has none."""
    tables = {
        program.buffers[name]: buffer.detach().cpu().numpy().copy()
        for name, buffer in model.named_buffers()
        if buffer.ndim and not buffer.is_floating_point() and buffer.numel() <= CONSTANT_ELEMENTS
    }
    return dataclasses.replace(program, constants={**program.constants, **tables})


def run(copy: nn.Module, example: Example, samples: int, tracer: str) -> Program:
    """Run a private copy of a model once and return what it did.

    Args:
        copy: A module that may be changed (hooks are put on it).
        example: Its arguments.
        samples: Size of their leading axis.
        tracer: The word for `Program.tracer`.

    Returns:
        The program.
    """
    if tracer == "real":
        logger.info("%s is recorded on a real forward: the graph is valid for the path it takes", type(copy).__name__)
    recorder = Recorder(copy, tolerant=tracer == "meta")
    args, kwargs = recorder.take_inputs(example)
    with _undisturbed(), torch.no_grad(), Whole(recorder), recorder:
        output = recorder.watch(lambda: copy(*args, **kwargs))
    if recorder.failed is not None:
        raise recorder.failed
    if not (outputs := [(name, recorder.number(leaf)) for name, leaf in leaves(output, "output")]):
        raise GraphError(f"`{type(copy).__name__}` must return a tensor (got a {type(output).__name__}).")
    return recorder.program(tuple(outputs), samples, tracer)


def leaves(tree: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a nested output (tuples, lists, mappings, dataclasses), with a readable name."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from leaves(item, f"{name}[{key!r}]")
    elif isinstance(tree, (tuple, list)):
        for place, item in enumerate(tree):
            yield from leaves(item, f"{name}[{place}]")
    elif hasattr(tree, "__dataclass_fields__"):
        for field in tree.__dataclass_fields__:
            yield from leaves(getattr(tree, field), f"{name}.{field}")


class Recorder(TorchDispatchMode):
    """Writes down every operator that runs while it is active.

    Tensors are numbered by identity and all are kept alive, since an id may be given again after collection.
    """

    def __init__(self, model: nn.Module, *, tolerant: bool = False):
        super().__init__()
        self.nodes: list[Node] = []
        self.values: list[Value] = []
        self.constants: dict[int, np.ndarray] = {}
        self.inputs: list[tuple[str, int]] = []
        self.parameters: dict[str, int] = {}
        self.buffers: dict[str, int] = {}
        self.aliases: dict[str, str] = {}
        self.path: list[tuple[str, str]] = [("", _layer(model))]
        self.caller = ""
        self.paused = 0
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []
        self._storages: dict[int, int] = {}
        self._lines: dict[tuple[str, int], str] = {}
        self._operators: dict[Any, tuple[str, bool, bool]] = {}
        self.tolerant = tolerant  # of hooks that fail: they may look at values, which a meta tensor hasn't
        self.failed: Exception | None = None
        self._calls: dict[HookKey, list[tuple[int, int, bool]]] = {}  # of hooks: first node, end, did it answer
        self._name_tensors(model)
        self._watch_hooks(model)
        self._follow_modules(model)

    def _name_tensors(self, model: nn.Module) -> None:
        first: dict[int, str] = {}
        sources = (
            (self.parameters, model.named_parameters(remove_duplicate=False)),
            (self.buffers, model.named_buffers(remove_duplicate=False)),
        )
        for table, named in sources:
            for name, tensor in named:
                if id(tensor) in first:
                    self.aliases[name] = first[id(tensor)]
                else:
                    first[id(tensor)] = name
                    table[name] = self.number(tensor)

    def _watch_hooks(self, model: nn.Module) -> None:
        for key, table, number in list(forward_hooks(model)):
            table[number] = self._watched(key, table[number])

    def _watched(self, key: HookKey, hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start, answer = len(self.nodes), None
            try:
                answer = hook(*args, **kwargs)
            except Exception as error:  # whatever the user's hook raises
                if not self.tolerant:
                    raise
                self.failed = self.failed or error
            self._calls.setdefault(key, []).append((start, len(self.nodes), answer is not None))
            return answer

        return call

    def _observers(self, outputs: Iterable[tuple[str, int]]) -> tuple[HookKey, ...]:
        """Hooks that only look on: they return nothing, write into nothing, and nothing uses what they compute."""
        return tuple(key for key in self._calls if self._only_looks(key, dict(outputs).values()))

    def _only_looks(self, key: HookKey, outputs: Iterable[int]) -> bool:
        if any(answered for _, _, answered in self._calls[key]):
            return False
        inside = {n for start, end, _ in self._calls[key] for n in range(start, end)}
        made = {value for n in inside for value in self.nodes[n].outputs}
        others = {value.storage for number, value in enumerate(self.values) if number not in made}
        written = {self.values[value].storage for n in inside for value in self.nodes[n].mutates}
        used = {value for node in self.nodes if node.index not in inside for value in node.inputs}
        return not (written & others or (used | set(outputs)) & made)

    def _follow_modules(self, model: nn.Module) -> None:
        for name, module in model.named_modules():
            place = (name, _layer(module))
            module.register_forward_pre_hook(lambda *_, place=place: self.path.append(place), prepend=True)
            module.register_forward_hook(self._leave, always_call=True)

    def _leave(self, *_: Any) -> None:
        self.path.pop()

    def take_inputs(self, example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Number the example's tensors and return the call's arguments."""
        for name, tensor in example.tensors():
            self.inputs.append((name, self.number(tensor)))
        return example.args, example.kwargs

    def number(self, tensor: Tensor, *, renew: bool = False) -> int:
        """The value number of a tensor; a new one when it is unknown or `renew` is asked."""
        known = self._numbers.get(id(tensor))
        if known is not None and not renew:
            return known
        number = len(self.values)
        storage = tensor.untyped_storage()
        place = self._storages.setdefault(storage._cdata, len(self._storages))
        self.values.append(Value(tuple(tensor.shape), tensor.dtype, place, storage.nbytes()))
        self._numbers[id(tensor)] = number
        self._alive.append((tensor, storage))
        if tensor.device.type != "meta" and not tensor.is_floating_point() and tensor.numel() <= CONSTANT_ELEMENTS:
            self.constants[number] = tensor.detach().cpu().numpy().copy()
        return number

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to leave this class out, torch would import its compiler at the first operator (seconds)."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.paused:
            result = empty_result(func, args, kwargs)
            return called(func, args, kwargs, _written(func, args, kwargs)) if result is None else result
        if func not in self._operators:
            self._operators[func] = _operator(func)
        name, composite, mutable = self._operators[func]
        if composite:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        recorded = self.arguments(args), self.arguments(kwargs)
        written = _written(func, args, kwargs) if mutable else ()
        mutates = tuple(self.number(tensor) for tensor in written)
        result = empty_result(func, args, kwargs)
        if result is None:
            result = called(func, args, kwargs, written)
        for tensor in written:
            self.number(tensor, renew=True)
        self.add(name, *recorded, result, mutates)
        return result

    def watch(self, forward: Callable[[], Any]) -> Any:
        """What a forward pass returns; its error carries the number of operators that ran before."""
        try:
            return forward()
        except Exception as error:
            error.recorded_nodes = len(self.nodes)  # type: ignore[attr-defined]
            raise

    def arguments(self, tree: Any) -> Any:
        """The arguments with each tensor replaced by its `Ref`."""
        if isinstance(tree, Tensor):
            return Ref(self.number(tree))
        if isinstance(tree, (tuple, list)):
            return type(tree)(self.arguments(item) for item in tree) if type(tree) in (tuple, list) else tuple(tree)
        if isinstance(tree, dict):
            return {key: self.arguments(item) for key, item in tree.items()}
        return tree

    def add(self, op: str, args: Any, kwargs: Any, result: Any, mutates: tuple[int, ...] = ()) -> None:
        """Write one node."""
        returned = result if isinstance(result, (tuple, list)) else (result,)
        outputs = tuple(self.number(r) if isinstance(r, Tensor) else -1 for r in returned)
        module, layer = self.path[-1]
        source = self._source()
        self.nodes.append(Node(len(self.nodes), op, args, kwargs, outputs, mutates, module, source, self.caller, layer))

    def _source(self) -> str:
        frame, inner = sys._getframe(2), None
        while frame is not None:
            file = frame.f_code.co_filename
            if file == __file__ and frame.f_code.co_name == "run":
                break
            if not file.startswith(TORCH) and file not in SELF:
                return self._line(file, frame.f_lineno)
            if inner is None and f"torch{'/'}nn" in file:
                inner = (file, frame.f_lineno)
            frame = frame.f_back
        return self._line(*inner) if inner else ""

    def _line(self, file: str, line: int) -> str:
        known = self._lines.get((file, line))
        if known is None:
            text = linecache.getline(file, line).strip()
            known = self._lines[file, line] = f"{Path(file).name}:{line}: {text}".rstrip(": ")
        return known

    def program(self, outputs: tuple[tuple[str, int], ...], samples: int, tracer: str) -> Program:
        """What was recorded, as plain data."""
        return Program(
            tuple(self.nodes),
            tuple(self.values),
            self.parameters,
            self.buffers,
            self.aliases,
            tuple(self.inputs),
            outputs,
            self.constants,
            samples,
            tracer,
            observers=self._observers(outputs),
        )


def _operator(func: Any) -> tuple[str, bool, bool]:
    """An operator's name, whether it is made of others, and whether it writes into an argument."""
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    return func.name(), composite, func._schema.is_mutable


def _layer(module: nn.Module) -> str:
    return next((c.__name__ for c in type(module).__mro__ if c.__module__.startswith("torch.nn.modules")), "")


def _written(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    written: list[Tensor] = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[place] if place < len(args) else kwargs.get(argument.name)
            written.extend(g for g in (given if isinstance(given, (list, tuple)) else [given]) if isinstance(g, Tensor))
    return tuple(written)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Fused attention off, and every CPU random state as before afterwards."""
    fused, python, legacy = torch.backends.mha.get_fastpath_enabled(), random.getstate(), np.random.get_state()  # noqa: NPY002
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def _short(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if line.endswith(".") else f"{line}."
