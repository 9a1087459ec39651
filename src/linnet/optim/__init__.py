"""Fast: natural gradient descent that knows its own step size, and Padam.

NaturalGradient   exact or approximate Fisher information; eta = c / alpha; a report of every parameter
StepReport        what the last step did
"""

from linnet.optim.natural import NaturalGradient
from linnet.optim.step_report import StepReport

__all__ = ["NaturalGradient", "StepReport"]
