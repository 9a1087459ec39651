"""Products with the true Hessian of a network's loss, by two backward passes of one kept graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linnet.core.jacobian.losses import Loss
from linnet.errors import InputError
from linnet.spectra.rows.checks import check_finite, check_forward, check_inputs, check_mode, check_samples, loss_of
from linnet.spectra.rows.model_state import preserved_state


class LossHessian:
    """v -> H v, H the Hessian of (1/2N) sum |f - y|^2 or of the mean cross entropy in the trainable parameters.

    The gradient's graph is made once and kept, so that each product is one backward pass through it.

    Args:
        model: The network; its parameters get no gradients.
        x: Inputs, N.
        y: Targets, as the loss takes them.
        loss: "mse" or "cross_entropy".

    Attributes:
        size: P.
        device: Where vectors live.

    Raises:
        InputError: as `fisher` has it, or the targets don't fit.

    Example:
        >>> import torch
        >>> from linnet.spectra import density
        >>> from linnet.spectra.loss_hessian import LossHessian
        >>> net = torch.nn.Linear(3, 1)
        >>> hessian = LossHessian(net, torch.eye(3), torch.zeros(3, 1))
        >>> round(float(hessian(torch.tensor([1.0, 0.0, 0.0, 0.0]))[0]), 4)
        0.3333
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, loss: str | nn.Module = "mse") -> None:
        known: Loss = loss_of(loss)
        check_mode(model)
        check_inputs(model, x)
        check_forward(model, x)
        check_samples(model, x)
        if not isinstance(y, Tensor):
            raise InputError(f"`y` must be a tensor of targets (got {type(y).__name__}): the residual needs them.")
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self.size = sum(p.numel() for p in self._parameters)
        self.device = self._parameters[0].device
        with preserved_state(model), torch.enable_grad():
            f = model(x)
            f = f if f.ndim == 2 else f.unsqueeze(1)
            check_finite(model, x, f.detach(), "the model's outputs")
            _check_targets(y, len(x))
            known.check(f, y)
            value = known.value(f, y)
            grads = torch.autograd.grad(value, self._parameters, create_graph=True, allow_unused=True)
        self._gradients = [(g, p) for g, p in zip(grads, self._parameters, strict=True) if g is not None]
        self._used = [g is not None for g in grads]

    def __call__(self, v: Tensor) -> Tensor:
        """H v, (P,), in the parameters' order."""
        parts, start = [], 0
        for parameter in self._parameters:
            parts.append(v[start : start + parameter.numel()].view_as(parameter).to(parameter.dtype))
            start += parameter.numel()
        along = [part for part, used in zip(parts, self._used, strict=True) if used]
        gradients = [g for g, _ in self._gradients]
        live = [(g, a) for g, a in zip(gradients, along, strict=True) if g.requires_grad]
        if not live:
            return torch.zeros_like(v)
        found = torch.autograd.grad(
            [g for g, _ in live], self._parameters, [a for _, a in live], retain_graph=True, allow_unused=True
        )
        filled = [torch.zeros_like(p) if g is None else g for g, p in zip(found, self._parameters, strict=True)]
        return torch.cat([g.detach().flatten() for g in filled]).to(v.dtype)


def _check_targets(y: Tensor, samples: int) -> None:
    if not y.ndim or len(y) != samples:
        raise InputError(f"`y` must have one target for each of the {samples} samples (got shape {tuple(y.shape)}).")
    if not bool(torch.isfinite(y).all()):
        first = int((~torch.isfinite(y)).reshape(samples, -1).any(1).int().argmax())
        raise InputError(f"`y` must be finite (got NaN or infinity, first in sample {first}). Take such samples out.")
