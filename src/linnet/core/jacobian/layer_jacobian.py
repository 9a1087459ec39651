"""The rows that one weight layer adds to a Jacobian: their inner products, their combinations, their projections."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import DEFAULT_BYTES, GramPlan, rows_gram, sample_major
from linnet.core.capture.layers.layer_rule import LayerRule
from linnet.core.capture.layers.matrix import by_pass, sum_of
from linnet.core.capture.positions import Use
from linnet.errors import CaptureError


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
    def with_tensors(self, change: Callable[[Tensor], Tensor], known: "dict[int, list[Use]]") -> "Term":
        """The same rows from other tensors: each one held is given to `change`; `known` keeps shared uses shared."""

    def plan(self) -> GramPlan | None:
        """What its Gram matrix costs by either way; None where there is one way alone."""
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

    def with_tensors(self, change: Callable[[Tensor], Tensor], known: dict[int, list[Use]]) -> Term:
        """Other inputs and output gradients."""
        if id(self.uses) not in known:
            known[id(self.uses)] = [Use(change(use.a), change(use.g)) for use in self.uses]
        return replace(self, uses=known[id(self.uses)])

    def plan(self) -> GramPlan | None:
        """By the rule."""
        return self.rule.plan(self.module, self.uses, self.param)


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

    def with_tensors(self, change: Callable[[Tensor], Tensor], known: dict[int, list[Use]]) -> Term:
        """Other rows."""
        rows = change(self._rows)
        return RowsTerm(lambda: rows, self.planned)

    def plan(self) -> GramPlan | None:
        """As it was."""
        return self.planned


@dataclass(frozen=True)
class LayerJacobian:
    """The rows of one weight layer, J_l: a matrix (N * passes, P_l) that is never written out unless asked.

    Row n * passes + k is pass k of sample n. No 1/N is applied.

    Attributes:
        name: Path of the module that owns the parameters; a lone root parameter's own name.
        module: That module.
        terms: Full parameter name -> its rows.
        samples: N.
        passes: Backward passes, one for each cotangent of a sample.
    """

    name: str
    module: nn.Module
    terms: Mapping[str, Term]
    samples: int
    passes: int

    @property
    def parameters(self) -> tuple[str, ...]:
        """Full names of the layer's trainable parameters."""
        return tuple(self.terms)

    @property
    def by_sample(self) -> bool:
        """Whether axis 0 of every use holds the samples."""
        uses = (use for term in self.terms.values() if isinstance(term, RuleTerm) for use in term.uses)
        return all(use.a.shape[0] == self.samples for use in uses)

    @property
    def width(self) -> int:
        """P_l, the number of trainable entries."""
        path = "" if self.name in self.terms else self.name  # a lone root parameter has its own name
        own = dict(self.module.named_parameters(prefix=path, remove_duplicate=False))
        return sum(own[name].numel() for name in self.terms)

    def bytes_with(self, passes: int) -> int:
        """Memory that the (a, g) or rows of so many passes hold; a tensor that several terms share counts once."""
        held: dict[int, int] = {}
        for term in self.terms.values():
            held |= term.bytes_with(passes)
        return sum(held.values())

    def with_tensors(self, change: Callable[[Tensor], Tensor]) -> "LayerJacobian":
        """The same layer with every tensor that it holds replaced, in an order that is always the same."""
        known: dict[int, list[Use]] = {}
        terms = {name: term.with_tensors(change, known) for name, term in self.terms.items()}
        return replace(self, terms=terms)

    def condensed(self) -> "LayerJacobian":
        """The same layer with its rows made, where they hold less than (a, g) and the Gram matrix needs them."""
        plan = self.plan()
        needed = plan is None or plan.way == "gradients"
        if not needed or self.bytes_of_rows() >= self.bytes_with(self.passes):
            return self
        made: dict[str, Term] = {}
        for name, term in self.terms.items():
            rows = term.rows().transpose(0, 1).contiguous().transpose(0, 1)  # as their products read them
            made[name] = RowsTerm(lambda rows=rows: rows, term.plan())
        return replace(self, terms=made)

    def bytes_of_rows(self) -> int:
        """Memory that `rows` takes."""
        return sum(term.bytes_of_rows() for term in self.terms.values())

    def plan(self) -> GramPlan | None:
        """What the Gram matrix of its weight costs by either way; None where there is one way alone."""
        return next((plan for term in self.terms.values() if (plan := term.plan()) is not None), None)

    def gram(
        self,
        other: "LayerJacobian | None" = None,
        *,
        weights: Mapping[str, float] | None = None,
        max_bytes: int = DEFAULT_BYTES,
    ) -> Tensor:
        """J_l J_l^T, or J_l(x) J_l(x')^T.

        Args:
            other: The same layer on other samples, for the columns.
            weights: Parameter name -> w, for J_l diag(w) J_l^T; 1 where a name is missing.
            max_bytes: Working memory beside the result.

        Returns:
            (N * passes, M * passes), sample-major, in the dtype of the gradients.
        """
        of = {name: 1.0 if weights is None else weights.get(name, 1.0) for name in self.terms}
        joint = self._joint(other, max_bytes) if len(set(of.values())) == 1 else None
        if joint is not None:
            return joint if 1.0 in of.values() else joint * next(iter(of.values()))
        parts = []
        for name, term in self.terms.items():
            part = term.gram(None if other is None else other.terms[name], max_bytes)
            parts.append(part if of[name] == 1.0 else part * of[name])
        return sum_of(parts)

    def _joint(self, other: "LayerJacobian | None", max_bytes: int) -> Tensor | None:
        """The Gram matrix of a weight and its bias from the same uses; None where the layer isn't just that."""
        pairs = [tuple(side.terms.values()) for side in (self, other) if side is not None]
        if not all(map(_weight_and_bias, pairs)):
            return None
        uses = [cast(RuleTerm, pair[0]).uses for pair in pairs]
        first = cast(RuleTerm, pairs[0][0])
        theirs = uses[1] if other is not None else None
        return first.rule.joint_gram(first.module, uses[0], theirs, max_bytes=max_bytes)

    def pull(self, v: Tensor) -> dict[str, Tensor]:
        """J_l^T v by parameter.

        Args:
            v: (N * passes,), sample-major.
        """
        grid = v.view(self.samples, self.passes)
        known: dict[int, list[Use]] = {}
        found = {}
        for name, term in self.terms.items():
            if not isinstance(term, RuleTerm):
                found[name] = term.pull(grid)
                continue
            if id(term.uses) not in known:
                known[id(term.uses)] = combined(term.uses, grid)
            found[name] = term.pull_combined(known[id(term.uses)])
        return found

    def product(self, v: Tensor) -> Tensor:
        """J_l J_l^T v, (N * passes,), sample-major, by whichever of two ways is the cheaper.

        By pairs of positions it is sum_s g_nks . (sum_mt (a_ns . a_mt + b^2) sum_j v_mj g_mjt); else `push` of `pull`.

        Args:
            v: (N * passes,), sample-major.
        """
        if _weight_and_bias(tuple(self.terms.values())):
            weight = cast(RuleTerm, next(iter(self.terms.values())))
            near = weight.affinity
            if near is not None:
                (use,) = combined(weight.uses, v.view(self.samples, self.passes))
                moved = near @ use.g.reshape(len(near), -1)
                return by_pass(weight.uses[0].g, moved.view(use.g.shape[1:])).T.reshape(-1)
        return self.push(self.pull(v))

    def push(self, delta: Mapping[str, Tensor]) -> Tensor:
        """J_l delta, (N * passes,), sample-major; a parameter that `delta` lacks counts as 0."""
        parts = [term.push(delta[name]) for name, term in self.terms.items() if name in delta]
        if not parts:
            raise CaptureError(f"`delta` must have a parameter of `{self.name}`: one of {', '.join(self.terms)}.")
        return sum_of(parts).reshape(-1)

    def vectors(self) -> tuple[Tensor, Tensor] | None:
        """Inputs (N, groups, I, S) and output gradients (passes, N, groups, O, S) of a matrix layer.

        dW_nk = sum_s g_nks a_ns^T; with a bias a has its constant as the last entry, and [dW, db] is that product.
        Scales of a scaled layer stand in a. None where the layer isn't a linear layer or convolution on its own.
        """
        terms = [term for term in self.terms.values() if isinstance(term, RuleTerm)]
        if len(terms) < len(self.terms) or not terms[0].rule.is_matrix or terms[0].param != "weight":
            return None
        if any(len(term.uses) != len(terms[0].uses) for term in terms):
            return None
        return terms[0].rule.vectors(terms[0].module, terms[0].uses, homogeneous=len(terms) > 1)

    def rows(self) -> Tensor:
        """J_l itself, (N * passes, P_l), the parameters one after another: for small layers and tests."""
        return torch.cat([sample_major(term.rows()) for term in self.terms.values()], dim=1)


def _weight_and_bias(terms: Sequence[Term]) -> bool:
    """Whether these are a weight and its bias, as one layer's rule reads them from the same calls."""
    if len(terms) != 2 or not all(isinstance(term, RuleTerm) for term in terms):
        return False
    weight, bias = cast("tuple[RuleTerm, RuleTerm]", tuple(terms))
    same = weight.module is bias.module and weight.uses is bias.uses
    return same and weight.rule.is_matrix and (weight.param, bias.param) == ("weight", "bias")
