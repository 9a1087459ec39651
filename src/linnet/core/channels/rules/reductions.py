"""Operators that sum up or mix positions of axes: fine beside the channel axis, freezing along it."""

from __future__ import annotations

from collections.abc import Sequence

from linnet.core.channels.rule_call import Call, rule
from linnet.core.channels.tensor_labels import NOTHING, Factor, Flow

# name: number of the argument that holds the axes
REDUCED = {
    **dict.fromkeys(
        [
            "mean",
            "sum",
            "amax",
            "amin",
            "nansum",
            "logsumexp",
            "any",
            "all",
            "argmax",
            "argmin",
            "prod",
            "median",
            "nanmedian",
            "mode",
            "std",
            "var",
        ],
        1,
    ),
    **dict.fromkeys(["std_mean", "var_mean", "count_nonzero", "aminmax"], 1),
    **dict.fromkeys(["norm", "linalg_vector_norm"], 2),
}
ALONG = {
    **dict.fromkeys(
        [
            "_softmax",
            "softmax",
            "_safe_softmax",
            "_log_softmax",
            "log_softmax",
            "cumsum",
            "cumprod",
            "logcumsumexp",
            "cummax",
            "cummin",
        ],
        1,
    ),
    **dict.fromkeys(["sort", "argsort", "_fft_r2c", "_fft_c2c", "_fft_c2r", "unfold"], 1),
    **dict.fromkeys(["topk", "kthvalue", "renorm"], 2),
}
LAST = ("sort", "argsort", "topk", "kthvalue")  # the last axis, when none is given
SPATIAL = {
    **dict.fromkeys(
        ["max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"],
        2,
    ),
    **dict.fromkeys(["fractional_max_pool2d", "max_pool2d", "upsample_nearest2d", "_upsample_nearest_exact2d"], 2),
    **dict.fromkeys(
        ["upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_bicubic2d", "_upsample_bicubic2d_aa"], 2
    ),
    **dict.fromkeys(["reflection_pad2d", "replication_pad2d", "grid_sampler_2d"], 2),
    **dict.fromkeys(
        ["avg_pool1d", "adaptive_avg_pool1d", "max_pool1d", "upsample_nearest1d", "_upsample_nearest_exact1d"], 1
    ),
    **dict.fromkeys(["upsample_linear1d", "reflection_pad1d", "replication_pad1d"], 1),
    **dict.fromkeys(
        ["max_pool3d_with_indices", "avg_pool3d", "_adaptive_avg_pool3d", "adaptive_max_pool3d", "max_pool3d"], 3
    ),
    **dict.fromkeys(["upsample_nearest3d", "_upsample_nearest_exact3d", "upsample_trilinear3d", "grid_sampler_3d"], 3),
    **dict.fromkeys(["reflection_pad3d", "replication_pad3d", "fractional_max_pool3d"], 3),
}


def _asked(call: Call, position: int) -> list[int]:
    rank = len(call.shape(0))
    given = call.arg(position, "dim")
    if call.node.name in ("max", "min", "median", "sum", "mean", "prod", "any", "all") and isinstance(given, bool):
        given = None
    if given is None and call.node.name in LAST:
        given = -1
    axes = range(rank) if given is None or given == [] else [given] if isinstance(given, int) else given
    return sorted({axis % rank for axis in axes})


@rule(*REDUCED)
def reduce(call: Call) -> tuple[Flow, ...]:
    """Axes summed up (or their maximum, norm ...): they vanish; a channel axis among them is frozen."""
    position = REDUCED[call.node.name]
    return _reduced(call, _asked(call, position))


@rule("max", "min")
def extreme(call: Call) -> tuple[Flow, ...]:
    """`x.max(dim)`; `torch.max(a, b)` arrives as `maximum`."""
    return _reduced(call, _asked(call, 1))


def _reduced(call: Call, axes: Sequence[int]) -> tuple[Flow, ...]:
    flow, rank = call.flow(0), len(call.shape(0))
    if flow.view is not None:
        return (NOTHING,)
    kept = Flow()
    for factor in flow.factors:
        left = [axis for axis in factor.axes if axis not in axes]
        if len(left) == len(factor.axes):
            kept = Flow((*kept.factors, factor))
        elif len(left) == 1:
            kept = Flow((*kept.factors, Factor((left[0],), call.collapse(factor, left[0]))))
        else:
            call.freeze(factor.labels.ravel(), f"its channels are taken together ({call.node.name})")
    if len(call.out_shape()) != rank:
        order = [axis for axis in range(rank) if axis not in axes]
        kept = kept.renamed({old: new for new, old in enumerate(order)})
    return (kept,) * len(call.node.outputs)


@rule(*ALONG)
def along(call: Call) -> tuple[Flow, ...]:
    """Positions of one axis depend on each other; sizes stay."""
    axes = _asked(call, ALONG[call.node.name])
    flow = call.flow(0)
    if flow.view is not None:
        return (NOTHING,)
    for factor in flow.touching(axes):
        call.freeze(factor.labels.ravel(), f"its channels are taken together ({call.node.name})")
    return (flow.without(axes),) * len(call.node.outputs)


@rule(*SPATIAL)
def spatial(call: Call) -> tuple[Flow, ...]:
    """Pooling, resizing and padding: the last axes are mixed, the channel axis passes."""
    return _mixed(call, SPATIAL[call.node.name])


def _mixed(call: Call, count: int) -> tuple[Flow, ...]:
    rank, flow = len(call.shape(0)), call.flow(0)
    if flow.view is not None:
        return (NOTHING,)
    axes = range(rank - count, rank)
    if call.node.name.startswith("grid_sampler"):
        call.freeze(call.flow(1), "is a sampling grid")
    kept = Flow()
    for factor in flow.factors:
        left = [axis for axis in factor.axes if axis not in axes]
        if len(left) == len(factor.axes):
            kept = Flow((*kept.factors, factor))
        elif len(left) == 1:
            kept = Flow((*kept.factors, Factor((left[0],), call.collapse(factor, left[0]))))
        else:
            call.freeze(factor.labels.ravel(), f"positions along its labelled axis are mixed ({call.node.name})")
    return (kept,) * len(call.node.outputs)


@rule("_pad_circular")
def pad_circular(call: Call) -> tuple[Flow, ...]:
    """Positions of the last axes repeated around the border."""
    return _mixed(call, len(call.arg(1)) // 2)


@rule("glu")
def glu(call: Call) -> Flow:
    """Half of the channels gates the other half: position i of both is one unit."""
    rank = len(call.shape(0))
    axis = call.arg(1, "dim", -1) % rank
    labels = call.labels(0, axis)
    rest = call.flow(0).without([axis])
    if labels is None:
        return rest
    if labels.size % 2:
        call.mismatch(f"{labels.size} channels can't be halved", labels)
    joined = call.join(labels.reshape(2, -1).T)
    return Flow((*rest.factors, Factor((axis,), joined)))
