"""Capture, per-sample gradients and Gram matrices beside backpack, torch.func and the plain backward pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from benchmarks.goal import bounded, missing, time_ratio
from benchmarks.sidebyside import Side
from linnet.core import Capture
from linnet.core.capture.per_sample import weight_gradients
from linnet.core.capture.positions import Use, positions_of
from linnet.models import create
from linnet.results import Record


def records(*, quick: bool) -> list[Record]:
    """All rows of this part."""
    pairs = 3 if quick else 15
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        return [
            _capture_alone(quick, pairs),
            _beside_backpack(quick, pairs),
            _beside_vmap(quick, pairs),
            _without_batch_gradients(quick, pairs),
            *_grams(quick, pairs),
            *_exactness(),
            _bytes(),
        ]


def _small_resnet(quick: bool) -> tuple[nn.Module, Tensor, Tensor]:  # noqa: FBT001
    torch.manual_seed(0)
    model = create("resnet", input_shape=(3, 16, 16) if quick else (3, 32, 32), classes=10).eval()
    samples = 4 if quick else 32
    return model, torch.randn(samples, 3, *((16, 16) if quick else (32, 32))), torch.randint(0, 10, (samples,))


def _summed(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x), y, reduction="sum")


def _loss(outcome: object) -> float:
    assert isinstance(outcome, tuple)
    return round(float(outcome[0]), 3)


def _capture_alone(quick: bool, pairs: int) -> Record:  # noqa: FBT001
    model, x, y = _small_resnet(quick)

    def plain() -> tuple[float, None]:
        model.zero_grad()
        loss = _summed(model, x, y)
        loss.backward()
        return float(loss.detach()), None

    def ours() -> tuple[float, object]:
        with Capture(model) as cap:
            return plain()[0], cap

    what = f"capture alone, small ResNet, N = {len(x)}"
    sides = Side("linnet", ours, _loss), Side("forward and backward", plain, _loss)
    return time_ratio("core.capture_alone", what, *sides, goal=1.05, pairs=pairs, reason=_FAULTS)


def _captured_gradients(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, list[Tensor]]:
    model.zero_grad()
    with Capture(model) as cap:
        loss = _summed(model, x, y)
        loss.backward()
    return float(loss.detach()), [cap[n].per_sample(p) for n in cap.names for p in cap[n].parameters]


def _plain_stack(quick: bool) -> tuple[nn.Sequential, Tensor, Tensor]:  # noqa: FBT001
    """A network of layers that backpack supports."""
    torch.manual_seed(0)
    side, samples = (8, 4) if quick else (32, 32)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(),
        nn.Linear(64 * (side // 4) ** 2, 10),
    ).eval()  # fmt: skip
    return model, torch.randn(samples, 3, side, side), torch.randint(0, 10, (samples,))


def _beside_backpack(quick: bool, pairs: int) -> Record:  # noqa: FBT001
    what = "capture + per-sample gradients, layers that backpack supports"
    try:
        from backpack import backpack, extend
        from backpack.extensions import BatchGrad
    except ImportError as error:
        return missing("core.per_sample_backpack", what, goal=1.2, beside="backpack BatchGrad", reason=str(error))
    model, x, y = _plain_stack(quick)
    theirs, criterion = extend(_plain_stack(quick)[0]), extend(nn.CrossEntropyLoss(reduction="sum"))

    def peer() -> tuple[float, list[Tensor]]:
        theirs.zero_grad()
        with backpack(BatchGrad()):
            loss = criterion(theirs(x), y)
            loss.backward()
        return float(loss.detach()), [p.grad_batch for p in theirs.parameters()]

    sides = Side("linnet", lambda: _captured_gradients(model, x, y), _loss), Side("backpack BatchGrad", peer, _loss)
    return time_ratio("core.per_sample_backpack", f"{what}, N = {len(x)}", *sides, goal=1.2, pairs=pairs)


def _func(model: nn.Module) -> Callable[[Tensor, Tensor], tuple[float, dict[str, Tensor]]]:
    """Per-sample gradients by torch.func."""
    params = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(params: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        value = nn.functional.cross_entropy(functional_call(model, (params, buffers), (x[None],)), y[None])
        return value, value.detach()

    each = vmap(grad(loss, has_aux=True), (None, 0, 0))

    def run(x: Tensor, y: Tensor) -> tuple[float, dict[str, Tensor]]:
        gradients, losses = each(params, x, y)
        return float(losses.sum()), gradients

    return run


def _beside_vmap(quick: bool, pairs: int) -> Record:  # noqa: FBT001
    model, x, y = _small_resnet(quick)
    peer = _func(model)
    sides = (
        Side("linnet", lambda: _captured_gradients(model, x, y), _loss),
        Side("vmap(grad)", lambda: peer(x, y), _loss),
    )
    what = f"capture + per-sample gradients, small ResNet in eval mode, N = {len(x)}"
    return time_ratio("core.per_sample_vmap", what, *sides, goal=0.5, pairs=pairs, reason=_TWICE)


def _without_batch_gradients(quick: bool, pairs: int) -> Record:  # noqa: FBT001
    """The same by `torch.autograd.grad(loss, x)`, which leaves the parameters' summed gradients out."""
    model, x, y = _small_resnet(quick)
    peer, x = _func(model), x.requires_grad_()

    def ours() -> tuple[float, list[Tensor]]:
        with Capture(model) as cap:
            loss = _summed(model, x, y)
            torch.autograd.grad(loss, x)
        return float(loss.detach()), [cap[n].per_sample(p) for n in cap.names for p in cap[n].parameters]

    sides = Side("linnet", ours, _loss), Side("vmap(grad)", lambda: peer(x.detach(), y), _loss)
    what = f"the same without the parameters' summed gradients, N = {len(x)}"
    return time_ratio("core.per_sample_alone", what, *sides, goal=0.5, pairs=pairs, reason=_FLOOR)


_FAULTS = (
    "equal processor time in the program; the rest is the system handing out the memory that the capture keeps "
    "(24,000 page faults for 95 MB, which glibc gives back each time; with MALLOC_TRIM_THRESHOLD_ and "
    "MALLOC_MMAP_THRESHOLD_ at 4 GB there are none)"
)
_TWICE = "the backward pass also sums the parameters' gradients, which per-sample gradients make superfluous: next row"
_FLOOR = (
    "forward, backward and the products of the weights' gradients are the same work on both sides; unfold, shifts, a "
    "loop of samples and grouped kernels were tried layer by layer, and none is faster than what is used"
)


_PRODUCTS = (
    "the operations counted give 0.28x at 64 channels and 2 x 2 positions, and the element-wise product of the two "
    "(samples x positions) squared matrices is one more pass over memory"
)
# (layer, height and width, goal): a stack with small maps, and the cases where gradients are the cheaper way
_GRAMS = [
    ("64 -> 64, 2 x 2", nn.Conv2d(64, 64, 3, padding=1), 2, 0.25),
    ("128 -> 128, 2 x 2", nn.Conv2d(128, 128, 3, padding=1), 2, 0.25),
    ("32 -> 32, 8 x 8", nn.Conv2d(32, 32, 3, padding=1), 8, 1.1),
    ("depthwise 64, 8 x 8", nn.Conv2d(64, 64, 3, padding=1, groups=64), 8, 1.1),
    ("transposed 32 -> 32, 4 x 4", nn.ConvTranspose2d(32, 32, 2, stride=2), 4, 1.1),
]


def _grams(quick: bool, pairs: int) -> list[Record]:  # noqa: FBT001
    samples = 16 if quick else 256
    found = []
    for name, layer, side, goal in _GRAMS:
        torch.manual_seed(0)
        x = torch.randn(samples, layer.in_channels, side, side)
        with Capture(layer) as cap:
            layer(x).sin().sum().backward()
        captured = cap[""]

        def direct(layer: nn.Module = layer, captured: Any = captured) -> Tensor:
            rows = weight_gradients([positions_of(layer, Use(captured.a, captured.g.unsqueeze(0)))])[0].flatten(1)
            return rows @ rows.T

        ours = Side("linnet", lambda captured=captured: captured.gram(params=["weight"]), _trace)
        theirs = Side("gradients first", direct, _trace)
        what = f"Gram matrix, convolution {name}, N = {samples}"
        found.append(time_ratio(f"core.gram.{name}", what, ours, theirs, goal=goal, pairs=pairs, reason=_PRODUCTS))
    return found


def _trace(outcome: object) -> str:
    """Two significant digits: the two ways add in another order."""
    assert isinstance(outcome, Tensor)
    return f"{float(outcome.diagonal().sum()):.2g}"


def _exactness() -> list[Record]:
    """Largest relative difference to torch.func, float64."""
    model, x, y = _small_resnet(quick=True)
    model, x = model.double(), x.double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)  # no gradient shall be 0 because a scale starts at 0
    _, expected = _func(model)(x, y)
    with Capture(model) as cap:
        _summed(model, x, y).backward()
    errors, rows = [], []
    for name, gradient in expected.items():
        layer, _, param = name.rpartition(".")
        errors.append(_relative(cap[layer].per_sample(param), gradient))
        rows.append(gradient.flatten(1))
    matrix = torch.cat(rows, dim=1)
    gram = sum((cap[name].gram() for name in cap.names), torch.zeros(()))
    facts = {"bound": 1e-10, "goal": "<= 1e-10", "beside": "torch.func"}
    return [
        bounded(
            "core.per_sample_error",
            "per-sample gradients, float64, relative error",
            float(torch.tensor(errors).max()),
            **facts,
        ),
        bounded("core.gram_error", "Gram matrix, float64, relative error", _relative(gram, matrix @ matrix.T), **facts),
    ]


def _relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


def _bytes() -> Record:
    """`cap.bytes` beside the storages that the capture alone keeps alive."""
    model, x, y = _small_resnet(quick=True)
    with Capture(model) as cap:
        _summed(model, x, y).backward()
    kept = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for n in cap.names for t in (cap[n].a, cap[n].g)
    }
    difference = abs(cap.bytes - sum(kept.values()))
    return bounded(
        "core.capture_bytes",
        "`cap.bytes`, difference",
        difference,
        bound=0,
        goal="0",
        beside="kept storages",
        unit="byte",
    )
