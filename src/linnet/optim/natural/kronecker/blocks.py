"""The division of parameters among blocks: Kronecker pairs for matrix layers, exact blocks for small parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import UninitializedParameter

from linnet.core.capture.layers.coverage import constant_statistics, refusal, rule_of
from linnet.core.capture.layers.layer_rule import Sharing
from linnet.core.capture.positions import TRANSPOSED
from linnet.core.capture.scaled_weight import scaled_leaf
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.parameter_rows import RuleTerm
from linnet.errors import InputError
from linnet.optim.natural.batch import LIMIT
from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock

Block = KroneckerBlock | SmallBlock


@dataclass(frozen=True)
class Allotment:
    """How the parameters of a batch's layers are divided among blocks.

    Attributes:
        blocks: First parameter name -> (block, the layer that it reads).
        covered: Parameter name -> how.
        uncovered: Parameter name -> why not.
    """

    blocks: dict[str, tuple[Block, LayerJacobian]]
    covered: dict[str, str]
    uncovered: dict[str, str]


def too_large(model: nn.Module) -> dict[str, str]:
    """Trainable parameters that no block can take, as far as is seen before a forward: name -> why."""
    result: dict[str, str] = {}
    names = {id(p): name for name, p in model.named_parameters()}
    scaled = {id(leaf) for module in model.modules() if (leaf := scaled_leaf(module)) is not None}
    rules = constant_statistics()
    for module in model.modules():
        rule = rule_of(module, rules)
        matrix = rule is not None and (rule.is_matrix or rule.diagonal_input) and refusal(module, rules) is None
        for param, value in module.named_parameters(recurse=False):
            if not value.requires_grad or isinstance(value, UninitializedParameter) or value.numel() <= LIMIT:
                continue
            if not (matrix and param == "weight") and id(value) not in scaled:
                result[names[id(value)]] = _too_large(module, value.numel())
    return result


def not_covered(uncovered: Mapping[str, str]) -> InputError:
    """The error that names the parameters that no block covers."""
    name, reason = next(iter(uncovered.items()))
    more = f" and {len(uncovered) - 1} more" if len(uncovered) > 1 else ""
    return InputError(
        f"The curvature of `{name}`{more} can't be computed: {reason}. Freeze it, or let it follow the plain "
        "gradient or Adam: uncovered='gradient' or 'adam'."
    )


def allot(
    layers: Iterable[LayerJacobian],
    damping: Mapping[str, float],
    sizes: Mapping[str, int],
    *,
    sharing: Sharing,
    known: Mapping[str, Block],
) -> Allotment:
    """Divides parameters among blocks; blocks that are known stay the same objects.

    Args:
        layers: Of one batch.
        damping: Parameter name -> rho; parameters of one block have the same.
        sizes: Parameter name -> number of entries.
        sharing: How positions are treated.
        known: The blocks so far.
    """
    result = Allotment({}, {}, {})
    for layer in layers:
        for block, how in _blocks_of(layer, damping, sizes, sharing):
            if isinstance(block, str):
                result.uncovered[block] = how
                continue
            before = known.get(block.names[0])
            if before is None or before.names != block.names:  # one of them was frozen since, or is no longer
                before = block
            result.blocks[block.names[0]] = (before, layer)
            result.covered.update(dict.fromkeys(block.names, how))
    return result


def _blocks_of(
    layer: LayerJacobian, damping: Mapping[str, float], sizes: Mapping[str, int], sharing: Sharing
) -> Iterable[tuple[Block | str, str]]:
    """(block, how) of each block; (parameter name, why not) of what has none."""
    left = list(layer.terms)
    for name in (name for name in layer.terms if _is_table(layer, name) and sizes[name] > LIMIT):
        yield KroneckerBlock(layer.module, name, None, sharing), f"counts of tokens and B (layer `{layer.name}`)"
        left.remove(name)
    weight = next((name for name in left if _is_matrix(layer, name)), None)
    if weight is not None:
        bias = next((name for name in left if _is_column(layer, weight, name, damping)), None)
        term = layer.terms[weight]
        assert isinstance(term, RuleTerm)
        block = KroneckerBlock(term.module, weight, bias, sharing)
        yield block, _how(layer, weight, sharing)
        left = [name for name in left if name not in block.names]
    for rho in dict.fromkeys(damping.get(name, 0.0) for name in left):
        together = [name for name in left if damping.get(name, 0.0) == rho]
        if sum(sizes[name] for name in together) <= LIMIT:
            yield SmallBlock(tuple(together)), f"exact block (module `{layer.name}`)"
            continue
        for name in together:
            if sizes[name] <= LIMIT:
                yield SmallBlock((name,)), f"exact block (parameter of `{layer.name}`)"
            else:
                yield name, _too_large(layer.module, sizes[name])


def _is_matrix(layer: LayerJacobian, name: str) -> bool:
    term = layer.terms[name]
    return isinstance(term, RuleTerm) and term.rule.is_matrix and term.param == "weight"


def _is_table(layer: LayerJacobian, name: str) -> bool:
    term = layer.terms[name]
    return isinstance(term, RuleTerm) and term.rule.diagonal_input


def _is_column(layer: LayerJacobian, weight: str, name: str, damping: Mapping[str, float]) -> bool:
    """Whether a parameter is the bias that is the last column of the weight: the same uses, the same damping."""
    first, term = layer.terms[weight], layer.terms[name]
    assert isinstance(first, RuleTerm)
    return (
        isinstance(term, RuleTerm)
        and term.param == "bias"
        and term.module is first.module
        and len(term.uses) == len(first.uses)
        and term.scale == first.scale == 1.0
        and damping.get(name) == damping.get(weight)
        and not isinstance(layer.module, TRANSPOSED)
    )


def _how(layer: LayerJacobian, weight: str, sharing: Sharing) -> str:
    term = layer.terms[weight]
    assert isinstance(term, RuleTerm)
    shared = f", shared by {len(term.uses)} uses" if len(term.uses) > 1 else ""
    return f"Kronecker factors, {sharing}{shared} (layer `{layer.name}`)"


def _too_large(module: nn.Module, size: int) -> str:
    return (
        f"it has {size} entries, and {type(module).__name__} isn't a linear layer or convolution that can be read; an "
        f"exact block takes up to {LIMIT}"
    )
