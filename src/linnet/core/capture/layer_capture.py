"""What one forward and backward left at one layer, and what can be read from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import DEFAULT_BYTES
from linnet.core.capture.layers.layer_rule import LayerRule, Sharing
from linnet.core.capture.layers.matrix import sum_of
from linnet.core.capture.positions import Use
from linnet.errors import CaptureError


class Call(NamedTuple):
    """One call of a layer: input activation `a` (N, ...) and output gradient `g` (N, ...) or (passes, N, ...)."""

    a: Tensor
    g: Tensor


@dataclass
class Watched:
    """A tensor that is kept, with the version it had: an in-place operation afterwards raises the version."""

    tensor: Tensor
    version: int | None

    @classmethod
    def of(cls, tensor: Tensor) -> "Watched":
        """`tensor` as it is now."""
        return cls(tensor, None if tensor.is_inference() else tensor._version)

    @property
    def overwritten(self) -> bool:
        """Whether it was written to since."""
        return self.version is not None and self.tensor._version != self.version


@dataclass
class Recorded:
    """One call as the hooks record it.

    Attributes:
        a: The input.
        statistics: Buffers of the layer that reading needs.
        batch: Leading axis of the model's own input, None where the model itself wasn't called.
        g: One gradient per backward pass; the last alone under keep="last".
    """

    a: Watched
    statistics: tuple[Watched, ...]
    batch: int | None
    g: list[Watched] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """How the recorded tensors are to be read.

    Attributes:
        every_pass: keep="all": a leading axis of passes.
        loss_scale: What g is divided by.
        tied: Parameter name -> the other names it goes by in the model.
    """

    every_pass: bool
    loss_scale: float
    tied: dict[str, tuple[str, ...]]


class LayerCapture:
    """One layer's inputs and output gradients, of a *summed* loss.

    A mean-reduced loss makes every g smaller by 1/N; that can't be seen from here, so 1/N is never applied here either.

    Attributes:
        name: Module path.
        module: The layer.
        rule: How the layer's family reads (a, g).
    """

    def __init__(
        self, name: str, module: nn.Module, rule: LayerRule, recorded: Sequence[Recorded], reading: Reading
    ) -> None:
        self.name = name
        self.module = module
        self.rule = rule
        self._recorded = list(recorded)
        self._reading = reading

    def __repr__(self) -> str:
        shapes = "; ".join(f"a {tuple(r.a.tensor.shape)}, {len(r.g)} g" for r in self._recorded)
        return f"LayerCapture(`{self.name}`, {type(self.module).__name__}: {shapes})"

    @property
    def a(self) -> Tensor:
        """Input activation, (N, ...).

        Raises:
            CaptureError: the layer was called several times, or the tensor was overwritten since.
        """
        return self._only_call().a

    @property
    def g(self) -> Tensor:
        """Gradient of the loss with respect to the output, (N, ...); with keep="all" (passes, N, ...).

        Divided by `loss_scale`; half precision is then returned as float32, since the quotient may underflow.

        Raises:
            CaptureError: the layer was called several times, or the tensor was overwritten since.
        """
        return self._only_call().g

    @property
    def calls(self) -> tuple[Call, ...]:
        """One (a, g) per call that got a gradient, in order of execution: several where weights are shared."""
        return tuple(self._read(recorded) for recorded in self._recorded)

    @property
    def samples(self) -> int:
        """N, the leading axis of the input."""
        return self._recorded[0].a.tensor.shape[0]

    @property
    def batch(self) -> int | None:
        """Samples of the model's own input; None where the model wasn't called, or got no tensor first."""
        return self._recorded[0].batch

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the layer's own parameters."""
        return tuple(name for name, _ in self.module.named_parameters(recurse=False))

    def per_sample(self, param: str = "weight") -> Tensor:
        """Gradient of each sample's loss with respect to one parameter; calls are summed.

        Linear: dW_n = sum_s g_ns a_ns^T, db_n = sum_s g_ns; axis 0 is the sample axis.

        Args:
            param: Name of one of the layer's own parameters.

        Returns:
            (N, *param.shape), with keep="all" (passes, N, *param.shape); float32 at least.

        Raises:
            CaptureError: no such parameter; axis 0 isn't the samples; a tensor was overwritten.
        """
        self._check_parameter(param)
        gradients = self.rule.per_sample(self.module, self.uses(), param)
        return gradients if self._reading.every_pass else gradients[0]

    def gram(
        self,
        other: "LayerCapture | None" = None,
        *,
        params: Iterable[str] | None = None,
        max_bytes: int = DEFAULT_BYTES,
    ) -> Tensor:
        """Gram matrix of the per-sample gradients: K[n, m] = sum over parameters of <dtheta_n, dtheta_m>.

        Per-sample gradients are built only where that is the cheaper way.

        Args:
            other: The same layer's capture on other samples, for the columns; None for the symmetric matrix.
            params: Parameters to sum over; None for all of the layer's own.
            max_bytes: Working memory beside the result, in bytes.

        Returns:
            (N, M); with keep="all" (N * passes, M * passes), sample-major: row n * passes + c is pass c of sample n.

        Raises:
            CaptureError: as `per_sample`; or `other` is of a layer of another shape.
        """
        chosen = self.parameters if params is None else tuple(params)
        if not chosen:
            raise CaptureError(
                f"`{self.name}`: `params` must name at least one of {', '.join(self.parameters)} (got none)."
            )
        for param in chosen:
            self._check_parameter(param)
        theirs = None if other is None else self._uses_of_other(other)
        ours = self.uses()
        return sum_of([self.rule.gram(self.module, ours, theirs, param=param, max_bytes=max_bytes) for param in chosen])

    def factors(self, *, homogeneous: bool = False, sharing: Sharing = "expand") -> tuple[Tensor, Tensor]:
        """Kronecker sums A = sum a a^T and G = sum g g^T over samples, positions and passes; no 1/N, no 1/S.

        A is on the input side, G on the output side: G (x) A, divided as the reader chooses, approximates the block
        of the row-major weight. Convolutions: a is a patch. Transposed convolutions: g is a patch.

        Args:
            homogeneous: Append a constant 1 to every a, so that the bias is the last column of the weight.
            sharing: "expand" sums products over positions; "reduce" first takes the mean of a and the sum of g.

        Returns:
            (I, I), (O, O); with groups (groups, I, I), (groups, O, O).

        Raises:
            CaptureError: the layer isn't a linear layer or convolution.

        Source:
            Martens & Grosse 2015 (linear); Grosse & Martens 2016 (convolutions); "reduce": Eschenhagen et al. 2023.
        """
        _check_sharing(self.name, sharing)
        return self.rule.factors(self.module, self._readable(), homogeneous=homogeneous, sharing=sharing)

    def columns(self, *, sharing: Sharing = "expand") -> int:
        """M, the number of input vectors in the sums of `factors`: samples times positions, all calls.

        Raises:
            CaptureError: the layer isn't a linear layer or convolution.
        """
        _check_sharing(self.name, sharing)
        return self.rule.columns(self.module, self._readable(), sharing=sharing)

    def _only_call(self) -> Call:
        if len(self._recorded) > 1:
            raise CaptureError(
                f"`{self.name}` ran {len(self._recorded)} times, so it has no single `.a` and `.g`. Read `.calls`: "
                "one (a, g) per call; `.per_sample()`, `.gram()` and `.factors()` sum them."
            )
        return self._read(self._recorded[0])

    def _read(self, recorded: Recorded) -> Call:
        self._check_overwritten(recorded)
        passes = [watched.tensor for watched in recorded.g]
        g = passes[-1]
        if self._reading.every_pass:
            g = g.unsqueeze(0) if len(passes) == 1 else torch.stack(passes)
        if self._reading.loss_scale != 1.0:
            g = g.to(torch.promote_types(g.dtype, torch.float32)) / self._reading.loss_scale
        return Call(recorded.a.tensor, g)

    def _check_overwritten(self, recorded: Recorded) -> None:
        found = [
            ("input", recorded.a.overwritten),
            ("output gradient", any(watched.overwritten for watched in recorded.g)),
            ("running statistics", any(watched.overwritten for watched in recorded.statistics)),
        ]
        for what, overwritten in found:
            if overwritten:
                raise CaptureError(
                    f"`{self.name}`: its {what} was overwritten in place after the capture. Read the capture "
                    "before that operation runs, or make the operation out of place."
                )

    def uses(self, *, by_sample: bool = True) -> list[Use]:
        """The calls in the dtype of the reader, g as (passes, N, ...), once axis 0 of each holds the same samples.

        A parameter that another layer holds too has more uses than these.

        Args:
            by_sample: False: axis 0 may hold other rows, of which only sums are taken.

        Raises:
            CaptureError: axis 0 isn't the samples; a tensor was overwritten.
        """
        for recorded in self._recorded if by_sample else ():
            self._check_samples(recorded)
        return self._readable()

    def _readable(self) -> list[Use]:
        """The calls in the dtype of the reader, float32 at least."""
        uses = []
        for a, g in self.calls:
            dtype = torch.promote_types(g.dtype, torch.float32)
            if a.is_floating_point():
                dtype = torch.promote_types(dtype, a.dtype)
                a = a.to(dtype)
            g = g.to(dtype)
            uses.append(Use(a, g if self._reading.every_pass else g.unsqueeze(0)))
        return uses

    def _check_samples(self, recorded: Recorded) -> None:
        rows = recorded.a.tensor.shape[0]
        others = {r.a.tensor.shape[0] for r in self._recorded} - {rows}
        if others:
            raise CaptureError(
                f"`{self.name}` must be called with one number of samples to sum the calls (got {rows} and "
                f"{min(others)}). Read `.calls` one by one."
            )
        if recorded.batch is not None and recorded.batch != rows:
            raise CaptureError(
                f"`{self.name}` must have the samples on axis 0 (got {rows} rows for {recorded.batch} samples). "
                "Read `.calls`, and sum over the rows of each sample yourself."
            )
        passes = {len(r.g) for r in self._recorded}
        if self._reading.every_pass and len(passes) > 1:
            raise CaptureError(
                f"`{self.name}` must get the same number of backward passes through every call with keep='all' "
                f"(got {min(passes)} to {max(passes)})."
            )

    def _check_parameter(self, param: str) -> None:
        if param not in self.parameters:
            raise CaptureError(
                f"`{self.name}` ({type(self.module).__name__}) has no parameter {param!r}. "
                f"It has: {', '.join(self.parameters)}."
            )
        if param in self._reading.tied:
            others = ", ".join(f"`{name}`" for name in self._reading.tied[param])
            raise CaptureError(
                f"`{self.name}.{param}` is also {others}: this layer's share alone isn't that parameter's gradient. "
                "Read `.calls` of both layers and add their gradients."
            )

    def _uses_of_other(self, other: "LayerCapture") -> list[Use]:
        ours = {name: p.shape for name, p in self.module.named_parameters(recurse=False)}
        theirs = {name: p.shape for name, p in other.module.named_parameters(recurse=False)}
        same_passes = len(self._recorded[0].g) == len(other._recorded[0].g) or not self._reading.every_pass
        if type(self.module) is not type(other.module) or ours != theirs or not same_passes:
            raise CaptureError(
                f"`{self.name}`: `other` must be a capture of the same layer with the same number of passes, taken "
                f"on the samples of the columns (got {other!r})."
            )
        return other.uses()


def _check_sharing(name: str, sharing: str) -> None:
    if sharing not in ("expand", "reduce"):
        raise CaptureError(f"`{name}`: `sharing` must be 'expand' or 'reduce' (got {sharing!r}).")
