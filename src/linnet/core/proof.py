"""Prove an edit on a probe batch: widened, the same function; narrowed, the same as masked."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from linnet.core import skeleton
from linnet.core.edit import AxisEdit, Edit
from linnet.core.example import Example, example_from_dict
from linnet.core.trace import leaves
from linnet.core.values import masked
from linnet.errors import ProofError

# Largest |f - g| / max |f| that rounding explains. float32 sums of a few thousand terms stay below 2e-5.
BOUNDS = {torch.float64: 1e-10, torch.float32: 1e-4}
DRAWS = 4
NORMS = (nn.modules.batchnorm._BatchNorm,)


def prove(
    old: nn.Module,
    new: nn.Module,
    edit: Edit,
    stored: Mapping[str, Any],
    probe: Any = None,
    *,
    bounded: bool = True,
) -> float:
    """Largest relative difference between the masked old network and the new one.

    Both are compared as copies, without hooks and dropout, in eval mode and, where there is batch norm, in train
    mode. Half precision is compared in float32.

    Args:
        old: The network before the edit.
        new: The network after it.
        edit: The edit.
        stored: The graph's example.
        probe: Inputs to compare on; None draws N(0, 1) of the example's size, at least two samples.
        bounded: Whether more than rounding is refused; an approximate edit is only measured.

    Returns:
        max |f - g| / max |f| over output tensors and modes.

    Raises:
        ProofError: they differ by more than rounding, or the outputs are constant or not finite.
    """
    reference = _copy(old, edit)
    subject = _copy(new, None)
    dtype = _dtype(old)
    modes = [False, True] if any(isinstance(m, NORMS) for m in old.modules()) else [False]
    worst = 0.0
    for training in modes:
        given = _probe(reference, stored, probe, dtype, training=training)
        error = _compare(reference, subject, given, training=training)
        worst = max(worst, error)
        if bounded and not error <= BOUNDS[dtype]:
            name = first_difference(reference, subject, given, edit, training=training)
            raise ProofError(
                f"`{name}` is the first module that differs after the edit "
                f"({'train' if training else 'eval'} mode): the "
                f"outputs differ by {error:.2e} of their size, at most {BOUNDS[dtype]:.0e} is "
                f"rounding. The model and its "
                "optimizer are as before. Freeze that module: ChannelGraph(..., frozen=[...])."
            )
    return worst


def _copy(model: nn.Module, edit: Edit | None) -> nn.Module:
    """A copy to compare: parameters shared where they can be, buffers its own, masked where the edit removes."""
    axes: Mapping[str, tuple[AxisEdit, ...]] = edit.axes if edit is not None else {}
    parameters = {name for name, _ in model.named_parameters()}

    def tensor(name: str, old: Tensor) -> Tensor:
        now = masked(old, axes.get(name, ()))
        return now if name in parameters else now.clone()

    return skeleton.rebuild(model, tensor)


def _dtype(model: nn.Module) -> torch.dtype:
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return torch.float64 if kinds == {torch.float64} else torch.float32


def _probe(model: nn.Module, stored: Mapping[str, Any], probe: Any, dtype: torch.dtype, *, training: bool) -> Example:
    """A probe whose outputs are finite and not constant."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    problem = ""
    for seed in range(DRAWS if probe is None else 1):
        given = drawn(stored, seed) if probe is None else Example.of(probe)
        given = given.map(lambda t: t.detach().to(device, dtype if t.is_floating_point() else t.dtype))
        outputs = [leaf for _, leaf in _outputs(model, given, training=training) if leaf.is_floating_point()]
        if not outputs:
            raise ProofError(
                f"`{type(model).__name__}` returns no float tensor, so nothing can be proved; return its logits."
            )
        if not all(bool(leaf.isfinite().all()) for leaf in outputs):
            problem = "not finite"
            bad = next((n for n, p in model.named_parameters() if not bool(p.isfinite().all())), "")
            if bad:
                raise ProofError(
                    f"`{bad}` has elements that aren't finite, so nothing can be proved; finite weights are needed."
                )
        elif all(leaf.numel() < 2 or bool((leaf == leaf.flatten()[0]).all()) for leaf in outputs):
            problem = "constant"
        else:
            return given
    raise ProofError(
        f"`{type(model).__name__}` gives outputs that are {problem} on the probe, which proves "
        f"nothing; give inputs on which "
        "they differ: resize(..., probe=batch)."
    )


def drawn(stored: Mapping[str, Any], seed: int) -> Example:
    """N(0, 1) of the stored example's sizes with at least two samples; integer inputs as they were."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        kind = dtype if dtype in BOUNDS else torch.float32
        return torch.randn(shape, generator=generator, dtype=kind)

    example = example_from_dict(stored, draw)
    if example.samples >= 2:
        return example
    other = example_from_dict(stored, draw)
    rest = iter([tensor for _, tensor in other.tensors()])
    return example.map(lambda t: torch.cat([t, next(rest)]) if t.ndim else (next(rest), t)[1])


def _outputs(model: nn.Module, given: Example, *, training: bool) -> list[tuple[str, Tensor]]:
    model.train(training)
    with _quiet(), torch.no_grad(), _NoDropout():
        return list(leaves(model(*given.args, **given.kwargs), "output"))


def _compare(reference: nn.Module, subject: nn.Module, given: Example, *, training: bool) -> float:
    expected = _outputs(reference, given, training=training)
    try:
        found = _outputs(subject, given, training=training)
    except Exception as error:  # whatever the user's forward raises
        raise ProofError(f"`{type(subject).__name__}` can't run after the edit: {error}") from error
    worst = 0.0
    for (name, left), (_, right) in zip(expected, found, strict=True):
        if left.shape != right.shape:
            raise ProofError(
                f"the model's {name} has size {tuple(right.shape)} after the edit, before {tuple(left.shape)}."
            )
        if left.is_floating_point() and left.numel():
            size = float(left.abs().max())
            error = float((left - right).abs().max()) / (size if size > 0 else 1.0)
            worst = max(worst, error) if error == error else float("nan")
    return worst


def first_difference(reference: nn.Module, subject: nn.Module, given: Example, edit: Edit, *, training: bool) -> str:
    """Path of the first module whose output isn't the old one's, copied and cut; "(output)" when all agree."""
    left, right = (
        _module_outputs(reference, given, training=training),
        _module_outputs(subject, given, training=training),
    )
    tolerance = BOUNDS[_dtype(reference)]
    for (path, before), (_, after) in zip(left, right, strict=False):
        expected = before
        for name, edits in edit.axes.items():
            owner, _, leaf = name.rpartition(".")
            made = next((e for e in edits if e.role == "produce"), None)
            if owner == path and leaf == "weight" and made is not None:
                axis = _channel_axis(reference.get_submodule(path), before)
                if before.shape[axis] == len(made.index) + len(made.removed) or made.index.max() < before.shape[axis]:
                    expected = before.index_select(axis, torch.from_numpy(made.index).to(before.device))
        if expected.shape != after.shape:
            continue
        size = float(expected.abs().max()) or 1.0
        if not float((expected - after).abs().max()) / size <= tolerance:
            return path
    return "(output)"


def _channel_axis(module: nn.Module, output: Tensor) -> int:
    last = isinstance(module, (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding))
    return output.ndim - 1 if last else min(1, output.ndim - 1)


def _module_outputs(model: nn.Module, given: Example, *, training: bool) -> list[tuple[str, Tensor]]:
    """Outputs of modules with parameters of their own, in order of execution."""
    found: list[tuple[str, Tensor]] = []
    handles = []
    for path, module in model.named_modules():
        if next(module.parameters(recurse=False), None) is not None:

            def keep(_: nn.Module, __: Any, output: Any, path: str = path) -> None:
                if isinstance(output, Tensor) and output.is_floating_point():
                    found.append((path, output.detach().clone()))

            handles.append(module.register_forward_hook(keep))
    try:
        with contextlib.suppress(Exception):
            _outputs(model, given, training=training)
    finally:
        for handle in handles:
            handle.remove()
    return found


class _NoDropout(TorchFunctionMode):
    """Every dropout passes its input through."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if "dropout" in name and args and isinstance(args[0], Tensor):
            return args[0]
        if name == "scaled_dot_product_attention":
            kwargs.pop("dropout_p", None)
            args = (*args[:4], 0.0, *args[5:]) if len(args) > 4 else args
        return func(*args, **kwargs)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The same draws for both networks, all random states as before afterwards, full float32 products on CUDA."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
