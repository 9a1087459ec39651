"""One call makes a network wider or narrower, proves it, and takes the optimizer along."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from linnet.core.channels.graph import ChannelGraph, Multiplicity
from linnet.core.edit.edit_plan import Edit, plan
from linnet.core.edit.index_tensors import edited
from linnet.core.edit.optimizer_state import next_state
from linnet.core.edit.proof import BOUNDS, prove
from linnet.core.program import module_copy
from linnet.core.program.both_modes import warn_unreached
from linnet.core.program.example import Example, example_from_dict
from linnet.errors import GraphError, InputError, LinnetError, OptimizerStateError, ProofError

SEARCH_S = 10.0  # for the classes that make a proof fail


@dataclass
class Resized:
    """What edits made of a network; rides on it as `linnet_edit`, is no part of its state dict.

    Attributes:
        error: Largest relative difference that the last edit's proof found; of an approximate edit how far it is from
            the masked network.
        base: Tensor name -> size before the first edit, for tensors that changed.
        attributes: Module path -> attributes changed by all edits.
        approximate: Whether some edit narrowed through a normalisation.
        buffers: Non-persistent buffer -> {axis: base position of each position}.
        multiplicity: Class name -> multiplicities of the last edit.
        example: Sizes and types of the example of the last edit's graph, as plain data.
    """

    error: float
    base: dict[str, tuple[int, ...]] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    approximate: bool = False
    buffers: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    multiplicity: dict[str, list[int]] = field(default_factory=dict)
    example: dict[str, Any] = field(default_factory=dict)


def resize(
    model: nn.Module,
    graph: ChannelGraph,
    multiplicity: Multiplicity,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    split: str = "even",
    rng_seed: int = 0,
    also: Sequence[nn.Module] = (),
    probe: Any = None,
    approximate: bool = False,
    state_powers: Mapping[str, int] | None = None,
) -> Any:
    """A network with other numbers of channels.

    Each channel has a multiplicity: 0 removes it, 1 keeps it, k makes k copies that share its outgoing weights.
    Widened, the network computes the same function; narrowed, the same as the masked one (columns that read removed
    channels are 0). Every edit is proved on a probe batch.

    Args:
        model: A network of the graph's structure. It, its mode, hooks and random states stay as they are.
        graph: Its channel graph.
        multiplicity: Class name -> one number, or one per channel (a sequence or integer tensor); missing classes
            keep 1.
        optimizer: Follows: its parameters and state are swapped for the new network's, in the same object.
        split: How a channel's copies share its outgoing weights: "even" (1/k), "random" (one random vector per channel
            for all consumers) or "per_consumer" (one for each consumer; not with an optimizer).
        rng_seed: For random shares.
        also: Further models of the same structure (an average, a teacher), edited alike.
        probe: Inputs for the proof, as an example is given; None draws N(0, 1) of the example's size.
        approximate: Allow narrowing through LayerNorm, GroupNorm or RMSNorm, whose statistics then change; the
            difference from the masked network is then measured and kept, not refused.
        state_powers: Optimizer state key -> power of the share, for keys that the table doesn't know.

    Returns:
        A new module of the same class; with `also`, the tuple (new module, *the others). `.linnet_edit.error` is the
        largest relative difference that the proof measured.

    Raises:
        GraphError: the multiplicities, the probe or one of the networks don't fit; or weights have no values (meta).
        InputError: an argument is of another kind: a module for `also`, a list for `optimizer`.
        OptimizerStateError: state that can't follow.
        ProofError: the new network isn't what was promised. After any error model and optimizer are as before.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> graph = ChannelGraph(net, torch.zeros(1, 3, 8, 8))
        >>> small = resize(net, graph, {"0": [0, 0, 0, 0, 1, 1, 1, 1]})
        >>> small[0]
        Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
    """
    _require_kinds(model, graph, optimizer, also)
    if probe is not None:
        _require_example(probe)
    warn_unreached(graph.program, stacklevel=3)
    return resized(
        model,
        graph,
        multiplicity,
        optimizers=() if optimizer is None else (optimizer,),
        split=split,
        rng_seed=rng_seed,
        also=also,
        probe=probe,
        approximate=approximate,
        state_powers=state_powers,
    )


def resized(
    model: nn.Module,
    graph: ChannelGraph,
    multiplicity: Multiplicity,
    *,
    optimizers: Sequence[torch.optim.Optimizer] = (),
    split: str = "even",
    rng_seed: int = 0,
    also: Sequence[nn.Module] = (),
    probe: Any = None,
    approximate: bool = False,
    state_powers: Mapping[str, int] | None = None,
) -> Any:
    """`resize` without its checks of kinds and its warnings; each optimizer holds some of the parameters."""
    inner = graph.check(model)
    others = [graph.check(other) for other in also]
    for network in (inner, *others):
        _require_values(network)
    if optimizers and split == "per_consumer":
        raise OptimizerStateError(
            '`split` must be "even" or "random" with `optimizer` (got "per_consumer", which gives the copies of a '
            "channel gradients that aren't multiples of the old ones)."
        )
    edit = plan(
        inner,
        graph,
        multiplicity,
        split=split,
        rng_seed=rng_seed,
        approximate=approximate,
        even=bool(optimizers),
    )
    made = [apply(network, edit) for network in (inner, *others)]
    states = [next_state(one, inner, made[0], edit, state_powers=state_powers) for one in optimizers]
    for old, new in zip((inner, *others), made, strict=True):
        new.linnet_edit.error = proved(old, new, edit, graph, probe)  # type: ignore[union-attr]
        new.linnet_edit.example = dict(graph.example)  # type: ignore[union-attr]
    for one, state in zip(optimizers, states, strict=True):
        state.put_into(one)
    return made[0] if not also else tuple(made)


def _require_kinds(model: Any, graph: Any, optimizer: Any, also: Any) -> None:
    if not isinstance(graph, ChannelGraph):
        order = "the two are swapped" if isinstance(model, ChannelGraph) else "make one: ChannelGraph(model, example)"
        raise InputError(f"`graph` must be a ChannelGraph (got a {type(graph).__name__}; {order}).")
    if isinstance(also, nn.Module) or not isinstance(also, Iterable):
        raise InputError(f"`also` must be a list of networks: also=[network] (got a {type(also).__name__}).")
    if optimizer is not None and not hasattr(optimizer, "param_groups"):
        raise InputError(
            f"`optimizer` must be one torch.optim.Optimizer: optimizer=optimizer (got a {type(optimizer).__name__})."
        )


def _require_example(probe: Any) -> None:
    try:
        Example.of(probe)
    except GraphError as error:
        raise GraphError(str(error).replace("`example`", "`probe`")) from error


def _require_values(network: nn.Module) -> None:
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.is_meta:
            raise GraphError(
                f"`{name}` must have values to be edited (it is on the meta device). Load the weights first, or "
                "call `graph.cost(...)` and `graph.shapes(...)`, which need none."
            )


def apply(model: nn.Module, edit: Edit) -> nn.Module:
    """A new module with an edit's tensors and attributes; the given one is only read.

    Args:
        model: An unwrapped network of the edit's structure.
        edit: From `plan`.

    Returns:
        The new module, with `linnet_edit`, not yet proved.
    """

    def tensor(name: str, old: Tensor) -> Tensor:
        return edited(old, edit.axes.get(name, ()))

    new = module_copy.rebuild(model, tensor, hooks="own")
    module_copy.set_attributes(new, edit.attributes)
    new.linnet_edit = _after(model, edit)  # type: ignore[assignment]
    return new


def _after(model: nn.Module, edit: Edit) -> Resized:
    before = getattr(model, "linnet_edit", None)
    past = before if isinstance(before, Resized) else Resized(0.0)
    sizes = {name: tuple(t.shape) for name, t in [*model.named_parameters(), *model.named_buffers()]}
    attributes = {path: dict(changes) for path, changes in past.attributes.items()}
    for path, changes in edit.attributes.items():
        attributes.setdefault(path, {}).update(changes)
    return Resized(
        float("nan"),
        {**{name: sizes[name] for name in edit.shapes}, **past.base},
        attributes,
        past.approximate or edit.approximate,
        _buffers(model, past, edit),
        {name: numbers.tolist() for name, numbers in edit.multiplicity.items()},
    )


def _buffers(model: nn.Module, past: Resized, edit: Edit) -> dict[str, dict[int, list[int]]]:
    """Base positions of non-persistent buffers, which a file doesn't hold."""
    known = {name: dict(axes) for name, axes in past.buffers.items()}
    for path, module in model.named_modules():
        for leaf in module._non_persistent_buffers_set:
            name = f"{path}.{leaf}" if path else leaf
            for change in edit.axes.get(name, ()):
                earlier = known.setdefault(name, {}).get(change.axis)
                index = change.index if earlier is None else np.asarray(earlier)[change.index]
                known[name][change.axis] = index.tolist()
    return known


def proved(old: nn.Module, new: nn.Module, edit: Edit, graph: ChannelGraph, probe: Any = None) -> float:
    """What `prove` measures; half precision is proved in float32, and a failure names the classes that cause it.

    Args:
        old: The network before the edit.
        new: The network that `apply` made of it.
        edit: The edit.
        graph: The channel graph that it was planned on.
        probe: Inputs to compare on; None draws them.

    Returns:
        The largest relative difference.

    Raises:
        GraphError: the network can't run on the probe.
        ProofError: they differ by more than rounding.
    """
    if any(p.is_floating_point() and p.dtype not in BOUNDS for p in old.parameters()):
        old = module_copy.rebuild(
            old, lambda _, tensor: tensor.detach().float() if tensor.is_floating_point() else tensor, hooks="own"
        )
        new = apply(old, edit)  # half precision rounds its shares: the edit is proved in float32
    try:
        return prove(old, new, edit, graph.example, probe, bounded=not edit.approximate, program=graph.program)
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        if probe is None or isinstance(error, LinnetError):
            raise
        wanted = example_from_dict(graph.example)
        raise GraphError(
            f"`probe` must be an input that `{type(old).__name__}` can run on (got {Example.of(probe)}: {error}). "
            f"Give inputs like the graph's example ({wanted}), of any number of samples."
        ) from error
    except ProofError as error:
        if len(edit.multiplicity) > 1:
            guilty = [f"`{name}`" for name in _guilty(old, edit, graph, probe)]
            if guilty:
                raise ProofError(f"{error} Edited alone, these classes fail: {', '.join(guilty[:8])}.") from error
        raise


def _guilty(old: nn.Module, edit: Edit, graph: ChannelGraph, probe: Any) -> list[str]:
    """Classes whose own edit fails the proof: halves are tried, as long as there is time."""
    names, end = list(edit.multiplicity), time.monotonic() + SEARCH_S
    while len(names) > 1 and time.monotonic() < end:
        half = len(names) // 2
        failing = next((part for part in (names[:half], names[half:]) if _fails(part, old, edit, graph, probe)), None)
        if failing is None:
            break
        names = failing
    return names if len(names) < len(edit.multiplicity) else []


def _fails(names: Sequence[str], old: nn.Module, edit: Edit, graph: ChannelGraph, probe: Any) -> bool:
    part = {name: edit.multiplicity[name] for name in names}
    try:
        alone = plan(old, graph, part, split=edit.split, approximate=edit.approximate)
        prove(old, apply(old, alone), alone, graph.example, probe, program=graph.program)
    except ProofError:
        return True
    except Exception:  # an edit that can't be made alone proves nothing about these classes
        return False
    return False
