"""Attention: queries and keys are frozen along the axis they are multiplied over, values pass."""

from __future__ import annotations

from linnet.core.channels.rule_call import Call, rule
from linnet.core.channels.tensor_labels import Factor, Flow


@rule(
    "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
def dot_product_attention(call: Call) -> tuple[Flow, ...]:
    """softmax(q k^T) v: q and k are contracted over their last axis, tokens are mixed, v's last axis passes."""
    last = len(call.shape(0)) - 1
    for position in (0, 1):
        call.freeze(call.flow(position), "it is contracted in attention")
    kept: list[Factor] = []
    for factor in call.flow(2).factors:
        if last - 1 in factor.axes:
            call.freeze(factor.labels.ravel(), "its tokens are mixed")
        elif factor.axes != (last,) and _heads(call, factor, last):
            call.freeze(factor.labels.ravel(), "its heads meet those of query and key")
        else:
            kept.append(factor)
    return (Flow(tuple(kept)),)


def _heads(call: Call, factor: Factor, last: int) -> bool:
    """Whether a factor labels heads alone: their number is the query's, so it can't change by itself."""
    return last not in factor.axes
