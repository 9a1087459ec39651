"""The function-space law: where natural gradient takes the outputs, before a single step is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from linnet.core.jacobian.linearisation import Linearisation
from linnet.core.jacobian.losses import LOSSES
from linnet.errors import InputError
from linnet.optim.natural.approximation import Batch
from linnet.optim.natural.arguments import check_inputs, check_model, group_dampings
from linnet.optim.natural.batch import batch_of
from linnet.optim.natural.dual.blocks import layer_pattern
from linnet.optim.natural.dual.solve import BlockThomas, Regular, solve_dual
from linnet.optim.natural.isotropy import jacobian_vector
from linnet.optim.natural.natural_gradient import NaturalGradient

Kernel = Callable[[Tensor, Tensor], Mapping[Any, Tensor]]
_ACCURACY = 1e-12  # of a kernel given in float64


@dataclass(frozen=True)
class Prediction:
    """Outputs and losses at steps 0, 1, ..., steps of a network that is linear in its parameters.

    Attributes:
        train: Outputs on the training inputs, (steps + 1, N, C); index 0 is the untouched network.
        test: Outputs on the test inputs, (steps + 1, N', C).
        loss_train: (1/2N) sum |f - y|^2, (steps + 1,).
        loss_test: The same on the test set, (steps + 1,); NaN where no test targets were given.
        alpha: alpha of the first step; lambda_max of Theta for "gradient".
    """

    train: Tensor
    test: Tensor
    loss_train: Tensor
    loss_test: Tensor
    alpha: float


def predict(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    x_test: Tensor | tuple[Tensor, Tensor],
    approx: Literal["exact", "block", "tridiagonal", "kfac", "unit", "gradient"] = "exact",
    c: float = 1.0,
    steps: int = 3,
    *,
    damping: float = 0.0,
    loss: Literal["mse"] = "mse",
    lr: float | None = None,
    kernel: Kernel | None = None,
) -> Prediction:
    """f_{t+1} = f_t - eta K (f_t - y) on train and f'_{t+1} = f'_t - eta K' (f_t - y) on test, eta = c / alpha.

    K = J (G + rho)^-1 J^T / N of the network as it stands, and K' the same with J(x') on the left. A network of width M
    follows these lines within O(1 / sqrt(M)), since it isn't quite linear over a step.

    Args:
        model: The network at its initialisation; it stays as it is.
        data: (x, y) of the training set.
        x_test: Test inputs, or (inputs, targets).
        approx: As `NaturalGradient` has it, or "gradient": gradient descent with eta = c / lambda_max(Theta).
        c: 0 < c < 2.
        steps: Number of steps.
        damping: rho.
        loss: "mse".
        lr: eta; None: c / alpha.
        kernel: For the infinite width: (x1, x2) -> {layer: Theta_l}, each (N1, N2), to be taken times I_C, or
            (N1 C, N2 C), without 1/N, such as `linnet.spectra`'s mean-field kernel of an MLP. Not for kfac and unit,
            whose metric isn't made of layer kernels.

    Raises:
        InputError: cross entropy, which has no closed form; an argument that can't be used.

    Source:
        Law: derived; that the approximations share it: Karakida & Osawa 2020, abstract.
    """
    if loss != "mse":
        raise InputError(
            f"`loss` must be 'mse' (got {loss!r}): with cross entropy, softmax changes the metric at every step. "
            "Use loss='mse' with one-hot targets, or measure the curve by NaturalGradient(..., "
            "loss='cross_entropy')."
        )
    if kernel is not None and approx in ("kfac", "unit"):
        raise InputError(
            f"`kernel` can't be used with approx={approx!r}, whose metric is made of a layer's factors. Leave it "
            "out, so that the network's factors are used; or choose exact, block or tridiagonal."
        )
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"`steps` must be a whole number >= 1 (got {steps!r}).")
    (x, y), (points, targets) = data, x_test if isinstance(x_test, tuple) else (x_test, None)
    check_inputs(x, y)
    check_inputs(points, points if targets is None else targets)
    named: Any = "exact" if approx == "gradient" else approx
    optimizer = NaturalGradient(model, loss, named, damping=damping, c=c, lr=lr, solve_rows=10**9)
    check_model(model, optimizer._approximation)
    f, g = _outputs(model, x), _outputs(model, points)
    LOSSES[loss].check(f, y)
    if targets is not None:
        LOSSES[loss].check(g, targets)
    if kernel is None:
        law: _Law = _NetworkLaw(optimizer, x, y, points, gradient=approx == "gradient")
    else:
        law = _KernelLaw(kernel, x, points, f.shape[1], approx, damping)
    return _follow(law, f, y, g, targets, steps=steps, c=c, lr=lr)


class _Law:
    """K r on train and test, and alpha where theory gives it."""

    alpha: float | None = None

    def move(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """(K r, K' r), (N, C) and (N', C)."""
        raise AssertionError


def _follow(
    law: _Law, f: Tensor, y: Tensor, g: Tensor, targets: Tensor | None, *, steps: int, c: float, lr: float | None
) -> Prediction:
    y = y.reshape(f.shape).to(f)
    train, test, first = [f], [g], float("nan")
    for step in range(steps):
        r = train[-1] - y
        moved, moved_test = law.move(r)
        square = float((r * r).sum())
        alpha = law.alpha or (float((r * moved).sum()) / square if square else 1.0)
        first = alpha if step == 0 else first
        eta = c / alpha if lr is None else lr
        train.append(train[-1] - eta * moved)
        test.append(test[-1] - eta * moved_test)
    nan = torch.full((steps + 1,), float("nan"), dtype=f.dtype, device=f.device)
    losses = nan if targets is None else _losses(test, targets.reshape(g.shape).to(g))
    return Prediction(torch.stack(train), torch.stack(test), _losses(train, y), losses, first)


def _losses(outputs: list[Tensor], y: Tensor) -> Tensor:
    return torch.stack([(f - y).square().sum() / (2 * len(y)) for f in outputs])


@torch.no_grad()
def _outputs(model: nn.Module, x: Tensor) -> Tensor:
    f = model(x)
    return f.flatten(1) if f.ndim > 1 else f.unsqueeze(1)


class _NetworkLaw(_Law):
    """K of the network as it stands: a direction for each residual, and what it does to the outputs."""

    def __init__(self, optimizer: NaturalGradient, x: Tensor, y: Tensor, points: Tensor, *, gradient: bool) -> None:
        self._model, self._x, self._points = optimizer.model, x, points
        self._approximation, self._gradient = optimizer._approximation, gradient
        self._approximation.listening = False
        names = optimizer._names()
        with Linearisation(self._model, names) as linear:
            outputs = linear.forward(x)
            damping = group_dampings(optimizer.param_groups, names)
            self._batch: Batch = batch_of(linear, outputs, y, optimizer._settings, damping, check=True)
            layers = self._batch.layers
        if gradient:
            theta = torch.stack([layer.gram().double() for layer in layers]).sum(0) / len(x)
            self.alpha = float(torch.linalg.eigvalsh(theta)[-1])

    def move(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """By two Jacobian-vector products."""
        batch = self._batch.with_residual(r)
        if self._gradient:
            delta: Mapping[str, Tensor] = batch.gradient
        else:
            direction = self._approximation.direction(batch)
            delta, self.alpha = direction.delta, direction.alpha
        return jacobian_vector(self._model, self._x, delta), jacobian_vector(self._model, self._points, delta)


class _KernelLaw(_Law):
    """K made of layer kernels."""

    def __init__(self, kernel: Kernel, x: Tensor, points: Tensor, outputs: int, approx: str, damping: float) -> None:
        self._thetas = [m / len(x) for m in _layers(kernel(x, x), len(x), len(x), outputs)]
        self._crosses = [m / len(x) for m in _layers(kernel(points, x), len(points), len(x), outputs)]
        self._approx, self._rho = approx, damping
        count = len(self._thetas)
        if approx == "gradient":
            self.alpha = float(torch.linalg.eigvalsh(torch.stack(self._thetas).sum(0))[-1])
        elif damping == 0.0:
            self.alpha = {"exact": 1.0, "block": float(count)}.get(approx) or float(sum(layer_pattern(count)))

    def move(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """sum_l Theta_l v_l."""
        solution = self._solve(r.double().reshape(-1))
        moved = [
            torch.stack([m @ v for m, v in zip(matrices, solution, strict=True)]).sum(0)
            for matrices in (self._thetas, self._crosses)
        ]
        return moved[0].view_as(r).to(r), moved[1].view(-1, r.shape[1]).to(r)

    def _solve(self, u: Tensor) -> list[Tensor]:
        count, regular = len(self._thetas), Regular(self._rho, _ACCURACY)
        if self._approx == "gradient":
            return [u] * count
        if self._approx == "exact":
            return [solve_dual(torch.stack(self._thetas).sum(0), u, regular, of="The kernel").v] * count
        if self._approx == "tridiagonal" and self._rho:
            return BlockThomas(self._thetas, self._rho).solve([u] * count)
        pattern = layer_pattern(count) if self._approx == "tridiagonal" else (1,) * count
        pairs = zip(pattern, self._thetas, strict=True)
        return [solve_dual(m, u, regular, of="A layer's kernel").v if p else torch.zeros_like(u) for p, m in pairs]


def _layers(kernels: Mapping[Any, Tensor], rows: int, columns: int, outputs: int) -> list[Tensor]:
    """Theta_l in float64, (rows C, columns C)."""
    result = []
    for name, kernel in kernels.items():
        matrix = kernel.double()
        if tuple(matrix.shape) == (rows, columns) and outputs > 1:
            matrix = torch.kron(matrix, torch.eye(outputs, dtype=matrix.dtype, device=matrix.device))
        if tuple(matrix.shape) != (rows * outputs, columns * outputs):
            raise InputError(
                f"`kernel` must give ({rows}, {columns}) or ({rows * outputs}, {columns * outputs}) for layer "
                f"{name!r} (got {tuple(matrix.shape)})."
            )
        result.append(matrix)
    return result
