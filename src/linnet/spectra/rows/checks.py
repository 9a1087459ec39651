"""What a Jacobian can't be taken of: each refusal names what was given, what is needed and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from linnet.core.jacobian.linearisation import coupling
from linnet.core.jacobian.losses import LOSSES, Loss
from linnet.errors import InputError
from linnet.spectra.rows.model_state import preserved_state
from linnet.suggest import one_of

_MIXED = 1e3  # units in the last place: far above rounding, far below what one sample does to another
_STATISTICS = "Make it with track_running_stats=True and train it so, or replace it by a GroupNorm"
_MIXES = (
    "mixes the samples of a batch, so that the Jacobian of one sample depends on the others. Call model.eval(), or "
    "replace the module by one that treats each sample alone"
)
_DRAWS = (
    "gives other numbers when the same batch comes again, so that it has no one Jacobian. Call model.eval(), or take "
    "out what draws random numbers or keeps count of its calls, such as F.dropout(...) with training=True"
)
REDUCE = (
    "Reduce it to one row for each sample: torch.nn.Sequential(model, torch.nn.AdaptiveAvgPool2d(1), "
    "torch.nn.Flatten()) takes the mean over positions, torch.nn.Sequential(model, torch.nn.Flatten()) keeps them all"
)


def check_inputs(model: nn.Module, x: Tensor, x2: Tensor | None = None) -> None:
    """Refuses inputs that the model can't take together.

    Raises:
        InputError: an input isn't a batch, or is of another dtype or device than the model or than `x`.
    """
    for name, value in (("x", x), ("x2", x2)):
        if value is not None and (not isinstance(value, Tensor) or value.ndim < 1 or not len(value)):
            what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            then = "" if isinstance(value, Tensor) else ". Give one tensor of all samples, without labels"
            raise InputError(f"`{name}` must be a tensor with at least one sample on axis 0 (got {what}){then}.")
        if value is not None and (value.layout != torch.strided or value.is_complex()):
            what = value.dtype if value.is_complex() else value.layout
            raise InputError(f"`{name}` must be a dense, real tensor (got {what}). Use x.to_dense() or x.real.")
    if x2 is not None:
        for what, ours, theirs in (
            ("shape after axis 0", tuple(x.shape[1:]), tuple(x2.shape[1:])),
            ("dtype", x.dtype, x2.dtype),
            ("device", x.device, x2.device),
        ):
            if ours != theirs:
                raise InputError(f"`x2` must have the {what} of `x`, {ours} (got {theirs}). Convert one of the two.")
    check_module(model)
    own = next((p for p in model.parameters() if p.is_floating_point()), None)
    if own is None:
        return
    if x.device != own.device:
        raise InputError(f"`x` must be on the model's device, {own.device} (got {x.device}). Use x.to({own.device}).")
    if x.is_floating_point() and x.dtype != own.dtype:
        raise InputError(f"`x` must have the model's dtype, {own.dtype} (got {x.dtype}). Use x.to({own.dtype}).")


def check_module(model: nn.Module) -> None:
    """Refuses what isn't a module, and one whose parameters have no shape yet.

    Raises:
        InputError: what it is, or the first lazy parameter.
    """
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise InputError(f"`model` must be a torch.nn.Module (got {got}).")
    lazy = next((name for name, p in model.named_parameters() if isinstance(p, UninitializedParameter)), None)
    if lazy is not None:
        raise InputError(f"`model` must have values in all parameters (got `{lazy}`, a lazy one). Run model(x) once.")


def check_mode(model: nn.Module, *, trainable: bool = True) -> None:
    """Refuses a model without trainable parameters, or in a mode in which samples aren't alone.

    Args:
        model: The network, in the mode in which it will be read.
        trainable: Whether it needs a trainable parameter.

    Raises:
        InputError: the module is named.
    """
    check_module(model)
    if trainable and not any(p.requires_grad for p in model.parameters()):
        raise InputError("`model` must have a trainable parameter (got none). Set requires_grad on some.")
    for path, why in coupling(model).items():
        then = "Call model.eval() first" if model.get_submodule(path).training else _STATISTICS
        raise InputError(f"`{path}`: {why}. {then}.")


def check_forward(model: nn.Module, x: Tensor, *, trainable: bool = True) -> None:
    """Refuses inputs that the model's forward doesn't take, and outputs that have no Jacobian.

    Args:
        model: The network.
        x: Inputs, of which the first is tried.
        trainable: Whether the outputs must depend on a trainable parameter.

    Raises:
        InputError: the forward raises an error, which is told; the output isn't (N, C), or hangs on no parameter.
    """
    with torch.enable_grad():
        f = outputs_of_one(model, x)
    _check_output(f, 1)
    if trainable and not f.requires_grad:
        inside = "The call stands in torch.inference_mode(): take it out of there"
        look = "Look for .detach(), torch.no_grad() or a conversion to numbers in its forward"
        raise InputError(
            "`model` must give outputs that depend on a trainable parameter (got outputs without a gradient). "
            f"{inside if torch.is_inference_mode_enabled() else look}."
        )


def outputs_of_one(model: nn.Module, x: Tensor) -> Any:
    """What the forward gives for the first sample.

    Raises:
        InputError: it raises an error, which is told.
    """
    try:
        with preserved_state(model):
            return model(x[:1])
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"`x` must be inputs that the model's forward takes (got shape {tuple(x.shape)}, {x.dtype}, for which it "
            f"raises {type(error).__name__}: {said[:160]}). Check shape and dtype of x and of the model's layers: "
            "model(x[:1]) must run."
        ) from error


def check_samples(model: nn.Module, x: Tensor) -> None:
    """Refuses a model whose output rows aren't functions of one sample each.

    Two samples are tried: exchanging the second must not change the row of the first.

    Args:
        model: The network.
        x: Inputs, of which the first two are tried.

    Raises:
        InputError: the output isn't (N, C); a module is named that mixes samples or draws random numbers.
    """
    with preserved_state(model), torch.no_grad():
        pair, other = _pairs(x)
        first, inside = _traced(model, pair)
        _check_output(first, len(pair))
        _check_same(inside, _traced(model, pair)[1], _DRAWS)
        _check_same(inside, _traced(model, other)[1], _MIXES)


def check_finite(model: nn.Module, x: Tensor, value: Tensor, what: str) -> None:
    """Refuses NaN and infinity.

    Args:
        model: The network that `value` comes from.
        x: Its inputs.
        value: What was computed.
        what: Its name, for the error.

    Raises:
        InputError: with the first module whose output isn't finite although its input is.
    """
    if bool(torch.isfinite(value).all()):
        return
    found: list[str] = []

    def look(path: str, kind: str) -> Any:
        def hook(_module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            sound = all(bool(torch.isfinite(a).all()) for a in args if isinstance(a, Tensor) and a.is_floating_point())
            if sound and isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                found.append(f"`{path or 'the model'}` ({kind})")

        return hook

    handles = [m.register_forward_hook(look(path, type(m).__name__)) for path, m in model.named_modules()]
    try:
        with preserved_state(model), torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        place = "`x` holds NaN or infinity"
    elif found:
        place = f"the first module that gives such a value from finite ones is {found[0]}"
    else:
        place = "the outputs are finite, so the derivatives overflow: a square root or logarithm of 0, for instance"
    raise InputError(f"{what} must be finite (got NaN or infinity): {place}. Check its weights and the inputs' scale.")


def loss_of(loss: str | nn.Module) -> Loss:
    """The loss that a name or a module of torch means.

    Raises:
        InputError: it is unknown, or an `nn.MSELoss`, whose scale isn't linnet's.
    """
    if isinstance(loss, nn.MSELoss):
        raise InputError(
            "`loss` must say which scale is meant (got nn.MSELoss(), a mean over samples and outputs without 1/2). Use "
            "loss='mse', (1/2N) sum |f - y|^2; safe_lr(...).for_loss(nn.MSELoss()) then converts the step size."
        )
    if isinstance(loss, nn.CrossEntropyLoss):
        plain = loss.weight is None and loss.label_smoothing == 0 and loss.reduction == "mean"
        if not plain:
            raise InputError(
                "`loss` must be a plain mean cross entropy (got nn.CrossEntropyLoss with class weights, label "
                "smoothing or another reduction). Use loss='cross_entropy'."
            )
        return LOSSES["cross_entropy"]
    return LOSSES[one_of("loss", loss, tuple(LOSSES))]


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """Two samples, and the first of them beside another one."""
    beside = x[1:2] if len(x) > 1 else _shifted(x)
    other = x[:1] if not torch.equal(beside, x[:1]) else _shifted(x[:1])
    return torch.cat([x[:1], beside]), torch.cat([x[:1], other])


def _shifted(x: Tensor) -> Tensor:
    return x * 0.5 + 0.25 if x.is_floating_point() else x.flip(-1)


Rows = dict[tuple[str, int], tuple[str, Tensor | None, Tensor]]
"""(module path, number of the call) -> kind, its input's first row, its output's first row; in order of completion."""


def _traced(model: nn.Module, x: Tensor) -> tuple[Any, Rows]:
    """The output, and what every module gave for the first sample."""
    rows: Rows = {}
    calls: dict[str, int] = {}

    def keep(path: str, kind: str) -> Any:
        def hook(_module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            calls[path] = calls.get(path, 0) + 1
            if isinstance(output, Tensor) and output.ndim and len(output) == len(x):
                given = next((a for a in args if isinstance(a, Tensor) and a.ndim and len(a) == len(x)), None)
                rows[path, calls[path]] = kind, None if given is None else given[0].clone(), output[0].clone()

        return hook

    handles = [m.register_forward_hook(keep(path, type(m).__name__)) for path, m in model.named_modules()]
    try:
        return model(x), rows
    finally:
        for handle in handles:
            handle.remove()


def _check_output(output: Any, samples: int) -> None:
    if not isinstance(output, Tensor):
        raise InputError(
            f"`model` must give a tensor (N, C) (got a {type(output).__name__}). Wrap it so that it returns only the "
            "outputs that the loss sees."
        )
    if output.ndim not in (1, 2) or len(output) != samples:
        shape = ("N", *output.shape[1:]) if output.ndim and len(output) == samples else tuple(output.shape)
        raise InputError(f"`model` must give outputs of shape (N, C) (got {shape}). {REDUCE}.".replace("'", ""))
    if not output.is_floating_point() or not output.numel():
        what = f"shape {tuple(output.shape)}" if output.is_floating_point() else output.dtype
        raise InputError(f"`model` must give floating outputs (N, C) with C >= 1 (got {what}). Give its logits.")


def _check_same(first: Mapping[Any, Any], second: Mapping[Any, Any], what: str) -> None:
    """Refuses the first module whose output row differs although its input row doesn't, if the model's own differs."""
    differs = [key for key in first if key in second and not _near(first[key][2], second[key][2])]
    if not any(path == "" for path, _ in differs):
        return
    fed = [key for key in differs if first[key][1] is None or _near(first[key][1], second[key][1])]
    path, _ = fed[0] if fed else differs[0]
    kind = first[fed[0] if fed else differs[0]][0]
    raise InputError(f"`{path or 'the model'}` ({kind}) {what}.")


def _near(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    if not bool(torch.isfinite(a).all()):
        return True  # looked at later, by name
    return float((a - b).abs().max()) <= _MIXED * torch.finfo(a.dtype).eps * max(float(a.abs().max()), 1e-30)
