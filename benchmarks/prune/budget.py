"""How much of a budget a mask uses, and that the small network is the masked one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.goal import bounded, reached
from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from linnet.models import create
from linnet.prune import Budget, Pruner, extract, plan
from linnet.prune.allocate.groups import prunable_groups
from linnet.prune.allocate.widths import Selector
from linnet.prune.pruning_plan import totals_of
from linnet.results import Record

HEADLINE = Budget(macs=0.238, params=0.059)
"""-76.2 % of the multiply-accumulates and -94.1 % of the parameters."""

SHARES = {"vgg16": (0.5, 0.24, 0.1), "resnet20": (0.5, 0.35, 0.24), "resnet56": (0.5, 0.35, 0.24)}
NETWORKS = tuple(SHARES)
_EXAMPLE = torch.zeros(1, 3, 32, 32)


def use(*, quick: bool) -> list[Record]:
    """Shares of limits that are used, over budgets and random importances; what is over them; units that would fit."""
    draws = 2 if quick else 10
    found = [row for name in NETWORKS[: 1 if quick else 3] for row in _one_limit(name, draws)]
    return [*found, _two_limits(draws), _while_training(steps=12 if quick else 60)]


def exact(*, quick: bool) -> list[Record]:
    """Largest difference of outputs, masked against sliced, relative to the largest output; in eval and train mode."""
    names = ("resnet20",) if quick else NETWORKS
    facts = {"beside": "the masked network", "unit": ""}
    wholes = [_apart(name, torch.float64, whole=True) for name in ("vgg", "resnet8")]  # shallow: sums stay below 2^53
    doubles = [_apart(name, torch.float64) for name in names]
    singles = [_apart(name, torch.float32) for name in names]
    listed = ", ".join(names)
    few = "a thin VGG, a ResNet of 8 layers"
    return [
        bounded("prune.exact.whole", f"sliced, whole-number weights: {few}", max(wholes), bound=0, goal="0", **facts),
        bounded("prune.exact.f64", f"sliced, float64: {listed}", max(doubles), bound=1e-12, goal="<= 1e-12", **facts),
        bounded("prune.exact.f32", f"sliced, float32: {listed}", max(singles), bound=1e-5, goal="<= 1e-5", **facts),
    ]  # fmt: skip


def selector_of(network: str, budget: Budget, *, align: int = 8) -> Selector:
    """The selector of a network of `linnet.models`."""
    graph = ChannelGraph(create(network), _EXAMPLE)
    law = WidthCost(graph)
    return Selector(law, prunable_groups(graph, align=align).free, budget.limits(totals_of(law)))


def _draw(selector: Selector, rng_seed: int) -> list[np.ndarray]:
    draw = np.random.default_rng(rng_seed)
    return [draw.random(choice.size) ** (0.5, 1.0, 2.0)[rng_seed % 3] for choice in selector.free]


def _one_limit(network: str, draws: int) -> list[Record]:
    """The tightest limit over three budgets, each by MACs and by parameters."""
    uses, fit = [], 0
    for name in ("macs", "params"):
        for share in SHARES[network]:
            selector = selector_of(network, Budget(**{name: share}))
            for rng_seed in range(draws):
                selection = selector.select(_draw(selector, rng_seed))
                uses.append(float(selector.use(selection).max()))
                fit += int(selector.fits(selector.wider(np.array(selection.widths))[1]).sum())
    shares = ", ".join(f"{share:.0%}" for share in SHARES[network])
    what = f"{network}, budgets of {shares} by MACs or parameters, {len(uses)} selections"
    full = "" if min(uses) >= 0.985 or fit else "; no unit fits: one of 8 channels is more than what is left"
    facts = {"n": len(uses), "context": {"median": float(np.median(uses))}}
    return [
        reached(
            f"prune.use.{network}", f"least share of the limit used: {what}{full}", min(uses),
            least=0.0 if full else 0.985, goal=">= 0.985, or no unit fits", beside="exact count", **facts,
        ),
        bounded(
            f"prune.over.{network}", f"most share of the limit used: {what}", max(uses), bound=1.0, goal="<= 1",
            beside="exact count",
        ),
        bounded(
            f"prune.fit.{network}", f"units that would still fit: {network}, the same", fit, bound=0, goal="0",
            beside="every unit tried",
        ),
    ]  # fmt: skip


def _two_limits(draws: int) -> Record:
    selector = selector_of("vgg16", HEADLINE)
    uses = [float(selector.use(selector.select(_draw(selector, rng_seed))).min()) for rng_seed in range(draws)]
    words = f"less used of two limits, VGG-16 at MACs .238 and parameters .059, {draws} selections"
    return reached(
        "prune.use.two_limits", words, min(uses), least=0.9, goal=">= 0.9", beside="exact count", n=draws,
        context={"median": float(np.median(uses))},
    )  # fmt: skip


def _while_training(*, steps: int) -> Record:
    """Most of any limit that a mask used in a real training, from the first mask on."""
    torch.manual_seed(0)
    net = create("vgg", input_shape=(3, 16, 16))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    pruner = Pruner(net, torch.zeros(1, 3, 16, 16), Budget(macs=0.24, params=0.3), steps=steps, every=1, compact=False)
    most = 0.0
    for _ in range(steps):
        optimizer.zero_grad()
        x, y = torch.randn(16, 3, 16, 16), torch.randint(0, 10, (16,))
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        phase = pruner.time.phase
        step = pruner.step(optimizer)
        most = max(most, *step.used.values()) if phase != "warmup" else most
    words = f"most of any limit used after any update of the mask, a thin VGG, {steps} steps"
    return bounded("prune.over.training", words, most, bound=1.0, goal="<= 1", beside="exact count")


def _apart(network: str, dtype: torch.dtype, *, whole: bool = False) -> float:
    """Largest difference over the largest output, in eval and in train mode, with drawn weights and statistics.

    With whole-number weights and inputs the norms are left out, so that every sum is exact in any order.
    """
    from tests.zoo.check import masked

    torch.manual_seed(0)
    net = (create("resnet", depth=8) if network == "resnet8" else create(network)).to(dtype)
    x = torch.randn(8, 3, 32, 32, dtype=dtype)
    if whole:
        net, x = _whole(net), x.round()
    else:
        net.train()(torch.randn(32, 3, 32, 32, dtype=dtype))  # statistics that aren't 0 and 1
    made = plan(net, x[:1], Budget(macs=0.3), criterion="random")
    small, big = extract(net, made), masked(net, ChannelGraph(net, x[:1]), made.multiplicity())
    worst = 0.0
    for ours, theirs in ((small.eval(), big.eval()), (small.train(), big.train())):
        with torch.no_grad():
            wanted = theirs(x)
            worst = max(worst, float((ours(x) - wanted).abs().max() / wanted.abs().max()))
    return worst


def _whole(net: nn.Module) -> nn.Module:
    """Weights -1, 0 and 1, no norms."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randint(-1, 2, parameter.shape))
    return net
