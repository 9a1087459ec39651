"""Fast: natural gradient descent that knows its own step size, and Padam.

Names:
    NaturalGradient   exact or approximate Fisher information; eta = c / alpha; a report of every parameter
    StepReport        what the last step did
    predict           the curve that training and test outputs will follow, before training starts
    Prediction        that curve
    Padam             partially adaptive momentum: one number p between SGD with momentum and Amsgrad
    padam_lr          which learning rate goes with which p: a start for tuning
    EffectiveRates    how far the steps of its elements spread
"""

from linnet.optim.effective_rates import EffectiveRates
from linnet.optim.natural import NaturalGradient
from linnet.optim.padam import Padam
from linnet.optim.padam_lr import padam_lr
from linnet.optim.predict import Prediction, predict
from linnet.optim.step_report import StepReport

__all__ = ["EffectiveRates", "NaturalGradient", "Padam", "Prediction", "StepReport", "padam_lr", "predict"]
