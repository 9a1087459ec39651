"""Adapt: fits a small network to the data of its place of use, with most of it frozen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from linnet.core.capture.positions import CONVOLUTIONS, LINEAR
from linnet.core.program.module_copy import unwrap
from linnet.errors import InputError, NonFiniteLoss, TrainingError
from linnet.prune.importance.criterion import pair
from linnet.suggest import one_of

Parts = Literal["bn", "head", "both"]
_NORMS = nn.modules.batchnorm._BatchNorm
_LAYERS = LINEAR + CONVOLUTIONS


def adapt(
    small: nn.Module,
    loader: Iterable[Any],
    parts: Parts = "both",
    *,
    epochs: int = 1,
    lr: float = 0.01,
    loss: Callable[[Any, Any], Tensor] = cross_entropy,
) -> nn.Module:
    """Trains the batch norms (statistics, scale and shift), the last layer or both; all else keeps its bits.

    Plain SGD with momentum 0.9. Without batch norms among the parts these use their stored statistics.

    Args:
        small: Any network; trained in place, in eval mode afterwards.
        loader: Batches (inputs, targets), on the network's device.
        parts: "bn", "head" (the last linear or convolutional layer that runs) or "both".
        epochs: Passes over the loader.
        lr: Learning rate.
        loss: Of (outputs, targets), a scalar.

    Returns:
        The network.

    Raises:
        InputError: an option is out of its range, or a batch isn't a pair.
        TrainingError: the network has no such part, or the loader no batch.
        NonFiniteLoss: the loss is NaN or infinite; the network is as it was.

    Source:
        ours; that it fits training in cloud and edge is the aim of Qi et al. 2021.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
        >>> batches = [(torch.randn(8, 1, 4, 4), torch.randint(0, 2, (8,)))]
        >>> adapt(net, batches, "bn").training
        False
    """
    one_of("parts", parts, get_args(Parts))
    if not isinstance(loader, Iterable):
        raise InputError(f"`loader` must give batches (inputs, targets) (got a {type(loader).__name__}).")
    if epochs < 1:
        raise InputError(f"`epochs` must be a whole number >= 1 (got {epochs}).")
    if not lr > 0:
        raise InputError(f"`lr` must be a number above 0 (got {lr}).")
    inner = unwrap(small)
    before = {name: tensor.clone() for name, tensor in inner.state_dict().items()}
    wanted = {id(p): p.requires_grad for p in inner.parameters()}
    try:
        _train(inner, loader, parts, epochs=epochs, lr=lr, loss=loss)
    except BaseException:
        inner.load_state_dict(before)
        raise
    finally:
        for parameter in inner.parameters():
            parameter.requires_grad_(wanted[id(parameter)])
        inner.eval()
    return small


def _train(model: nn.Module, loader: Iterable[Any], parts: Parts, *, epochs: int, lr: float, loss: Any) -> None:
    chosen: list[nn.Module] = []
    optimizer: torch.optim.Optimizer | None = None
    for _ in range(epochs):
        for batch in loader:
            inputs, targets = pair(batch, "loader")
            if optimizer is None:
                chosen = _chosen(model, inputs, parts)
                optimizer = torch.optim.SGD(_opened(model, chosen), lr=lr, momentum=0.9)
                _set_mode(model, chosen)
            optimizer.zero_grad()
            found = loss(model(*inputs), targets)
            value = float(found.detach())
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"The loss is {value}; the network is as it was. Lower `lr` ({lr}), or look at the data."
                )
            found.backward()
            optimizer.step()
    if optimizer is None:
        raise TrainingError("`loader` must give pairs (inputs, targets) (got none).")


def _chosen(model: nn.Module, inputs: tuple[Any, ...], parts: Parts) -> list[nn.Module]:
    """The modules that are trained."""
    norms = [module for module in model.modules() if isinstance(module, _NORMS)]
    if parts == "bn" and not norms:
        raise TrainingError("`parts` is 'bn', but this network has no batch norm. Use parts='head'.")
    head = [] if parts == "bn" else [_last(model, inputs)]
    return head if parts == "head" else [*norms, *head]


def _last(model: nn.Module, inputs: tuple[Any, ...]) -> nn.Module:
    """The linear or convolutional layer that runs last."""
    ran: list[nn.Module] = []
    layers = [module for module in model.modules() if isinstance(module, _LAYERS)]
    handles = [layer.register_forward_pre_hook(lambda module, _: ran.append(module)) for layer in layers]
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not ran:
        raise TrainingError("`parts` needs a head, but no linear or convolutional layer ran. Use parts='bn'.")
    return ran[-1]


def _opened(model: nn.Module, chosen: list[nn.Module]) -> list[nn.Parameter]:
    """Only these modules' parameters get gradients."""
    model.requires_grad_(requires_grad=False)
    opened = [parameter for module in chosen for parameter in module.parameters(recurse=False)]
    for parameter in opened:
        parameter.requires_grad = True
    if not opened:
        raise TrainingError("The batch norms of this network have no weights. Use parts='head'.")
    return opened


def _set_mode(model: nn.Module, chosen: list[nn.Module]) -> None:
    """Training mode for the trained modules alone: dropout is off, other statistics stay."""
    model.eval()
    for module in chosen:
        module.train()
