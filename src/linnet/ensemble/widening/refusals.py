"""Refusals: why a network has no channels that may be copied, and what to do about each reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from linnet.core import ChannelGraph
from linnet.core.edit.proof import OTHER_INPUTS
from linnet.errors import GraphError, ProofError

_OLD_NORMS = {WeightNorm: "remove_weight_norm", SpectralNorm: "remove_spectral_norm"}


def nothing_to_widen(graph: ChannelGraph, model: nn.Module) -> GraphError:
    """The error for a network of which every class is frozen.

    Args:
        graph: Its channel graph.
        model: The network.
    """
    reasons = "; ".join(f"`{c.name}`: {c.frozen}" for c in graph.classes.values())
    remedies = list(_computed_weights(model))  # their own operators are named among the reasons
    remedies = remedies or [*_shared(graph), *_operators(graph), *_by_caller(graph)]
    remedies = remedies or ["Give a network with a hidden layer, or freeze less."]
    return GraphError(
        f"`model` ({type(model).__name__}) has no channels that may be copied ({reasons}). {' '.join(remedies)}"
    )


def computed_weight(model: nn.Module, error: AttributeError) -> GraphError | None:
    """The error for layers whose weights are computed, which can't be resized; None where there are none."""
    words = " ".join(_computed_weights(model))
    return GraphError(f"`model` ({type(model).__name__}) can't be widened ({error}). {words}") if words else None


def to_own_argument(said: str) -> str:
    """A refusal of the channel graph in the words of a function that takes `frozen` itself."""
    return re.sub(r"ChannelGraph\(\.\.\., (frozen=\[.*?\])\)", r"\1", said)


def of_example(error: ProofError, model: nn.Module) -> ProofError:
    """The error of a proof in the words of a function that takes an example and no probe."""
    said, name = str(error), type(model).__name__
    if OTHER_INPUTS not in said:
        return ProofError(to_own_argument(said))
    if "finite" in said:
        return ProofError(
            f"`model` ({name}) must give finite outputs, or nothing can be proved (on normal noise of the size of "
            "`example` they aren't). Look for a logarithm or root of negative numbers, or a division by 0."
        )
    return ProofError(
        f"`model` ({name}) must give outputs that depend on its inputs, or nothing can be proved (on normal noise of "
        "the size of `example` they are constant). Give an `example` of the usual size, and check the last layers."
    )


def _computed_weights(model: nn.Module) -> Iterator[str]:
    """Layers whose weights are made of others at each pass, and how they become plain."""
    for name, module in model.named_modules():
        layer, place = f"`{name}`" if name else "the model", f"model.get_submodule({name!r})" if name else "model"
        if is_parametrized(module):
            tensors = list(module.parametrizations)  # type: ignore[arg-type]  a ModuleDict
            calls = (f"torch.nn.utils.parametrize.remove_parametrizations({place}, {one!r})" for one in tensors)
            yield (
                f"The {' and '.join(tensors)} of {layer} can't be widened, as a parametrization computes it. Make it "
                f"plain first: {'; '.join(calls)}."
            )
        for hook in module._forward_pre_hooks.values():
            for kind, remove in _OLD_NORMS.items():
                if isinstance(hook, kind):
                    tensor = str(vars(hook)["name"])
                    yield (
                        f"The {tensor} of {layer} can't be widened, as {kind.__name__} computes it. Make it plain "
                        f"first: torch.nn.utils.{remove}({place}, {tensor!r})."
                    )


def _shared(graph: ChannelGraph) -> Iterator[str]:
    """Weights that are used more than once and so tie the width of their inputs to that of their outputs."""
    program = graph.program
    names: dict[str, list[str]] = {}
    for second, first in program.aliases.items():
        names.setdefault(first, [first]).append(second)
    uses = Counter(value for node in program.nodes for value in set(node.inputs))
    axes = {(slot.tensor, slot.axis, c.name) for c in graph.classes.values() for slot in c.slots}
    tied = Counter((tensor, name) for tensor, _, name in axes)
    for tensor in dict.fromkeys(tensor for (tensor, _), count in tied.items() if count > 1):
        layers = [f"`{one.rpartition('.')[0]}`" for one in names.get(tensor, [])]
        leaf = tensor.rpartition(".")[2]
        if layers:
            yield (
                f"{' and '.join(layers)} share their {leaf}, so their inputs and outputs must keep one width. Give "
                f"each layer its own: layer.{leaf} = nn.Parameter(layer.{leaf}.detach().clone())."
            )
        elif uses[program.parameters.get(tensor, -1)] > 1:
            yield (
                f"`{tensor.rpartition('.')[0]}` is called more than once, so its inputs and outputs must keep one "
                "width. Give each call a layer of its own, with copy.deepcopy(layer)."
            )


def _operators(graph: ChannelGraph) -> Iterator[str]:
    if any(c.frozen and " by `" in c.frozen for c in graph.classes.values()):
        yield (
            "The operators named above treat channels by their place or number, so what they read can't be widened: "
            "use others there, or train several such networks and pool them with HatchEnsemble([...])."
        )


def _by_caller(graph: ChannelGraph) -> Iterator[str]:
    if any(c.frozen and c.frozen.endswith("is frozen by the caller") for c in graph.classes.values()):
        yield "Freeze less: leave out of `frozen` a module named above."
