"""Fast: natural gradient descent that knows its own step size, and Padam.

Each name is loaded when it is first used, so that Padam doesn't wait for what only natural gradient needs.

Names:
    NaturalGradient   exact or approximate Fisher information; eta = c / alpha; a report of every parameter
    KroneckerOptions  how K-FAC's factors are taken, kept and inverted
    StepReport        the facts of the last step
    predict           the curve that training and test outputs will follow, before training starts
    Prediction        that curve
    Padam             partially adaptive momentum: one number p between SGD with momentum and Amsgrad
    padam_lr          the learning rate that goes with a p: a start for tuning
    EffectiveRates    how far the steps of its elements spread
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.optim.natural.kronecker_options import KroneckerOptions as KroneckerOptions
    from linnet.optim.natural.natural_gradient import NaturalGradient as NaturalGradient
    from linnet.optim.natural.prediction import Prediction as Prediction, predict as predict
    from linnet.optim.natural.step_report import StepReport as StepReport
    from linnet.optim.padam.learning_rate import padam_lr as padam_lr
    from linnet.optim.padam.padam import Padam as Padam
    from linnet.optim.padam.rates import EffectiveRates as EffectiveRates

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
