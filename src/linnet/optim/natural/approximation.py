"""The contract between `NaturalGradient` and an approximation of the metric: two values and a class.

`NaturalGradient` runs the network, holds the state that all share (groups, step size, momentum, report) and applies the
update. An approximation turns one `Batch` into one `Direction`, and keeps what it must between steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linnet.core.edit.edit_plan import Edit
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.linearisation import Linearisation
from linnet.core.jacobian.losses import Loss
from linnet.errors import OptimizerStateError
from linnet.optim.natural.kronecker_options import KroneckerOptions
from linnet.optim.natural.side_rule import RULES

Fisher = Literal["model", "sampled", "empirical"]


@dataclass(frozen=True)
class Settings:
    """The checked arguments of `NaturalGradient`.

    Attributes:
        loss: The loss.
        fisher: Kind of Fisher information: "model", "sampled" or "empirical".
        damping: rho of the first group at construction, on the scale of J J^T / N; a step reads `Batch.damping`.
        momentum: Factor of the heavy ball, or of momentum in function space.
        kl_clip: Largest eta^2 Delta^T G Delta of a step, or None.
        isotropy_every: Steps between measurements of the isotropy error; 0: never.
        stop_above: Multiple of its start at which the loss stops the run, or None.
        kronecker: How factors are taken, kept and inverted.
        solve_rows: Largest n of a dense solve.
        uncovered: What happens to a parameter without curvature: "raise", "gradient", "adam" or "padam".
        generator: Draws the targets of `fisher="sampled"`; `NaturalGradient` saves it.
        scaler: The GradScaler whose scale is divided out of the user's gradients; None: they aren't scaled.
        class_dim: The outputs' axis of the classes, where it was given.
        output: Gives the tensor that the loss uses of what the model returns, or None.
    """

    loss: Loss
    fisher: Fisher
    damping: float
    momentum: float
    kl_clip: float | None
    isotropy_every: int
    stop_above: float | None
    kronecker: KroneckerOptions
    solve_rows: int
    uncovered: Literal["raise", "gradient", "adam", "padam"]
    generator: torch.Generator
    scaler: torch.amp.GradScaler | None = None
    class_dim: int | None = None
    output: Callable[[Any], Any] | None = None

    def loss_of(self, linear: Linearisation) -> Loss:
        """The loss for the outputs of a forward.

        Raises:
            InputError: they have several positions, and nothing tells which axis holds the classes.
        """
        shape, given = linear.output_shape, self.class_dim
        several = sum(size > 1 for size in shape[1:]) > 1
        return self.loss.at(shape, linear.class_dim if given is None and several else given)

    @property
    def side(self) -> bool:
        """Whether parameters without curvature follow the side rule."""
        return self.uncovered in RULES

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of a report on these settings, whatever the batch."""
        if self.fisher == "sampled":
            return (
                "fisher='sampled': one random target for each sample, so K has rank N of N C and weighs samples by "
                "chance; it isn't a multiple of I, for one output either",
            )
        return ()


@dataclass(frozen=True)
class Batch:
    """One batch at the present weights. Curvature and gradient are computed on first use.

    Attributes:
        settings: The optimizer's settings, with the loss for outputs of this shape.
        damping: Parameter name -> rho of its group now. Either all are 0, the limit of minimum norm, or all above.
        f: Outputs (N, C), detached.
        r: Residual (N, C), detached: N times the gradient of the loss in f.
        cotangents: W, (passes, N, C), with curvature (1/N) sum_nk J_n^T w_nk w_nk^T J_n: R ("model"), one draw
            ("sampled") or r itself ("empirical").
        u: (N * passes,), sample-major, with W u = r; None ("sampled") where the gradient isn't a combination of rows.
        pull_rows: Gives the rows of c^T J by layer for cotangents c (passes, N, C); called at most once.
        pull: Gives J^T c of every trainable parameter by name, for c (N, C), by one backward pass of the network.
        shares: Of the positions, as the loss has them.
        find_used: Gives the names of the parameters that the outputs depend on.
    """

    settings: Settings
    damping: Mapping[str, float]
    f: Tensor
    r: Tensor
    cotangents: Tensor
    u: Tensor | None
    pull_rows: Callable[[Tensor], tuple[LayerJacobian, ...]]
    pull: Callable[[Tensor], dict[str, Tensor]]
    shares: Tensor | None = None
    find_used: Callable[[], set[str]] = set

    @property
    def used(self) -> set[str]:
        """Names of the parameters that the outputs depend on."""
        return self.find_used()

    @property
    def samples(self) -> int:
        """N."""
        return len(self.f)

    @cached_property
    def layers(self) -> tuple[LayerJacobian, ...]:
        """Rows (n, k) of W^T J for each weight layer, in order of first use; no 1/N.

        Costs `passes` backward passes through activations, of one forward each. `LayerJacobian.vectors()` gives (a, g).
        """
        return self.pull_rows(self.cotangents)

    @cached_property
    def layers_and_residual(self) -> tuple[LayerJacobian, ...]:
        """The same with r as one pass more, the last; to be used instead of `layers`."""
        return self.pull_rows(torch.cat([self.cotangents, self.r.unsqueeze(0)]))

    @cached_property
    def gradient(self) -> dict[str, Tensor]:
        """J^T r / N by parameter name: one ordinary backward pass."""
        return {name: g / self.samples for name, g in self.pull(self.r).items()}

    @property
    def undamped(self) -> bool:
        """Whether rho = 0."""
        return not any(self.damping.values())

    def with_residual(self, r: Tensor) -> Batch:
        """The same rows with another residual (`fisher="model"`)."""
        layers, loss = self.layers, self.settings.loss
        u = loss.coordinates(self.f, r, self.shares).reshape(-1)
        return replace(self, r=r, u=u, pull_rows=lambda _: layers)


@dataclass(frozen=True)
class Direction:
    """G^-1 grad, and the facts about it.

    Attributes:
        delta: Parameter name -> direction; the update is theta <- theta - eta delta.
        alpha: alpha of K = alpha I, where theory gives it; None: `NaturalGradient` measures it.
        route: How it was solved, for the report.
        covered: Parameter name -> how its curvature was computed.
        uncovered: Parameter name -> why it has none. With "gradient" it is in `delta` all the same.
        notes: Sentences for the report.
        side: Parameter name -> gradient, of those that follow the side rule.
        shrink: What the update multiplies delta with: below 1 where the KL clip shortens the step.
    """

    delta: dict[str, Tensor]
    alpha: float | None
    route: str
    covered: dict[str, str]
    uncovered: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    side: dict[str, Tensor] = field(default_factory=dict)
    shrink: float = 1.0


class Approximation(ABC):
    """One way to approximate the metric G. Final subclasses are listed in `registry.py`.

    Args:
        model: The network.
        settings: The checked arguments. Raise `InputError` in `__init__` for those that can't be used.

    Attributes:
        name: Its name as an argument.
        takes_gradients: Whether `loss.backward(); opt.step()` works: then `attach` and `from_gradients` are overridden.
        function_momentum: Whether momentum in function space is made here; else `NaturalGradient` does heavy ball.
        listening: False while `NaturalGradient` itself runs the network; hooks of `attach` then do nothing.
        dampings: Parameter name -> rho of its group, frozen ones too, at construction or at the last step.
        exact_rows: Whether each position of a sample has separate rows, and "model" all columns of R.
        couples: Whether layers that couple samples (batch statistics, dropout) are allowed.
        relative: Whether steps are c / alpha long, so that alpha must be right.
        told_losses: (loss, loss of outputs 0) of the user's last forwards, where their gradients tell them; else None.
    """

    name: str
    takes_gradients: bool = False
    function_momentum: bool = False
    couples: bool = False
    exact_rows: bool = True

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        self.listening = True
        self.dampings: dict[str, float] = {}
        self.relative = False
        self.told_losses: tuple[float, float] | None = None

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Forwards inside are linnet's own, which the hooks don't read."""
        self.listening, before = False, self.listening
        try:
            yield
        finally:
            self.listening = before

    @abstractmethod
    def direction(self, batch: Batch, *, previous: Mapping[str, Tensor] | None = None) -> Direction:
        """G^-1 grad of one batch.

        Args:
            batch: The batch.
            previous: The last direction, with `function_momentum` only.

        Raises:
            InputError: it can't be solved; nothing was changed.
            ArithmeticError: NaN or infinity occurred; `NaturalGradient` skips the step.
        """

    def from_gradients(self, gradients: Mapping[str, Tensor], damping: Mapping[str, float]) -> Direction:
        """G^-1 grad from the gradients that the user's `backward` left, in the user's units."""
        raise AssertionError(f"{self.name} needs a batch")

    def attach(self) -> Sequence[RemovableHandle]:
        """Puts hooks on the model for `loss.backward(); opt.step()`; called once, at construction of the optimizer."""
        return ()

    def after_edit(self, new: nn.Module, edit: Edit) -> Callable[[], None]:
        """Called by `linnet.resize`: finds the next state and returns the function that puts it in."""

        def put() -> None:
            self.model = new

        return put

    def forget(self) -> None:  # noqa: B027  most approximations keep nothing
        """`zero_grad` was called: drops what belongs to the old gradients."""

    def state(self) -> dict[str, Any]:
        """Tensors, numbers, strings, None, and dicts, lists and tuples of them."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave.

        Raises:
            OptimizerStateError: it doesn't fit; nothing was changed.
        """
        if state:
            raise OptimizerStateError(
                f"The state holds {', '.join(state)}, but approx='{self.name}' keeps nothing between steps. Load "
                "it into the optimizer that it was saved from."
            )
