"""Every exception that linnet raises on purpose.

    LinnetError
    ├── InputError (ValueError)            a value given by the caller can't be used
    │   ├── ImageError                     an image file or array
    │   ├── PointsError                    a file or array of points or labels
    │   ├── DataError                      a data set on disk
    │   ├── RecipeError                    a recipe file
    │   ├── BudgetError                    a budget that is none, or that can't be reached
    │   ├── FreezeError                    a network without an exact integer program
    │   └── GraphError                     a channel graph, a multiplicity or a probe
    │       └── UnsupportedOperator (NotImplementedError)   an operator without a channel rule
    ├── ProofError (ArithmeticError)       an edited network isn't the function that was promised
    │   └── MismatchError                  two backends of an integer program gave different numbers
    ├── CaptureError (RuntimeError)        a capture read too early, too late, or of an uncovered layer
    ├── OptimizerStateError (ValueError)   optimizer state that can't follow an edit
    ├── CheckpointError (ValueError)       a file of weights or a checkpoint can't be used
    ├── NonFiniteLoss (ArithmeticError)    training met NaN or infinity
    ├── TrainingError (RuntimeError)       training can't start or go on
    ├── ToolError (RuntimeError)           a compiler, simulator or place-and-route tool is missing or failed
    └── MissingExtra (ImportError)         an optional part isn't installed

A message names the argument, what it must be, what was given, and what to do: "`align` must be >= 1 (got 0).".
"""


class LinnetError(Exception):
    """Root of all exceptions that linnet raises on purpose."""


class InputError(LinnetError, ValueError):
    """A value given by the caller can't be used."""


class ImageError(InputError):
    """An image file or array can't be used."""


class PointsError(InputError):
    """A file or array of points or labels can't be used."""


class DataError(InputError):
    """A data set on disk can't be used."""


class RecipeError(InputError):
    """A recipe file can't be used."""


class BudgetError(InputError):
    """A budget is none, or can't be reached."""


class FreezeError(InputError):
    """A network has no exact integer program."""


class GraphError(InputError):
    """A channel graph, a multiplicity or a probe can't be used."""


class UnsupportedOperator(GraphError, NotImplementedError):
    """An operator touches channels and has no channel rule."""


class ProofError(LinnetError, ArithmeticError):
    """An edited network isn't the function that was promised."""


class MismatchError(ProofError):
    """Two backends of an integer program gave different numbers."""


class CaptureError(LinnetError, RuntimeError):
    """A capture was read too early, too late, or of an uncovered layer."""


class OptimizerStateError(LinnetError, ValueError):
    """Optimizer state can't follow an edit of the network."""


class CheckpointError(LinnetError, ValueError):
    """A file of weights or a checkpoint can't be used."""


class NonFiniteLoss(LinnetError, ArithmeticError):
    """Training met a loss that is NaN or infinite."""


class TrainingError(LinnetError, RuntimeError):
    """Training can't start or can't go on."""


class ToolError(LinnetError, RuntimeError):
    """A compiler, simulator or place-and-route tool is missing, or it failed."""


class MissingExtra(LinnetError, ImportError):
    """An optional part of linnet isn't installed."""
