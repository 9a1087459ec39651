"""The metric of the input and of feature spaces: which directions of a signal move the outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.jacobian.losses import Loss
from linnet.errors import InputError
from linnet.spectra.fisher_spectrum import root_of
from linnet.spectra.rows.checks import check_finite, check_forward, check_inputs, check_mode, check_samples, loss_of
from linnet.spectra.rows.jacobian_rows import check_room
from linnet.spectra.rows.model_state import preserved_state
from linnet.spectra.spectrum import Source, Spectrum
from linnet.suggest import nearest


def input_metric(model: nn.Module, x: Tensor, loss: str | nn.Module = "mse") -> Spectrum:
    """The spectrum of A_0 = (1/N) sum_n sum_k grad_x f_k(x_n) grad_x f_k(x_n)^T, (d, d), d entries of one input.

    Args:
        model: Any module with outputs (N, C), each row of which depends on its sample alone; left bit-identical.
        x: Floating inputs, N.
        loss: "mse"; "cross_entropy" puts Q_n = diag(p_n) - p_n p_n^T between the gradients.

    Returns:
        As `fisher`, with d in the place of P.

    Raises:
        InputError: as `ntk` has it; the inputs are integers.

    Source:
        Karakida, Akaho & Amari 2021.

    Example:
        >>> import torch
        >>> from linnet.spectra import input_metric
        >>> net = torch.nn.Linear(2, 1)
        >>> torch.allclose(input_metric(net, torch.eye(2)).eigenvalues, net.weight.double().square().sum())
        True
    """
    rows = signal_rows(model, x, loss_of(loss), None)
    return Spectrum.of(RowsSource(rows, "the input metric"))


def feature_metric(model: nn.Module, x: Tensor, layer: str, loss: str | nn.Module = "mse") -> Spectrum:
    """The same for the output of a module, flattened for each sample.

    Args:
        model: As in `input_metric`.
        x: Inputs, N.
        layer: Path of the module.
        loss: As in `input_metric`.

    Raises:
        InputError: as in `input_metric`; there is no such module (the nearest are listed), or its output isn't one
            tensor with a row for each sample.
    """
    check_mode(model, trainable=False)
    if layer not in dict(model.named_modules()):
        known = [name for name, _ in model.named_modules()]
        raise InputError(f"`layer` must be a module of the model (got {layer!r}){nearest(layer, known)}")
    rows = signal_rows(model, x, loss_of(loss), layer)
    return Spectrum.of(RowsSource(rows, f"the metric of {layer or 'the outputs'}"))


@dataclass(frozen=True)
class Directions:
    """For each sample the direction of its input that moves the outputs most.

    Attributes:
        values: Largest singular values of d f / d x, (N,).
        vectors: Unit directions in the shape of the inputs, (N, ...); the largest entry is positive.
    """

    values: Tensor
    vectors: Tensor


def steepest_directions(model: nn.Module, x: Tensor, loss: str | nn.Module = "mse") -> Directions:
    """The top singular direction of each sample's input Jacobian, for pictures.

    Args:
        model: As in `input_metric`.
        x: Floating inputs, N.
        loss: As in `input_metric`.
    """
    rows = signal_rows(model, x, loss_of(loss), None).double()
    _, values, vectors = torch.linalg.svd(rows, full_matrices=False)
    top = vectors[:, 0]
    signs = top.gather(1, top.abs().argmax(1, keepdim=True)).sign()
    return Directions(values[:, 0], (top * signs).view(x.shape))


class RowsSource(Source):
    """Rows that are there as a tensor (N, passes, d)."""

    def __init__(self, rows: Tensor, what: str) -> None:
        self.samples, passes, self.size = rows.shape
        self.rows = self.samples * passes
        self.what = what
        self._rows = rows.flatten(0, 1)

    def gram(self) -> Tensor:
        """R R^T."""
        return self._rows.double() @ self._rows.double().T

    def primal(self) -> Tensor:
        """R^T R."""
        return self._rows.double().T @ self._rows.double()

    def product(self) -> tuple[Callable[[Tensor], Tensor], torch.dtype, torch.device]:
        """R (R^T v)."""
        rows = self._rows

        def product(v: Tensor) -> Tensor:
            return rows @ (rows.T @ v.to(rows.dtype))

        return product, rows.dtype, rows.device

    def diagonal(self) -> Tensor:
        """Squared lengths."""
        return self._rows.square().sum(1)

    def held_bytes(self) -> int:
        """Of the rows."""
        return self._rows.numel() * self._rows.element_size()


def signal_rows(model: nn.Module, x: Tensor, loss: Loss, layer: str | None) -> Tensor:
    """Gradients of the outputs (with the root of the loss's curvature) in a signal, (N, passes, d).

    Args:
        model: The network.
        x: Inputs.
        loss: Whose root stands before the gradients.
        layer: Module whose output is the signal; None for the input.
    """
    check_mode(model, trainable=False)
    check_inputs(model, x)
    if layer is None and not x.is_floating_point():
        raise InputError(
            f"`x` must be floating, as gradients in it are taken (got {x.dtype}). Take feature_metric of the module "
            "that makes numbers of it, an embedding for instance."
        )
    check_forward(model, x, trainable=False)
    check_samples(model, x)
    leaf = x.detach().clone().requires_grad_(x.is_floating_point())
    signals: list[Tensor] = [] if layer is not None else [leaf]

    def keep(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        if not isinstance(output, Tensor) or not output.ndim or len(output) != len(x):
            raise InputError(
                f"`layer` must give a tensor with a row for each sample (got {type(output).__name__} from {layer!r})."
            )
        signal = output if output.requires_grad else output.detach().requires_grad_()
        signals[:] = [signal]
        return signal * 1  # what follows may write to it in place

    handle = None if layer is None else model.get_submodule(layer).register_forward_hook(keep)
    try:
        with preserved_state(model), torch.enable_grad():
            f = model(leaf)
            f = f if f.ndim == 2 else f.unsqueeze(1)
    finally:
        if handle is not None:
            handle.remove()
    check_finite(model, x, f.detach(), "the model's outputs")
    if not signals:
        raise InputError(f"`layer` must be called in the forward (got {layer!r}, which isn't).")
    if loss.name == "cross_entropy" and f.shape[1] < 2:
        raise InputError("`loss` must fit the outputs: 'cross_entropy' needs 2 classes or more (got 1 output).")
    roots = root_of(loss, f.detach()).transpose(0, 1)
    size = signals[0][0].numel()
    check_room(len(x) * len(roots), size, f.dtype, f.device, 1)
    rows = []
    for cotangent in roots:
        (gradient,) = torch.autograd.grad(f, signals, cotangent, retain_graph=True, allow_unused=True)
        rows.append(torch.zeros_like(signals[0]) if gradient is None else gradient)
    found = torch.stack([row.detach().reshape(len(x), -1) for row in rows], dim=1)
    check_finite(model, x, found, "the gradients")
    return found
