"""Capture: per layer the input activation a and the output gradient g of one forward and backward."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.utils.hooks import RemovableHandle

from linnet.core.capture.layer_capture import LayerCapture, Reading, Recorded, Watched
from linnet.core.capture.layers.coverage import RULES, constant_statistics, refusal, rule_of
from linnet.errors import CaptureError, InputError
from linnet.suggest import nearest

_NO_BACKWARD = "there is no gradient: was `backward` called inside the `with Capture(...)` block?"
_PART = "its output is a part of a larger tensor, which an in-place operation can change unseen"


class Capture:
    """Records, per layer, the input activation `a` and the output gradient `g` of one forward and backward.

    Take g from a *summed* loss: then row n of g belongs to the loss of sample n alone. Hooks stay on the model only
    inside the `with` block; what was captured can be read inside and after it.

    Args:
        model: Any module; a `DistributedDataParallel` wrapper is seen through (names without `module.`, the local
            rank's g before averaging).
        layers: Module paths to capture; None for every layer that can be read.
        keep: "last": the gradient of the last backward pass. "all": every pass of one forward (`retain_graph=True`).
        loss_scale: What the loss was multiplied with (`GradScaler.get_scale()`); g is divided by it.
        batch_statistics: What BatchNorm in train mode is. "refuse": not covered, since its statistics couple the
            samples. "constant": read as if they were constants; g still is what came through them.

    Attributes:
        edges: Of the autograd graph, where the outputs of the recorded calls come in. `torch.autograd.grad(outputs,
            cap.edges, cotangents, retain_graph=True, allow_unused=True)` is a backward pass through the activations
            alone, for one forward's cost: it gives every layer its g, and no parameter a gradient.

    Raises:
        InputError: an option's value; `model` is no module.
        CaptureError: `layers` names no module; the model is compiled, scripted or DataParallel.

    Example:
        >>> import torch
        >>> from linnet.core import Capture
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
        >>> with Capture(model) as cap:
        ...     model(torch.ones(5, 3)).sum().backward()
        >>> cap["0"].per_sample("bias").tolist() == [[1.0, 1.0]] * 5
        True
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Iterable[str] | None = None,
        keep: Literal["last", "all"] = "last",
        loss_scale: float = 1.0,
        batch_statistics: Literal["refuse", "constant"] = "refuse",
    ) -> None:
        if keep not in ("last", "all"):
            raise InputError(f"`keep` must be 'last' or 'all' (got {keep!r}).")
        if batch_statistics not in ("refuse", "constant"):
            raise InputError(f"`batch_statistics` must be 'refuse' or 'constant' (got {batch_statistics!r}).")
        if not 0.0 < loss_scale < float("inf"):
            raise InputError(f"`loss_scale` must be a finite number above 0, such as 65536.0 (got {loss_scale}).")
        self._model = _eager(model)
        self._every_pass = keep == "all"
        self._rules = constant_statistics() if batch_statistics == "constant" else tuple(RULES)
        self._loss_scale = float(loss_scale)
        self._modules = dict(self._model.named_modules())
        self._wanted = set(self._modules) if layers is None else self._named(layers)
        self._module_handles: list[RemovableHandle] = []
        self._tensor_handles: list[RemovableHandle] = []
        self._active = False
        self._start()

    def __enter__(self) -> Self:
        if self._active:
            raise CaptureError(
                "This Capture is already open. Close it first, or make a second one: they are independent."
            )
        self._start()
        self._active = True
        try:
            keep = self._module_handles.append
            keep(self._model.register_forward_pre_hook(self._on_model, prepend=True, with_kwargs=True))
            for name in self._refusals:
                if self._refusals[name] is None:
                    keep(self._modules[name].register_forward_hook(self._hook(name), prepend=True, with_kwargs=True))
        except BaseException:
            self._remove_hooks()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove_hooks()

    def __getitem__(self, name: str) -> LayerCapture:
        """The capture of one layer.

        Raises:
            CaptureError: the layer isn't covered, or there was no backward pass.
        """
        if name not in self._modules:
            raise CaptureError(f"There is no module `{name}`{nearest(name, self._modules)}")
        reason = self._reason(name)
        if reason is not None:
            raise CaptureError(
                f"`{name}` isn't captured: {reason}. `cap.names` lists the captured layers, `cap.uncovered` the others."
            )
        recorded = self._with_gradient(name)
        if not recorded:
            raise CaptureError(f"`{name}`: {_NO_BACKWARD}")
        module = self._modules[name]
        rule = rule_of(module, self._rules)
        assert rule is not None
        reading = Reading(self._every_pass, self._loss_scale, self._tied(name))
        return LayerCapture(name, module, rule, recorded, reading)

    def __contains__(self, name: object) -> bool:
        return name in self._refusals and self._reason(str(name)) is None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def drop_gradients(self) -> None:
        """Forgets the gradients recorded so far: those of a pass that another reader of the same forward made."""
        for calls in self._recorded.values():
            for recorded in calls:
                recorded.g = []

    def seal(self) -> None:
        """Takes the hooks off the model; gradients of the forward before are still recorded until the block ends."""
        _remove(self._module_handles)
        self.edges = []

    @property
    def names(self) -> list[str]:
        """Module paths of the layers that are covered, in the model's order."""
        return [name for name in self._refusals if self._reason(name) is None]

    @property
    def uncovered(self) -> dict[str, str]:
        """Why the rest isn't covered: module path -> reason; a parameter's name where your own module holds it."""
        result: dict[str, str] = {}
        for name in self._refusals:
            reason = self._reason(name)
            if reason is None:
                continue
            if _of_torch(self._modules[name]):
                result[name] = reason
            else:
                result |= dict.fromkeys(self._own_parameters(name), reason)
        return result

    @property
    def uncovered_parameters(self) -> dict[str, str]:
        """Parameter name -> why none of its gradient is captured; with `names` this accounts for every parameter."""
        pairs = ((name, self._reason(name)) for name in self._refusals)
        return {param: reason for name, reason in pairs if reason for param in self._own_parameters(name)}

    @property
    def bytes(self) -> int:
        """Memory that the kept a and g hold; a tensor that several layers share counts once."""
        kept: dict[int, int] = {}
        for calls in self._recorded.values():
            for watched in (tensor for recorded in calls for tensor in (recorded.a, *recorded.g)):
                storage = watched.tensor.untyped_storage()
                kept[storage.data_ptr()] = storage.nbytes()
        return sum(kept.values())

    def _start(self) -> None:
        """Everything as before the first forward."""
        owners = {n: m for n, m in self._modules.items() if any(True for _ in m.parameters(recurse=False))}
        self._refusals = {n: refusal(m, self._rules) for n, m in owners.items()}
        for name in self._refusals:
            if name not in self._wanted:
                self._refusals[name] = "it is left out by `layers`"
        self._holders: dict[int, list[tuple[str, str]]] = {}  # id of a parameter -> (module path, name in it)
        for path, module in self._modules.items():
            for param, value in module.named_parameters(recurse=False):
                self._holders.setdefault(id(value), []).append((path, param))
        self._batch: int | None = None
        self._forget()

    def _forget(self) -> None:
        """What the last forward and backward left."""
        _remove(self._tensor_handles)
        self.edges: list[GradientEdge] = []  # of the hooked outputs; a tensor itself may be changed in place later
        self._recorded: dict[str, list[Recorded]] = {name: [] for name in self._refusals}
        self._blocked: dict[str, str] = {}  # layer -> why one of its calls can't be read: the others alone are wrong
        self._idle: dict[str, str] = {}  # layer -> why one of its calls needs no gradient: it adds none
        self._backward_seen = False

    def _named(self, layers: Iterable[str]) -> set[str]:
        if isinstance(layers, str):
            raise InputError(
                f"`layers` must be a list of module paths, such as [{layers!r}] (got the text {layers!r})."
            )
        wanted = set(layers)
        for name in sorted(wanted - set(self._modules)):
            raise CaptureError(f"`layers` must name modules of the model (got `{name}`){nearest(name, self._modules)}")
        return wanted

    def _on_model(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Notes N; a model whose first input is no tensor leaves it unknown."""
        first = next(iter((*args, *kwargs.values())), None)
        self._batch = first.shape[0] if isinstance(first, Tensor) and first.ndim > 0 else None

    def _hook(self, name: str) -> Any:
        """The forward hook of one layer: keeps its input, and a hook on its output tensor keeps the gradient."""
        rule = rule_of(self._modules[name], self._rules)
        assert rule is not None

        def on_forward(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
            a = args[0] if args else kwargs["input"]
            if not output.requires_grad:
                self._idle[name] = "its output needs no gradient (a frozen part, or `no_grad`)"
                return
            self._begin_forward()
            source, reason = _whole(output), rule.refusal_of_input(module, a) or rule.refusal(module)
            if source is None or reason is not None:
                self._blocked[name] = reason or _PART
                return
            statistics = tuple(Watched.of(t) for t in rule.statistics(module))
            recorded = Recorded(Watched.of(a.detach()), statistics, self._batch)
            self._recorded[name].append(recorded)
            shape = output.shape
            edge = get_gradient_edge(source)
            handle = source.register_hook(lambda gradient: self._on_gradient(recorded, gradient.reshape(shape)))
            self._tensor_handles.append(handle)
            self.edges.append(edge)

        return on_forward

    def _begin_forward(self) -> None:
        """A forward outside `backward` after a backward is a new one: what the last one left is dropped.

        Recomputed segments (activation checkpointing) run forward inside `backward` and belong to the one before.
        """
        if self._backward_seen and torch._C._current_graph_task_id() == -1:
            self._forget()

    def _on_gradient(self, recorded: Recorded, gradient: Tensor) -> None:
        self._backward_seen = True
        watched = Watched.of(gradient.detach())
        if self._every_pass:
            recorded.g.append(watched)
        else:
            recorded.g = [watched]

    def _with_gradient(self, name: str) -> list[Recorded]:
        """Calls whose output got a gradient; of a recomputed segment that is one of its two calls."""
        return [recorded for recorded in self._recorded[name] if recorded.g]

    def _reason(self, name: str) -> str | None:
        """Why a layer isn't covered, as far as is known now."""
        if name not in self._refusals:
            return "it has no parameters of its own"
        known = self._refusals[name] or self._blocked.get(name)
        if known is not None or not self._backward_seen:
            return known
        if self._with_gradient(name):
            return None
        if self._recorded[name]:
            return "no gradient came to its output (the loss doesn't depend on it)"
        return self._idle.get(
            name, "it wasn't called in the last forward (its parameters may be used by another module)"
        )

    def _own_parameters(self, name: str) -> list[str]:
        prefix = f"{name}." if name else ""
        return [prefix + param for param, _ in self._modules[name].named_parameters(recurse=False)]

    def _tied(self, name: str) -> dict[str, tuple[str, ...]]:
        """The layer's parameters that another module holds as well."""
        tied: dict[str, tuple[str, ...]] = {}
        for param, value in self._modules[name].named_parameters(recurse=False):
            places = self._holders.get(id(value), ())
            others = tuple(f"{path}.{other}" if path else other for path, other in places if path != name)
            if others:
                tied[param] = others
        return tied

    def _remove_hooks(self) -> None:
        try:
            _remove(self._module_handles)
        finally:
            _remove(self._tensor_handles)
            self.edges = []
            self._active = False


def _eager(model: nn.Module) -> nn.Module:
    """The module whose layers really run."""
    if not isinstance(model, nn.Module):
        raise InputError(f"`model` must be a torch.nn.Module (got a {type(model).__name__}).")
    if type(model).__name__ == "OptimizedModule" or any(m._compiled_call_impl is not None for m in model.modules()):
        raise CaptureError(
            "`model` must not be compiled, since compiled layers call no hooks. Capture the eager module it was "
            "made from, and run that one inside the block."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise CaptureError(
            "`model` must not be a ScriptModule, whose layers call no hooks. Capture the module it was made from."
        )
    if isinstance(model, DataParallel):
        raise CaptureError(
            "`model` must not be wrapped in DataParallel, which runs copies of it. Capture `model.module` and run "
            "that, or use DistributedDataParallel."
        )
    return model.module if isinstance(model, DistributedDataParallel) else model


def _remove(handles: list[RemovableHandle]) -> None:
    """Removes every hook and empties the list."""
    while handles:
        handles.pop().remove()


def _whole(output: Tensor) -> Tensor | None:
    """The tensor to hook for the gradient of a layer's output; None where there is none.

    A linear layer gives a view for inputs of more than two axes. An in-place operation on a view moves the gradient's
    path away from it (a hook would never be called), but not away from its base.
    """
    if not output._is_view():
        return output
    base = output._base
    assert base is not None
    same = base.numel() == output.numel() and base.is_contiguous() and output.is_contiguous()
    return base if same and base.requires_grad else None


def _of_torch(module: nn.Module) -> bool:
    """Whether a layer comes with torch: then it is reported whole, by its path."""
    return type(module).__module__.startswith("torch.nn.") or rule_of(module) is not None
