"""Prove an edit on a probe batch: widened, the same function; narrowed, the same as masked."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.edit.difference import first_difference
from linnet.core.edit.edit_plan import AxisEdit, Edit
from linnet.core.edit.index_tensors import edited, masked
from linnet.core.edit.trial_run import low_precision, outputs
from linnet.core.program import module_copy
from linnet.core.program.companions import HookKey, without
from linnet.core.program.example import Example, example_from_dict
from linnet.core.program.program import Program
from linnet.errors import ProofError

# Largest |f - g| / max |f| that rounding explains. float32 sums of a few thousand terms stay below 2e-5.
BOUNDS = {torch.float64: 1e-10, torch.float32: 1e-4}
DRAWS = 4
OTHER_INPUTS = "Give other inputs: resize(..., probe=batch)."
NORMS = (nn.modules.batchnorm._BatchNorm,)
VALUES, MOST = 8, 8  # of a batch's statistics; with two values a norm is a sign function, which amplifies rounding
# What a network of another precision raises where its code names one.
PRECISION = (RuntimeError, TypeError, ValueError, ProofError)


@dataclass(frozen=True)
class Trial:
    """How two networks are compared.

    Attributes:
        modes: Training modes: (False,) or (False, True).
        samples: Samples of a drawn probe.
        observers: Forward hooks that only look on, which aren't run.
        dtype: What is compared in.
    """

    modes: tuple[bool, ...] = (False,)
    samples: int = 2
    observers: Collection[HookKey] = ()
    dtype: torch.dtype = torch.float64

    @classmethod
    def of(cls, model: nn.Module, program: Program | None) -> Trial:
        """That of a recorded network: in training mode too where it differs, with samples enough for batch norm."""
        normed = any(isinstance(module, NORMS) for module in model.modules())
        if program is None:
            return cls((False, True) if normed else (False,))
        both = (normed or bool(program.training)) and not program.training_error
        values = [_values(program, node.inputs[0]) for node in program.all_nodes if "batch_norm" in node.name]
        needed = -(-VALUES // max(min(values, default=VALUES), 1))
        return cls((False, True) if both else (False,), max(2, min(needed, MOST)), program.observers)


def _values(program: Program, value: int) -> int:
    shape = program.shape(value)
    return math.prod((*shape[:1], *shape[2:])) // program.samples


def prove(
    old: nn.Module,
    new: nn.Module,
    edit: Edit,
    stored: Mapping[str, Any],
    probe: Any = None,
    *,
    bounded: bool = True,
    program: Program | None = None,
) -> float:
    """Largest relative difference between the masked old network and the new one.

    Both are compared as copies in float64, with their forward hooks and without dropout, in eval mode and, where there
    is batch norm or training takes another path, in train mode. A network whose code names another precision is
    compared in that of its weights. A branch that hardly reaches the output (a head that starts at 0, a small layer
    scale, a dead unit) hides what happens in it, so both are compared once more with weights drawn anew.

    Args:
        old: The network before the edit.
        new: The network after it.
        edit: The edit.
        stored: The graph's example.
        probe: Inputs to compare on; None draws N(0, 1) of the example's size, at least two samples.
        bounded: Whether more than rounding is refused; an approximate edit is only measured.
        program: What the network runs, as it was recorded.

    Returns:
        max |f - g| / max |f| over output tensors and modes, with the given weights; with the drawn ones where the given
        make an output that doesn't depend on the input.

    Raises:
        ProofError: they differ by more than rounding, or the outputs are constant or not finite.
    """
    trial = Trial.of(old, program)
    given = _Pair(_copy(old, edit, trial), _copy(new, None, trial), edit, stored, probe, trial)
    try:
        error = given.error(bounded=bounded)
    except PRECISION:
        single = replace(trial, dtype=_dtype(old))
        if single.dtype == torch.float64:
            raise
        given = _Pair(_copy(old, edit, single), _copy(new, None, single), edit, stored, probe, single)
        error = given.error(bounded=bounded)
    if not bounded and error is not None:
        return error
    second = _drawn_anew(old, new, given).error(bounded=bounded)
    if error is None and second is None:
        raise ProofError(
            f"`probe` must give outputs that differ (those of `{type(old).__name__}` are constant on it, which "
            f"proves nothing). {OTHER_INPUTS}"
        )
    return error if error is not None else second  # type: ignore[return-value]  one of them is a number


def _drawn_anew(old: nn.Module, new: nn.Module, given: _Pair) -> _Pair:
    """Both networks with the old one's weights drawn anew, and the new one's edited from those."""
    axes, trial = given.edit.axes, given.trial
    drawn = {name: redrawn(name, tensor) for name, tensor in [*old.named_parameters(), *old.named_buffers()]}

    def before(name: str, tensor: Tensor) -> Tensor:
        return masked(_as(drawn.get(name, tensor), trial.dtype), axes.get(name, ()))

    def after(name: str, tensor: Tensor) -> Tensor:
        return edited(_as(drawn.get(name, tensor), trial.dtype), axes.get(name, ()))

    reference, subject = (_rebuilt(one, tensor, trial) for one, tensor in ((old, before), (new, after)))
    words = "weights drawn anew, as those given hide a part of the network"
    return _Pair(reference, subject, given.edit, given.stored, given.probe, trial, words)


@dataclass(frozen=True)
class _Pair:
    """Two networks that must compute the same.

    Attributes:
        reference: The masked old one.
        subject: The new one.
        edit: The edit.
        stored: The graph's example.
        probe: The caller's inputs, if any.
        trial: How they are compared.
        weights: Words for the weights, when they aren't the given ones.
    """

    reference: nn.Module
    subject: nn.Module
    edit: Edit
    stored: Mapping[str, Any]
    probe: Any
    trial: Trial
    weights: str = ""

    def error(self, *, bounded: bool) -> float | None:
        """Largest relative difference; None when the outputs say nothing.

        Raises:
            ProofError: it is more than rounding.
        """
        worst = 0.0
        for training in self.trial.modes:
            state = {name: buffer.clone() for name, buffer in self.reference.named_buffers()}
            probe = self._inputs(training=training)
            if probe is None:
                return None
            for name, buffer in self.reference.named_buffers() if not probe.answers else ():
                buffer.copy_(state[name])  # what passes in train mode left there (a power iteration, say)
            inputs = probe.given
            expected = probe.answers or outputs(self.reference, inputs, training=training)
            error = _compare(expected, self.subject, inputs, training=training)
            worst = error if math.isnan(error) else max(worst, error)
            if bounded and not error <= self._bound(inputs, error, training=training):
                self._refuse(inputs, error, training=training)
        return worst

    def _bound(self, inputs: Example, error: float, *, training: bool) -> float:
        """What rounding explains: of shares that were rounded to float32, and where the code names a precision."""
        if self.trial.dtype == torch.float32 or (self.edit.widens and not self.weights and self.edit.rounded):
            return BOUNDS[torch.float32]
        tight = BOUNDS[torch.float64]
        if tight < error <= BOUNDS[torch.float32] and low_precision(self.reference, inputs, training=training):
            return BOUNDS[torch.float32]
        return tight

    def _inputs(self, *, training: bool) -> _Probe | None:
        """A probe on which outputs are finite and depend on the input; None when they don't."""
        for samples in dict.fromkeys((self.trial.samples, 2)):
            try:
                found = _probe(
                    self.reference, self.stored, self.probe, self.trial.dtype, samples, training=training,
                    strict=not self.weights,
                )  # fmt: skip
                first = samples == self.trial.samples  # the second comes after a pass that failed half-way
                return found if found is None or first else replace(found, answers=[])
            except ProofError:
                raise
            except Exception:  # a network that takes no batch of that size
                if samples == 2 or self.probe is not None:
                    raise
        return None

    def _refuse(self, inputs: Example, error: float, *, training: bool) -> None:
        name = first_difference(
            self.reference, self.subject, inputs, self.edit, training=training, tolerance=BOUNDS[self.trial.dtype]
        )
        mode = f"{'train' if training else 'eval'} mode{f', {self.weights}' if self.weights else ''}"
        raise ProofError(
            f"`{name}` is the first module that differs after the edit ({mode}): the outputs differ by {error:.2e} "
            f"of their size, but rounding is at most {BOUNDS[self.trial.dtype]:.0e}. The model and its optimizer are "
            "as before. Freeze that module: ChannelGraph(..., frozen=[...])."
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


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _copy(model: nn.Module, edit: Edit | None, trial: Trial) -> nn.Module:
    """A copy to compare: parameters shared where they can be, buffers its own, masked where the edit removes."""
    axes: Mapping[str, tuple[AxisEdit, ...]] = edit.axes if edit is not None else {}
    parameters = {name for name, _ in model.named_parameters()}

    def tensor(name: str, old: Tensor) -> Tensor:
        now = masked(_as(old.detach(), trial.dtype), axes.get(name, ()))
        return now if name in parameters else now.clone()

    return _rebuilt(model, tensor, trial)


def _rebuilt(model: nn.Module, tensor: Any, trial: Trial) -> nn.Module:
    """With the model's forward hooks, which belong to what it computes."""
    constant = "double" if trial.dtype == torch.float64 else "copy"
    return without(module_copy.rebuild(model, tensor, hooks="forward", constant=constant), trial.observers)


def _dtype(model: nn.Module) -> torch.dtype:
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return torch.float64 if kinds == {torch.float64} else torch.float32


@dataclass(frozen=True)
class _Probe:
    """Inputs for a comparison, with the reference's outputs if this was its first pass, which then serves for it."""

    given: Example
    answers: list[tuple[str, Tensor]]


def _probe(
    model: nn.Module,
    stored: Mapping[str, Any],
    probe: Any,
    dtype: torch.dtype,
    samples: int,
    *,
    training: bool,
    strict: bool,
) -> _Probe | None:
    """A probe on which outputs are finite and depend on the input; None when they don't.

    Raises:
        ProofError: there is no float output; with `strict`, outputs aren't finite.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    finite = True
    for seed in range(DRAWS if probe is None else 1):
        given = _mixed(drawn(stored, seed, samples), seed) if probe is None else Example.of(probe)
        given = given.map(lambda t: t.detach().to(device, dtype if t.is_floating_point() else t.dtype))
        try:
            answers = outputs(model, given, training=training)
        except Exception:
            if seed == 0:
                raise
            continue  # it takes its integers in their order only: sorted lengths, say
        found = [leaf for _, leaf in answers if leaf.is_floating_point()]
        if not found:
            raise ProofError(
                f"`{type(model).__name__}` must return a float tensor to be compared (got none). Return its logits."
            )
        finite = all(bool(leaf.isfinite().all()) for leaf in found)
        alike = all(_alike(tensor) for _, tensor in given.tensors())  # tokens are repeated, not drawn
        if finite and not all(_one_value(leaf) if alike else _alike(leaf) for leaf in found):
            return _Probe(given, answers if seed == 0 else [])
        if not finite and strict:
            _refuse_not_finite(model)
    if not finite and strict:
        raise ProofError(
            f"`probe` must give finite outputs (`{type(model).__name__}` gave none: nothing is proved). {OTHER_INPUTS}"
        )
    return None


def _mixed(given: Example, seed: int) -> Example:
    """From the second draw on, the integers of each place are shuffled among the samples.

    Two samples of tokens can have one output although the network reads them: where their order doesn't count, say.
    """
    generator = torch.Generator().manual_seed(seed)

    def mixed(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool or tensor.ndim == 0:
            return tensor
        order = torch.rand(tensor.shape, generator=generator).argsort(0).to(tensor.device)
        return tensor.gather(0, order)

    return given.map(mixed) if seed else given


def _alike(tensor: Tensor) -> bool:
    """Whether all samples are equal; of a single sample, all elements."""
    return bool((tensor == tensor[:1]).all()) if tensor.ndim and len(tensor) > 1 else _one_value(tensor)


def _one_value(tensor: Tensor) -> bool:
    return tensor.numel() < 2 or bool((tensor == tensor.flatten()[0]).all())


def _refuse_not_finite(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ProofError(f"`{name}` must be finite, or nothing can be proved (it has NaN or infinity).")


def drawn(stored: Mapping[str, Any], seed: int, samples: int = 2) -> Example:
    """N(0, 1) of the stored example's sizes; integer inputs are repeated.

    Args:
        stored: An example as plain data.
        seed: Of the draws.
        samples: At least so many samples. Where tensors have several samples already, and some a single row, all keep
            their sizes: the row is for all samples.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        kind = dtype if dtype in BOUNDS else torch.float32
        return torch.randn(shape, generator=generator, dtype=kind)

    example = example_from_dict(stored, draw)
    rows = {tensor.shape[0] for _, tensor in example.tensors() if tensor.ndim}
    times = -(-samples // max(min(rows, default=1), 1))
    if len(rows) > 1 or times < 2:
        return example
    more = [iter([t for _, t in example_from_dict(stored, draw).tensors()]) for _ in range(times - 1)]

    def with_more(tensor: Tensor) -> Tensor:
        others = [next(tensors) for tensors in more]
        return torch.cat([tensor, *others]) if tensor.ndim else tensor

    return example.map(with_more)


def _compare(expected: list[tuple[str, Tensor]], subject: nn.Module, given: Example, *, training: bool) -> float:
    try:
        found = outputs(subject, given, training=training)
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
