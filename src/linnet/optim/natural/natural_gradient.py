"""NaturalGradient: natural gradient descent with exact or approximate Fisher information, one call for each step."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from linnet.core.distributed import together
from linnet.core.edit.edit_plan import Edit
from linnet.core.edit.optimizer_state import FollowsEdits
from linnet.core.program.module_copy import unwrap
from linnet.errors import NonFiniteLoss, TrainingError
from linnet.optim.natural.approximation import Approximation, Direction, Fisher
from linnet.optim.natural.arguments import (
    Request,
    check_gradients_step,
    check_groups,
    check_inputs,
    check_model,
    check_no_gradients,
    check_request,
    check_saved,
    group_dampings,
    rates,
    settings_from,
    shared_settings,
    with_settings,
)
from linnet.optim.natural.batch import direction_on, evaluated, joined, told, with_side
from linnet.optim.natural.defaults import damping_of, kl_clip_of, loss_of, uncovered_of
from linnet.optim.natural.guard import Guard
from linnet.optim.natural.isotropy import Isotropy, isotropy_of, jacobian_vector, random_state
from linnet.optim.natural.kronecker_options import KroneckerOptions
from linnet.optim.natural.registry import APPROXIMATIONS
from linnet.optim.natural.rollback import Skips, Snapshot
from linnet.optim.natural.side_rule import SideRule, Uncovered
from linnet.optim.natural.step_report import StepReport, report_of
from linnet.optim.natural.update import EVERY, adapt_groups, apply_update, clipped, loss_now, previous_directions
from linnet.option_values import UNSET, option_value


class NaturalGradient(torch.optim.Optimizer, FollowsEdits):
    """theta <- theta - eta (G + rho)^-1 grad, with G the Fisher matrix, whole or approximate.

    Units: "mse" is (1/2N) sum_n |f_n - y_n|^2 (a C/2-fold of `nn.MSELoss()`), "cross_entropy" the mean over samples;
    G = (1/N) J^T Q J, so the damping rho is on the scale of J J^T / N, and 0 means its limit, the step of minimum norm.
    With `lr=None` eta = c / alpha, K = J (G + rho)^-1 J^T / N = alpha I: the outputs then go to the targets as
    (1 - c)^t, to first order.

    Args:
        model: Any module with outputs (N, C), or with outputs at positions, (N, T, C) or (N, C, H, W).
        loss: "mse", "cross_entropy" or "binary_cross_entropy"; nn.CrossEntropyLoss or nn.BCEWithLogitsLoss with their
            class weights, ignored index and label smoothing.
        approx: "exact", "block", "tridiagonal" (in the dual, for up to `solve_rows` rows n = N C), "kfac" or "unit".
        fisher: "model", "sampled" (one target drawn from the network for each sample) or "empirical" (the true target;
            biased, for comparison).
        damping: rho >= 0; None: 0.01 for "kfac" under "cross_entropy", else 0.
        lr: eta; None: c / alpha.
        c: 0 < c < 2; 1 lands in one step on a full batch, 0.1 to 0.5 with `momentum` suits minibatches. With `lr=None`
            this is the groups' "lr", which schedulers change.
        groups: Parameter groups with their own lr, damping, weight_decay; None: all trainable parameters in one.
        momentum: Heavy ball; for "exact" and "block" in function space: solve for r - J(mu Delta_prev), then add
            mu Delta_prev.
        weight_decay: Decoupled.
        kl_clip: Largest eta^2 Delta^T G Delta of a step before momentum; None: no bound. Left out: 0.01 (1 - momentum)
            for a cross entropy, None for "mse".
        stop_above: The run stops where the mean loss of ten steps is above this multiple of its start; None: never.
        isotropy_every: Steps between measurements of the isotropy error where the step doesn't need them; 0: never.
        solve_rows: Largest n of a dense solve.
        uncovered: A parameter whose curvature can't be taken: an error ("raise"), the plain gradient ("gradient"), or
            the step of AdamW ("adam", of kfac the default) or of Padam ("padam") at `side_lr`.
        side_lr: Rate of "adam" (None: 1e-3) or "padam" (0.1) at the first height of `lr`, with which it moves.
        kronecker: How factors are taken, kept and inverted (kfac); its fields are keywords here too.
        rng_seed: Of `fisher="sampled"`.
        scaler: The GradScaler of `loss.backward(); opt.step()`: its scale is divided out of the user's gradients
            (`fisher="empirical"`, `lr=None`).
        class_dim: The outputs' axis of the classes under cross entropy, where they have positions, each a sample of its
            own; None: the last of a linear layer's outputs, 1 of a convolution's.
        output: Gives the tensor that the loss uses of what the model returns: `lambda out: out.logits`.

    Raises:
        InputError: an argument can't be used, or not with this model; it is named, with what to do.

    Source:
        Karakida & Osawa 2020 for the idea that these approximations act alike in function space; equations derived.

    Example:
        >>> import torch
        >>> from linnet.optim import NaturalGradient
        >>> model = torch.nn.Linear(3, 1).double()
        >>> x, y = torch.eye(3).double(), torch.ones(3, 1).double()
        >>> opt = NaturalGradient(model, loss="mse", approx="exact")
        >>> _ = opt.step(x, y)
        >>> opt.alpha, bool(opt.step(x, y) < 1e-20)
        (1.0, True)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Literal["mse", "cross_entropy", "binary_cross_entropy"] | nn.Module = "mse",
        approx: Literal["exact", "block", "tridiagonal", "kfac", "unit"] = "exact",
        fisher: Fisher = "model",
        damping: float | None = None,
        lr: float | None = None,
        c: float = 1.0,
        *,
        groups: Iterable[dict[str, Any]] | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        kl_clip: float | None = UNSET,
        isotropy_every: int = 10,
        stop_above: float | None = 10.0,
        solve_rows: int = 20_000,
        uncovered: Uncovered = UNSET,
        side_lr: float | None = None,
        kronecker: KroneckerOptions | None = None,
        factor_every: int = UNSET,
        inverse_every: int = UNSET,
        ema: float = UNSET,
        dense_start: bool = UNSET,
        adapt_damping: bool = UNSET,
        compute_dtype: torch.dtype | None = UNSET,
        sharing: Literal["expand", "reduce"] = UNSET,
        max_side: int | None = UNSET,
        sample_positions: bool = UNSET,
        half_products: bool = UNSET,
        rng_seed: int = 0,
        scaler: torch.amp.GradScaler | None = None,
        class_dim: int | None = None,
        output: Callable[[Any], Any] | None = None,
    ) -> None:
        model = unwrap(model) if isinstance(model, nn.Module) else model
        kronecker = option_value(
            "kronecker", kronecker, KroneckerOptions(), factor_every=factor_every, inverse_every=inverse_every, ema=ema,
            dense_start=dense_start, adapt_damping=adapt_damping, compute_dtype=compute_dtype, sharing=sharing,
            max_side=max_side, sample_positions=sample_positions, half_products=half_products,
        )  # fmt: skip
        request = Request(
            model=model, loss=(named := loss_of(loss)), approx=approx, fisher=fisher, lr=lr, c=c, momentum=momentum,
            damping=damping_of(damping, approx, named), weight_decay=weight_decay, isotropy_every=isotropy_every,
            kl_clip=kl_clip_of(kl_clip, named, momentum), uncovered=uncovered_of(uncovered, approx),
            kronecker=kronecker, rng_seed=rng_seed, scaler=scaler, stop_above=stop_above, class_dim=class_dim,
            solve_rows=solve_rows, output=output, side_lr=side_lr,
        )  # fmt: skip
        check_request(request)
        self.model, self._relative = model, lr is None
        chosen = list(groups) if groups is not None else [p for p in model.parameters() if p.requires_grad]
        super().__init__(chosen, rates(request) | shared_settings(request))
        self._side = SideRule(self)
        group_dampings(self.param_groups)
        self._settings = request.settings(float(self.param_groups[0]["damping"]))
        self._loss = named  # of the last batch, for outputs of its shape
        self._approximation: Approximation = APPROXIMATIONS[approx](model, self._settings)
        self._approximation.dampings = group_dampings(self.param_groups, self._names(frozen=True))
        self._approximation.relative = self._relative
        self._approximation.attach()
        self._steps, self._skips, self._guard, self._checked = 0, Skips(), Guard(), False
        self._isotropy, self._alpha = Isotropy(math.nan, math.nan, math.nan), None
        self._report: StepReport | None = None

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002  torch's signature
        """As in torch's optimizers; the captured passes that belong to the gradients are dropped too."""
        super().zero_grad(set_to_none)
        self._approximation.forget()

    def after_edit(self, old: nn.Module, new: nn.Module, edit: Edit) -> Callable[[], None]:
        """`linnet.resize(..., optimizer=opt)`: the optimizer goes on with the new network."""
        put = self._approximation.after_edit(new, edit)

        def put_all() -> None:
            put()
            self.model, self._checked = new, False

        return put_all

    @property
    def alpha(self) -> float | None:
        """Alpha of the last step: from theory at damping 0, else measured; None before the first step."""
        return self._alpha

    @property
    def needs_batch(self) -> bool:
        """Whether a step needs inputs and targets; False for kfac, which takes gradients as well."""
        return not self._approximation.takes_gradients

    def step_on(self, batch: tuple[Tensor, Tensor]) -> tuple[float, dict[str, float]]:
        """One update in `linnet.engine.fit`: the loss before it, and what a progress line shows.

        Args:
            batch: (inputs, targets).
        """
        inputs, targets = batch
        loss = self.step(inputs, targets)
        return loss, {"alpha": self._alpha or 0.0, "isotropy error": self._isotropy.error}

    def report(self) -> StepReport:
        """The last step: alpha, isotropy error, how every parameter was treated; TrainingError before the first."""
        if self._report is None:
            raise TrainingError("opt.report() needs a step, and none has been taken yet. Call opt.step(x, y) first.")
        return self._report

    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Any = None, y: Tensor | None = None, *, closure: Any = None
    ) -> Any:
        """One update.

        Args:
            x: Input batch, or a tuple of inputs; or, without `y`, a closure as torch's optimizers take it.
            y: Targets: of the outputs' shape for "mse" and "binary_cross_entropy"; for "cross_entropy" class
                indices, one for each position, or probabilities. Without both: the gradients of `backward` (kfac).
            closure: Computes the loss and its gradients, as torch's optimizers take it (kfac only).

        Returns:
            The loss before the update as a float, in linnet's units; a closure's loss as it was returned.

        Raises:
            InputError: the batch can't be used, or the system can't be solved; nothing was changed.
            TrainingError: no gradient to step with, gradients of another loss, or a loss far above its start.
            NonFiniteLoss: NaN or infinity in ten steps in a row.
        """
        if y is None:
            return self._step_from_gradients(closure if x is None else x)
        start = time.perf_counter()
        together(lambda: check_inputs(x, y))
        check_no_gradients(self.param_groups)
        check_model(self.model, self._approximation)
        (x, y), names, state = joined(self.model, x, y), self._names(), random_state(self.model)
        before = Snapshot.of(self.model, self._settings.generator)
        try:
            with self._approximation.deaf():
                loss, direction, moved = self._find(x, y, names, state)
        except BaseException as error:
            before.put_back()
            if isinstance(error, ArithmeticError) and not isinstance(error, NonFiniteLoss):
                return self._skip(error)
            raise
        self._finish(direction, loss, moved, start)
        if self._settings.kronecker.adapt_damping and self._steps % EVERY == 0 and moved is not None:
            self._adapt(x, y, loss, moved)
        return loss

    def _adapt(self, x: Any, y: Tensor, loss: float, moved: Isotropy) -> None:
        """Levenberg-Marquardt, on the batch of the step."""
        with self._approximation.deaf():
            decrease = loss - loss_now(self.model, x, y, self._loss, output=self._settings.output)
        adapt_groups(self.param_groups, decrease=decrease, moved=moved, eta=self._eta(self._alpha or 1.0))

    def _find(
        self, x: Any, y: Tensor, names: dict[str, Tensor], state: Tensor | None
    ) -> tuple[float, Direction, Isotropy | None]:
        """Loss, direction and, where it is due, its isotropy; nothing is changed."""
        previous = previous_directions(self.state, names, self._settings, self._approximation)
        known = {"damping": group_dampings(self.param_groups, names), "previous": previous}
        loss, direction, batch = direction_on(self._approximation, x, y, check=not self._checked, **known)
        self._checked, measured = True, None
        self._loss = batch.settings.loss
        at_zero = float(self._loss.value(torch.zeros_like(batch.f), y))
        self._guard.check(loss, at_zero, most=self._settings.stop_above)
        if self._due(direction):
            moved = jacobian_vector(self.model, x, direction.delta, random_state=state, output=self._settings.output)
            measured = isotropy_of(batch.settings.loss, batch.f, batch.r, moved, batch.shares)
        if self._settings.kl_clip is None:
            return loss, direction, measured
        return loss, *clipped(direction, measured, batch.gradient, **self._clip(direction, measured))

    def _clip(self, direction: Direction, measured: Isotropy | None) -> dict[str, Any]:
        """Arguments of `clipped`: alpha stays that of the whole direction."""
        alpha = self._alpha_of(direction, measured)
        return {"alpha": alpha, "eta": self._eta(alpha or math.nan), "most": self._settings.kl_clip}

    def _eta(self, alpha: float) -> float:
        """The step size of the first group."""
        return float(self.param_groups[0]["lr"]) / (alpha if self._relative else 1.0)

    def _alpha_of(self, direction: Direction, measured: Isotropy | None) -> float:
        """alpha from theory, else as measured now, else as last measured."""
        return direction.alpha if direction.alpha is not None else (measured or self._isotropy).alpha

    def _due(self, direction: Direction) -> bool:
        """Whether J Delta is needed now."""
        adapts = self._settings.kronecker.adapt_damping and not (self._steps + 1) % EVERY
        every = self._settings.isotropy_every
        needed = adapts or (self._relative and direction.alpha is None)
        return needed or (every > 0 and self._steps % every == 0)

    def _finish(self, direction: Direction, loss: float, measured: Isotropy | None, start: float) -> None:
        """Applies the update and writes the report."""
        alpha = self._alpha_of(direction, measured)
        if self._relative and not alpha > 0:
            self._skip(ArithmeticError(f"alpha is {alpha}"))
            return
        self._isotropy = measured or self._isotropy
        apply_update(
            self,
            {id(p): direction.delta[name] for name, p in self.model.named_parameters() if name in direction.delta},
            scale=1.0 / alpha if self._relative else 1.0,
            momentum=self._settings.momentum,
            in_functions=self._approximation.function_momentum,
            shrink=direction.shrink,
        )
        self._side.step(direction.side, dict(self.model.named_parameters()), self._settings.uncovered)
        torch.clear_autocast_cache()  # inside an autocast block it holds the weights of before
        self._alpha, self._steps, self._skips.in_a_row = alpha, self._steps + 1, 0
        self._report = report_of(
            direction,
            self._isotropy,
            measured,
            step=self._steps,
            loss=loss,
            alpha=alpha,
            eta=self._eta(alpha),
            seconds=time.perf_counter() - start,
            skipped=self._skips.total,
            notes=self._settings.notes,
        )

    def _skip(self, error: ArithmeticError) -> float:
        """Counts a step that is skipped because of NaN or infinity."""
        if self._report is not None:
            self._report = replace(self._report, skipped=self._skips.total + 1)
        self._skips.add(error)
        return float("nan")

    def _step_from_gradients(self, closure: Any) -> Any:
        """`loss.backward(); opt.step()`."""
        check_gradients_step(closure, self._approximation)
        start = time.perf_counter()
        loss, names = evaluated(closure), self._names()
        gradients = {name: p.grad for name, p in names.items() if p.grad is not None}
        if not gradients:
            raise TrainingError("opt.step() found no gradient. Call loss.backward() before it, or opt.step(x, y).")
        self._approximation.dampings = group_dampings(self.param_groups, self._names(frozen=True))
        damping = {name: self._approximation.dampings[name] for name in names}
        try:
            direction = with_side(self._approximation.from_gradients(gradients, damping), self._settings)
            if self._settings.kl_clip is not None:
                direction, _ = clipped(direction, None, gradients, **self._clip(direction, None))
            direction = told(direction, self.model, names)
            if self._approximation.told_losses is not None:
                self._guard.check(*self._approximation.told_losses, most=self._settings.stop_above)
        except ArithmeticError as error:
            self._skip(error)
            return loss
        self._finish(direction, float("nan") if loss is None else float(loss), None, start)
        return loss

    def _names(self, *, frozen: bool = False) -> dict[str, Tensor]:
        """Name -> trainable parameter, of those in the groups; frozen ones too where they are asked for."""
        check_groups(self.param_groups, self.model, relative=self._relative)
        self._settings = self._approximation.settings = settings_from(self.param_groups, self._settings)
        own = {id(p) for group in self.param_groups for p in group["params"]}
        return {
            name: p
            for name, p in self.model.named_parameters()
            if (p.requires_grad or frozen) and p.numel() and id(p) in own
        }

    def state_dict(self) -> dict[str, Any]:
        """As torch's optimizers give it, with a part "natural"; `torch.load` with `weights_only=True` reads it."""
        own = {
            **self._identity(),
            "steps": self._steps,
            "skipped": [self._skips.total, self._skips.in_a_row],
            "alpha": self._alpha,
            "isotropy": asdict(self._isotropy),
            "guard": self._guard.state(),
            "generator": self._settings.generator.get_state(),
            "approximation": self._approximation.state(),
        }
        return {**super().state_dict(), "natural": own}

    def _identity(self) -> dict[str, Any]:
        """What a saved state and the optimizer that takes it have in common."""
        asked = [self._approximation.name, self._settings.loss.name, self._settings.fisher]
        shapes = {name: list(p.shape) for name, p in self._names().items()}
        return {"asked": asked, "shapes": shapes, "relative": self._relative}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave.

        Raises:
            OptimizerStateError: the state is of another optimizer or of another network; nothing was changed.
        """
        own = check_saved(state_dict.get("natural"), **self._identity())
        self._approximation.load_state(own["approximation"])
        super().load_state_dict(with_settings(state_dict, self.param_groups))
        self._steps, self._skips = own["steps"], Skips(*own["skipped"])
        self._guard.load(own.get("guard", {}))
        self._alpha, self._isotropy = own["alpha"], Isotropy(**own["isotropy"])
        self._settings.generator.set_state(own["generator"].cpu())

    def __getstate__(self) -> dict[str, Any]:
        """Everything, so that `copy.deepcopy` copies network and optimizer together."""
        return dict(self.__dict__)
