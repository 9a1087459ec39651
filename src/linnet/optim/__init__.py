"""Fast: natural gradient descent that knows its own step size, and Padam.

Each name is loaded when it is first used, so that Padam doesn't wait for what only natural gradients need.

Names:
    NaturalGradient   exact or approximate Fisher information; eta = c / alpha; a report of every parameter
    StepReport        what the last step did
    predict           the curve that training and test outputs will follow, before training starts
    Prediction        that curve
    Padam             partially adaptive momentum: one number p between SGD with momentum and Amsgrad
    padam_lr          which learning rate goes with which p: a start for tuning
    EffectiveRates    how far the steps of its elements spread
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linnet.optim.effective_rates import EffectiveRates
    from linnet.optim.natural import NaturalGradient
    from linnet.optim.padam import Padam
    from linnet.optim.padam_rate import padam_lr
    from linnet.optim.prediction import Prediction, predict
    from linnet.optim.step_report import StepReport

__all__ = ["EffectiveRates", "NaturalGradient", "Padam", "Prediction", "StepReport", "padam_lr", "predict"]

_HOMES = {
    "EffectiveRates": "effective_rates",
    "NaturalGradient": "natural",
    "Padam": "padam",
    "Prediction": "prediction",
    "StepReport": "step_report",
    "padam_lr": "padam_rate",
    "predict": "prediction",
}  # the file of each name


def __getattr__(name: str) -> Any:
    """The public name, imported when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module `linnet.optim` has no attribute `{name}`. Its names: {', '.join(__all__)}.")
    value: Any = getattr(import_module(f"linnet.optim.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, so that completion shows them before they are loaded."""
    return sorted(__all__)
