"""Linearisation: a network's outputs and, layer by layer, the rows of its Jacobian at one batch."""

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.utils.hooks import RemovableHandle

from linnet.core.capture.capture import Capture
from linnet.core.capture.layer_capture import LayerCapture
from linnet.core.capture.layers.layer_rule import LayerRule
from linnet.core.capture.layers.matrix import sum_of
from linnet.core.capture.layers.norm import BATCH_NORMS
from linnet.core.capture.positions import CONVOLUTIONS, LINEAR, TRANSPOSED, Use
from linnet.core.capture.scaled_weight import multiple_of
from linnet.core.jacobian.chosen_output import tensor_of
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.parameter_rows import RowsTerm, RuleTerm, Term
from linnet.core.jacobian.unknown_layer import OwnCall, own_rows
from linnet.errors import CaptureError

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


UNUSED = "it isn't used in the forward, or its path to the outputs is detached"


@dataclass(frozen=True)
class Place:
    """Where a parameter is held: a module's path and the parameter's name in it."""

    module: str
    param: str


class Linearisation:
    """One forward of a network, from which the rows of its Jacobian come by backward passes through activations alone.

    Every trainable parameter is accounted for: read from its layer's (a, g), or by differentiating the module that
    uses it sample by sample, or listed in `unread` with the reason. Shared parameters sum over all their uses.

    Args:
        model: Any module with a tensor (N, ...) as output, each row of which depends on its sample alone.
        parameters: Names of the parameters to look at; None for all trainable ones.
        batch_statistics: As `Capture` has it.
        by_sample: Whether axis 0 of every layer must be the samples; else a layer may see other rows (tokens side by
            side, those that a router sent to an expert), of which only sums over all rows can be taken.
        output: Gives the tensor (N, ...) of what the model returns; None: the model returns it itself.

    Attributes:
        model: The network.
        names: Those names, in the model's order.
        order: Module paths in the order of their first call.

    Example:
        >>> import torch
        >>> from linnet.core.jacobian.linearisation import Linearisation
        >>> model, x = torch.nn.Sequential(torch.nn.Linear(3, 2)), torch.ones(5, 3)
        >>> with Linearisation(model) as linear:
        ...     f = linear.forward(x)
        ...     layers = linear.rows(torch.eye(2)[:, None].expand(2, 5, 2))
        >>> [(layer.name, tuple(layer.gram().shape)) for layer in layers]
        [('0', (10, 10))]
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Iterable[str] | None = None,
        *,
        batch_statistics: Literal["refuse", "constant"] = "refuse",
        by_sample: bool = True,
        output: Callable[[Any], Any] | None = None,
    ) -> None:
        self.model, self._output, self._by_sample = model, output, by_sample
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        chosen = set(trainable if parameters is None else parameters)
        self.names = tuple(name for name in trainable if name in chosen)
        self.order: list[str] = [""]  # the network itself is called first
        self._modules = dict(model.named_modules())
        self._places = _places(self._modules)
        self._capture = Capture(model, keep="all", batch_statistics=batch_statistics)
        self._own: dict[str, list[OwnCall]] = {}
        self._own_edges: list[Any] = []
        self._handles: list[RemovableHandle] = []
        self._gradient_handles: list[RemovableHandle] = []
        self._own_rows: dict[str, dict[str, Tensor]] = {}
        self._uses: dict[tuple[str, ...], list[Use]] = {}
        self._multiples: dict[Place, tuple[LayerRule, str, float] | None] = {}
        self._outputs: Tensor | None = None
        self._shape: tuple[int, ...] = ()
        self._made: dict[int, tuple[Any, int]] = {}  # id of a layer's output -> (its reference, the channels' axis)

    def __enter__(self) -> Self:
        self._capture.__enter__()
        holders = {place.module for name in self.names for place in self._places[name]}
        above = {path for holder in holders for path in _ancestors(holder)}
        for path, module in self._modules.items():
            if path in above:
                hook = module.register_forward_pre_hook(self._noting(path))
                self._handles.append(hook)
            if path in above and (path not in self._capture or path not in holders):
                self._handles.append(module.register_forward_hook(self._keeping(path), with_kwargs=True))
            if isinstance(module, (*LINEAR, *CONVOLUTIONS, *TRANSPOSED)):
                self._handles.append(module.register_forward_hook(self._making))
        return self

    def release(self) -> None:
        """Takes every hook off; what was recorded stays."""
        self._close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def forward(self, x: Any) -> Tensor:
        """f, (N, C) with its graph: the model's output with all axes but the first flattened.

        Raises:
            CaptureError: the model's output isn't a tensor of one row for each sample.
        """
        with torch.enable_grad():
            return self.take(self.model(*x) if isinstance(x, tuple) else self.model(x))

    def take(self, outputs: Any) -> Tensor:
        """f of a forward that someone else ran inside the block.

        Args:
            outputs: What the model gave.

        Raises:
            CaptureError: the model's output isn't a tensor of one row for each sample.
        """
        outputs = tensor_of(outputs, self._output)
        self._outputs, self._shape = outputs, tuple(outputs.shape)
        return outputs.flatten(1) if outputs.ndim > 1 else outputs.unsqueeze(1)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape that the model's output had, before its axes were flattened; () before a forward."""
        return self._shape

    def hook_outputs(self, hook: Callable[[Tensor], None]) -> None:
        """Calls the hook with the gradient that comes to the outputs."""
        assert self._outputs is not None
        self._outputs.register_hook(hook)

    @property
    def class_dim(self) -> int | None:
        """The outputs' axis of the channels, where the layer that made them tells: the last of a linear layer, else 1.

        None before a forward, and where another operation made them.
        """
        made = None if self._outputs is None else self._made.get(id(self._outputs))
        return made[1] if made is not None and made[0]() is self._outputs else None

    def rows(self, cotangents: Tensor) -> tuple[LayerJacobian, ...]:
        """The rows of every weight layer, in order of first use: row (n, k) is sum_c cotangents_knc d f_nc.

        Ends the recording; the graph of `forward` stays.

        Args:
            cotangents: (passes, N, C); the identity for the Jacobian itself.

        Returns:
            One `LayerJacobian` for each module that owns read parameters.

        Raises:
            CaptureError: no forward came before; axis 0 of a layer isn't the samples.
        """
        if self._outputs is None:
            raise CaptureError("There is no forward pass to differentiate. Call `forward(x)` inside the block first.")
        shape = self._outputs.shape
        edges = [*self._own_edges, *self._capture.edges]
        self._capture.drop_gradients()
        for call in (call for calls in self._own.values() for call in calls):
            call.g.clear()
        for cotangent in cotangents:
            given = cotangent.reshape(shape).to(self._outputs.dtype)  # autocast may have made the outputs narrower
            torch.autograd.grad(self._outputs, edges, given, retain_graph=True, allow_unused=True)
        self._close()
        return self._layers(shape[0], len(cotangents))

    def seal(self) -> None:
        """No further forward is recorded; gradients of the one before still are, for `collected`.

        The graph of the forward isn't held any longer.
        """
        while self._handles:
            self._handles.pop().remove()
        self._capture.seal()
        _ = self.used
        self._outputs, self._own_edges, self._made = None, [], {}

    def collected(self) -> tuple[LayerJacobian, ...]:
        """The rows that one ordinary backward pass after `seal` left: row n belongs to what it made of sample n.

        Raises:
            CaptureError: there was no such pass; axis 0 of a layer isn't the samples.
        """
        if not self._shape:
            raise CaptureError("There is no backward pass to read. Call `forward(x)` and `backward` first.")
        self._close()
        return self._layers(self._shape[0], 1)

    @cached_property
    def unread(self) -> dict[str, str]:
        """Parameter name -> why it has no rows; known after `forward`."""
        return {name: reason for name in self.names if isinstance(reason := self._readers(name), str)}

    def _layers(self, samples: int, passes: int) -> tuple[LayerJacobian, ...]:
        self._uses = {}
        rows = {name: self._term(name) for name in self.names if name not in self.unread}
        owned: dict[str, list[str]] = {}
        for name in rows:
            owned.setdefault(self._owner(name), []).append(name)
        layers = []
        for path in sorted(owned, key=self.order.index):
            terms = {name: rows[name] for name in owned[path]}
            label = path if path or len(terms) > 1 else next(iter(terms))
            layers.append(LayerJacobian(label, self._modules[path], terms, samples, passes))
        if passes > 1 and not any(isinstance(term, RowsTerm) for term in rows.values()):
            self._capture.drop_gradients()  # the uses hold them stacked
        return tuple(layers)

    def _owner(self, name: str) -> str:
        """The layer that a parameter belongs to: of its readers the one used first."""
        readers = self._places_read(name)
        return min((reader.module for reader in readers), key=self.order.index)

    def _readers(self, name: str) -> tuple[Place, ...] | str:
        """For each place that holds a parameter the called module that reads it; or why there is none."""
        readers: dict[Place, None] = {}
        for place in self._places[name]:
            if place.module in self._capture:
                readers[place] = None
                continue
            path = next((p for p in _ancestors(place.module) if p in self._own), None)
            if path is not None:
                readers[Place(path, _within(path, place))] = None
        if not readers and self._places[name][0].module in self.order:
            return self._capture.uncovered_parameters.get(name, "no module above it gives a single tensor")
        climbed = any(reader.module not in self._capture for reader in readers)
        if not readers or (climbed and name not in self.used):
            return UNUSED
        return tuple(readers)

    def _term(self, name: str) -> Term:
        readers = self._places_read(name)
        known = [self._capture[place.module] for place in readers if place.module in self._capture]
        params = {place.param for place in readers}
        if len(known) == len(readers) and len(params) == 1 and _alike(known):
            paths = tuple(place.module for place in readers)
            if paths not in self._uses:  # weight and bias share them: reading stacks the passes
                self._uses[paths] = [use for layer in known for use in layer.uses(by_sample=self._by_sample)]
            return RuleTerm(known[0].module, known[0].rule, self._uses[paths], params.pop())
        if len(readers) == 1 and (term := self._multiple_term(readers[0])) is not None:
            return term
        return RowsTerm(lambda: sum_of([self._rows_at(place) for place in readers]))

    def _multiple_term(self, place: Place) -> RuleTerm | None:
        """A parametrised layer whose weight is s times this leaf: the layer sees s a where a plain one sees a."""
        module, calls = self._modules[place.module], self._own.get(place.module, [])
        if place not in self._multiples:
            self._multiples[place] = multiple_of(module, place.param)
        found = self._multiples[place]
        inputs = [args[0] for args, kwargs in (call.arguments for call in calls) if len(args) == 1 and not kwargs]
        if found is None or len(inputs) < len(calls):
            return None
        rule, param, scale = found
        if any(rule.refusal_of_input(module, a) is not None for a in inputs):
            return None
        uses = []
        for call, a in zip(calls, inputs, strict=True):
            g = torch.stack(call.g)
            uses.append(Use(a, g * scale) if param == "bias" else Use(a * scale, g))
        return RuleTerm(module, rule, uses, param, scale)

    def _rows_at(self, place: Place) -> Tensor:
        if place.module in self._capture:
            layer = self._capture[place.module]
            return layer.rule.per_sample(layer.module, layer.uses(), place.param)
        if place.module not in self._own_rows:
            asked = [name for name in self.names if not isinstance(self._term(name), RuleTerm)]
            leaves = [p.param for name in asked for p in self._places_read(name) if p.module == place.module]
            module, calls = self._modules[place.module], self._own[place.module]
            self._own_rows[place.module] = own_rows(place.module or "the model", module, leaves, calls)
        return self._own_rows[place.module].pop(place.param)

    def _places_read(self, name: str) -> tuple[Place, ...]:
        readers = self._readers(name)
        return () if isinstance(readers, str) else readers

    @cached_property
    def used(self) -> set[str]:
        """Names of the parameters that the outputs' graph leads to."""
        assert self._outputs is not None
        names = {id(p): name for name, p in self.model.named_parameters()}
        found: set[str] = set()
        ahead, seen = [self._outputs.grad_fn], set()
        while ahead:
            node = ahead.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            variable = getattr(node, "variable", None)
            if variable is not None:
                found.add(names.get(id(variable), ""))
            ahead += [following for following, _ in node.next_functions]
        return found

    def _noting(self, path: str) -> Any:
        def on_call(module: nn.Module, args: tuple[Any, ...]) -> None:
            if path not in self.order:
                self.order.append(path)

        return on_call

    def _keeping(self, path: str) -> Any:
        def on_forward(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if not isinstance(output, Tensor) or not output.requires_grad or not (args or kwargs):
                return
            call = OwnCall.of(args, kwargs)
            self._own.setdefault(path, []).append(call)
            self._own_edges.append(get_gradient_edge(output))
            self._gradient_handles.append(output.register_hook(lambda g: call.g.append(g.detach())))

        return on_forward

    def _making(self, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            axis = output.ndim - 1 if isinstance(module, LINEAR) else 1
            self._made[id(output)] = (weakref.ref(output), axis)

    def _close(self) -> None:
        for handle in (*self._handles, *self._gradient_handles):
            handle.remove()
        self._handles, self._gradient_handles = [], []
        self._own_edges = []
        self._capture.__exit__(None, None, None)


def coupling(model: nn.Module) -> dict[str, str]:
    """Module path -> why its outputs don't depend on one sample alone, or not on it always in the same way."""
    found: dict[str, str] = {}
    for path, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, BATCH_NORMS) and module.training:
            found[path] = f"{kind} is in train mode, where batch statistics couple the samples"
        elif isinstance(module, BATCH_NORMS) and module.running_mean is None:
            found[path] = f"{kind} keeps no running statistics, so that a batch's own couple the samples in any mode"
        elif isinstance(module, DROPOUTS) and module.training and module.p > 0:
            found[path] = f"{kind} is active dropout, p = {module.p}, so that each forward is another function"
    return found


def _places(modules: dict[str, nn.Module]) -> dict[str, tuple[Place, ...]]:
    """Parameter name -> every module that holds it, under the first name that the model gives it."""
    names: dict[int, str] = {}
    places: dict[str, list[Place]] = {}
    for path, module in modules.items():
        for param, value in module.named_parameters(recurse=False, remove_duplicate=False):
            name = names.setdefault(id(value), f"{path}.{param}" if path else param)
            places.setdefault(name, []).append(Place(path, param))
    return {name: tuple(held) for name, held in places.items()}


def _ancestors(path: str) -> Sequence[str]:
    """A module's path and those above it, nearest first."""
    parts = path.split(".") if path else []
    return [".".join(parts[:length]) for length in range(len(parts), -1, -1)]


def _within(path: str, place: Place) -> str:
    """A place's parameter as a module above it names it."""
    full = f"{place.module}.{place.param}" if place.module else place.param
    return full[len(path) + 1 :] if path else full


def _alike(layers: Sequence[LayerCapture]) -> bool:
    """Whether the uses of several layers can be read as those of the first."""
    first = layers[0]
    return len(layers) == 1 or (all(type(layer.module) is type(first.module) is nn.Linear for layer in layers))
