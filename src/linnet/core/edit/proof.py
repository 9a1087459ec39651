"""Prove an edit on a probe batch: widened, the same function; narrowed, the same as masked."""

from __future__ import annotations

import contextlib
import math
import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from linnet.core.edit.edit_plan import AxisEdit, Edit
from linnet.core.edit.index_tensors import edited, masked
from linnet.core.linalg.precision import full_float32
from linnet.core.program import module_copy
from linnet.core.program.example import Example, example_from_dict
from linnet.core.program.recorder import leaves
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
    mode. Half precision is compared in float32. A branch that hardly reaches the output (a head that starts at 0, a
    small layer scale, a dead unit) hides what happens in it, so both are compared once more with weights drawn anew.

    Args:
        old: The network before the edit.
        new: The network after it.
        edit: The edit.
        stored: The graph's example.
        probe: Inputs to compare on; None draws N(0, 1) of the example's size, at least two samples.
        bounded: Whether more than rounding is refused; an approximate edit is only measured.

    Returns:
        max |f - g| / max |f| over output tensors and modes, with the given weights; with the drawn ones where the given
        make an output that doesn't depend on the input.

    Raises:
        ProofError: they differ by more than rounding, or the outputs are constant or not finite.
    """
    given = _Pair(_copy(old, edit), _copy(new, None), edit, stored, probe, _dtype(old))
    error = given.error(bounded=bounded)
    if not bounded and error is not None:
        return error
    second = _drawn_anew(old, new, edit, stored, probe).error(bounded=bounded)
    if error is None and second is None:
        raise ProofError(
            f"`probe` must give outputs that differ (those of `{type(old).__name__}` are constant on it, which "
            "proves nothing). Give other inputs: resize(..., probe=batch)."
        )
    return error if error is not None else second  # type: ignore[return-value]  one of them is a number


def _drawn_anew(old: nn.Module, new: nn.Module, edit: Edit, stored: Mapping[str, Any], probe: Any) -> _Pair:
    """Both networks with the old one's weights drawn anew, and the new one's edited from those."""
    drawn = {name: redrawn(name, tensor) for name, tensor in [*old.named_parameters(), *old.named_buffers()]}

    def before(name: str, tensor: Tensor) -> Tensor:
        return masked(drawn.get(name, tensor), edit.axes.get(name, ()))

    def after(name: str, tensor: Tensor) -> Tensor:
        return edited(drawn.get(name, tensor), edit.axes.get(name, ()))

    reference, subject = module_copy.rebuild(old, before), module_copy.rebuild(new, after)
    words = "weights drawn anew, as those given hide a part of the network"
    return _Pair(reference, subject, edit, stored, probe, _dtype(old), words)


@dataclass(frozen=True)
class _Pair:
    """Two networks that must compute the same.

    Attributes:
        reference: The masked old one.
        subject: The new one.
        edit: The edit.
        stored: The graph's example.
        probe: The caller's inputs, if any.
        dtype: What is compared in.
        weights: Words for the weights, when they aren't the given ones.
    """

    reference: nn.Module
    subject: nn.Module
    edit: Edit
    stored: Mapping[str, Any]
    probe: Any
    dtype: torch.dtype
    weights: str = ""

    def error(self, *, bounded: bool) -> float | None:
        """Largest relative difference; None when the outputs say nothing.

        Raises:
            ProofError: it is more than rounding.
        """
        modes = [False, True] if any(isinstance(m, NORMS) for m in self.reference.modules()) else [False]
        worst = 0.0
        for training in modes:
            inputs = _probe(
                self.reference, self.stored, self.probe, self.dtype, training=training, strict=not self.weights
            )
            if inputs is None:
                return None
            error = _compare(self.reference, self.subject, inputs, training=training)
            worst = error if math.isnan(error) else max(worst, error)
            if bounded and not error <= BOUNDS[self.dtype]:
                self._refuse(inputs, error, training=training)
        return worst

    def _refuse(self, inputs: Example, error: float, *, training: bool) -> None:
        name = first_difference(self.reference, self.subject, inputs, self.edit, training=training)
        mode = f"{'train' if training else 'eval'} mode{f', {self.weights}' if self.weights else ''}"
        raise ProofError(
            f"`{name}` is the first module that differs after the edit ({mode}): the outputs differ by {error:.2e} "
            f"of their size, but rounding is at most {BOUNDS[self.dtype]:.0e}. The model and its optimizer are as "
            "before. Freeze that module: ChannelGraph(..., frozen=[...])."
        )


def redrawn(name: str, old: Tensor) -> Tensor:
    """A tensor with which every channel counts: the same for the same name and size.

    Weights are uniform with variance 1 / fan-in; scales, biases and running variances U(0.5, 1.5); running means
    N(0, 0.01). What isn't a floating parameter or statistic stays; where it has no elements it becomes 0.

    Args:
        name: Its dotted name.
        old: The tensor in its place; of one on the meta device, a tensor on the CPU is made.
    """
    leaf, device = name.rpartition(".")[2], "cpu" if old.is_meta else old.device
    if not old.is_floating_point() or not (isinstance(old, nn.Parameter) or leaf in ("running_mean", "running_var")):
        return torch.zeros(old.shape, dtype=old.dtype) if old.is_meta else old.detach().clone()
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    kind = old.dtype if old.dtype in BOUNDS else torch.float32
    drawn = torch.empty(old.shape, dtype=kind)
    if leaf == "running_mean":
        drawn.normal_(0, 0.1, generator=generator)
    elif old.ndim < 2:
        drawn.uniform_(0.5, 1.5, generator=generator)
    else:
        largest = (3 * old.shape[0] / max(old.numel(), 1)) ** 0.5
        drawn.uniform_(-largest, largest, generator=generator)
    return drawn.to(device, old.dtype)


def _copy(model: nn.Module, edit: Edit | None) -> nn.Module:
    """A copy to compare: parameters shared where they can be, buffers its own, masked where the edit removes."""
    axes: Mapping[str, tuple[AxisEdit, ...]] = edit.axes if edit is not None else {}
    parameters = {name for name, _ in model.named_parameters()}

    def tensor(name: str, old: Tensor) -> Tensor:
        now = masked(old, axes.get(name, ()))
        return now if name in parameters else now.clone()

    return module_copy.rebuild(model, tensor)


def _dtype(model: nn.Module) -> torch.dtype:
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return torch.float64 if kinds == {torch.float64} else torch.float32


def _probe(
    model: nn.Module, stored: Mapping[str, Any], probe: Any, dtype: torch.dtype, *, training: bool, strict: bool
) -> Example | None:
    """A probe on which outputs are finite and depend on the input; None when they don't.

    Raises:
        ProofError: there is no float output; with `strict`, outputs aren't finite.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    finite = True
    for seed in range(DRAWS if probe is None else 1):
        given = drawn(stored, seed) if probe is None else Example.of(probe)
        given = given.map(lambda t: t.detach().to(device, dtype if t.is_floating_point() else t.dtype))
        outputs = [leaf for _, leaf in _outputs(model, given, training=training) if leaf.is_floating_point()]
        if not outputs:
            raise ProofError(
                f"`{type(model).__name__}` must return a float tensor to be compared (got none). Return its logits."
            )
        finite = all(bool(leaf.isfinite().all()) for leaf in outputs)
        alike = all(_alike(tensor) for _, tensor in given.tensors())  # tokens are repeated, not drawn
        if finite and not all(_one_value(leaf) if alike else _alike(leaf) for leaf in outputs):
            return given
        if not finite and strict:
            _refuse_not_finite(model)
    if not finite and strict:
        raise ProofError(
            f"`probe` must give finite outputs (those of `{type(model).__name__}` aren't, which proves nothing). "
            "Give other inputs: resize(..., probe=batch)."
        )
    return None


def _alike(tensor: Tensor) -> bool:
    """Whether all samples are equal; of a single sample, all elements."""
    return bool((tensor == tensor[:1]).all()) if tensor.ndim and len(tensor) > 1 else _one_value(tensor)


def _one_value(tensor: Tensor) -> bool:
    return tensor.numel() < 2 or bool((tensor == tensor.flatten()[0]).all())


def _refuse_not_finite(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ProofError(f"`{name}` must be finite, or nothing can be proved (it has NaN or infinity).")


def drawn(stored: Mapping[str, Any], seed: int) -> Example:
    """N(0, 1) of the stored example's sizes with at least two samples; integer inputs as they were."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        kind = dtype if dtype in BOUNDS else torch.float32
        return torch.randn(shape, generator=generator, dtype=kind)

    example = example_from_dict(stored, draw)
    if example.samples >= 2:
        return example
    seconds = iter([tensor for _, tensor in example_from_dict(stored, draw).tensors()])

    def with_second(tensor: Tensor) -> Tensor:
        second = next(seconds)
        return torch.cat([tensor, second]) if tensor.ndim else tensor

    return example.map(with_second)


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
                f"The model's {name} must keep its size {tuple(left.shape)} in the edit (got {tuple(right.shape)})."
            )
        if left.is_floating_point() and left.numel():
            size = float(left.abs().max())
            error = float((left - right).abs().max()) / (size if size > 0 else 1.0)
            worst = error if math.isnan(error) else max(worst, error)
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
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with full_float32(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
