"""The spectrum of the Fisher information (equally: of the loss's Gauss-Newton matrix) of a network at a data set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from linnet.core.jacobian.losses import Loss
from linnet.errors import InputError
from linnet.spectra.kernel_engine import MEMORY
from linnet.spectra.rows.checks import check_mode, loss_of
from linnet.spectra.rows.jacobian_rows import JacobianRows, LayerCost, Progress, every_output
from linnet.spectra.rows.model_state import versions
from linnet.spectra.spectrum import Source, Spectrum


def fisher(
    model: nn.Module,
    x: Tensor,
    loss: str | nn.Module = "mse",
    *,
    memory: int = MEMORY,
    progress: Progress | None = None,
) -> Spectrum:
    """The spectrum of F = J^T Q J / N, with 1/N inside, over the trainable parameters.

    loss="mse": Q = I, for the loss (1/2N) sum_n |f_n - y_n|^2. loss="cross_entropy": Q_n = diag(p_n) - p_n p_n^T, for
    the
    mean negative log-likelihood of softmax outputs. Where n = N C rows are fewer than P, all non-zero eigenvalues come
    from the (n, n) dual R^T J J^T R / N with Q = R R^T; where P is smaller, from F itself; beyond 30,000 of both, `top`
    and `density` work by products with captured rows.

    Args:
        model: Any module with outputs (N, C), each row of which depends on its sample alone; left bit-identical.
        x: Inputs, N.
        loss: "mse" or "cross_entropy" (or `nn.CrossEntropyLoss()`).
        memory: Bytes for captured tensors and work, beside the matrix itself.
        progress: Called with the number of finished tiles and of all tiles.

    Returns:
        The spectrum: `eigenvalues` (at most N C of them, N (C - 1) for cross entropy, or P), `zeros`, `mean` = tr F /
        P,
        `second_moment` = tr F^2 / P, `max`, `top(k)`, `density(...)`, `layer(name)`, `centered()`, `compare(theory)`.

    Raises:
        InputError: as `ntk` has it; the loss is unknown, or has one output where it needs two.
        CaptureError: a parameter's rows can't be read; it is named.

    Source:
        Karakida, Akaho & Amari 2021 for the matrix and its dual; how it is computed: ours.

    Example:
        >>> import torch
        >>> from linnet.spectra import fisher
        >>> found = fisher(torch.nn.Linear(3, 1), torch.eye(3))
        >>> [round(value, 4) for value in found.eigenvalues.tolist()], found.zeros
        ([1.3333, 0.3333, 0.3333], 1)
    """
    return Spectrum.of(NetworkSource(model, x, loss_of(loss), memory, progress=progress))


class NetworkSource(Source):
    """Rows R_n^T J_n of a network, Q_n = R_n R_n^T."""

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        loss: Loss,
        memory: int,
        *,
        only: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        check_mode(model)
        self.model, self.x, self.loss, self.memory, self.only = model, x, loss, memory, only
        self._progress = progress
        self._versions = versions(model)
        self._held: JacobianRows | None = None
        self._gram: Tensor | None = None
        self._costs: tuple[LayerCost, ...] = ()
        self._bytes = 0
        captured = self._captured()
        self.samples, self.rows, self.size = len(x), captured.rows, captured.parameters
        self.f = captured.f
        block = "" if only is None else f", layer {only}"
        self.what = f"the Fisher matrix ({loss.name}{block})"

    def gram(self) -> Tensor:
        """Computed once; kept where it takes no more than the budget."""
        if self._gram is not None:
            return self._gram
        rows = self._captured()
        gram = rows.kernel()
        self._costs = tuple(rows.costs.values())
        if gram.numel() * gram.element_size() <= self.memory:
            self._gram = gram
            self.release()
        return gram

    def primal(self) -> Tensor:
        """From the rows."""
        return self._captured().primal()

    def product(self) -> tuple[Callable[[Tensor], Tensor], torch.dtype, torch.device]:
        """With the Gram matrix where it is there; else by pulling back and pushing forward through captured rows."""
        gram = self._gram
        if gram is not None:
            return lambda v: gram @ v.to(gram.dtype), gram.dtype, gram.device

        def product(v: Tensor) -> Tensor:
            return self._captured().product(v)

        return product, self.f.dtype, self.f.device

    def diagonal(self) -> Tensor:
        """Squared lengths of the rows."""
        return self._captured().diagonal()

    def start(self) -> Tensor:
        """Indicators of the outputs, (n, C) in the rows' coordinates: J^T of them are the C mean gradients E_n grad
        f_k."""
        return root_of(self.loss, self.f.double()).flatten(0, 1)

    def layer(self, name: str) -> Source:
        """The same with one layer's parameters."""
        self._check_unchanged()
        return NetworkSource(self.model, self.x, self.loss, self.memory, only=name)

    def centered(self) -> Source:
        """The same of the outputs less their means."""
        self._check_unchanged()
        plain = self.gram() if self.loss.name == "mse" and self.rows <= self.size else None
        return CenteredSource(self, plain)

    def held_bytes(self) -> int:
        """As captured."""
        return self._bytes

    def costs(self) -> tuple[LayerCost, ...]:
        """Of the last Gram matrix."""
        return self._costs

    def release(self) -> None:
        """Lets go of the captured tensors; they are captured again where they are needed."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _captured(self) -> JacobianRows:
        if self._held is None:
            self._check_unchanged()
            self._held = JacobianRows(
                self.model, self.x, self._cotangents, memory=self.memory, only=self.only, progress=self._progress
            )
            self._bytes = max(self._bytes, self._held.held_bytes)
        return self._held

    def _cotangents(self, f: Tensor) -> Tensor:
        if self.loss.name == "cross_entropy" and f.shape[1] < 2:
            raise InputError(
                "`loss` must fit the outputs: 'cross_entropy' needs a logit for each of 2 classes or more (got 1 "
                "output)."
            )
        return self.loss.root(f)

    def _check_unchanged(self) -> None:
        if versions(self.model) != self._versions:
            raise InputError(
                "`model` must have the weights that the spectrum was computed at (got others: it was trained or loaded "
                "since). Compute the spectrum anew, or of a copy.deepcopy(model)."
            )


class CenteredSource(Source):
    """Rows R^T (I - 1 1^T / N (x) I_C) J."""

    def __init__(self, source: NetworkSource, plain: Tensor | None) -> None:
        self._of = source
        self._plain = plain
        self.samples, self.rows, self.size = source.samples, source.rows, source.size
        self.what = source.what.replace("the Fisher matrix (", "the Fisher matrix of centred outputs (")
        self._costs: tuple[LayerCost, ...] = ()
        self._root = root_of(source.loss, source.f)

    def gram(self) -> Tensor:
        """R^T H J J^T H R."""
        kernel = self._plain
        if kernel is None:
            with self._captured() as rows:
                kernel = rows.kernel()
                self._costs = tuple(rows.costs.values())
        n, outputs = self.samples, self._of.f.shape[1]
        grid = kernel.view(n, outputs, n, outputs)
        grid = grid - grid.mean(0, keepdim=True)
        grid = grid - grid.mean(2, keepdim=True)
        if self._of.loss.name == "mse":
            return grid.reshape(n * outputs, n * outputs)
        half = torch.einsum("npc,ncmd->npmd", self._root, grid)
        return torch.einsum("npmd,mqd->npmq", half, self._root).reshape(self.rows, self.rows)

    def primal(self) -> Tensor:
        """J^T H Q H J."""
        with self._captured() as rows:
            grid = rows.matrix().double().view(self.samples, -1, self.size)
        grid = grid - grid.mean(0, keepdim=True)
        own = torch.einsum("npc,nck->npk", self._root.double(), grid).flatten(0, 1)
        return own.T @ own

    def product(self) -> tuple[Callable[[Tensor], Tensor], torch.dtype, torch.device]:
        """Rows are captured when the first product is taken."""
        held: list[JacobianRows] = []

        def product(v: Tensor) -> Tensor:
            if not held:
                held.append(self._captured())
            inner = self._centre(torch.einsum("npc,np->nc", self._root.to(v), v.view(self.samples, -1)))
            outer = self._centre(held[0].product(inner.reshape(-1)).view(self.samples, -1))
            return torch.einsum("npc,nc->np", self._root.to(v), outer.to(v)).reshape(-1)

        return product, self._of.f.dtype, self._of.f.device

    def diagonal(self) -> Tensor:
        """By products with unit vectors: the trace alone is needed, so its probes are exact only for few rows."""
        return self.gram().diagonal()

    def held_bytes(self) -> int:
        """As of the rows that aren't centred."""
        return self._of.held_bytes()

    def costs(self) -> tuple[LayerCost, ...]:
        """Of the kernel beneath."""
        return self._costs or self._of.costs()

    def _captured(self) -> JacobianRows:
        of = self._of
        return JacobianRows(of.model, of.x, every_output, memory=of.memory, only=of.only)

    @staticmethod
    def _centre(values: Tensor) -> Tensor:
        return values - values.mean(0, keepdim=True)


def root_of(loss: Loss, f: Tensor) -> Tensor:
    """R^T of each sample, (N, passes, C), with Q_n = R_n R_n^T."""
    return loss.root(f).transpose(0, 1)
