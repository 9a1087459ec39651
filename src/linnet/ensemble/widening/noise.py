"""Noise on weights, and how far it moves the function."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from linnet.core.edit.edit_plan import Edit
from linnet.core.edit.proof import drawn
from linnet.core.program.recorder import leaves
from linnet.engine import derive_seed
from linnet.ensemble.outputs import evaluating

Masks = Mapping[str, npt.NDArray[np.bool_]]


@torch.no_grad()
def add_noise(network: nn.Module, scale: float, *, rng_seed: int, masks: Masks | None = None) -> None:
    """Adds Gaussian noise to every weight tensor, in place.

    W += scale * std(W) * N(0, 1) for each parameter with two axes or more. Biases, scales and statistics of
    normalisations stay: noise could make a variance negative or a channel dead.

    Args:
        network: Changed in place.
        scale: Noise as a multiple of the tensor's own standard deviation; 0 changes nothing.
        rng_seed: With the tensor's name it decides the draws.
        masks: Where noise goes, by tensor name; a tensor that isn't named gets none. None: everywhere.

    Source:
        Gaussian noise while hatching: Xia et al. 2021; its scale relative to std(W) is linnet's choice.
    """
    if not scale:
        return
    noisy = {
        name: weight
        for name, weight in network.named_parameters()
        if weight.ndim >= 2 and weight.numel() >= 2 and weight.is_floating_point() and (masks is None or name in masks)
    }

    scratch = threading.local()  # a thread's draws stand in the same memory: fresh pages took half of the time
    most = max((weight.numel() for weight in noisy.values()), default=0)

    def add(name: str) -> None:
        weight, mask = noisy[name], None if masks is None else masks[name]
        kind = torch.float64 if weight.dtype == torch.float64 else torch.float32
        if getattr(scratch, "drawn", None) is None or scratch.drawn.dtype != kind:
            scratch.drawn = torch.empty(most, dtype=kind)
        noise = scratch.drawn[: weight.numel()].view(weight.shape)
        _add(weight, noise, scale, derive_seed(rng_seed, "noise", name), mask)

    # A tensor is drawn by one thread, and drawing is most of the work: several are drawn at once.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(add, noisy))  # the list raises what a thread raised


@torch.no_grad()  # which counts for one thread only
def _add(weight: Tensor, noise: Tensor, scale: float, seed: int, mask: npt.NDArray[np.bool_] | None) -> None:
    noise.normal_(generator=torch.Generator().manual_seed(seed))
    noise *= scale * float(weight.to(noise.dtype).std())
    if mask is not None:
        noise *= torch.from_numpy(mask)
    weight.add_(noise.to(weight.device, weight.dtype))


def copied_positions(edit: Edit) -> dict[str, npt.NDArray[np.bool_]]:
    """Where the copies sit: True for each element of a tensor that lies on an added position of one of its axes."""
    masks = {}
    for name, shape in edit.shapes.items():
        mask = np.zeros((1,) * len(shape), dtype=np.bool_)
        for axis in edit.axes[name]:
            sizes = [1] * len(shape)
            sizes[axis.axis] = -1
            mask = mask | (axis.copy > 0).reshape(sizes)
        masks[name] = mask
    return masks


class Change:
    """How far other networks are from a network f, in eval mode on N(0, 1) inputs.

    Args:
        network: f; run once.
        stored: The graph's example.
    """

    def __init__(self, network: nn.Module, stored: Mapping[str, Any]) -> None:
        parameter = next(network.parameters())
        kind = parameter.dtype if parameter.is_floating_point() else torch.float32
        self._given = drawn(stored, 0).map(lambda t: t.to(parameter.device, kind if t.is_floating_point() else t.dtype))
        self._answers = _outputs(network, self._given)

    def of(self, other: nn.Module) -> float:
        """max |f - g| / max |f| of another network g."""
        pairs = zip(self._answers, _outputs(other, self._given), strict=True)
        return max((float((f - g).abs().max() / f.abs().max().clamp_min(1e-30)) for f, g in pairs), default=0.0)


@torch.no_grad()
def _outputs(network: nn.Module, given: Any) -> list[Tensor]:
    with evaluating(network):
        found = leaves(network(*given.args, **given.kwargs), "output")
        return [leaf.double() for _, leaf in found if leaf.is_floating_point()]
