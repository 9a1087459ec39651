"""HatchEnsemble: any networks with equal outputs as one module that knows what it doesn't know."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from linnet.engine import Compute, Schedule
from linnet.ensemble.arguments import is_positive
from linnet.ensemble.calibration.conformal import Conformal, Method
from linnet.ensemble.calibration.scaling import Calibration, calibrate, gathered, warn_of_training_set
from linnet.ensemble.evaluation.trimming import Trimmed, trim
from linnet.ensemble.outputs import joined, require_members, require_networks
from linnet.ensemble.prediction.class_prediction import ClassPrediction
from linnet.ensemble.prediction.shapes import TASKS
from linnet.ensemble.prediction.value_prediction import ValuePrediction
from linnet.ensemble.training.choice import Choice, build, choose
from linnet.ensemble.training.executions import Execution, MemberLoop
from linnet.ensemble.training.first_batch import Loss, unchanged_on_error
from linnet.ensemble.training.fitting import MakeOptimizer, Manner, MembersFit, fit_by_hand, fit_members
from linnet.ensemble.training.trained_on import TrainedOn
from linnet.ensemble.widening.report import Widening
from linnet.errors import CheckpointError, InputError
from linnet.suggest import one_of

if TYPE_CHECKING:
    from linnet.ensemble.delivery.distillation import Distilled

_SGD = partial(SGD, momentum=0.9)


class HatchEnsemble(nn.Module):
    """Members with equal output shapes, pooled: hatched ones, a deep ensemble, snapshots.

    Calling it gives a prediction with both kinds of uncertainty; gradients flow through it. As any module it answers in
    its mode: in train mode batch norms use and update the statistics of each batch, and dropout draws. Call `.eval()`
    before you predict; `fit` does. `linnet.save` stores the members, temperature, prediction sets and mode;
    `linnet.load(HatchEnsemble(fresh_networks), path)` restores them.

    Args:
        members: One network or more.
        task: "classification" (logits (N, C)), "dense" (logits (N, C, H, W)) or "regression" (values, or a pair
            (mean, log variance)).
        example: Inputs as each member takes them, with which the members' outputs are compared at once; None: when
            they are first used.

    Attributes:
        members: ModuleList.
        task: As given.
        conformal: What makes prediction sets; None before `conformalize`.
        forward_impl: Which execution answers, and why; the loop until `choose_execution` has measured.

    Raises:
        InputError: there is no member, one network twice, an unknown task, or members whose outputs differ or don't
            fit the task.

    Example:
        >>> ens = HatchEnsemble([nn.Linear(3, 4) for _ in range(5)])
        >>> out = ens(torch.randn(8, 3))
        >>> out.probs.shape, out.entropy.shape, bool((out.epistemic >= -1e-12).all())
        (torch.Size([8, 4]), torch.Size([8]), True)
    """

    members: nn.ModuleList
    _temperature: Tensor

    def __init__(self, members: Sequence[nn.Module], task: str = "classification", *, example: Any = None) -> None:
        super().__init__()
        self.task = one_of("task", task, TASKS)
        networks = require_networks(members)
        if example is not None:
            require_members(networks, example, task)
        self.members = nn.ModuleList(networks)
        self.register_buffer("_temperature", torch.zeros((), dtype=torch.float64))
        self.forward_impl = Choice("loop", "not measured")
        self.conformal: Conformal | None = None
        self._joined: tuple[Any, ...] = ()
        self._trained_on = TrainedOn()

    def __len__(self) -> int:
        return len(self.members)

    @property
    def widenings(self) -> tuple[Widening | None, ...]:
        """Each member's widening; None for one that was not hatched."""
        return tuple(getattr(member, "widening", None) for member in self.members)

    @property
    def temperature(self) -> float | None:
        """What calibration found; None before."""
        return float(self._temperature) or None

    @temperature.setter
    def temperature(self, value: float | None) -> None:
        if value is not None and not is_positive(value):
            raise InputError(f"`temperature` must be a positive number or None (got {value!r}).")
        self._temperature.fill_(value or 0.0)

    def forward(self, x: Tensor) -> ClassPrediction | ValuePrediction:
        """What the members say about a batch, in the mode that they are in.

        Args:
            x: Inputs as each member takes them.

        Returns:
            `ClassPrediction` (probs, member_probs, entropy, aleatoric, epistemic ...), or for regression
            `ValuePrediction` (mean, variance, aleatoric, epistemic).
        """
        outputs = self.member_outputs(x)
        if self.task == "regression":
            pair = outputs if isinstance(outputs, tuple) else (outputs, None)
            return ValuePrediction(pair[0], pair[1], self.temperature)
        if not isinstance(outputs, Tensor):
            raise InputError(f'the members give pairs, and `task` is "{self.task}"; give task="regression".')
        return ClassPrediction(outputs, self.temperature, self.conformal)

    def member_outputs(self, x: Tensor) -> Any:
        """(M, N, ...): each member's output; of pairs, each part.

        Raises:
            InputError: the members' outputs have different shapes.
        """
        execution = self._execution()
        if not isinstance(execution, MemberLoop):
            return execution(x)
        return joined([member(x) for member in self.members])

    def choose_execution(self, x: Tensor) -> Choice:
        """Measures which execution answers fastest on inputs like these, and uses it from now on in eval mode.

        Args:
            x: A batch of the usual size.

        Returns:
            What was chosen and why; never what is slower than the loop.
        """
        self.eval()
        with torch.no_grad():
            self.forward_impl = choose(list(self.members), x, lambda execution: partial(_answer, execution.eval(), x))
            self._joined = (self.forward_impl.name, x[:2].clone(), None, None)
        return self.forward_impl

    def _execution(self) -> Execution:
        """The chosen execution with the members' present weights; the loop where gradients are wanted."""
        if self.forward_impl.name == "loop" or self.training or torch.is_grad_enabled() or not self._joined:
            return MemberLoop(list(self.members))
        name, example, stamp, made = self._joined
        now = [(t.data_ptr(), t._version) for m in self.members for t in (*m.parameters(), *m.buffers())]
        if stamp != now:
            made = build(name, list(self.members), example)
            self._joined = (name, example, now, made)
        return MemberLoop(list(self.members)) if made is None else made.eval()

    def saved_facts(self) -> dict[str, Any]:
        """What `linnet.save` stores beside the tensors: the task, the mode and what makes prediction sets."""
        sets = None if self.conformal is None else self.conformal.to_json()
        return {"task": self.task, "training": self.training, "conformal": sets}

    def take_facts(self, facts: Mapping[str, Any]) -> None:
        """Takes them back; what an older file doesn't tell is eval mode and no sets."""
        if (task := facts.get("task", self.task)) != self.task:
            raise CheckpointError(
                f"`task` must be {task!r}, as in the file (got {self.task!r}): HatchEnsemble(networks, {task!r})."
            )
        self.train(bool(facts.get("training", False)))
        stored = facts.get("conformal")
        self.conformal = None if stored is None else Conformal.from_json(stored)

    def fit(
        self,
        source: Any,
        *,
        epochs: int = 1,
        optimizer: MakeOptimizer = _SGD,
        lr: float | Sequence[float] = 0.05,
        schedule: Schedule | None = None,
        loss: Loss = cross_entropy,
        stacked: bool | None = None,
        grad_clip: float | None = None,
        compute: Compute | None = None,
        folder: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        rng_seed: int = 0,
        progress: Any = "off",
    ) -> MembersFit:
        """Trains the members on.

        A member whose loss becomes NaN or infinite is stopped, named in a warning and dropped; the others go on.

        Args:
            source: A loader of (inputs, targets); a list of M loaders, one for each member (its own order,
                augmentation or subset); or your own function train_one(model, member_index), which is called `epochs`
                times for each member.
            epochs: Passes over the loader.
            optimizer: Called as optimizer(parameters, lr=rate): a class, or functools.partial of one. SGD with
                momentum 0.9 by default.
            lr: Learning rate, or one for each member.
            schedule: Of the rate; None: a warm-up over 5 % of the run, then cosine to 0.
            loss: Of one member's (outputs, targets).
            stacked: None measures which execution is fastest; True stacks the members; False trains one after the
                other.
            grad_clip: Largest norm of each member's own gradients.
            compute: Device and precision.
            folder: For checkpoints: killed and started again, the training goes on from the last one.
            checkpoint_every: Updates between checkpoints; None: after each epoch.
            rng_seed: Of dropout and of plain iterables' shuffling.
            progress: As in `linnet.engine.fit`.

        Returns:
            How it went: the execution, the history, which members were stopped.

        Raises:
            InputError: an argument is out of its range, the loader gives no batch, or inputs, labels or the loss don't
                fit the members.
            TrainingError: all members' losses are NaN or infinite. After either error the members are as before.
        """
        manner = Manner(
            optimizer,
            epochs,
            lr,
            schedule,
            loss,
            stacked,
            grad_clip,
            compute,
            folder,
            checkpoint_every,
            rng_seed,
            progress,
        )
        networks = list(self.members)
        with unchanged_on_error(networks):
            by_hand = _is_function(source)
            found = fit_by_hand(networks, source, epochs) if by_hand else fit_members(networks, source, manner)
            if len(found.stopped) == len(networks):
                raise InputError(f"`members` are all stopped: {found.stopped}. Lower `lr`, or clip gradients.")
        self.members = nn.ModuleList(m for k, m in enumerate(networks) if k not in found.stopped)
        self.temperature = self.conformal = None
        self._trained_on = TrainedOn(source)
        self.eval()
        return found

    def calibrate(self, calibration: Any, **options: Any) -> Calibration:
        """Pools the members, fits one temperature (for regression, a factor of the variance), and keeps it.

        Decisions don't change; `probs` do. The entropies stay those of the uncalibrated members.

        Args:
            calibration: Held-out data: a loader of (inputs, targets), a pair of tensors (inputs, targets), or a pair
                (member_logits (M, N, C), labels). A warning says so if it is the loader, or its whole tensors, that the
                members were trained on.
            **options: Of `linnet.ensemble.calibrate`.

        Returns:
            The temperature, with NLL and ECE before and after.

        Raises:
            InputError: fewer than two classes are present, or labels or outputs don't fit.
        """
        if self._trained_on.is_same(calibration):
            options.setdefault("training", calibration)
        found = calibrate(self, calibration, **options)
        self.temperature = found.temperature
        return found

    def conformalize(self, calibration: Any, alpha: float = 0.1, method: Method = "lac", **options: Any) -> Conformal:
        """Prediction sets that hold the true class in 1 - alpha of all cases: `ens(x).sets` from now on.

        Args:
            calibration: Held-out data, other than that of `calibrate`, in the same forms and with the same warning.
            alpha: Share of cases that may be missed.
            method: "lac", "aps" or "raps"; see `Conformal.fit`.
            **options: Of `Conformal.fit`.

        Raises:
            InputError: the ensemble gives values, `alpha` is out of (0, 1), or there are too few samples for it.
        """
        if self.task == "regression":
            raise InputError(
                "`task` must give classes for prediction sets (got 'regression'). Use `ens(x).variance` instead."
            )
        if self._trained_on.is_same(calibration):
            warn_of_training_set(stacklevel=2)
        found = gathered(self, calibration, task=self.task)
        out = ClassPrediction(found.outputs, self.temperature)  # type: ignore[arg-type]  classes give no pairs
        self.conformal = Conformal.fit(out.probs, found.targets, alpha, method, **options)
        return self.conformal

    def trim(self, validation: Any, *, tolerance: float = 0.001) -> Trimmed:
        """Keeps the fewest members whose calibrated NLL is within a tolerance of all members', found greedily.

        The members that stay keep their order. Calibrate again afterwards: another pool needs another temperature.

        Args:
            validation: Held-out data, in the forms of `calibrate`.
            tolerance: In nats, 0 or more.

        Returns:
            Which members stay, and the calibrated NLL after each of them.

        Raises:
            InputError: the task is a regression, `tolerance` is negative, or labels or outputs don't fit.
        """
        found = gathered(self, validation, task=self.task, argument="validation")
        if isinstance(found.outputs, tuple) or self.task == "regression":
            raise InputError('`trim` must have members that classify (got task "regression").')
        if len(found.outputs) != len(self.members):
            raise InputError(
                f"`validation` must hold the logits of all {len(self)} members (got {len(found.outputs)}). Give a "
                "loader of inputs, or the outputs of these members."
            )
        trimmed = trim(found.outputs, found.targets, tolerance=tolerance)
        self.members = nn.ModuleList(member for k, member in enumerate(self.members) if k in trimmed.kept)
        self.temperature = self.conformal = None
        self.forward_impl, self._joined = Choice("loop", "not measured"), ()
        return trimmed

    def export(self, path: str | os.PathLike[str], example: Tensor | None = None) -> Path:
        """Writes one ONNX file: probs, entropy, aleatoric and epistemic of a batch of any size.

        For regression its outputs are mean, variance, aleatoric and epistemic. The file is run with onnxruntime before
        it takes its name, and agrees to 1e-5 with the ensemble in eval mode, whatever its mode is.

        Args:
            path: Ends in `.onnx`.
            example: Inputs as the members take them; it must be given.

        Raises:
            MissingExtra: `pip install "linnet[onnx]"` is needed.
            InputError: the path isn't one of a file that can be written, or the members can't run on the example.
            GraphError: a member can't be expressed in ONNX.
            ProofError: the file computes something else; it isn't kept.
        """
        from linnet.ensemble.delivery.onnx_file import write_onnx

        return write_onnx(list(self.members), path, example, task=self.task, temperature=self.temperature)

    def distill(
        self,
        student: nn.Module,
        loader: Any,
        *,
        epochs: int = 1,
        optimizer: MakeOptimizer = _SGD,
        lr: float = 0.05,
        test: Any = None,
        shifted: Any = None,
        compute: Compute | None = None,
        rng_seed: int = 0,
    ) -> Distilled:
        """Trains one small network on the ensemble's probabilities, in place, and says what it kept.

        Args:
            student: Any network with logits of the members' shape.
            loader: Batches of inputs, or tuples that begin with them; labels aren't used.
            epochs: Passes.
            optimizer: Called as optimizer(parameters, lr=rate).
            lr: Highest learning rate.
            test: Test data, as for `evaluate`; None: the scores aren't measured.
            shifted: As for `evaluate`.
            compute: Device and precision.
            rng_seed: Of a plain iterable's shuffling and of dropout.

        Raises:
            InputError: a regression ensemble, no batch, or an argument of another kind; nothing was trained.
            TrainingError: the student's outputs have another shape.
        """
        from linnet.ensemble.delivery.distillation import distilled

        return distilled(
            self,
            student,
            loader,
            epochs=epochs,
            optimizer=optimizer,
            lr=lr,
            test=test,
            shifted=shifted,
            compute=compute,
            rng_seed=rng_seed,
        )


def _is_function(source: Any) -> bool:
    loads = hasattr(source, "epoch") or hasattr(source, "__iter__") or isinstance(source, nn.Module)
    return callable(source) and not loads


@torch.no_grad()
def _answer(execution: Execution, x: Tensor) -> Any:
    return execution(x)
