"""The backward hook: it records the user's own forward and backward passes, and keeps what `opt.step()` needs."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linnet.core.jacobian.linearisation import Linearisation


@dataclass
class RecordedForward:
    """One forward of the user's, from which rows come.

    Attributes:
        linear: What its layers left.
        f: Outputs (N, C), detached, float32 at least.
        g: Gradient of the user's loss in the outputs, (N, C), once `backward` ran.
    """

    linear: Linearisation
    f: Tensor
    g: Tensor | None = None

    @property
    def samples(self) -> int:
        """N."""
        return len(self.f)

    def keep(self, g: Tensor) -> None:
        """Hook on the outputs."""
        self.g = g.detach().reshape(self.f.shape).to(self.f.dtype)


class Listener:
    """A hook on a network that hands each training forward to an owner.

    A forward counts if gradients are on and the owner wants it. Copies of the network carry an inert hook, so that a
    weight average doesn't compute curvature.

    Args:
        owner: Has `model`, `wants()`, `open()` and `recorded(watch)`; held weakly.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = weakref.ref(owner)
        self._open: Linearisation | None = None
        self._handle: RemovableHandle | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Inert, ()

    def __call__(self, module: nn.Module, args: Any) -> None:
        """Before the network's forward: opens the recording."""
        owner = self._owner()
        self.drop()
        if owner is None or owner.model is not module or not torch.is_grad_enabled() or not owner.wants():
            return
        self._open = owner.open().__enter__()
        self._handle = module.register_forward_hook(self._after)  # the last, so that all others have run

    def drop(self) -> None:
        """Ends a recording whose forward never came to its end."""
        if self._handle is not None:
            self._handle.remove()
        if self._open is not None:
            self._open.release()
        self._open = self._handle = None

    def _after(self, module: nn.Module, args: Any, outputs: Any) -> None:
        owner, linear = self._owner(), self._open
        try:
            if owner is None or linear is None:
                return
            f = linear.take(outputs)
            if not f.requires_grad:
                return
            watch = RecordedForward(linear, f.detach().to(torch.promote_types(f.dtype, torch.float32)))
            with torch.autocast(f.device.type, enabled=False):
                keep_open = owner.recorded(watch)
            outputs.register_hook(watch.keep)  # after the owner's own passes: the next one is the user's
            if keep_open:
                linear.seal()
                self._open = None
        finally:
            self.drop()


class Inert:
    """What a copied network carries instead of a listener."""

    def __call__(self, module: nn.Module, args: Any) -> None:
        """Nothing."""
