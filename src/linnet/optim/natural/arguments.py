"""The checks of `NaturalGradient`'s arguments, batches and saved states; none of them computes anything."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from linnet.core.jacobian.linearisation import coupling
from linnet.errors import InputError, OptimizerStateError, TrainingError
from linnet.optim.natural.approximation import Approximation, Settings
from linnet.optim.natural.kronecker_options import KroneckerOptions
from linnet.optim.natural.registry import APPROXIMATIONS
from linnet.optim.natural.side_rule import RULES, side_rate
from linnet.suggest import one_of

# settings that all groups carry alike, beside those of `KroneckerOptions`
_SHARED = ("momentum", "kl_clip", "isotropy_every", "stop_above", "solve_rows", "uncovered")
UNCOVERED = ("raise", "gradient", *RULES)
FISHERS = ("model", "sampled", "empirical")


@dataclass(frozen=True)
class Request:
    """The arguments of `NaturalGradient` that can be checked before anything is made; none is checked yet."""

    model: Any
    loss: Any
    approx: Any
    fisher: Any
    damping: Any
    lr: Any
    c: Any
    momentum: Any
    weight_decay: Any
    kl_clip: Any
    isotropy_every: Any
    solve_rows: Any
    uncovered: Any
    kronecker: KroneckerOptions
    rng_seed: Any
    scaler: Any
    stop_above: Any
    side_lr: Any = None
    class_dim: Any = None
    output: Any = None

    def __post_init__(self) -> None:
        for field in dataclass_fields(self):
            object.__setattr__(self, field.name, plain_number(getattr(self, field.name)))
        chosen = {key: plain_number(value) for key, value in vars(self.kronecker).items()}
        object.__setattr__(self, "kronecker", KroneckerOptions(**chosen))

    def settings(self, damping: float) -> Settings:
        """What an approximation needs of them, once they are checked; `damping` is the first group's."""
        return Settings(
            loss=self.loss,
            fisher=self.fisher,
            damping=damping,
            kronecker=self.kronecker,
            generator=torch.Generator().manual_seed(self.rng_seed),
            scaler=self.scaler,
            class_dim=self.class_dim,
            output=self.output,
            **{key: getattr(self, key) for key in _SHARED},
        )


def plain_number(value: Any) -> Any:
    """A tensor of one entry or a number of NumPy as a number of Python; anything else as it is."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        return value.item()
    return value.item() if isinstance(value, np.generic) else value


def rates(asked: Request) -> dict[str, Any]:
    """The settings that a parameter group may override."""
    lr, side = (asked.c if asked.lr is None else asked.lr), side_rate(asked.side_lr, asked.uncovered)
    named = {"lr": lr, "damping": asked.damping, "weight_decay": asked.weight_decay, "side_lr": side}
    return {key: float(value) for key, value in named.items()}


def shared_settings(asked: Request) -> dict[str, Any]:
    """What every parameter group carries beside its rates: torch saves and restores it, and runs are compared by it."""
    options = asdict(asked.kronecker)
    dtype = options.pop("compute_dtype")
    own = {key: getattr(asked, key) for key in _SHARED}
    return own | options | {"compute_dtype": None if dtype is None else str(dtype).removeprefix("torch.")}


def settings_from(groups: Sequence[dict[str, Any]], settings: Settings) -> Settings:
    """The settings as the groups have them now; the same object where nothing was changed.

    Raises:
        InputError: one can't be used, or differs between groups.
    """
    first = groups[0]
    fields = [field.name for field in dataclass_fields(KroneckerOptions)]
    for key in (*_SHARED, *fields):
        if any(group[key] != first[key] for group in groups):
            raise InputError(
                f"`{key}` must be the same in all groups (got {[group[key] for group in groups]}). A group has its own "
                "lr, damping and weight_decay only."
            )
    dtype = first["compute_dtype"]
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    kronecker = KroneckerOptions(**{key: first[key] for key in fields} | {"compute_dtype": dtype})
    shared = {key: first[key] for key in _SHARED}
    now = replace(settings, kronecker=kronecker, **shared)
    if now == settings:
        return settings
    _check_shared(shared, kronecker)
    return now


def with_settings(state_dict: Mapping[str, Any], groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """torch's part of a saved state; settings that an older file lacks are those of the groups."""
    saved = state_dict["param_groups"]
    own = [{key: value for key, value in group.items() if key != "params"} for group in groups]
    filled = [ours | theirs for ours, theirs in zip(own, saved, strict=True)] if len(own) == len(saved) else saved
    return {"state": state_dict["state"], "param_groups": filled}


def check_request(asked: Request) -> None:
    """Refuses arguments that can't be used, by name.

    Raises:
        InputError: the first of them.
    """
    if not isinstance(asked.model, nn.Module):
        raise InputError(
            f"`model` must be the network, not its parameters (got a {type(asked.model).__name__}): "
            "NaturalGradient(model). Give parameter groups as `groups`."
        )
    factors = asked.kronecker
    _check_shared({key: getattr(asked, key) for key in _SHARED}, factors)
    one_of("approx", asked.approx, APPROXIMATIONS)
    one_of("fisher", asked.fisher, FISHERS)
    _check_number("damping", asked.damping, ">= 0", lambda v: v >= 0)
    _check_number("c", asked.c, "above 0 and below 2", lambda v: 0 < v < 2)
    _check_number("weight_decay", asked.weight_decay, ">= 0", lambda v: v >= 0)
    if asked.side_lr is not None:
        _check_number("side_lr", asked.side_lr, ">= 0, or None", lambda v: v >= 0)
    _check_whole("rng_seed", asked.rng_seed)
    if asked.class_dim is not None:
        _check_whole("class_dim", asked.class_dim)
        if asked.loss.name != "cross_entropy":
            raise InputError(
                f"`class_dim` goes with loss='cross_entropy' (got loss={asked.loss.name!r}). Leave it out."
            )
    if asked.output is not None and not callable(asked.output):
        raise InputError(
            "`output` must be a function that gives the tensor of what the model returns, such as lambda out: "
            f"out.logits, or None (got {asked.output!r})."
        )
    scaler = asked.scaler
    if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
        raise InputError(f"`scaler` must be the torch.amp.GradScaler of the loop, or None (got {scaler!r}).")
    if factors.adapt_damping and asked.approx != "kfac":
        raise InputError(f"`adapt_damping` works only with approx='kfac' (got {asked.approx!r}). Leave it out.")
    if asked.lr is not None:
        _check_number("lr", asked.lr, ">= 0, or None", lambda v: v >= 0)
    _check_parameters(asked.model)
    if not any(p.requires_grad for p in asked.model.parameters()):
        raise InputError("`model` must have trainable parameters (got none). Set requires_grad=True on some.")
    if asked.momentum and asked.fisher != "model" and APPROXIMATIONS[asked.approx].function_momentum:
        raise InputError(
            f"`momentum` in function space (approx={asked.approx!r}) needs fisher='model' (got {asked.fisher!r}). "
            "Set momentum=0, or approx='kfac' for heavy ball."
        )


def check_groups(groups: Sequence[dict[str, Any]], model: nn.Module, *, relative: bool) -> None:
    """Refuses groups that can't step, at construction and whenever something has written into them.

    Args:
        groups: Of the optimizer.
        model: Its network.
        relative: Whether "lr" is c, below 2.

    Raises:
        InputError: a rate can't be used, or a parameter isn't the network's.
    """
    own = {id(p) for p in model.parameters()}
    for number, group in enumerate(groups):
        needed, fits = ("c, >= 0 and below 2", lambda v: 0 <= v < 2) if relative else (">= 0", lambda v: v >= 0)
        _check_number(f"lr of group {number}", float(group["lr"]), needed, fits)
        foreign = sum(id(p) not in own for p in group["params"])
        if foreign:
            raise InputError(
                f"{foreign} of the {len(group['params'])} parameters of group {number} aren't the network's: it is "
                "another network, or layers were replaced. Make a new optimizer for the network as it is now, or "
                "edit networks by linnet.resize(..., optimizer=opt)."
            )


def group_dampings(groups: Sequence[dict[str, Any]], names: Mapping[str, Tensor] | None = None) -> dict[str, float]:
    """Parameter name -> damping of its group, after a check of the groups.

    Raises:
        InputError: a damping is negative or not finite, or some are 0 and others above.
    """
    for number, group in enumerate(groups):
        _check_number(f"damping of group {number}", group["damping"], ">= 0", lambda v: v >= 0)
    values = [float(group["damping"]) for group in groups]
    if 0.0 in values and any(values):
        raise InputError(
            f"The groups' `damping` must be either all 0 (the step of minimum norm) or all above 0 (got {values}). "
            "Give those at 0 a small damping."
        )
    of = {id(p): float(group["damping"]) for group in groups for p in group["params"]}
    return {} if names is None else {name: of[id(p)] for name, p in names.items()}


def check_inputs(x: Any, y: Any) -> None:
    """Refuses a batch whose parts don't belong together.

    Raises:
        InputError: x or y isn't a tensor, or they differ in length, or there are no samples.
    """
    inputs = x if isinstance(x, tuple) else (x,)
    for what, value in (*(("x", v) for v in inputs), ("y", y)):
        if not isinstance(value, Tensor) or value.ndim < 1:
            raise InputError(f"`{what}` must be a tensor with samples on axis 0 (got a {type(value).__name__}).")
        if len(value) != len(y):
            raise InputError(f"`y` must have one target for each sample of `x` (got {len(y)} for {len(value)}).")
    if not len(y):
        raise InputError("`x` must have at least one sample (got none).")


def check_gradients_step(closure: Any, approximation: Approximation) -> None:
    """Refuses `opt.step()` where a batch is needed.

    Raises:
        InputError: inputs came without targets.
        TrainingError: the approximation needs more than gradients.
    """
    if closure is not None and not callable(closure):
        raise InputError("`y` is missing. Call opt.step(x, y).")
    if not approximation.takes_gradients:
        raise TrainingError(
            f"approx='{approximation.name}' needs a batch, and opt.step() gives none. Call opt.step(x, y), or use "
            "approx='kfac' for loss.backward(); opt.step()."
        )


def check_no_gradients(groups: Iterable[dict[str, Any]]) -> None:
    """Refuses gradients of another loss: `step(x, y)` would leave them, and the next `backward` add to them.

    Raises:
        TrainingError: there are some.
    """
    left = sum(p.grad is not None and bool((p.grad != 0).any()) for group in groups for p in group["params"])
    if left:
        raise TrainingError(
            f"{left} parameters hold gradients of another loss, which step(x, y) doesn't use. Call opt.zero_grad() "
            "first; or, with approx='kfac', use them by opt.step() without a batch."
        )


def check_model(model: nn.Module, approximation: Approximation) -> None:
    """Refuses layers that couple samples or draw masks, where the approximation needs samples one by one.

    Raises:
        InputError: such a layer, by path.
    """
    if approximation.couples:
        return
    for path, why in coupling(model).items():
        raise InputError(
            f"`{path}`: {why}, but approx='{approximation.name}' needs each output to depend on its sample alone. "
            "Call model.eval(), or use approx='kfac'."
        )


def _check_shared(shared: Mapping[str, Any], factors: KroneckerOptions) -> None:
    """The settings that all groups share.

    Raises:
        InputError: the first that can't be used.
    """
    one_of("uncovered", shared["uncovered"], UNCOVERED)
    one_of("sharing", factors.sharing, ("expand", "reduce"))
    _check_number("momentum", shared["momentum"], ">= 0 and below 1", lambda v: 0 <= v < 1)
    _check_number("ema", factors.ema, ">= 0 and below 1", lambda v: 0 <= v < 1)
    counts = (
        ("factor_every", factors.factor_every, 1),
        ("inverse_every", factors.inverse_every, 1),
        ("solve_rows", shared["solve_rows"], 1),
        ("isotropy_every", shared["isotropy_every"], 0),
    )
    if factors.max_side is not None:
        counts = (*counts, ("max_side", factors.max_side, 1))
    for key, value, least in counts:
        _check_number(key, value, f">= {least}", lambda v, least=least: v >= least)
        _check_whole(key, value)
    dtype = factors.compute_dtype
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise InputError(f"`compute_dtype` must be a floating dtype, such as torch.bfloat16, or None (got {dtype!r}).")
    for key in ("kl_clip", "stop_above"):
        if shared[key] is not None:
            _check_number(key, shared[key], "above 0, or None", lambda v: v > 0)


def _check_parameters(model: nn.Module) -> None:
    """Refuses parameters whose gradient this optimizer can't turn into a step."""
    for name, p in model.named_parameters():
        if p.requires_grad and p.is_complex():
            raise InputError(
                f"`{name}` must be real (got {p.dtype}), since complex parameters have no natural gradient here. Hold "
                "its real and imaginary part as two parameters, or freeze it."
            )
        if p.requires_grad and p.layout != torch.strided:
            raise InputError(f"`{name}` must be dense (got {p.layout}). Use p.to_dense(), or freeze it.")
    for path, module in model.named_modules():
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.sparse and module.weight.requires_grad:
            raise InputError(
                f"`{path}` ({type(module).__name__}) must give a dense gradient (got sparse=True). Make it with "
                "sparse=False."
            )


def _check_whole(key: str, value: Any) -> None:
    if not isinstance(value, int):
        raise InputError(f"`{key}` must be a whole number (got {value!r}).")


def _check_number(key: str, value: Any, needed: str, fits: Any) -> None:
    value = plain_number(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not fits(value):
        raise InputError(f"`{key}` must be a finite number {needed} (got {value!r}).")


def check_saved(
    saved: Mapping[str, Any] | None, asked: Sequence[str], shapes: Mapping[str, list[int]], *, relative: bool
) -> Mapping[str, Any]:
    """Refuses the state of another optimizer or of another network.

    Args:
        saved: The part "natural" of a state dict; None where there is none.
        asked: (approx, loss, fisher) of the optimizer that takes it.
        shapes: Parameter name -> shape, of its network.
        relative: Whether its groups' "lr" is c (lr=None) and not eta.

    Returns:
        The part that was saved.

    Raises:
        OptimizerStateError: what differs.
    """
    if saved is None or list(saved["asked"]) != list(asked):
        came = "another optimizer" if saved is None else f"NaturalGradient{tuple(saved['asked'])}"
        raise OptimizerStateError(
            f"The state must be that of NaturalGradient{tuple(asked)} (approx, loss, fisher) (got {came}). Make "
            "the optimizer as it was when the state was saved."
        )
    if saved["relative"] != relative:
        ways = {True: 'lr=None, so that the groups\' "lr" is c', False: "a number as lr"}
        raise OptimizerStateError(
            f"The state is of an optimizer made with {ways[saved['relative']]}, but this one was made with "
            f"{ways[relative]}. Make the optimizer as it was when the state was saved."
        )
    theirs = saved["shapes"]
    if theirs != shapes:
        name = next(n for n in {**theirs, **shapes} if theirs.get(n) != shapes.get(n))
        raise OptimizerStateError(
            f"The state is of another architecture: `{name}` must have shape {shapes.get(name)} (got "
            f"{theirs.get(name)}). Load it into the network that it was saved with."
        )
    return saved
