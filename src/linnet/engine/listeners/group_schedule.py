"""GroupSchedule: a value of the optimizer's parameter groups that moves over a run, as p of Padam may."""

from typing import Any, Literal, get_args

from linnet.engine.events import Listener, Run
from linnet.engine.listeners.schedule import learning_rates, set_learning_rates
from linnet.errors import CheckpointError, InputError, TrainingError

Shape = Literal["linear", "step"]


class GroupSchedule(Listener):
    """Sets `group[key]` of every parameter group before each update.

    With s the index of the update and t = s / (total - 1) in [0, 1]:

        linear    start + (end - start) t        the last update has `end`
        step      start while t < at, then end

    and the learning rate, whatever its own schedule says, is multiplied by lr_gain ^ (start - value). The value is a
    function of the update's index alone, so a resumed run goes on exactly. When the run is over, the groups have the
    values that they came with.

    Args:
        key: Of the groups: "p", "weight_decay", "momentum", ...
        start: Value of the first update.
        end: Value of the last one.
        shape: "linear" or "step".
        at: Fraction of the run at which "step" changes, in (0, 1).
        lr_gain: For Padam: gradient_scale ^ -2 moves the learning rate with p as the scale law asks (see docs/padam).

    Raises:
        InputError: a value is out of its range; the message names it.

    Example:
        >>> GroupSchedule("p", 0.25, 0.0).value(1, 3)
        0.125
    """

    def __init__(
        self, key: str, start: float, end: float, shape: Shape = "linear", *, at: float = 0.5, lr_gain: float = 1.0
    ) -> None:
        if shape not in get_args(Shape):
            raise InputError(f"`shape` must be one of {', '.join(get_args(Shape))} (got {shape!r}).")
        if not 0 < at < 1:
            raise InputError(f"`at` must be a fraction of the run between 0 and 1, like 0.5 (got {at}).")
        if not lr_gain > 0:
            raise InputError(f"`lr_gain` must be a positive factor (got {lr_gain}). 1 leaves the learning rate alone.")
        if key in ("params", "lr"):
            raise InputError(
                f"`key` can't be {key!r}, because the learning rate has the `schedule` of fit. Give another key."
            )
        self.key, self.start, self.end = key, start, end
        self.shape, self.at, self.lr_gain = shape, at, lr_gain
        self._before: list[Any] = []

    def value(self, step: int, total: int) -> float:
        """The value in force at an update.

        Args:
            step: Index of the update, 0..total-1.
            total: Updates in the whole run.
        """
        t = min(1.0, step / max(1, total - 1))
        if self.shape == "step":
            return self.start if t < self.at else self.end
        return self.start + (self.end - self.start) * t

    def on_start(self, run: Run) -> None:
        """Refuses an optimizer whose groups don't have the key.

        Raises:
            TrainingError: a group lacks it.
        """
        for group in run.optimizer.param_groups:
            if self.key not in group:
                known = ", ".join(sorted(set(group) - {"params", "lr"}))
                raise TrainingError(
                    f"`{self.key}` must be a key of the groups of {type(run.optimizer).__name__}: one of {known}."
                )

    def on_gradients(self, run: Run) -> None:
        """Sets the value of the update to come."""
        groups = run.optimizer.param_groups
        self._before = self._before or [group[self.key] for group in groups]
        value = self.value(run.step, run.steps_total)
        for group in groups:
            group[self.key] = value
        if self.lr_gain != 1:
            gain = self.lr_gain ** (self.start - value)
            set_learning_rates(run.optimizer, [lr * gain for lr in learning_rates(run.optimizer)])

    def on_end(self, run: Run) -> None:
        """Gives the groups back what they had."""
        for group, value in zip(run.optimizer.param_groups, self._before, strict=False):
            group[self.key] = value
        self._before = []

    def state_dict(self) -> dict[str, Any]:
        """The schedule's settings, so that a resume notices another one, and the groups' initial values."""
        return {**self._settings(), "before": list(self._before)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compares with the schedule that the checkpoint was made under.

        Raises:
            CheckpointError: it was another one.
        """
        ours = self._settings()
        other = [f"`{name}` was {state[name]} and is {ours[name]}" for name in ours if state.get(name) != ours[name]]
        if other:
            raise CheckpointError(
                f"The checkpoint was made with another schedule of `{self.key}`: {'; '.join(other)}. Give this run "
                "its own folder, or start again with resume=False."
            )
        self._before = list(state["before"])

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("key", "start", "end", "shape", "at", "lr_gain")}
