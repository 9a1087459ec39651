"""Every kind of operator between two convolutions: edits are exact, or the class is frozen with the reason and line."""

import pytest
import torch
from torch.nn import functional as F

from linnet.core import ChannelGraph, resize
from linnet.errors import GraphError, UnsupportedOperator
from tests.unit.core.channels.layered import Between, assert_edits_are_exact, built, image

EXACT = {
    # name: (function, channels after it, channels before it, size of the class)
    "addcmul": (lambda x: torch.addcmul(x, x, x.sigmoid(), value=0.5), 4, 4, 4),
    "addcdiv": (lambda x: torch.addcdiv(x, x, x.exp()), 4, 4, 4),
    "where of two": (lambda x: torch.where(x > x.mean((2, 3), keepdim=True), x, x.exp()), 4, 4, 4),
    "clamp by a tensor": (lambda x: x.clamp(min=x.mean((2, 3), keepdim=True)), 4, 4, 4),
    "in place": (lambda x: x.clone().add_(x).relu_(), 4, 4, 4),
    "narrow, positions": (lambda x: x.narrow(2, 1, 3), 4, 4, 4),
    "unbind, positions": (lambda x: torch.stack(x.unbind(2), 2), 4, 4, 4),
    "select, position": (lambda x: x.select(2, 1).unsqueeze(2), 4, 4, 4),
    "select, a part": (lambda x: x.view(len(x), 2, -1, 6, 6)[:, 0], 2, 4, 2),
    "parts multiplied": (lambda x: x.view(len(x), 2, -1, 6, 6)[:, 0] * x.view(len(x), 2, -1, 6, 6)[:, 1], 2, 4, 2),
    "index, positions": (lambda x: x[:, :, torch.tensor([0, 2])], 4, 4, 4),
    "index, a table": (lambda x: x[:, :, :, torch.tensor([[0, 1], [2, 3]])].flatten(3), 4, 4, 4),
    "index, a mask": (lambda x: x[:, :, torch.tensor([True, False] * 3)], 4, 4, 4),
    "pad, channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), 6, 4, 4),
    "pad, cropped positions": (lambda x: F.pad(x, (-1, 0)), 4, 4, 4),
    "stack, then flat": (lambda x: torch.stack([x, x.relu()], 1).flatten(1, 2), 8, 4, 4),
    "cat with a constant": (lambda x: torch.cat([x, x.new_ones(len(x), 1, 6, 6)], 1), 5, 4, 4),
    "cat, positions": (lambda x: torch.cat([x, x.relu()], 2), 4, 4, 4),
    "reversed halves": (lambda x: torch.cat([x[:, x.shape[1] // 2 :], x[:, : x.shape[1] // 2]], 1), 4, 4, 4),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), 8, 4, 4),
    "repeat, positions": (lambda x: x.repeat(1, 1, 2, 1), 4, 4, 4),
    "median": (lambda x: x.median(2, keepdim=True)[0], 4, 4, 4),
    "maximum": (lambda x: x.max(2, keepdim=True)[0], 4, 4, 4),
    "std": (lambda x: x.std((2, 3), keepdim=True), 4, 4, 4),
    "variance": (lambda x: torch.var_mean(x, (2, 3), keepdim=True)[0], 4, 4, 4),
    "norm": (lambda x: x.norm(dim=(2, 3), keepdim=True), 4, 4, 4),
    "logsumexp": (lambda x: x.logsumexp((2,), keepdim=True), 4, 4, 4),
    "top of positions": (lambda x: x.topk(3, dim=2)[0], 4, 4, 4),
    "k-th of positions": (lambda x: x.kthvalue(2, dim=3, keepdim=True)[0], 4, 4, 4),
    "sort of positions": (lambda x: x.sort()[0], 4, 4, 4),
    "cumprod": (lambda x: x.cumprod(3), 4, 4, 4),
    "Fourier": (lambda x: torch.fft.rfft2(x).abs(), 4, 4, 4),
    "unfold": (lambda x: x.unfold(2, 2, 2).flatten(3), 4, 4, 4),
    "fold": (lambda x: F.fold(F.unfold(x, 2, stride=2), (6, 6), 2, stride=2), 4, 4, 4),
    "maximum of parts": (lambda x: x.view(len(x), 2, -1, 6, 6).amax(1), 2, 4, 2),
    "instance norm": (lambda x: F.instance_norm(x), 4, 4, 4),
    "layer norm, width": (lambda x: F.layer_norm(x, (6,)), 4, 4, 4),
    "layer norm, all": (lambda x: F.layer_norm(x, x.shape[1:]), 4, 4, 4),
    "layer norm, channels": (lambda x: F.layer_norm(x.movedim(1, -1), (x.shape[1],)).movedim(-1, 1), 4, 4, 4),
    "rms norm": (lambda x: F.rms_norm(x.movedim(1, -1), (x.shape[1],)).movedim(-1, 1), 4, 4, 4),
    "group norm": (lambda x: F.group_norm(x, 2), 4, 4, 4),
    "einsum, elementwise": (lambda x: torch.einsum("bchw,bchw->bchw", x, x), 4, 4, 4),
    "einsum, a gate": (lambda x: torch.einsum("bchw,bc->bchw", x, x.mean((2, 3))), 4, 4, 4),
    "expand, positions": (lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 6, 6), 4, 4, 4),
    "shuffle": (lambda x: x.view(len(x), 2, -1, 6, 6).transpose(1, 2).reshape(x.shape), 4, 4, 2),
    "unshuffle": (
        lambda x: x.reshape(len(x), -1, 3, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).reshape(len(x), -1, 3, 3),
        16,
        4,
        4,
    ),
    "pooling of one axis": (lambda x: F.max_pool1d(x.flatten(2), 2).unsqueeze(3), 4, 4, 4),
    "slope of a constant": (lambda x: F.prelu(x, x.new_full((1,), 0.2)), 4, 4, 4),
    "difference": (lambda x: x.diff(dim=2), 4, 4, 4),
    "glu of positions": (lambda x: F.glu(x, 2), 4, 4, 4),
}


@pytest.mark.parametrize("name", EXACT)
def test_edits_are_exact(name):
    f, channels, made, size = EXACT[name]
    model, graph = built(f, channels, made)
    assert graph.classes["a"].frozen is None
    assert graph.classes["a"].size == size
    if name != "reversed halves":  # its parts need equal sums
        assert_edits_are_exact(model, graph, "a", image())


FROZEN = {
    # name: (function, channels after it, words of the reason)
    "one channel": (lambda x: torch.stack(x.unbind(1), 1), 4, "one channel is picked by its number"),
    "a table of several axes": (lambda x: x[:, torch.tensor([[0, 1], [2, 3]])].flatten(1, 2), 4, "table of several"),
    "an order that isn't known": (lambda x: x[:, x.mean((0, 2, 3)).argsort()], 4, "taken together (sort)"),
    "rolled": (lambda x: x.roll(1), 4, "rolled across all axes"),
    "cropped": (lambda x: F.pad(x, (0, 0, 0, 0, -1, 0)), 3, "is cropped"),
    "beside a constant": (lambda x: torch.cat([x, x.new_ones(len(x), 4, 1, 6)], 2), 4, "tensor of fixed size"),
    "zeros of written sizes": (lambda x: x.new_zeros(1, 4, 1, 1) + x, 4, "tensor of fixed size"),
    "maximum of all": (lambda x: x / x.max(), 4, "taken together (max)"),
    "sum of two axes": (
        lambda x: x.view(len(x), 2, -1, 6, 6).sum((1, 2), keepdim=True).flatten(1, 2),
        1,
        "taken together (sum)",
    ),
    "top of channels": (lambda x: x.topk(3, dim=1)[0], 3, "taken together (topk)"),
    "norm of channels": (lambda x: x / x.norm(dim=1, keepdim=True), 4, "taken together"),
    "neighbours": (lambda x: F.local_response_norm(x, 2), 4, "positions along its labelled axis are mixed"),
    "a sum of outer products": (
        lambda x: torch.bmm(x.flatten(2), x.flatten(2).transpose(1, 2)).flatten(1)[..., None, None],
        16,
        "merged",
    ),
    "tokens compared": (lambda x: torch.einsum("bchw,bcHW->bhw", x, x).unsqueeze(1), 1, "is contracted in attention"),
    "added to a product": (
        lambda x: torch.baddbmm(x.flatten(2), x.flatten(2), x.new_ones(1, 36, 36).expand(len(x), 36, 36)).view(
            len(x), -1, 6, 6
        ),
        4,
        "is added to a product",
    ),
    "one for many": (lambda x: x * torch.ones_like(x[:, :1]), 4, "its one channel is broadcast over many"),
    "written sizes": (lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1), 4, "can't be doubled"),
    "a written norm": (
        lambda x: F.layer_norm(x.movedim(1, -1), (4,)).movedim(-1, 1),
        4,
        "can't be doubled: Given normalized_shape",
    ),
    "a computed kernel": (lambda x: F.conv2d(x, x.new_ones(4, 4, 1, 1)), 4, "computed, not a parameter"),
    "columns mixed": (lambda x: F.avg_pool2d(x.transpose(1, 3), 3, 1, 1).transpose(1, 3), 4, "axis are mixed"),
}


@pytest.mark.parametrize("name", FROZEN)
def test_reasons_name_the_operator_and_the_line(name):
    f, channels, words = FROZEN[name]
    _, graph = built(f, channels)
    reason = graph.classes["a"].frozen
    assert reason is not None
    assert words in reason
    assert ".py:" in reason


def test_parts_of_a_split_keep_equal_sums():
    f, channels, made, _ = EXACT["reversed halves"]
    model, graph = built(f, channels, made)
    with pytest.raises(GraphError, match="`a`"):
        resize(model, graph, {"a": [2, 1, 1, 1]})
    assert resize(model, graph, {"a": [2, 1, 1, 2]}, split="random").linnet_edit.error <= 1e-10


@pytest.mark.parametrize(
    ("f", "op"),
    [
        (lambda x: x.as_strided(x.shape, x.stride()), "as_strided"),
        (lambda x: x.tril(), "tril"),
        (lambda x: x.gather(2, torch.zeros(len(x), 4, 1, 6, dtype=torch.long, device=x.device)), "gather"),
        (lambda x: x[:, torch.arange(4), torch.arange(4)].unsqueeze(3), "index"),
        (lambda x: torch.view_as_real(torch.complex(x, x))[..., 0], "complex"),
    ],
)
def test_what_has_no_rule_is_refused_until_it_is_frozen(f, op):
    with pytest.raises(UnsupportedOperator, match=rf"\b{op}\b.*frozen=\[\('a.weight', 0\)") as caught:
        ChannelGraph(Between(f).double(), image(), unsupported="refuse")
    assert "rule('" + op in str(caught.value)
    assert op in str(ChannelGraph(Between(f).double(), image()).classes["a"].frozen)
    graph = ChannelGraph(Between(f).double(), image(), frozen=[("a.weight", 0)])
    assert graph.classes["a"].frozen == "it is frozen by the caller"
