"""The mean-field theory of a given perceptron: its shape, variances and input moments read off it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from linnet.errors import InputError
from linnet.spectra.mean_field import MeanField, theory
from linnet.spectra.rows.checks import check_finite, check_inputs, check_mode, outputs_of_one
from linnet.spectra.rows.model_state import preserved_state

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Softplus: "softplus",
    nn.Identity: "linear",
}
_SILENT = (nn.Flatten, nn.Dropout, nn.Sequential, nn.ModuleList)


def theory_for(model: nn.Module, x: Tensor, loss: str = "mse") -> MeanField:
    """The mean-field theory of a network of the shape, the variances and the inputs of this one.

    Depth, widths and activation are read from the forward; sigma_w^2 = fan_in times the mean square of each layer's
    weights, sigma_b^2 the mean square of its biases; the input moments are those of `x`. For cross entropy the
    probabilities are the network's own. It describes random weights: of a trained network it says what a random one
    with
    the same variances would have.

    Args:
        model: A perceptron: linear layers and one kind of activation, one after another.
        x: Inputs, N.
        loss: "mse" or "cross_entropy".

    Raises:
        InputError: the network isn't such a perceptron; the module that isn't is named.

    Example:
        >>> import torch
        >>> from linnet.spectra import theory_for
        >>> net = torch.nn.Sequential(torch.nn.Linear(50, 40), torch.nn.ReLU(), torch.nn.Linear(40, 3))
        >>> found = theory_for(net, torch.randn(20, 50))
        >>> found.depth, found.widths, found.activation
        (2, (50.0, 40.0), 'relu')
    """
    check_mode(model, trainable=False)
    check_inputs(model, x)
    check_finite(model, x, x, "`x`")
    with torch.no_grad():
        one = outputs_of_one(model, x)
    if isinstance(one, Tensor):
        check_finite(model, x, one, "the model's outputs")
    with preserved_state(model), torch.no_grad():
        called, outputs = _calls(model, x)
    linear = [module for _, module in called if isinstance(module, nn.Linear)]
    names = {name for _, module in called if (name := _activation(module)) is not None}
    if len(names) > 1:
        raise InputError(f"`model` must have one kind of activation (got {', '.join(sorted(names))}). {_INSTEAD}")
    _check_order(called, linear)
    mean = x.double().flatten(1)
    size, n = mean.shape[1], len(x)
    own = float(mean.square().sum()) / (n * size)
    total = float(mean.sum(0).square().sum()) / size
    cross = (total - n * own) / (n * (n - 1)) if n > 1 else 0.0
    weights = [float(layer.weight.detach().double().square().mean()) * layer.in_features for layer in linear]
    biases = [0.0 if m.bias is None else float(m.bias.detach().double().square().mean()) for m in linear]
    widths = [float(layer.in_features) for layer in linear]
    hidden = widths[1:] or widths
    return theory(
        len(linear),
        names.pop() if names else "linear",
        weights,
        biases,
        sum(hidden) / len(hidden),
        n,
        linear[-1].out_features,
        loss,
        widths=widths,
        input_moments=(own, max(-own, min(own, cross))),
        probs=outputs.double().softmax(1) if loss == "cross_entropy" else None,
    )


_INSTEAD = "Give the numbers yourself: theory(depth, activation, weight_variance, bias_variance, width, ...)."


def _calls(model: nn.Module, x: Tensor) -> tuple[list[tuple[str, nn.Module]], Tensor]:
    """Leaf modules in the order of their calls, each of which must take what the one before gave."""
    called: list[tuple[str, nn.Module]] = []
    last: list[Tensor] = [x]

    def look(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            kind = type(module).__name__
            known = type(module) is nn.Linear or _activation(module) is not None or isinstance(module, _SILENT)
            if not known:
                raise InputError(f"`model` must be a perceptron (got `{path}`, a {kind}). {_INSTEAD}")
            given = args[0] if args and isinstance(args[0], Tensor) else None
            if (
                given is None
                or given.numel() != last[0].numel()
                or not torch.equal(given.flatten(1), last[0].flatten(1))
            ):
                raise InputError(
                    f"`model` must pass each layer's output to the next (got another input at `{path}`, a {kind}: a "
                    f"skip connection, or a function between the two). {_INSTEAD}"
                )
            called.append((path, module))
            last[0] = output

        return hook

    leaves = [(path, m) for path, m in model.named_modules() if not any(True for _ in m.children())]
    handles = [module.register_forward_hook(look(path)) for path, module in leaves]
    try:
        outputs = model(x)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(outputs, Tensor) or not called or not torch.equal(outputs, last[0]):
        raise InputError(
            f"`model` must give what its last layer gives (got something else from {type(model).__name__}). {_INSTEAD}"
        )
    return called, outputs


def _activation(module: nn.Module) -> str | None:
    name = _ACTIVATIONS.get(type(module))
    return None if isinstance(module, nn.GELU) and module.approximate != "none" else name


def _check_order(called: list[tuple[str, nn.Module]], linear: list[nn.Linear]) -> None:
    """Linear layers with an activation between each two, and a linear layer at the end."""
    kinds = [("linear" if isinstance(m, nn.Linear) else "activation", path) for path, m in called]
    order = [(kind, path) for (kind, path), (_, m) in zip(kinds, called, strict=True) if not isinstance(m, _SILENT)]
    if not linear or order[-1][0] != "linear" or order[0][0] != "linear":
        raise InputError(
            f"`model` must begin and end with a linear layer (got {type(called[-1][1]).__name__}). {_INSTEAD}"
        )
    between = order[1::2]
    if len(order) != 2 * len(linear) - 1 or any(kind != "activation" for kind, _ in between):
        raise InputError(
            f"`model` must have one activation between each two of its {len(linear)} linear layers (got "
            f"{len(order) - len(linear)}). {_INSTEAD}"
        )
