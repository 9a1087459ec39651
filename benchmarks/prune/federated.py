"""A hundred trained parts put back into one big network, beside the plain mean of a hundred whole ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from benchmarks.goal import bounded, time_ratio
from benchmarks.prune.budget import HEADLINE
from benchmarks.sidebyside import Side
from linnet.core import ChannelGraph
from linnet.models import create
from linnet.prune import Budget, extract, plan, scatter
from linnet.prune.federated import Part
from linnet.results import Record

_SLOWER = (
    "the places of every different plan are found by walking the network's channel graph, about 20 ms each, where the "
    "plain mean adds whole tensors"
)


def records(*, quick: bool) -> list[Record]:
    """The time of one round in the cloud, and the bytes that a device sends."""
    network, count, pairs = ("vgg", 4, 3) if quick else ("vgg16", 100, 5)
    net = create(network)
    budget = Budget(macs=0.3) if quick else HEADLINE
    parts, own_plans = _parts(net, budget, count, plans=4), _parts(net, budget, count, plans=count)
    whole = [{name: tensor.clone() for name, tensor in net.state_dict().items()} for _ in range(4)]
    states = [whole[number % len(whole)] for number in range(count)]  # four copies, larger than any cache
    plain = Side("plain mean", lambda: mean(net, states), lambda _: count)
    four = Side("scatter", lambda: scatter(net, parts), lambda _: count)
    each = Side("scatter", lambda: scatter(net, own_plans), lambda _: count)
    what = f"scatter {count} parts into {network}, beside the mean of {count} whole states"
    own = sum(p.nbytes for p in net.state_dict().values())
    sent = sum(t.nbytes for t in parts[0][1].values())  # type: ignore[union-attr]
    return [
        time_ratio("prune.scatter", f"{what}: 4 different plans", four, plain, goal=1.5, pairs=pairs, reason=_SLOWER),
        time_ratio(
            "prune.scatter.each", f"{what}: {count} different plans", each, plain, goal=1.5, pairs=pairs, reason=_SLOWER
        ),
        bounded(
            "prune.round_bytes", f"bytes that a device sends in a round, {network}: {sent / 1e6:.2f} MB of tensors",
            sent / own, bound=1 / 15, goal="<= 1/15 (0.0667)", beside=f"the whole state, {own / 1e6:.1f} MB", unit="x",
        ),
    ]  # fmt: skip


def _parts(net: nn.Module, budget: Budget, count: int, *, plans: int) -> Sequence[Part]:
    """Plans in turn; every part has a plan object and a state of its own, as parts that were read from files have."""
    example = torch.zeros(1, 3, 32, 32)
    graph = ChannelGraph(net, example)
    base = [plan(net, example, budget, criterion="random", rng_seed=seed, graph=graph) for seed in range(plans)]
    states = [extract(net, made).state_dict() for made in base]
    return [
        (replace(base[number % plans]), {name: tensor.clone() for name, tensor in states[number % plans].items()})
        for number in range(count)
    ]


def mean(net: nn.Module, states: Sequence[Mapping[str, Tensor]]) -> nn.Module:
    """Federated averaging as it is usually written: every tensor's mean, float32."""
    own = net.state_dict()
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.is_floating_point():
                total = torch.zeros_like(tensor)
                for state in states:
                    total.add_(state[name], alpha=1 / len(states))
                tensor.copy_(total)
            else:
                tensor.copy_(torch.stack([state[name] for state in states]).amax(dim=0))
    return net
