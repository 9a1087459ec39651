"""Sure: one trained network becomes an ensemble with calibrated uncertainty, and how good that is is measured.

`hatch` makes the members from a trained network, and `HatchEnsemble` trains and pools them; any networks with equal
outputs are an ensemble too. `widen` makes one network wider and proves that it computes the same.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.ensemble.calibration.conformal import Conformal as Conformal
    from linnet.ensemble.calibration.scaling import Calibration as Calibration, calibrate as calibrate
    from linnet.ensemble.evaluation.comparison import (
        Comparison as Comparison,
        Difference as Difference,
        compare as compare,
    )
    from linnet.ensemble.evaluation.equivalent import (
        Equivalent as Equivalent,
        deep_ensemble_equivalent as deep_ensemble_equivalent,
    )
    from linnet.ensemble.evaluation.protocol import evaluate as evaluate
    from linnet.ensemble.evaluation.report import Report as Report
    from linnet.ensemble.evaluation.shift import Shift as Shift
    from linnet.ensemble.evaluation.trimming import Trimmed as Trimmed, trim as trim
    from linnet.ensemble.hatch_ensemble import HatchEnsemble as HatchEnsemble
    from linnet.ensemble.hatching.construction import hatch as hatch
    from linnet.ensemble.hatching.event import Hatch as Hatch
    from linnet.ensemble.metrics.calibration_errors import (
        classwise_ece as classwise_ece,
        ece as ece,
        ece_debiased as ece_debiased,
        ece_debiased_interval as ece_debiased_interval,
    )
    from linnet.ensemble.metrics.detection import auroc as auroc, fpr95 as fpr95
    from linnet.ensemble.metrics.likelihood import brier as brier, nll as nll
    from linnet.ensemble.metrics.rejection import (
        RejectionCurve as RejectionCurve,
        aurc as aurc,
        e_aurc as e_aurc,
        rejection_curve as rejection_curve,
    )
    from linnet.ensemble.prediction.class_prediction import ClassPrediction as ClassPrediction
    from linnet.ensemble.prediction.value_prediction import ValuePrediction as ValuePrediction
    from linnet.ensemble.training.choice import Choice as Choice
    from linnet.ensemble.training.fitting import MembersFit as MembersFit
    from linnet.ensemble.widening.construction import widen as widen
    from linnet.ensemble.widening.report import WidenedClass as WidenedClass, Widening as Widening

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
