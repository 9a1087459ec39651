"""One batch of a linearised network: joined over processes, its direction, and how each parameter was treated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.distributed import rows_of_all, world
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.linearisation import DROPOUTS, UNUSED, Linearisation, coupling
from linnet.core.jacobian.parameter_rows import RowsTerm
from linnet.errors import CaptureError, InputError
from linnet.optim.natural.approximation import Approximation, Batch, Direction, Settings

EMPTY = "it has no entries"
LIMIT = 4096  # parameters of one exact block: 64 MB in float32, and a Cholesky factor in about a second
_lists: Any = torch  # torch gives its list functions no types


def direction_on(
    approximation: Approximation,
    x: Any,
    y: Tensor,
    *,
    damping: Mapping[str, float],
    previous: Mapping[str, Tensor] | None,
    check: bool,
) -> tuple[float, Direction, Batch]:
    """The loss at the present weights, the direction, and the batch it was found on; nothing is changed.

    approximation: Approximation of the metric.
        approximation: Of the metric.
        x: Inputs, or a tuple of them.
        y: Targets.
        damping: Name -> rho of the parameters that move.
        previous: The last direction, for momentum in function space.
        check: Whether the rows are compared with autograd's gradient.

    Raises:
        ArithmeticError: the loss or the direction isn't finite.
        InputError: the batch can't be used, or the system can't be solved.
    """
    settings = approximation.settings
    statistics = "constant" if approximation.couples else "refuse"
    with Linearisation(
        approximation.model,
        damping,
        batch_statistics=statistics,
        output=settings.output,
        by_sample=approximation.exact_rows,
    ) as linear:
        outputs = linear.forward(x)
        settings = replace(settings, loss=settings.loss_of(linear))
        settings.loss.check(outputs.detach(), y)
        loss = float(settings.loss.value(outputs.detach(), y))
        if not math.isfinite(loss):
            raise ArithmeticError(f"the loss is {loss}")
        if approximation.exact_rows:
            check_passes(settings, outputs.detach())
        batch = batch_of(linear, outputs, y, settings, damping, check=check, at_once=not approximation.exact_rows)
        direction = approximation.direction(batch, previous=previous)
    direction = accounted(direction, batch, linear)
    moved = direction.delta | direction.side
    norms = torch.stack([norm.double() for norm in _lists._foreach_norm(list(moved.values()), torch.inf)])
    if not bool(torch.isfinite(norms).all()):
        name = next(name for name, norm in zip(moved, norms, strict=True) if not torch.isfinite(norm))
        raise ArithmeticError(f"the direction of `{name}` holds NaN or infinity")
    return loss, direction, batch


def check_passes(settings: Settings, f: Tensor) -> None:
    """Refuses outputs at several positions with more rows than `solve_rows`, before any is made.

    Raises:
        InputError: n = N * passes is above it.
    """
    loss = settings.loss
    passes = {"model": loss.passes(f), "empirical": loss.positions, "sampled": 1}[settings.fisher]
    n = len(f) * passes
    if loss.positions > 1 and n > settings.solve_rows:
        raise InputError(
            f"The batch must have at most `solve_rows` = {settings.solve_rows} rows (got n = {n}: {len(f)} samples x "
            f"{passes} cotangents). Use fisher='sampled' (one row for each sample), approx='kfac', a smaller batch, or "
            "a larger `solve_rows`."
        )


def batch_of(
    linear: Linearisation,
    outputs: Tensor,
    y: Tensor,
    settings: Settings,
    damping: Mapping[str, float],
    *,
    check: bool,
    at_once: bool = False,
) -> Batch:
    """The batch: residual, cotangents of the Fisher kind, and how rows and gradients are pulled back.

    Args:
        linear: Open, after `forward`.
        outputs: Its outputs, (N, C) with their graph.
        y: Targets.
        settings: Loss and Fisher kind.
        damping: Parameter name -> rho.
        check: Whether the rows are compared with autograd's gradient when they are made.
        at_once: Whether the positions of a sample may share a row, and many passes be replaced by fewer.
    """
    f = outputs.detach()
    r, shares = settings.loss.residual(f, y), settings.loss.shares(f, y)
    cotangents, u = _cotangents(settings, f, r, shares, at_once=at_once)
    own = dict(linear.model.named_parameters())
    names = {name: own[name] for name in linear.names}

    def pull(c: Tensor) -> dict[str, Tensor]:
        found = torch.autograd.grad(outputs, list(names.values()), c, retain_graph=True, allow_unused=True)
        pairs = zip(names.items(), found, strict=True)
        return {name: torch.zeros_like(p) if g is None else g for (name, p), g in pairs}

    def rows(given: Tensor) -> tuple[LayerJacobian, ...]:
        layers = readable(linear.rows(given), linear.unread, settings)
        if check:
            _check_rows(layers, given, pull, coupled=bool(coupling(linear.model)))
        return layers

    return Batch(settings, damping, f, r, cotangents, u, rows, pull, shares, lambda: linear.used)


def _cotangents(
    settings: Settings, f: Tensor, r: Tensor, shares: Tensor | None, *, at_once: bool
) -> tuple[Tensor, Tensor | None]:
    """W (passes, N, D) of the Fisher kind, and u with W u = r where there is one."""
    loss = settings.loss
    if settings.fisher == "sampled":
        return loss.draw(f, settings.generator, shares), None
    if settings.fisher == "empirical":
        if at_once:
            return loss.empirical_at_once(r, shares).unsqueeze(0), torch.ones_like(f[:, 0])
        cotangents, u = loss.empirical(f, r, shares)
        return cotangents, u.reshape(-1)
    u = loss.coordinates(f, r, shares).reshape(-1)
    return (loss.ways(f, settings.generator, shares) if at_once else loss.root(f, shares)), u


def readable(
    layers: tuple[LayerJacobian, ...], unread: dict[str, str], settings: Settings
) -> tuple[LayerJacobian, ...]:
    """The layers without the parameters whose module can't be differentiated sample by sample.

    Args:
        layers: Of one batch.
        unread: Parameter name -> why it has no rows; those found here are added.
        settings: They say what happens to such parameters; with "raise" the error comes when the rows are read. Where
            there is a side rule, rows that need a pass through a whole module for each sample aren't made at all.
    """
    if settings.uncovered == "raise":
        return layers
    found = []
    for layer in layers:
        terms = {}
        for name, term in layer.terms.items():
            if settings.side and isinstance(term, RowsTerm) and (why := dear(layer.module)):
                unread[name] = why
                continue
            try:
                term.held()
            except CaptureError as error:
                unread[name] = str(error)
            else:
                terms[name] = term
        if terms:
            found.append(replace(layer, terms=terms))
    return tuple(found)


def dear(module: nn.Module) -> str | None:
    """Why rows by a pass through a whole module for each sample are too dear; None where the module is small."""
    kind, whole = type(module).__name__, sum(p.numel() for p in module.parameters())
    if whole <= LIMIT:
        return None
    if any(next(child.parameters(), None) is not None for child in module.children()):
        return f"it stands in {kind} beside further layers, and no rule reads it"
    return f"{kind} isn't read by a rule, and its {whole} entries are too many for an exact block"


def with_side(direction: Direction, settings: Settings) -> Direction:
    """Parameters without curvature go from the direction to the side rule, where there is one."""
    if not settings.side:
        return direction
    side = {name: direction.delta[name] for name in direction.uncovered if name in direction.delta}
    delta = {name: d for name, d in direction.delta.items() if name not in side}
    told_so = f"it follows {settings.uncovered.capitalize()}"
    uncovered = {name: f"{why}; {told_so}" if name in side else why for name, why in direction.uncovered.items()}
    return replace(direction, delta=delta, side=side, uncovered=uncovered)


def accounted(direction: Direction, batch: Batch, linear: Linearisation) -> Direction:
    """Every trainable parameter stands once in `covered` or `uncovered`.

    Raises:
        InputError: one has no curvature, and `uncovered` is "raise".
    """
    delta, uncovered = dict(direction.delta), dict(direction.uncovered)
    for name, parameter in linear.model.named_parameters():
        if not parameter.requires_grad or name in direction.covered or name in uncovered:
            continue
        if not parameter.numel():
            uncovered[name] = EMPTY
            continue
        if name not in linear.names:
            uncovered[name] = "it is in no parameter group, so it stays as it is"
            continue
        uncovered[name] = linear.unread.get(name, "this approximation doesn't treat it")
        if uncovered[name] == UNUSED:
            continue
        if batch.settings.uncovered == "raise":
            raise InputError(
                f"The curvature of `{name}` can't be computed: {uncovered[name]}. Freeze it, or let it follow the "
                "plain gradient or Adam: uncovered='gradient' or 'adam'."
            )
        delta[name] = batch.gradient[name]
    return with_side(replace(direction, delta=delta, uncovered=uncovered), batch.settings)


def told(direction: Direction, model: nn.Module, names: Mapping[str, Tensor]) -> Direction:
    """As `accounted`, where the gradients are the user's: a parameter that isn't treated stays as it is.

    Args:
        direction: Direction of a step from the user's gradients.
        model: The network.
        names: Parameters in the optimizer's groups.
    """
    uncovered = dict(direction.uncovered)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name not in direction.covered and name not in uncovered:
            left_out = name not in names and parameter.numel()
            uncovered[name] = (
                "it is in no parameter group, so it stays as it is" if left_out else "no gradient came to it"
            )
            if not parameter.numel():
                uncovered[name] = EMPTY
    return replace(direction, uncovered=uncovered)


def _terms_size(layer: LayerJacobian) -> float:
    """Size of the terms that the layer's gradients are sums of."""
    sizes = [torch.stack([t.norm() for t in term.held()]) for term in layer.terms.values()]
    return max(float(norms.square().sum()) if len(norms) > 1 else float(norms[0]) for norms in sizes)


def _check_rows(
    layers: tuple[LayerJacobian, ...],
    cotangents: Tensor,
    pull: Callable[[Tensor], dict[str, Tensor]],
    *,
    coupled: bool,
) -> None:
    """The stored rows give autograd's gradient, so that nothing is missed in silence.

    Samples and outputs are weighed unequally: a plain sum may cancel and leave nothing but rounding to compare. Where
    batch statistics couple the samples, row n is what a whole pass left at sample n: only passes can be weighed, and
    rounding is that of the terms of the sum.
    """
    passes, samples = cotangents.shape[:2]
    count = torch.arange(samples * passes, dtype=cotangents.dtype, device=cotangents.device)
    v = torch.cos(1.7 * (count % passes if coupled else count))
    weights = v.view(samples, passes).T.reshape(passes, samples, *[1] * (cotangents.ndim - 2))
    expected = pull((weights * cotangents).sum(0))
    largest = max((float(g.abs().max()) for g in expected.values()), default=0.0)
    if coupled:
        largest = max(largest, *(_terms_size(layer) for layer in layers))
    allowed = 1e3 * torch.finfo(cotangents.dtype).eps * largest
    for layer in layers:
        if not layer.by_sample:
            continue
        for name, found in layer.pull(v).items():
            if float((found - expected[name]).abs().max()) > allowed:
                raise CaptureError(
                    f"`{name}`: the gradient from the inputs and output gradients of layer `{layer.name}` isn't "
                    "autograd's: the parameter is used outside its module's forward as well, or the module's "
                    "samples aren't independent. Move that use into the module that owns it."
                )


def evaluated(closure: Any) -> Any:
    """What a closure gives, as torch's optimizers call it; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        loss = closure()
    return loss.detach() if isinstance(loss, Tensor) else loss


def joined(model: nn.Module, x: Any, y: Tensor) -> tuple[Any, Tensor]:
    """Inputs and targets of all processes, in the order of ranks; those given in a run of one process.

    A Gram matrix needs every pair of samples, wherever they are. So each process does the whole step on the whole
    batch: two processes equal one with the joined batch, and take as long.

    Args:
        model: The network, for what may differ between processes.
        x: Inputs of this process, or a tuple of them.
        y: Its targets; processes may hold unequal numbers of samples.

    Raises:
        InputError: dropout is active, whose masks would differ between the processes.
    """
    if world()[1] == 1:
        return x, y
    for path, module in model.named_modules():
        if isinstance(module, DROPOUTS) and module.training and module.p > 0:
            raise InputError(
                f"step(x, y) in a run of {world()[1]} processes needs the same network in all, but `{path}` is "
                "active dropout. Call model.eval(), or use approx='kfac' with loss.backward(); opt.step()."
            )
    inputs = tuple(rows_of_all(part) for part in x) if isinstance(x, tuple) else rows_of_all(x)
    return inputs, rows_of_all(y)
