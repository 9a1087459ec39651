"""The backward hook: it records the user's own forward and backward passes, and keeps what `opt.step()` needs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linnet.core.jacobian.linearisation import Linearisation
from linnet.core.jacobian.losses import Loss
from linnet.optim.natural.kronecker.kronecker_block import Sums


@dataclass
class RecordedForward:
    """One forward of the user's, from which rows come.

    The graph of the forward owns it until `backward` runs, by a hook on the outputs: a forward without a backward
    leaves nothing.

    Attributes:
        linear: What its layers left; None once it is read.
        f: Outputs (N, D), detached, float32 at least.
        loss: The loss for outputs of this shape.
        whole: Whether it is for all blocks, and not only for those that weren't seen before.
        sums: What it adds to each block; None until it is read.
        g: Gradient of the user's loss in the outputs, (N, D), once `backward` ran.
        confirm: Called when it has run.
    """

    linear: Linearisation | None
    f: Tensor
    loss: Loss | None = None
    whole: bool = True
    sums: dict[str, Sums] | None = None
    g: Tensor | None = None
    confirm: Callable[[RecordedForward], None] | None = None

    @property
    def samples(self) -> int:
        """N."""
        return len(self.f)

    def keep(self, g: Tensor) -> None:
        """Hook on the outputs; a second backward through them adds its gradient."""
        g = g.detach().reshape(self.f.shape).to(self.f.dtype)
        self.g = g if self.g is None else self.g + g
        if self.confirm is not None:
            self.confirm(self)
            self.confirm = None

    def release(self) -> None:
        """Takes the hooks off."""
        if self.linear is not None:
            self.linear.release()


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

    def attach(self) -> RemovableHandle:
        """Puts the hook on the owner's network; it goes when the owner does."""
        owner = self._owner()
        assert owner is not None
        handle = owner.model.register_forward_pre_hook(self)
        weakref.finalize(owner, handle.remove)
        return handle

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
            linear.hook_outputs(watch.keep)  # after the owner's own passes: the next one is the user's
            if keep_open:
                linear.seal()
                self._open = None
            else:
                watch.linear = None
        finally:
            self.drop()


class Inert:
    """What a copied network carries instead of a listener."""

    def __call__(self, module: nn.Module, args: Any) -> None:
        """Nothing."""
