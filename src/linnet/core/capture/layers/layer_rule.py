"""What a family of layers must tell so that a capture can read it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from linnet.core.capture.gram import GramPlan
from linnet.core.capture.positions import Use
from linnet.errors import CaptureError

Sharing = Literal["expand", "reduce"]


class LayerRule(ABC):
    """One family of layers: which they are, when they can't be read, and how their (a, g) become gradients.

    Attributes:
        types: The torch layers of the family; a subclass counts where it keeps their `forward`.
        is_matrix: Whether the weight's gradient is a sum of outer products, so that `vectors` and `factors` exist.
        diagonal_input: Whether the input side of its Kronecker factors is diagonal: `factors` gives the diagonal.
        params: Names of the family's parameters; a layer with others is computed from them and isn't read.
    """

    types: tuple[type[nn.Module], ...]
    is_matrix: bool = False
    diagonal_input: bool = False
    params: tuple[str, ...] = ("weight", "bias")

    def with_constant_statistics(self) -> LayerRule:
        """The rule for layers whose batch statistics are read as if they were constants."""
        return self

    def refusal(self, module: nn.Module) -> str | None:
        """Why this layer, in its present mode, has no gradient of one sample; None where it has."""
        return None

    @abstractmethod
    def refusal_of_input(self, module: nn.Module, a: Tensor) -> str | None:
        """Why this input can't be read (no sample axis, for instance); None where it can."""

    def statistics(self, module: nn.Module) -> tuple[Tensor, ...]:
        """Buffers that reading needs and that a later forward could change."""
        return ()

    @abstractmethod
    def per_sample(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """Per-sample gradients of one parameter, (passes, N, *param.shape), summed over the uses."""

    @abstractmethod
    def gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, param: str, max_bytes: int
    ) -> Tensor:
        """Inner products of one parameter's per-sample gradients, (N * passes, M * passes), sample-major."""

    def plan(self, module: nn.Module, uses: Sequence[Use], param: str, samples: int | None = None) -> GramPlan | None:
        """What `gram` of a parameter costs by either way, of so many samples; None where there is one way alone."""
        return None

    def joint_gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, max_bytes: int
    ) -> Tensor:
        """`gram` of weight and bias together."""
        weight = self.gram(module, uses, others, param="weight", max_bytes=max_bytes)
        return weight.add_(self.gram(module, uses, others, param="bias", max_bytes=max_bytes))

    def pull(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """The gradients of one parameter summed over samples, passes and uses, (*param.shape)."""
        summed = [Use(use.a, use.g.sum(0, keepdim=True)) for use in uses]
        return self.per_sample(module, summed, param).sum((0, 1))

    def push(self, module: nn.Module, uses: Sequence[Use], param: str, delta: Tensor) -> Tensor:
        """Inner products of the per-sample gradients with one direction (*param.shape), (passes, N)."""
        return self.per_sample(module, uses, param).flatten(2) @ delta.flatten()

    def affinity(self, module: nn.Module, uses: Sequence[Use]) -> Tensor | None:
        """a . a' + b^2 of every pair of positions, (N S, N S), where products with the rows of weight and bias are
        cheaper by it than by the weight's gradient; else None.
        """
        return None

    def vectors(self, module: nn.Module, uses: Sequence[Use], *, homogeneous: bool) -> tuple[Tensor, Tensor]:
        """Inputs a and output gradients g whose products over positions are the gradients of weight and bias."""
        raise CaptureError(f"{type(module).__name__} has no vectors, because its gradient isn't an outer product.")

    def factors(
        self, module: nn.Module, uses: Sequence[Use], *, homogeneous: bool, sharing: Sharing
    ) -> tuple[Tensor, Tensor]:
        """Sums of input and output-gradient products, the two Kronecker axes of the layer."""
        raise _no_factors(module)

    def columns(self, module: nn.Module, uses: Sequence[Use], *, sharing: Sharing) -> int:
        """How many input vectors there are."""
        raise _no_factors(module)


def _no_factors(module: nn.Module) -> CaptureError:
    return CaptureError(
        f"{type(module).__name__} has no Kronecker factors: its gradient isn't an outer product of inputs and output "
        "gradients. Linear layers and convolutions have them; use `.gram()` or `.per_sample()` here."
    )
