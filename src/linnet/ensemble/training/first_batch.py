"""The first batch, tried before anything is trained: inputs, targets and loss must fit every member."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from linnet.engine import Compute, Loader
from linnet.engine.compute.random_state import kept_random_state
from linnet.ensemble.arguments import described, running
from linnet.ensemble.outputs import joined
from linnet.errors import InputError, LinnetError

Loss = Callable[[Any, Tensor], Tensor]
_WRAP = "Wrap tensors as linnet.data.ArrayLoader((x, y), batch_size=32)."
_JOIN = (
    "Join the batches: linnet.data.ArrayLoader((torch.cat([x for x, _ in batches]), torch.cat([y for _, y in "
    "batches])), batch_size=32)."
)


def require_loaders(source: Any, members: int) -> None:
    """Refuses what is neither one loader for all members nor a list of one for each.

    Args:
        source: What `fit` got.
        members: M.

    Raises:
        InputError: it is tensors, batches, or a list of another length.
    """
    remedy = _WRAP
    if isinstance(source, (list, tuple)) and not source:
        got, remedy = "an empty list", f"Give a loader, or fill the list with {members}."
    elif isinstance(source, Tensor) or _is_batch(source):
        got = "a tensor" if isinstance(source, Tensor) else "a pair of tensors"
    elif isinstance(source, (list, tuple)) and source and all(map(_is_batch, source)):
        got = f"a list of {len(source)} batch{'es' if len(source) > 1 else ''} of tensors"
        remedy = _JOIN
    elif not isinstance(source, (list, tuple)) and not _is_loader(source):
        got, remedy = f"a {type(source).__name__}", "Give what can be iterated once for each epoch and has len()."
    elif isinstance(source, (list, tuple)) and len(source) != members:
        got = str(len(source))
    else:
        return
    raise InputError(
        f"`source` must be one loader for all members, or a list of {members} loaders, one for each (got {got}). "
        f"{remedy}"
    )


def _is_loader(source: Any) -> bool:
    """Whether it is a `Loader`, or a sized iterable that can be iterated afresh."""
    sized = isinstance(source, Iterable) and hasattr(source, "__len__")
    return isinstance(source, Loader) or (sized and not isinstance(source, Iterator))


def _is_batch(item: Any) -> bool:
    return isinstance(item, (tuple, list)) and len(item) == 2 and all(isinstance(part, Tensor) for part in item)


def first_of(loader: Loader) -> tuple[Any, Tensor]:
    """The first batch of a loader.

    Raises:
        InputError: there is none, or it is no pair (inputs, targets).
    """
    batch = next(iter(loader.epoch(0)), None)
    if batch is None:
        raise InputError("`source` gave no batch; batches (inputs, targets) are needed.")
    return pair_of(batch)


def pair_of(batch: Any) -> tuple[Any, Tensor]:
    """(inputs, targets) of a batch.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not isinstance(batch[1], Tensor):
        raise InputError(f"`source` gave {_kind(batch)}; pairs (inputs, targets) of tensors are needed. {_WRAP}")
    return batch[0], batch[1]


def _kind(batch: Any) -> str:
    words = f"a {type(batch).__name__}"
    return f"{words} of {len(batch)}" if isinstance(batch, (tuple, list)) else words


def require_trainable(
    networks: Sequence[nn.Module], batch: tuple[Any, Tensor], loss: Loss, compute: Compute, *, separate: bool
) -> None:
    """Runs every member and its loss once in train mode, and leaves networks and random states as they were.

    Args:
        networks: The members, on their device.
        batch: On that device; with `separate` each member's own, along a first axis.
        loss: Of (outputs, targets) of one member.
        compute: Its precision.
        separate: Whether each member has its own batch.

    Raises:
        InputError: a member can't run on the inputs, outputs differ, or labels or targets don't fit them.
    """
    outputs = []
    x, targets = batch
    if separate and (len(x) != len(networks) or len(targets) != len(networks)):
        raise InputError(f"`source` must give a batch for each of the {len(networks)} members (got {len(x)}).")
    with torch.no_grad(), kept_random_state(), compute.autocast():
        for number, network in enumerate(networks):
            given = x[number] if separate else x
            with _kept_buffers(network), running("source", network, given):
                outputs.append(network(given))
        joined(outputs)
        for number, output in enumerate(outputs):
            own = targets[number] if separate else targets
            require_labels(output, own, loss)
            _require_loss(loss, output, own)


@contextmanager
def _kept_buffers(network: nn.Module) -> Iterator[None]:
    """The statistics that a pass in train mode changes are put back."""
    before = [buffer.clone() for buffer in network.buffers()]
    modes = {module: module.training for module in network.modules()}
    try:
        network.train()
        yield
    finally:
        for buffer, old in zip(network.buffers(), before, strict=True):
            buffer.copy_(old)
        for module, training in modes.items():
            module.training = training


def _require_loss(loss: Loss, output: Any, targets: Tensor) -> None:
    try:
        loss(output, targets)
    except (LinnetError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"`loss` must take a member's outputs and the targets (got outputs {described(output)} and targets "
            f"{described(targets)}: {said.rstrip('.')}). Give the loss that fits these targets."
        ) from error


def require_labels(output: Any, targets: Tensor, loss: Loss) -> None:
    """Refuses class labels that cross-entropy can't use; of other losses nothing is known.

    Args:
        output: One member's logits, (N, C, ...).
        targets: (N, ...) whole numbers in 0 .. C - 1, or probabilities of the logits' shape.
        loss: What is computed of them.

    Raises:
        InputError: labels of another type, number or range.
    """
    ignored = _ignored(loss)
    if ignored is None or not isinstance(output, Tensor) or output.ndim < 2:
        return
    if targets.is_floating_point() and targets.shape == output.shape:
        return  # probabilities of the classes
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise InputError(
            f"`source` must give labels that are whole numbers (got {str(targets.dtype)[6:]}). Give the index of each "
            "sample's class as int64, or another `loss`."
        )
    wanted = (output.shape[0], *output.shape[2:])
    if tuple(targets.shape) != wanted:
        raise InputError(
            f"`source` must give labels of shape {wanted}, one for each answer (got {tuple(targets.shape)}). Give the "
            "index of each sample's class, without a further axis."
        )
    counted = targets[targets != ignored]
    if counted.numel() and (int(counted.min()) < 0 or int(counted.max()) >= output.shape[1]):
        raise InputError(
            f"`source` must give labels from 0 to {output.shape[1] - 1}, for {output.shape[1]} classes (got "
            f"{int(counted.min())} to {int(counted.max())}). Number the classes from 0, or give a network with more."
        )


def _ignored(loss: Loss) -> int | None:
    """The label that cross-entropy leaves out; None for another loss."""
    inner, keywords = (loss.func, loss.keywords) if isinstance(loss, functools.partial) else (loss, {})
    if inner is cross_entropy:
        return keywords.get("ignore_index", -100)
    return inner.ignore_index if isinstance(inner, nn.CrossEntropyLoss) else None


@contextmanager
def unchanged_on_error(networks: Sequence[nn.Module]) -> Iterator[None]:
    """When linnet refuses something inside, tensors and modes are put back: half a training isn't left behind."""
    before = [{name: t.detach().to("cpu", copy=True) for name, t in net.state_dict().items()} for net in networks]
    modes = {module: module.training for net in networks for module in net.modules()}
    try:
        yield
    except LinnetError:
        with torch.no_grad():
            for network, old in zip(networks, before, strict=True):
                for name, tensor in network.state_dict().items():
                    tensor.copy_(old[name])
        for module, training in modes.items():
            module.training = training
        raise
