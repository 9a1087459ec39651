"""The rows that one parameter adds to a Jacobian, from inputs and output gradients of its layer or made as they are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import GramPlan, add_rows_gram, rows_gram
from linnet.core.capture.layers.layer_rule import LayerRule
from linnet.core.capture.positions import Use

Change = Callable[[Tensor, int], Tensor]
"""From a tensor, and its axis of samples, to the tensor that takes its place."""


class Term(ABC):
    """The rows of one parameter: for every sample n and backward pass k its gradient."""

    @abstractmethod
    def held(self) -> list[Tensor]:
        """The tensors that it keeps alive."""

    @abstractmethod
    def bytes_with(self, passes: int) -> dict[int, int]:
        """Tensor -> the bytes that it would hold after so many passes; each tensor under a key of its own."""

    @abstractmethod
    def bytes_of_rows(self) -> int:
        """What `rows` holds."""

    @abstractmethod
    def rows(self) -> Tensor:
        """(passes, N, *param.shape)."""

    @abstractmethod
    def gram(self, other: "Term | None", max_bytes: int) -> Tensor:
        """(N * passes, M * passes), sample-major."""

    @abstractmethod
    def pull(self, v: Tensor) -> Tensor:
        """sum_nk v_nk row_nk, in the shape of the parameter, for v (N, passes)."""

    @abstractmethod
    def push(self, delta: Tensor) -> Tensor:
        """row_nk . delta, (N, passes)."""

    @abstractmethod
    def with_tensors(self, change: Change, known: "dict[int, list[Use]]") -> "Term":
        """The same rows from other tensors: each one held is given to `change`; `known` keeps shared uses shared."""

    def add_gram(self, total: Tensor, other: "Term | None", max_bytes: int) -> None:
        """Adds `gram` to a matrix; without `other` at least to what lies on and above its diagonal."""
        total += self.gram(other, max_bytes)

    def plan(self, samples: int | None = None) -> GramPlan | None:
        """What its Gram matrix costs by either way, of so many samples; None where there is one way alone."""
        return None


@dataclass(frozen=True)
class RuleTerm(Term):
    """A parameter of a layer that a rule reads, from its (a, g).

    Attributes:
        module: The layer.
        rule: Its family's rule.
        uses: Its calls, and those of layers of the same kind that hold the same parameter.
        param: The parameter's name in the layer.
        scale: The layer's parameter is so many times the leaf whose rows these are; `uses` has it already.
    """

    module: nn.Module
    rule: LayerRule
    uses: Sequence[Use]
    param: str
    scale: float = 1.0

    def held(self) -> list[Tensor]:
        """Inputs and output gradients."""
        return [tensor for use in self.uses for tensor in (use.a, use.g)]

    def bytes_with(self, passes: int) -> dict[int, int]:
        """Inputs once, output gradients so many times."""
        sizes = {use.a.data_ptr(): use.a.nbytes for use in self.uses}
        return sizes | {id(use): use.g[:1].nbytes * passes for use in self.uses}

    def bytes_of_rows(self) -> int:
        """Entries of the parameter for each pass and sample."""
        g = self.uses[0].g
        return g.shape[0] * g.shape[1] * cast(Tensor, getattr(self.module, self.param)).numel() * g.element_size()

    @cached_property
    def affinity(self) -> Tensor | None:
        """By the rule; kept for further products."""
        return self.rule.affinity(self.module, self.uses)

    def rows(self) -> Tensor:
        """By the rule."""
        return self.rule.per_sample(self.module, self.uses, self.param)

    def gram(self, other: Term | None, max_bytes: int) -> Tensor:
        """By the rule, without rows where that is cheaper."""
        if other is not None and not isinstance(other, RuleTerm):
            return rows_gram(self.rows(), other.rows())
        theirs = None if other is None else other.uses
        return self.rule.gram(self.module, self.uses, theirs, param=self.param, max_bytes=max_bytes)

    def pull(self, v: Tensor) -> Tensor:
        """The passes are combined at the layer's output, then one product with its inputs is left."""
        return self.pull_combined(combined(self.uses, v))

    def pull_combined(self, uses: Sequence[Use]) -> Tensor:
        """The same from what `combined` gave."""
        return self.rule.pull(self.module, uses, self.param)

    def push(self, delta: Tensor) -> Tensor:
        """By the rule."""
        return self.rule.push(self.module, self.uses, self.param, delta.to(self.uses[0].g.dtype)).T

    def with_tensors(self, change: Change, known: dict[int, list[Use]]) -> Term:
        """Other inputs and output gradients."""
        if id(self.uses) not in known:
            known[id(self.uses)] = [Use(change(use.a, 0), change(use.g, 1)) for use in self.uses]
        return replace(self, uses=known[id(self.uses)])

    def plan(self, samples: int | None = None) -> GramPlan | None:
        """By the rule."""
        return self.rule.plan(self.module, self.uses, self.param, samples)


def combined(uses: Sequence[Use], v: Tensor) -> list[Use]:
    """sum_k v_nk g_kn as the only pass of each use, for v (N, passes)."""
    factors = v.unsqueeze(1)
    return [
        Use(use.a, torch.bmm(factors.to(use.g.dtype), use.g.flatten(2).transpose(0, 1)).view(1, *use.g.shape[1:]))
        for use in uses
    ]


@dataclass
class RowsTerm(Term):
    """A parameter whose rows are made as they are: of a user's own module, or of one held by unlike layers.

    Attributes:
        make: Gives (passes, N, *param.shape).
        planned: What its Gram matrix cost by either way before the rows were made; None where there was no choice.
    """

    make: Callable[[], Tensor]
    planned: GramPlan | None = None

    @cached_property
    def _rows(self) -> Tensor:
        return self.make()

    def held(self) -> list[Tensor]:
        """The rows."""
        return [self._rows]

    def bytes_with(self, passes: int) -> dict[int, int]:
        """Every row."""
        return {id(self): self._rows[:1].nbytes * passes}

    def bytes_of_rows(self) -> int:
        """As they are."""
        return self._rows.nbytes

    def rows(self) -> Tensor:
        """Made once."""
        return self._rows

    def gram(self, other: Term | None, max_bytes: int) -> Tensor:
        """The product of the rows."""
        return rows_gram(self._rows, None if other is None else other.rows())

    def pull(self, v: Tensor) -> Tensor:
        """The rows' weighted sum."""
        return torch.tensordot(v.T.to(self._rows.dtype), self._rows, dims=2)

    def push(self, delta: Tensor) -> Tensor:
        """The rows' inner products."""
        rows = self._rows.reshape(*self._rows.shape[:2], -1)
        return (rows @ delta.flatten().to(self._rows.dtype)).T

    def add_gram(self, total: Tensor, other: Term | None, max_bytes: int) -> None:
        """Into the matrix itself, without one of the same size beside it."""
        if total.dtype != self._rows.dtype:
            super().add_gram(total, other, max_bytes)
            return
        add_rows_gram(total, self._rows, None if other is None else other.rows())

    def with_tensors(self, change: Change, known: dict[int, list[Use]]) -> Term:
        """Other rows."""
        rows = change(self._rows, 1)
        return RowsTerm(lambda: rows, self.planned)

    def plan(self, samples: int | None = None) -> GramPlan | None:
        """As it was."""
        return self.planned
