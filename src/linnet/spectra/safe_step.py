"""The largest step size of gradient descent, 2 / lambda_max, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn

from linnet.core.jacobian.losses import Loss
from linnet.core.linalg.block_lanczos import block_lanczos
from linnet.errors import InputError
from linnet.spectra.fisher_spectrum import NetworkSource
from linnet.spectra.kernel_engine import MEMORY
from linnet.spectra.loss_hessian import LossHessian
from linnet.spectra.rows.checks import loss_of
from linnet.spectra.spectrum import DENSE_ROWS, Spectrum
from linnet.suggest import is_number, is_whole, one_of

_RESAMPLES = 500
_LEVEL = 0.95
_BLOCK = 4  # pairs that are looked for, so that nearly equal eigenvalues don't stall


@dataclass(frozen=True)
class SafeLR:
    """A step size below which gradient descent goes down near the given weights: `float(result)` is 2 / lambda_max.

    Attributes:
        value: 2 (1 + momentum) / lambda_max, in the units of `loss`.
        lo: Lower end: lambda_max may be larger by the residual, and by what the batches that weren't read may add.
        hi: Upper end.
        lambda_max: The largest eigenvalue that was found; the true one is at least as large.
        residual: It is off by at most this.
        momentum: beta of heavy-ball momentum.
        loss: Name of the loss, with its scale.
        samples: N that were read.
        outputs: C.
        how: In words: which matrix, which data, and what it holds for.
    """

    value: float
    lo: float
    hi: float
    lambda_max: float
    residual: float
    momentum: float
    loss: str
    samples: int
    outputs: int
    how: str

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.lo:.4g}, {self.hi:.4g}] (lambda_max {self.lambda_max:.4g}; {self.how})"

    def for_loss(self, loss: nn.Module) -> SafeLR:
        """The same step in the units of a loss of torch.

        `nn.MSELoss()` is the mean over N C entries without 1/2, 2/C times linnet's "mse", so that its limit is C/2
        times
        larger; `reduction="sum"` makes the loss 2N times larger.

        Args:
            loss: `nn.MSELoss` for "mse"; `nn.CrossEntropyLoss` for "cross_entropy"; reductions "mean" and "sum".

        Raises:
            InputError: it is another loss, or has another reduction, class weights or label smoothing.
        """
        factor = None
        reduction = getattr(loss, "reduction", "none")
        if isinstance(loss, nn.MSELoss) and self.loss == "mse":
            factor = {"mean": self.outputs / 2, "sum": 1 / (2 * self.samples)}.get(reduction)
        plain = isinstance(loss, nn.CrossEntropyLoss) and loss.weight is None and loss.label_smoothing == 0
        if plain and self.loss == "cross_entropy":
            factor = {"mean": 1.0, "sum": 1 / self.samples}.get(reduction)
        if factor is None:
            raise InputError(
                f"`loss` must be nn.MSELoss for 'mse' or a plain nn.CrossEntropyLoss for 'cross_entropy', reduced by "
                f"'mean' or 'sum' (got {loss!r} for {self.loss!r})."
            )
        return replace(
            self,
            value=self.value * factor,
            lo=self.lo * factor,
            hi=self.hi * factor,
            lambda_max=self.lambda_max / factor,
            residual=self.residual / factor,
            loss=f"{type(loss).__name__}({reduction})",
            how=f"{self.how}; in the units of {type(loss).__name__}(reduction={reduction!r})",
        )


def safe_lr(
    model: nn.Module,
    data: Tensor | tuple[Tensor, Tensor] | Iterable[Any],
    loss: str | nn.Module = "mse",
    *,
    momentum: float = 0.0,
    curvature: Literal["gauss_newton", "hessian"] = "gauss_newton",
    batches: int | None = None,
    tolerance: float = 1e-4,
    memory: int = MEMORY,
    rng_seed: int = 0,
) -> SafeLR:
    """The largest step size of full-batch gradient descent near the given weights: 2 / lambda_max.

    lambda_max is the largest eigenvalue of the loss Hessian's Gauss-Newton part F, at weights where the residual is
    small
    that of the Hessian itself. Found by block Lanczos as a Ritz value theta with residual r, so that theta <=
    lambda_max
    <= theta + r where theta is converged. Heavy-ball momentum beta widens the limit to 2 (1 + beta) / lambda_max.

    Args:
        model: The network, in eval mode; left bit-identical.
        data: Inputs x, a pair (x, y), or an iterable of such batches (a loader).
        loss: "mse", (1/2N) sum |f - y|^2, or "cross_entropy", a mean. For `nn.MSELoss()` convert with `.for_loss`.
        momentum: beta, in [0, 1).
        curvature: "hessian" takes the true Hessian, which needs y.
        batches: Of an iterable, read so many alone; a bootstrap over them then widens the interval. None: all.
        tolerance: Residual in parts of theta.
        memory: As in `fisher`.
        rng_seed: Of the bootstrap.

    Raises:
        InputError: an argument can't be used; labels are missing; Lanczos hasn't converged.

    Example:
        >>> import torch
        >>> from linnet.spectra import safe_lr
        >>> round(float(safe_lr(torch.nn.Linear(3, 1, bias=False), torch.eye(3))), 3)
        6.0
    """
    known = loss_of(loss)
    one_of("curvature", curvature, ("gauss_newton", "hessian"))
    if not is_number(momentum, 0.0) or momentum >= 1:
        raise InputError(f"`momentum` must be within [0, 1) (got {momentum!r}).")
    parts, whole = read_batches(data, batches, labels=curvature == "hessian")
    x = torch.cat([part[0] for part in parts])
    if curvature == "hessian":
        y = torch.cat([part[1] for part in parts if part[1] is not None])
        theta, residual, outputs = _hessian(model, x, y, known, tolerance)
        sides = (0.0, 0.0)
    else:
        source = NetworkSource(model, x, known, memory)
        if source.rows <= min(source.size, DENSE_ROWS // 4):  # products with the kernel cost nothing beside the kernel
            source.gram()
        sizes = [len(part[0]) for part in parts]
        theta, residual, sides = _gauss_newton(source, sizes, tolerance, rng_seed, whole=whole)
        outputs = source.f.shape[1]
    matrix = "the Hessian" if curvature == "hessian" else "the Gauss-Newton matrix"
    how = f"{matrix} of {known.name} at {len(x)} samples"
    how += "" if whole else f" of {len(parts)} batches, the rest not read (bootstrap, {_LEVEL:.0%})"
    return _limit((theta, residual), sides, momentum, known, (len(x), outputs), how)


def step_of(found: Spectrum, *, tolerance: float = 1e-4) -> SafeLR:
    """What `safe_lr` gives, from a spectrum of the same network and data, without its kernel computed again.

    Args:
        found: From `fisher`.
        tolerance: As in `safe_lr`.

    Raises:
        InputError: it is another matrix's spectrum.
    """
    source = found.source
    if not isinstance(source, NetworkSource):
        raise InputError(f"`found` must be a spectrum that `fisher` gave (got that of {source.what}).")
    theta, residual, sides = _gauss_newton(source, [source.samples], tolerance, 0, whole=True)
    how = f"the Gauss-Newton matrix of {source.loss.name} at {source.samples} samples"
    return _limit((theta, residual), sides, 0.0, source.loss, (source.samples, source.f.shape[1]), how)


def _limit(
    top: tuple[float, float],
    sides: tuple[float, float],
    momentum: float,
    loss: Loss,
    sizes: tuple[int, int],
    how: str,
) -> SafeLR:
    """The step from the top (theta, residual), the relative sides of its interval, and (N, C)."""
    theta, residual = top
    if theta <= 0:
        raise InputError(
            f"The largest curvature must be above 0 for a limit of the step size (got {theta:.3g}). Check that the "
            "outputs depend on the parameters."
        )
    limit = 2 * (1 + momentum)
    high = limit / (theta * (1 - sides[0])) if sides[0] < 1 else math.inf
    low = limit / (theta * (1 + sides[1]) + residual)
    how += f", momentum {momentum:g}" if momentum else ""
    if loss.name == "cross_entropy":
        how += "; valid at these weights only: as the probabilities become one-hot, the limit grows"
    return SafeLR(limit / theta, low, high, theta, residual, momentum, loss.name, *sizes, how)


def read_batches(data: Any, batches: int | None, *, labels: bool) -> tuple[list[tuple[Tensor, Tensor | None]], bool]:
    """Batches (x, y), and whether they are all there is.

    Args:
        data: x, (x, y), or an iterable of such batches.
        batches: So many at most; None: all.
        labels: Whether y must be there.
    """
    if batches is not None and not is_whole(batches, 1):
        raise InputError(f"`batches` must be 1 or more (got {batches!r}).")
    if isinstance(data, Tensor) or (isinstance(data, tuple) and all(isinstance(part, Tensor) for part in data)):
        parts, whole = [_batch(data, labels=labels)], True
    else:
        if not isinstance(data, Iterable):
            raise InputError(f"`data` must be x, (x, y) or batches of them (got {type(data).__name__}).")
        given = iter(data)
        parts = [_batch(part, labels=labels) for part in islice(given, batches)]
        whole = batches is None or next(given, None) is None
    if not parts:
        raise InputError("`data` must hold at least one batch (got none).")
    return parts, whole


def _batch(part: Any, *, labels: bool) -> tuple[Tensor, Tensor | None]:
    if not isinstance(part, Tensor) and not (isinstance(part, (tuple, list)) and part):
        raise InputError(
            f"`data` must be x, (x, y) or batches of them (got a batch of {type(part).__name__}). Give "
            "pairs of tensors."
        )
    x, y = (part, None) if isinstance(part, Tensor) else (part[0], part[1] if len(part) > 1 else None)
    if not isinstance(x, Tensor):
        raise InputError(f"`data` must be x, (x, y) or batches of them (got a batch of {type(x).__name__}).")
    if y is not None and not isinstance(y, Tensor):
        raise InputError(f"`data` must hold labels as tensors (got {type(y).__name__}). Use torch.tensor(labels).")
    if labels and y is None:
        raise InputError("`data` must hold labels for curvature='hessian' (got inputs alone). Give (x, y).")
    return x, y


def _gauss_newton(
    source: NetworkSource, sizes: Sequence[int], tolerance: float, rng_seed: int, *, whole: bool
) -> tuple[float, float, tuple[float, float]]:
    """(theta, residual, relative sides of the bootstrap interval)."""
    matvec, _, device = source.product()
    found = block_lanczos(
        lambda v: matvec(v).double() / source.samples,
        min(_BLOCK, source.rows),
        start=source.start(),
        size=source.rows,
        device=device,
        tolerance=tolerance,
        rng_seed=rng_seed,
    )
    theta, residual = float(found.values[0]), float(found.residuals[0])
    if whole or len(sizes) < 2:
        return theta, residual, (0.0, 0.0)
    # v_l = J^T u_l / sqrt(N lambda_l), so that J v_l = sqrt(N lambda_l) u_l: F of a batch within their span
    rows = found.vectors * (source.samples * found.values.clamp_min(0)).sqrt()
    per = source.rows // source.samples
    blocks = [part.T @ part / n for part, n in zip(rows.split([n * per for n in sizes]), sizes, strict=True)]
    stacked, weights = torch.stack(blocks), torch.tensor(sizes, dtype=torch.float64, device=rows.device)
    generator = torch.Generator().manual_seed(rng_seed)
    drawn = torch.randint(0, len(sizes), (_RESAMPLES, len(sizes)), generator=generator).to(rows.device)
    shares = weights[drawn] / weights[drawn].sum(1, keepdim=True)
    means = torch.einsum("rb,rbij->rij", shares, stacked[drawn])
    tops = torch.linalg.eigvalsh(means)[:, -1].cpu()
    low, high = torch.quantile(tops, torch.tensor([(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], dtype=tops.dtype)).tolist()
    return theta, residual, (max(0.0, 1 - low / theta), max(0.0, high / theta - 1))


def _hessian(model: nn.Module, x: Tensor, y: Tensor, loss: Loss, tolerance: float) -> tuple[float, float, int]:
    product = LossHessian(model, x, y, loss.name)
    found = block_lanczos(
        product, min(_BLOCK, product.size), size=product.size, device=product.device, tolerance=tolerance
    )
    with torch.no_grad():
        outputs = model(x[:1]).numel()
    return float(found.values[0]), float(found.residuals[0]), outputs
