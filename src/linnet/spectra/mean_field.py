"""Mean-field theory of wide random networks: what the spectra should be, from two numbers, kappa_1 and kappa_2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, overload

import torch
from torch import Tensor

from linnet.errors import InputError
from linnet.spectra.activation_moments import Function, Moments, moments_of
from linnet.spectra.infinite_width import layer_kernels
from linnet.spectra.kappa_recursion import Pair, checked, recursions
from linnet.spectra.softmax_outliers import SoftmaxStatistics, drawn_statistics, statistics_of
from linnet.suggest import one_of

_NETWORKS = 1000  # drawn for the softmax outliers: their mean is then known to about 2 %


@dataclass(frozen=True)
class Block:
    """Theory of one matrix beside the whole F: a layer's block of it, or the metric of a layer's signals.

    Attributes:
        mean: Of its eigenvalues.
        second_moment: Of its eigenvalues.
        max: The largest.
    """

    mean: float
    second_moment: float
    max: float


@dataclass(frozen=True)
class MeanField:
    """The mean-field theory of one kind of network; made by `theory` or `theory_for`.

    t = 1 stands for one sample, t = 2 for two different ones; layers are counted from 1 to L.

    Attributes:
        depth: L, weight layers.
        activation: Its name.
        weight_variances: sigma_w^2 of each weight layer.
        bias_variances: sigma_b^2 of each.
        width: M, the unit of the widths.
        widths: M_0 (the input), M_1 ... M_{L-1}.
        samples: N.
        classes: C.
        loss: "mse" or "cross_entropy".
        forward: (qh_1, qh_2) of the input and of each hidden layer, L of them.
        fields: (q_1, q_2) of each weight layer's output, L of them.
        backward: (qt_1, qt_2) of each weight layer, L of them.
        softmax: Statistics of the probabilities; None for "mse".
    """

    depth: int
    activation: str
    weight_variances: tuple[float, ...]
    bias_variances: tuple[float, ...]
    width: float
    widths: tuple[float, ...]
    samples: int
    classes: int
    loss: str
    forward: tuple[Pair, ...]
    fields: tuple[Pair, ...]
    backward: tuple[Pair, ...]
    softmax: SoftmaxStatistics | None
    _moments: Moments

    @property
    def alpha(self) -> float:
        """P / M^2 at leading order: sum_l alpha_l alpha_{l-1} with alpha_l = M_l / M."""
        shares = [m / self.width for m in self.widths]
        if self.depth == 1:
            return shares[0] * self.classes / self.width
        return sum(a * b for a, b in pairwise(shares))

    @property
    def kappa1(self) -> float:
        """Of one sample."""
        return self._kappa(0)

    @property
    def kappa2(self) -> float:
        """Of two samples: above 0 where the network isn't centred (a bias, or E phi != 0), and then there are
        outliers."""
        return self._kappa(1)

    @property
    def mean(self) -> float:
        """Tr F / P: kappa_1 C / M; kappa_1 E tr Q / M for cross entropy."""
        return self.kappa1 / self.width * (self.classes if self.softmax is None else self.softmax.trace)

    @property
    def second_moment(self) -> float:
        """Tr F^2 / P."""
        n, k1, k2 = self.samples, self.kappa1**2, self.kappa2**2
        if self.softmax is None:
            return self.alpha * ((n - 1) / n * k2 + k1 / n) * self.classes
        return self.alpha * ((n - 1) / n * k2 * self.softmax.cross + k1 / n * self.softmax.trace_square)

    @property
    def max(self) -> float:
        """The largest eigenvalue: alpha ((N-1)/N kappa_2 + kappa_1/N) M, C-fold; cross entropy: the largest outlier."""
        if self.softmax is None:
            return self._scale * self.width
        return max(float(self.outliers[0]), self.lower)

    @property
    def outliers(self) -> Tensor:
        """C equal ones for "mse"; alpha M kappa_2 eig(E Q_n) for cross entropy, the C - 1 non-zero ones, descending."""
        if self.softmax is None:
            return torch.full((self.classes,), self.max, dtype=torch.float64)
        return self.alpha * self.width * self.kappa2 * self.softmax.eigenvalues

    @property
    def outlier_spread(self) -> Tensor:
        """Standard deviation of each outlier between networks; 0 for "mse" and for given probabilities."""
        if self.softmax is None:
            return torch.zeros(self.classes, dtype=torch.float64)
        return self.alpha * self.width * self.kappa2 * self.softmax.spread

    @property
    def lower(self) -> float:
        """Bound below the largest eigenvalue of cross entropy: alpha M kbar max_k E p_k (1 - p_k); `max` for "mse"."""
        if self.softmax is None:
            return self.max
        return self._scale * self.width * self.softmax.largest_variance

    @property
    def upper(self) -> float:
        """Bound above it: M sqrt(alpha second_moment); `max` for "mse"."""
        return self.max if self.softmax is None else self.width * math.sqrt(self.alpha * self.second_moment)

    @property
    def bulk(self) -> float:
        """Mean of the C (N - 1) eigenvalues below the outliers of "mse": alpha (kappa_1 - kappa_2) M / N. A band in
        truth."""
        return self.alpha * (self.kappa1 - self.kappa2) * self.width / self.samples

    @property
    def zeros(self) -> int:
        """P - N C at leading order, P = alpha M^2."""
        return max(0, round(self.alpha * self.width**2) - self.samples * self.classes)

    @property
    def centered_max(self) -> float:
        """The largest eigenvalue of "mse" once each output's mean is taken away: the bulk's, O(1) for N proportional
        to M."""
        return self.bulk

    @property
    def ntk_mean(self) -> float:
        """Mean eigenvalue of J J^T in NTK parameterisation: kappa'_1."""
        return self._ntk(0)

    @property
    def ntk_max(self) -> float:
        """Its largest: (N - 1) kappa'_2 + kappa'_1."""
        return (self.samples - 1) * self._ntk(1) + self._ntk(0)

    @property
    def ntk_bulk(self) -> float:
        """The others: kappa'_1 - kappa'_2."""
        return self._ntk(0) - self._ntk(1)

    def layer(self, number: int) -> Block:
        """The diagonal block F^{ll} of "mse".

        Args:
            number: l, 1 to L.
        """
        self._check("number", number, 1, self.depth)
        share = self.widths[number - 1] / self.width
        one, two = (self.backward[number - 1][t] * self.forward[number - 1][t] for t in (0, 1))
        n, fan_out = self.samples, self.classes if number == self.depth else self.widths[number]
        size = self.widths[number - 1] * fan_out
        trace = share * self.width * one * self.classes
        square = (share * self.width) ** 2 * ((n - 1) / n * two**2 + one**2 / n) * self.classes
        return Block(trace / size, square / size, share * self.width * ((n - 1) / n * two + one / n))

    def metric(self, number: int) -> Block:
        """The metric of layer l's signals, l = 0 being the input: eigenvalues of (1/N) sum_nk grad_h f_k grad_h f_k^T.

        Args:
            number: l, 0 to L - 1.
        """
        self._check("number", number, 0, self.depth - 1)
        one, two = (self.weight_variances[number] * self.backward[number][t] for t in (0, 1))
        n, size = self.samples, self.widths[number]
        second = ((n - 1) / n * two**2 + one**2 / n) * self.classes / size
        return Block(one * self.classes / size, second, (n - 1) / n * two + one / n)

    @overload
    def kernel(self, x1: Tensor, x2: Tensor | None = None, layers: Literal["sum"] = "sum") -> Tensor: ...
    @overload
    def kernel(self, x1: Tensor, x2: Tensor | None = None, *, layers: Literal["each"]) -> dict[str, Tensor]: ...
    def kernel(
        self, x1: Tensor, x2: Tensor | None = None, layers: Literal["sum", "each"] = "sum"
    ) -> Tensor | dict[str, Tensor]:
        """The NTK at infinite width for given inputs, (N1, N2), to be taken times I_C; NTK parameterisation, no 1/N.

        Args:
            x1: (N1, ...).
            x2: (N2, ...); None for x1.
            layers: "sum", or "each": "layers.0" ... -> kernel.
        """
        one_of("layers", layers, ("sum", "each"))
        for name, value in (("x1", x1), ("x2", x2)):
            if (name == "x1" or value is not None) and (not isinstance(value, Tensor) or not value.ndim):
                what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise InputError(f"`{name}` must be a tensor with samples on axis 0 (got {what}).")
        found = layer_kernels(x1, x1 if x2 is None else x2, self._moments, self.weight_variances, self.bias_variances)
        return found if layers == "each" else torch.stack(list(found.values())).sum(0)

    def expected(self) -> list[tuple[str, float]]:
        """(quantity, value) of all that a measured spectrum can be set beside."""
        rows = [("mean", self.mean), ("second moment", self.second_moment), ("max", self.max)]
        rows += [(f"outlier {number}", float(value)) for number, value in enumerate(self.outliers, start=1)]
        return [*rows, ("bulk (mean)", self.bulk)] if self.softmax is None else rows

    def table(self) -> list[tuple[str, str, str, str]]:
        """(quantity, formula, value, assumption) of everything, for printing."""
        wide = f"width {self.width:g} large"
        soft = self.softmax is not None
        drawn = "p of the network given" if soft and self.softmax.networks == 1 else "p of random networks"  # pyright: ignore[reportOptionalMemberAccess]
        rows = [
            ("kappa", "sum_l alpha_(l-1)/alpha qt_t qh_t", f"({self.kappa1:.4f}, {self.kappa2:.4f})", "random weights"),
            ("mean", "kappa_1 E tr Q / M" if soft else "kappa_1 C / M", f"{self.mean:.5g}", wide),
            ("second moment", "alpha ((N-1)/N kappa_2^2 ... )", f"{self.second_moment:.5g}", wide),
            ("max", "largest outlier" if soft else "alpha kbar M", f"{self.max:.5g}", wide),
        ]
        if soft:
            shown = ", ".join(f"{value:.1f}" for value in self.outliers[:9])
            rows += [
                (
                    "bounds of max",
                    "alpha M kbar max E p(1-p), M sqrt(alpha m2)",
                    f"{self.lower:.5g}, {self.upper:.5g}",
                    wide,
                ),
                ("outliers", "alpha M kappa_2 eig(E Q)", shown, f"{drawn}; C - 1 of them (ours)"),
            ]
        else:
            rows += [
                ("outliers", "alpha kbar M, C-fold", f"{self.classes} x {self.max:.5g}", f"{wide}; spread O(1/sqrt M)"),
                ("bulk", "alpha (kappa_1 - kappa_2) M / N", f"{self.bulk:.5g}", "mean of a band"),
                ("centred max", "the bulk's", f"{self.centered_max:.5g}", "N ~ M; the band reaches above its mean"),
            ]
        return [
            *rows,
            ("NTK mean, max, bulk", "kappa'_1, (N-1) kappa'_2 + kappa'_1, kappa'_1 - kappa'_2",
             f"{self.ntk_mean:.4g}, {self.ntk_max:.4g}, {self.ntk_bulk:.4g}", "NTK parameterisation"),
            ("input metric max", "(N-1)/N kt_2 + kt_1/N", f"{self.metric(0).max:.4g}", "slow convergence in M"),
        ]  # fmt: skip

    def __str__(self) -> str:
        head = (
            f"mean-field theory: L = {self.depth}, {self.activation}, M = {self.width:g}, N = {self.samples}, "
            f"C = {self.classes}, {self.loss}"
        )
        rows = [("quantity", "formula", "value", "assumption"), *self.table()]
        sizes = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = ["  ".join([*(row[k].ljust(sizes[k]) for k in range(3)), row[3]]) for row in rows]
        return "\n".join([head, *lines])

    def _kappa(self, t: int) -> float:
        return self._sum(t) / self.alpha

    def _sum(self, t: int) -> float:
        """Alpha times kappa."""
        pairs = zip(self.widths, self.backward, self.forward, strict=True)
        return sum(m / self.width * back[t] * fore[t] for m, back, fore in pairs)

    @property
    def _scale(self) -> float:
        """Alpha times kbar."""
        return (self.samples - 1) / self.samples * self._sum(1) + self._sum(0) / self.samples

    def _ntk(self, t: int) -> float:
        variances = zip(self.weight_variances, self.bias_variances, strict=True)
        return sum(
            back[t] * (weight * fore[t] + bias)
            for back, fore, (weight, bias) in zip(self.backward, self.forward, variances, strict=True)
        )

    @staticmethod
    def _check(name: str, value: int, low: int, high: int) -> None:
        if not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"`{name}` must be a layer from {low} to {high} (got {value!r}).")


def theory(
    depth: int,
    activation: str | Function,
    weight_variance: float | Sequence[float],
    bias_variance: float | Sequence[float],
    width: float,
    samples: int,
    classes: int,
    loss: str = "mse",
    *,
    widths: Sequence[float] | None = None,
    input_moments: Pair = (1.0, 0.0),
    probs: Tensor | None = None,
    networks: int = _NETWORKS,
    rng_seed: int = 0,
) -> MeanField:
    """What the spectra of a wide random network should be.

    Weights W ~ N(0, sigma_w^2 / fan_in), biases b ~ N(0, sigma_b^2), inputs x ~ N(0, I): forward q_t^l = sigma_w^2
    qh_t^{l-1} + sigma_b^2, qh_1^l = E phi^2, qh_2^l = E phi phi'; backward qt_t^L = 1, qt_t^l = sigma_w^2 qt_t^{l+1}
    E phi' phi'; kappa_t = sum_l (alpha_{l-1} / alpha) qt_t^l qh_t^{l-1}. All statistics of F, with its 1/N inside,
    follow from kappa_1 and kappa_2 at leading order in the width.

    Args:
        depth: L, the number of weight layers (L - 1 hidden).
        activation: "relu", "linear", "erf", "erf_scaled" = erf(x / sqrt 2), "tanh", "gelu", "silu", "softplus", or any
            function of a tensor.
        weight_variance: sigma_w^2, one number or one for each weight layer.
        bias_variance: sigma_b^2, likewise.
        width: M.
        samples: N.
        classes: C.
        loss: "mse" or "cross_entropy".
        widths: M_0 (the input), M_1, ... M_{L-1} where they aren't all M.
        input_moments: E |x|^2 / M_0 and E x . x' / M_0 over pairs of samples, for real data.
        probs: Probabilities (N, C) of a network, for cross entropy; None: of random networks.
        networks: How many are drawn for that.
        rng_seed: Of the draws.

    Raises:
        InputError: an argument can't be used; it is named.

    Source:
        Karakida, Akaho & Amari 2021 (the statement that the spectra are pathological); formulas re-derived and checked
        against measured spectra, and the softmax outliers: ours.

    Example:
        >>> found = theory(3, "relu", 2.0, 0.1, 1000, 100, 10)
        >>> round(found.kappa1, 4), round(found.kappa2, 4), round(found.max)
        (1.575, 0.4015, 826)
    """
    weights, biases = checked(
        depth, weight_variance, bias_variance, width, samples, classes, loss, widths, input_moments
    )
    moments = moments_of(activation)
    forward, fields, backward = recursions(moments, weights, biases, input_moments)
    statistics = None
    if loss == "cross_entropy" and probs is not None:
        statistics = statistics_of(probs)
    elif loss == "cross_entropy":
        statistics = drawn_statistics(*fields[-1], samples, classes, networks=networks, rng_seed=rng_seed)
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", type(activation).__name__)
    sizes = tuple(float(m) for m in widths) if widths is not None else (float(width),) * depth
    shape = (float(width), sizes, samples, classes)
    return MeanField(depth, name, weights, biases, *shape, loss, forward, fields, backward, statistics, moments)
