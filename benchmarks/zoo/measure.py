"""One public network: its channel graph, a halved copy compared with the masked network, and torch-pruning's way."""

from __future__ import annotations

import contextlib
import copy
import signal
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.zoo.networks import Network
from linnet.core import ChannelGraph, resize
from linnet.core.program.recorder import leaves
from linnet.errors import LinnetError
from tests.zoo.check import masked

LIMIT_S = 150
PEER_LIMIT_S = 40  # of one size: on some networks torch-pruning didn't end in 150 s
RIGHT = 1e-6  # of the outputs' variation, in float64
EFFECT = 1e-4  # the least that masking must change for a comparison to say something


def measured(network: Network) -> dict[str, Any]:
    """What is known of a network after halving all that its graph calls free.

    Returns:
        `verdict` is "right", "refused", "wrong", "nothing free" or "not shown" (masking changes nothing); `free` the
        share of its channels that may be pruned, `seconds` for its graph at full size, `error` the largest difference
        from the masked network in both modes, `effect` what masking changes.
    """
    with warnings.catch_warnings(), _limit(LIMIT_S):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = network.make().eval()
        draw_anew(model)
        found = _graph(network, model)
        if "words" not in found:
            found |= _halved(network, model)
        return found


def _graph(network: Network, model: nn.Module) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        graph = ChannelGraph(model, torch.zeros(network.shape), norms="groups")
    except LinnetError as error:
        return {"verdict": "refused", "words": str(error)[:300], "seconds": time.perf_counter() - start}
    seconds = time.perf_counter() - start
    classes = [known for known in graph.classes.values() if known.name != "input"]
    sizes = {known.name: sum(s.index.size for s in known.slots if s.role == "produce") for known in classes}
    free = sum(sizes[known.name] for known in classes if known.frozen is None and not known.uniform)
    return {"free": free / max(sum(sizes.values()), 1), "seconds": seconds}


def _halved(network: Network, model: nn.Module) -> dict[str, Any]:
    graph, shape = _smaller(network, model)
    half = {
        known.name: [place % 2 for place in range(known.size)]
        for known in graph.classes.values()
        if known.frozen is None and not known.uniform and known.size > 1
    }
    if not half:
        return {"verdict": "nothing free"}
    try:
        small = resize(model, graph, half)
    except LinnetError as error:
        return {"verdict": "refused", "words": str(error)[:300]}
    modes = (False, True) if not graph.program.training_error else (False,)
    reference = masked(model, graph, half)
    error = max(_difference(reference, small, shape, training=mode) for mode in modes)
    effect = _difference(reference, model, shape, training=False)
    verdict = ("right" if effect > EFFECT else "not shown") if error < RIGHT else "wrong"
    return {"verdict": verdict, "error": error, "effect": effect}


def draw_anew(model: nn.Module) -> None:
    """Draws what begins as a constant, so that every channel counts and no two are alike.

    Vectors (scales, biases, layer scales) and statistics of batch norm all differ; larger tensors are drawn where they
    begin below 0.001, as a last layer of a branch does that begins at 0.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            leaf = name.rpartition(".")[2]
            drawn = torch.rand(tensor.shape, generator=generator) - 0.5
            if leaf in ("running_mean", "bias"):
                tensor.copy_(0.4 * drawn)
            elif leaf == "running_var" or (isinstance(tensor, nn.Parameter) and tensor.numel() in tensor.shape):
                tensor.copy_(1 + 0.8 * drawn)
            elif isinstance(tensor, nn.Parameter) and float(tensor.abs().max()) < 1e-3:
                tensor.copy_(0.3 * drawn)


def _smaller(network: Network, model: nn.Module) -> tuple[ChannelGraph, tuple[int, ...]]:
    """The graph at the size of the comparison: the small one, where the network takes it."""
    for shape in (network.small, network.shape):
        try:
            return ChannelGraph(model, torch.zeros(shape), norms="groups"), shape
        except LinnetError:
            if shape == network.shape:
                raise
    raise AssertionError


def _difference(left: nn.Module, right: nn.Module, shape: tuple[int, ...], *, training: bool) -> float:
    found = []
    given = torch.randn((2, *shape[1:]), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for one in (left, right):
            copied = copy.deepcopy(one).double().train(training)
            for module in copied.modules():
                if any(word in type(module).__name__ for word in ("ropout", "DropPath", "StochasticDepth")):
                    module.eval()
            with torch.no_grad(), _no_dropout():
                torch.manual_seed(1)
                found.append([tensor for _, tensor in leaves(copied(given), "output")])
    finally:
        torch.set_default_dtype(before)
    return max((_relative(a, b) for a, b in zip(*found, strict=True) if a.is_floating_point()), default=0.0)


@contextlib.contextmanager
def _no_dropout() -> Iterator[None]:
    """Dropout that a forward pass calls as a function does nothing: it draws by the width, which differs here."""
    plain = nn.functional.dropout
    nn.functional.dropout = lambda input, p=0.5, training=True, inplace=False: input
    try:
        yield
    finally:
        nn.functional.dropout = plain


def _relative(a: Tensor, b: Tensor) -> float:
    size = float((a - a.mean()).abs().max())
    return float((a - b).abs().max()) / (size if size > 0 else 1.0)


def reference(network: Network) -> str:
    """What torch-pruning does with half of every layer but the last: "runs", or the error."""
    import torch_pruning

    torch.manual_seed(0)
    model = network.make().eval()
    for shape in (network.small, network.shape):
        with warnings.catch_warnings(), _limit(PEER_LIMIT_S):
            warnings.simplefilter("ignore")
            try:
                given, copied = torch.randn(shape), copy.deepcopy(model)
                with torch.no_grad():
                    copied(given)
            except Exception:  # the network doesn't take the small size
                continue
            heads = [m for m in copied.modules() if isinstance(m, nn.Linear) and m.out_features == 10]
            try:
                before = sum(p.numel() for p in copied.parameters())
                torch_pruning.pruner.MagnitudePruner(
                    copied, given, importance=torch_pruning.importance.MagnitudeImportance(p=1), pruning_ratio=0.5,
                    ignored_layers=heads,
                ).step()  # fmt: skip
                with torch.no_grad():
                    copied(given)
            except Exception as error:  # whatever it raises
                return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:120]
            return "runs" if sum(p.numel() for p in copied.parameters()) < before else "prunes nothing"
    return "the network doesn't run"


class Late(Exception):
    """A network took longer than the limit."""


@contextlib.contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Late(f"no answer after {seconds} s")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
