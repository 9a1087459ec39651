"""The effect of a direction on the outputs: alpha and the isotropy error, by one Jacobian-vector product."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from linnet.core.jacobian.chosen_output import tensor_of
from linnet.core.jacobian.functional_call import call_with
from linnet.core.jacobian.linearisation import DROPOUTS
from linnet.core.jacobian.losses import Loss


@dataclass(frozen=True)
class Isotropy:
    """How a step acts in function space.

    Attributes:
        alpha: r^T K r / r^T r; for cross entropy of R^T K R and u.
        error: |K r - alpha r| / |alpha r|.
        slope: How fast the loss falls along Delta, grad . Delta = r^T J Delta / N.
        kl_per_eta2: KL of the step over eta^2, to second order: (1/2N) |R^T J Delta|^2, in nats.
    """

    alpha: float
    error: float
    kl_per_eta2: float
    slope: float = float("nan")

    def shrunk(self, scale: float) -> Isotropy:
        """Of the direction times `scale`, with alpha and error of the whole one."""
        return replace(self, kl_per_eta2=self.kl_per_eta2 * scale * scale, slope=self.slope * scale)


def isotropy_of(loss: Loss, f: Tensor, r: Tensor, moved: Tensor, shares: Tensor | None = None) -> Isotropy:
    """Isotropy from J Delta.

    Args:
        loss: Gives R and u.
        f: Outputs (N, C).
        r: Residual (N, C).
        moved: J Delta, (N, C).
        shares: Of the positions.
    """
    u = loss.coordinates(f, r, shares).double()
    q = loss.pulled(f.double(), moved.double(), shares)
    norm = float((u * u).sum())
    alpha = float((u * q).sum()) / norm if norm else float("nan")
    rest, size = float((q - alpha * u).norm()), abs(alpha) * norm**0.5
    error = rest / size if size else float("nan")
    slope = float((r.double() * moved.double()).sum()) / len(f)
    return Isotropy(alpha, error, float(q.square().sum()) / (2 * len(f)), slope)


def random_state(model: nn.Module) -> Tensor | None:
    """State of the CPU's generator, where the coming forward draws from it; None where it draws nothing."""
    drawing = any(isinstance(m, DROPOUTS) and m.training for m in model.modules())
    return torch.get_rng_state() if drawing else None


def jacobian_vector(
    model: nn.Module,
    x: Any,
    delta: Mapping[str, Tensor],
    *,
    random_state: Tensor | None = None,
    output: Callable[[Any], Any] | None = None,
) -> Tensor:
    """J Delta, (N, C), by forward-mode differentiation; buffers stay as they are.

    Operators without a forward-mode rule: by differentiating J^T w in w (two backward passes).

    Args:
        model: The network.
        x: Its input, or a tuple of inputs.
        delta: Parameter name -> direction.
        random_state: Of the CPU's generator at the forward whose dropout masks are meant; None where nothing is drawn.
        output: Gives the tensor that the loss uses of what the model returns, or None.
    """
    inputs = x if isinstance(x, tuple) else (x,)
    state = {name: value.detach() for name, value in model.named_parameters()}
    chosen = {name: state.pop(name) for name in delta}
    fixed = state | {name: value.clone() for name, value in model.named_buffers()}
    tangents = {name: value.to(chosen[name]) for name, value in delta.items()}

    def outputs(parameters: dict[str, Tensor]) -> Tensor:
        return tensor_of(call_with(model, {**fixed, **parameters}, inputs), output)

    with ExitStack() as stack:
        if random_state is not None:
            stack.enter_context(torch.random.fork_rng())
            torch.set_rng_state(random_state)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the fused attentions have no second derivative
        try:
            moved = _by_dual_numbers(outputs, chosen, tangents)
        except (NotImplementedError, RuntimeError):
            moved = _by_two_backward_passes(outputs, chosen, tangents)
    return moved.detach().flatten(1) if moved.ndim > 1 else moved.detach().unsqueeze(1)


def _by_dual_numbers(outputs: Any, chosen: dict[str, Tensor], tangents: dict[str, Tensor]) -> Tensor:
    """The tangent of the outputs, by one forward."""
    with warnings.catch_warnings():  # torch 2.11 to 2.13 script these rules when they are first needed, and warn of it
        warnings.simplefilter("ignore", DeprecationWarning)
        import_module("torch._decomp.decompositions_for_jvp")
    with torch.no_grad(), forward_ad.dual_level():
        f = outputs({name: forward_ad.make_dual(value, tangents[name]) for name, value in chosen.items()})
        primal, tangent = forward_ad.unpack_dual(f)
        return torch.zeros_like(primal) if tangent is None else tangent


def _by_two_backward_passes(outputs: Any, chosen: dict[str, Tensor], tangents: dict[str, Tensor]) -> Tensor:
    """d/dw <J^T w, Delta> = J Delta."""
    leaves = {name: value.clone().requires_grad_() for name, value in chosen.items()}
    with torch.enable_grad():
        f = outputs(leaves)
        w = torch.zeros_like(f, requires_grad=True)
        pulled = torch.autograd.grad(f, list(leaves.values()), w, create_graph=True, allow_unused=True)
        pairs = zip(pulled, tangents.values(), strict=True)
        product = sum(((g * d).sum() for g, d in pairs if g is not None), f.new_zeros(()))
        (moved,) = torch.autograd.grad(product, w)
    return moved
