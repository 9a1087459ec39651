"""Which layers a capture covers, by which rule, and why the others are left out."""

from collections.abc import Sequence

from torch import nn
from torch.nn.parameter import UninitializedParameter

from linnet.core.capture.layers.embedding import EmbeddingRule
from linnet.core.capture.layers.layer_rule import LayerRule
from linnet.core.capture.layers.matrix import MatrixRule
from linnet.core.capture.layers.norm import NormRule
from linnet.core.capture.layers.prelu import PReLURule
from linnet.core.capture.layers.scaled import ScaledRule
from linnet.errors import InputError

RULES: list[LayerRule] = [ScaledRule(), MatrixRule(), NormRule(), EmbeddingRule(), PReLURule()]
_METHODS = ("forward", "_conv_forward", "_output_padding")
COVERED = (
    "Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d, BatchNorm in eval, Layer-, Group-, Instance-, RMSNorm, "
    "Embedding, PReLU"
)


def add_layer_rule(rule: LayerRule) -> None:
    """Teach a capture to read layers of your own; the rule goes before those that are known.

    Raises:
        InputError: `rule` isn't a `LayerRule`.
    """
    if not isinstance(rule, LayerRule):
        raise InputError(f"`rule` must be a linnet.core.LayerRule (got {type(rule).__name__}).")
    RULES.insert(0, rule)


def constant_statistics() -> tuple[LayerRule, ...]:
    """The rules that take the batch statistics of a BatchNorm in train mode for constants."""
    return tuple(rule.with_constant_statistics() for rule in RULES)


def rule_of(module: nn.Module, rules: Sequence[LayerRule] = RULES) -> LayerRule | None:
    """The rule for a layer, None where no family knows it."""
    return next((rule for rule in rules if isinstance(module, rule.types)), None)


def refusal(module: nn.Module, rules: Sequence[LayerRule] = RULES) -> str | None:
    """Why a module's own parameters have no captured gradients, in words; None where they have.

    Only the module and its mode are looked at, not an input.
    """
    kind = type(module).__name__
    rule = rule_of(module, rules)
    if any(isinstance(p, UninitializedParameter) for p in module.parameters(recurse=False)):
        return f"{kind} is lazy and has no size yet: run the model once before the capture"
    if isinstance(module, nn.SyncBatchNorm):  # its statistics aren't those of this process's samples
        return "SyncBatchNorm takes statistics over all ranks and couples the samples: no gradient of one sample exists"
    if rule is None:
        return f"{kind} isn't covered (covered: {COVERED})"
    if _computed(module, rule.params):
        return f"a parameter of this {kind} is computed from others: remove_parametrizations(...) makes it plain"
    if overridden(module, rule):
        return f"{kind} replaces the forward of the torch layer that it extends, so its (a, g) can't be trusted"
    if any(p.is_complex() for p in module.parameters(recurse=False)):
        return "complex parameters have no rule"
    reason = rule.refusal(module)
    return None if reason is None else f"{kind}: {reason}"


def _computed(module: nn.Module, params: Sequence[str]) -> bool:
    """Whether one of the family's parameters isn't a plain one of the layer, or the layer has further ones."""
    own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
    plain = all(getattr(module, name, None) is own.get(name) for name in params)
    return not plain or bool(set(own) - set(params))


def overridden(module: nn.Module, rule: LayerRule) -> bool:
    """Whether the layer computes something else than the torch layer whose subclass it is."""
    base = next(kind for kind in type(module).__mro__ if kind in rule.types)
    if any(name in vars(module) for name in _METHODS):
        return True
    return any(getattr(type(module), name, None) is not getattr(base, name, None) for name in _METHODS)
