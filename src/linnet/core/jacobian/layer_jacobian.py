"""The rows that one weight layer adds to a Jacobian: their inner products, their combinations, their projections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import DEFAULT_BYTES, GramPlan, sample_major
from linnet.core.capture.layers.matrix import by_pass, sum_of
from linnet.core.capture.positions import Use
from linnet.core.jacobian.parameter_rows import Change, RowsTerm, RuleTerm, Term, combined
from linnet.errors import CaptureError


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

    def with_tensors(self, change: Change, samples: int | None = None) -> "LayerJacobian":
        """The same layer with every tensor that it holds replaced, in an order that is always the same.

        Args:
            change: Gives the tensor that takes a tensor's place.
            samples: N of the new ones; None: as before.
        """
        known: dict[int, list[Use]] = {}
        terms = {name: term.with_tensors(change, known) for name, term in self.terms.items()}
        return replace(self, terms=terms, samples=self.samples if samples is None else samples)

    def condensed(self, samples: int | None = None) -> "LayerJacobian":
        """The same layer with its rows made, where they hold less than (a, g) and the Gram matrix needs them.

        Args:
            samples: Of the Gram matrix, where these samples are a part of it; None: these alone.
        """
        plan = self.plan(samples)
        needed = plan is None or plan.way == "gradients"
        if not needed or self.bytes_of_rows() >= self.bytes_with(self.passes):
            return self
        made: dict[str, Term] = {}
        for name, term in self.terms.items():
            rows = term.rows().transpose(0, 1).contiguous().transpose(0, 1)  # as their products read them
            made[name] = RowsTerm(lambda rows=rows: rows, term.plan(samples))
        return replace(self, terms=made)

    def bytes_of_rows(self) -> int:
        """Memory that `rows` takes."""
        return sum(term.bytes_of_rows() for term in self.terms.values())

    def plan(self, samples: int | None = None) -> GramPlan | None:
        """What the Gram matrix of its weight, of so many samples, costs by either way; None where there is one."""
        return next((plan for term in self.terms.values() if (plan := term.plan(samples)) is not None), None)

    def add_gram(self, total: Tensor, other: "LayerJacobian | None" = None, *, max_bytes: int = DEFAULT_BYTES) -> None:
        """Adds `gram` to a matrix, in place.

        Args:
            total: (N * passes, M * passes). Without `other` only what lies on and above its diagonal is complete
                afterwards: `core.capture.gram.mirror` makes the rest.
            other: As `gram` has it.
            max_bytes: Likewise.
        """
        joint = self._joint(other, max_bytes)
        if joint is not None:
            total += joint
            return
        for name, term in self.terms.items():
            term.add_gram(total, None if other is None else other.terms[name], max_bytes)

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
