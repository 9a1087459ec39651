"""Quality of classifiers on a loader's examples, as records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from linnet.errors import InputError
from linnet.results import Record, classification_records


def quality_records(networks: Mapping[str, nn.Module], loader: Iterable[Any]) -> list[Record]:
    """Accuracy (per class too), negative log-likelihood and calibration of classifiers on the same examples.

    Args:
        networks: Name, as the records' `method` -> a network that gives logits (N, C). It runs in eval mode, and is
            in its former mode afterwards.
        loader: Batches (inputs, labels); gone through once.

    Raises:
        InputError: the loader gives no batch or something else, or a network gives no logits.
    """
    logits: dict[str, list[Tensor]] = {name: [] for name in networks}
    labels: list[Tensor] = []
    modes = {name: network.training for name, network in networks.items()}
    try:
        for batch in loader:
            inputs, truth = _pair(batch)
            labels.append(truth.cpu())
            for name, network in networks.items():
                logits[name].append(_answers(network.eval(), inputs))
    finally:
        for name, network in networks.items():
            network.train(modes[name])
    if not labels:
        raise InputError("`eval_loader` must give batches (inputs, labels) (got none).")
    truth = torch.cat(labels).numpy()
    return [
        record
        for name, parts in logits.items()
        for record in classification_records(torch.cat(parts).numpy(), truth, facts={"split": "eval", "method": name})
    ]


def _pair(batch: Any) -> tuple[Tensor, Tensor]:
    if isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(item, Tensor) for item in batch):
        return batch[0], batch[1]
    raise InputError(
        f"`eval_loader` must give pairs of tensors (inputs, labels) (got a {type(batch).__name__}). Leave it out "
        "for other tasks, and measure the network that `finish` returns yourself."
    )


@torch.no_grad()
def _answers(network: nn.Module, inputs: Tensor) -> Tensor:
    device = next((parameter.device for parameter in network.parameters()), inputs.device)
    found = network(inputs.to(device))
    if not isinstance(found, Tensor) or found.ndim != 2:
        what = f"of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise InputError(
            f"`eval_loader` measures classifiers, whose output must be logits (N, C) (got {what}). Leave it out, "
            "and measure the network that `finish` returns yourself."
        )
    return found.double().cpu()
