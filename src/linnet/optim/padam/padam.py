"""Padam: one number p between SGD with momentum (p = 0) and Amsgrad (p = 1/2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from linnet.optim.padam.arguments import BiasCorrection, require_valid, violates_theory, warn_of_theory
from linnet.optim.padam.from_adam import continued, warn_of_rate
from linnet.optim.padam.implementation import Choice, Impl, choose, require_known, uncompiled
from linnet.optim.padam.kernels.blocked import blocked_step
from linnet.optim.padam.kernels.foreach import foreach_step
from linnet.optim.padam.kernels.loop import loop_step
from linnet.optim.padam.numbers import Numbers, Slot
from linnet.optim.padam.state import completed, require_fitting, restore
from linnet.optim.padam.step_plan import require_gradients, step_group

if TYPE_CHECKING:
    from linnet.optim.padam.kernels.compiled import Compiled
    from linnet.optim.padam.rates import EffectiveRates

_log = logging.getLogger(__name__)
_WAYS: Mapping[str, Callable[[Sequence[Slot], Numbers], None]] = MappingProxyType(
    {"loop": loop_step, "blocked": blocked_step, "foreach": foreach_step}
)


class Padam(Optimizer):
    """Partially adaptive momentum: the step is m / D with D = u^p instead of sqrt(u).

    For a tensor x with gradient g, at its step t (from 1), from m = v = u = 0:

        g <- g + weight_decay x              coupled; decoupled: x <- x (1 - lr weight_decay) instead
        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g g
        u <- max(u, v) with amsgrad, else v
        x <- x - k m / D

    With c1 = 1 - b1^t, c2 = 1 - b2^t and s = sqrt(u), the bias correction decides about D and k:

        "official"   D = (s + eps)^(2p)              k = lr sqrt(c2) / c1    what the authors' class computes
        "power"      D = (s / sqrt(c2) + eps)^(2p)   k = lr / c1             eps where torch has it; consistent
        "none"       D = (s + eps)^(2p)              k = lr                  the plain algorithm

    "official" corrects by sqrt(c2) whatever p is, which for p < 1/2 is a hidden warm-up over about 1 / (1 - b2)
    steps: at p = 1/8 and b2 = 0.999 the first step is 0.075 of the consistent one, the 1000th 0.84. "power" has none.

    The step's size goes as |g|^(1 - 2p), so p and lr are tuned together: a small p wants an SGD-like rate (0.1),
    p = 1/2 an Adam-like one (0.001). A coordinate where D = 0 (eps = 0 and no gradient yet) doesn't move.

    Parameters of 16 bits keep float32 state, through checkpoints too. Checkpoints go to and from torch.optim.Adam and
    AdamW, and load with `weights_only=True`. Loaded hyperparameters win; those that Adam doesn't have stay.

    Args:
        params: Parameters, or groups with different settings, as for every optimizer of torch.
        lr: Learning rate; a number, or a tensor of one element.
        betas: (b1, b2).
        p: Partial adaptivity, 0 to 1/2. May be changed between steps: `opt.param_groups[0]["p"] = 0.0`.
        eps: Added to the root of the second moment, inside the power.
        weight_decay: As L2 in the gradient, or decoupled.
        decoupled: Shrink the weights directly, as AdamW does. Group key: `decoupled_weight_decay`.
        amsgrad: Divide by the largest second moment so far.
        bias_correction: "official", "power" or "none", see above.
        impl: "loop", "blocked" (cache-sized blocks, for CPUs), "foreach" (for GPUs) or "compiled" (torch.compile);
            None picks. All compute the same.
        maximize: Climb.
        capturable: Keep step counts on the device, for CUDA graphs.
        differentiable: Let autograd pass through the step.
        stochastic_rounding: For bfloat16 parameters: round up or down with probability by distance. The group key is
            `rounding_seed` (0; None is off).

    `impl` and `impl_reason` of the optimizer then say which way was chosen, and why.

    Raises:
        InputError: a value is out of range or unknown; the message names the group.

    Warns:
        UserWarning: b1 >= b2^(2p) in a group, which the convergence theory doesn't cover.

    Source:
        Chen et al. 2020 (chen2020_padam). The update is the authors' code's; their class has p = 1/4 as its default,
        their scripts 1/8, which is ours. "power", decoupled decay, reduced precision and rounding are ours.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> opt = Padam([weight], lr=0.1, p=1 / 8, bias_correction="power")
        >>> weight.grad = torch.tensor([1.0, 1.0])
        >>> opt.step()
        >>> weight.tolist()
        [0.8999999761581421, -2.0999999046325684]
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        p: float = 0.125,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,  # noqa: FBT001, FBT002  the public signature, in torch's order
        amsgrad: bool = True,  # noqa: FBT001, FBT002
        bias_correction: BiasCorrection = "official",
        impl: Impl | None = None,
        *,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        stochastic_rounding: bool = False,
    ) -> None:
        require_known(impl)
        self._asked: Impl | None = impl
        self._outside_theory: dict[int, tuple[float, float]] = {}
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": None,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": None,
            "decoupled_weight_decay": decoupled,
            "p": p,
            "bias_correction": bias_correction,
            "rounding_seed": 0 if stochastic_rounding else None,
        }
        super().__init__(params, defaults)

    @classmethod
    def from_adam(cls, adam: Optimizer, **overrides: Any) -> Padam:
        """A Padam that goes on where an Adam or AdamW stands: its parameters, groups and a copy of its state.

        Args:
            adam: torch.optim.Adam or AdamW; of a Padam everything is as it was, p too.
            **overrides: Arguments of Padam, for all groups; what isn't given is as in Adam, and p as Padam's default.
                Without amsgrad in Adam, give `amsgrad=True` to begin it here, with the maximum at Adam's v.

        Returns:
            The optimizer. Adam is left as it is; it shares the parameters.

        Warns:
            UserWarning: p < 1/2 and no `lr` is given: Adam's rate is too small then. (Of a Padam: p is smaller than
                it was.)

        Example:
            >>> opt = Padam.from_adam(torch.optim.Adam([torch.zeros(2, requires_grad=True)]), lr=0.1)
        """
        return continued(cls, adam, overrides)

    @property
    def impl(self) -> str:
        """How the step is computed: "loop", "blocked", "foreach" or "compiled"."""
        return self._choice.name

    @property
    def impl_reason(self) -> str:
        """Why it is computed so, in one line."""
        return self._choice.reason

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group; its values are checked like the constructor's.

        Raises:
            InputError: a value is out of range; the optimizer is as before.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            require_valid(group, len(self.param_groups) - 1)
        except ValueError:
            self.param_groups.pop()
            raise
        self._set_up()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of every parameter that has a gradient.

        All groups and gradients are checked before anything changes.

        Args:
            closure: Evaluates the model again and returns the loss.

        Returns:
            The closure's loss; None without a closure.

        Raises:
            InputError: a group's value was set out of range.
            TrainingError: a gradient is sparse, or of another shape or device than its parameter.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for index, group in enumerate(self.param_groups):
            require_valid(group, index)
            require_gradients(group, self.state, index)
        self._warn_of_theory()
        first = 0
        for group in self.param_groups:
            with torch.set_grad_enabled(group["differentiable"]):
                step_group(group, self.state, self._apply, first=first)
            first += len(group["params"])
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the state of a Padam, Adam or AdamW; float32 moments stay float32.

        Loaded hyperparameters win, the learning rate among them; keys that the checkpoint lacks (of Adam: `p`,
        `bias_correction`) keep this optimizer's values. The tensors are copied.

        Args:
            state_dict: What `state_dict()` gave.

        Raises:
            CheckpointError: it isn't the state of a Padam, Adam or AdamW (but of SGD, NAdam or RAdam, for instance), or
                shapes or numbers of parameters differ.
            InputError: a loaded value is out of range.

        Warns:
            UserWarning: the learning rate was Adam's, and p < 1/2 here needs a larger one.
        """
        require_fitting(state_dict, self.param_groups)
        full = completed(state_dict, self.param_groups)
        for index, group in enumerate(full["param_groups"]):
            require_valid(group | {"params": self.param_groups[index]["params"]}, index)
        super().load_state_dict(full)
        restore(self.state, self.param_groups, full)
        self._set_up()
        warn_of_rate(state_dict["param_groups"], self.param_groups, stacklevel=3)

    def effective_rates(self) -> list[EffectiveRates]:
        """For each group, the median and the 5 % and 95 % points of k / D, the step for m = 1.

        How far they spread is how adaptive this p is. Computed when called, from the state after the last step.
        """
        from linnet.optim.padam.rates import rates_of

        return [rates_of(group, self.state) for group in self.param_groups]

    def _apply(self, slots: Sequence[Slot], numbers: Numbers) -> None:
        if self._choice.name != "compiled" or not self._has_compiled(slots, numbers):
            _WAYS[self._choice.name](slots, numbers)

    def _has_compiled(self, slots: Sequence[Slot], numbers: Numbers) -> bool:
        """Steps by compiled kernels; False and another choice where they can't be made."""
        from linnet.optim.padam.kernels.compiled import Compiled, CompilingFailed

        self._compiled = self._compiled or Compiled()
        try:
            self._compiled(slots, numbers)
        except CompilingFailed as error:
            self._choice = uncompiled(self.param_groups, f"compiling failed ({error})")
            _log.warning("Padam continues with impl=%r: %s.", self.impl, self.impl_reason)
            return False
        return True

    def __repr__(self) -> str:
        groups = "; ".join(
            f"group {index}: p={group['p']:g}, bias_correction={group['bias_correction']!r}, "
            f"lr={float(group['lr']):g}, {len(group['params'])} tensors"
            for index, group in enumerate(self.param_groups)
        )
        return f"Padam({groups}; impl={self.impl!r}: {self.impl_reason})"

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_asked": self._asked}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._outside_theory = {}
        self._set_up()

    def _set_up(self) -> None:
        self._compiled: Compiled | None = None
        self._choice: Choice = choose(self._asked, self.param_groups)
        self._warn_of_theory(stacklevel=6)

    def _warn_of_theory(self, *, stacklevel: int = 4) -> None:
        """Warns once when a group leaves the theory, and again when it does so with other betas."""
        for index, group in enumerate(self.param_groups):
            beta1, beta2 = group["betas"]
            if not violates_theory(beta1, beta2, group["p"]):
                self._outside_theory.pop(index, None)
            elif self._outside_theory.get(index) != (beta1, beta2):
                self._outside_theory[index] = (beta1, beta2)
                warn_of_theory(group, index, stacklevel=stacklevel)
