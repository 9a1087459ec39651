"""Sure: one trained network becomes an ensemble with calibrated uncertainty, and how good that is is measured.

`hatch` makes the members from a trained network, and `HatchEnsemble` trains and pools them; any networks with equal
outputs are an ensemble too. `widen` makes one network wider and proves that it computes the same.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.ensemble.calibration.conformal import Conformal
    from linnet.ensemble.calibration.scaling import Calibration, calibrate
    from linnet.ensemble.evaluation.comparison import Comparison, Difference, compare
    from linnet.ensemble.evaluation.equivalent import Equivalent, deep_ensemble_equivalent
    from linnet.ensemble.evaluation.protocol import evaluate
    from linnet.ensemble.evaluation.report import Report
    from linnet.ensemble.evaluation.shift import Shift
    from linnet.ensemble.evaluation.trimming import Trimmed, trim
    from linnet.ensemble.hatch_ensemble import HatchEnsemble
    from linnet.ensemble.hatching.construction import hatch
    from linnet.ensemble.hatching.event import Hatch
    from linnet.ensemble.metrics.calibration_errors import classwise_ece, ece, ece_debiased, ece_debiased_interval
    from linnet.ensemble.metrics.detection import auroc, fpr95
    from linnet.ensemble.metrics.likelihood import brier, nll
    from linnet.ensemble.metrics.rejection import RejectionCurve, aurc, e_aurc, rejection_curve
    from linnet.ensemble.prediction.class_prediction import ClassPrediction
    from linnet.ensemble.prediction.value_prediction import ValuePrediction
    from linnet.ensemble.training.choice import Choice
    from linnet.ensemble.training.fitting import MembersFit
    from linnet.ensemble.widening.construction import widen
    from linnet.ensemble.widening.report import WidenedClass, Widening

__all__ = [
    "Calibration",
    "Choice",
    "ClassPrediction",
    "Comparison",
    "Conformal",
    "Difference",
    "Equivalent",
    "Hatch",
    "HatchEnsemble",
    "MembersFit",
    "RejectionCurve",
    "Report",
    "Shift",
    "Trimmed",
    "ValuePrediction",
    "WidenedClass",
    "Widening",
    "aurc",
    "auroc",
    "brier",
    "calibrate",
    "classwise_ece",
    "compare",
    "deep_ensemble_equivalent",
    "e_aurc",
    "ece",
    "ece_debiased",
    "ece_debiased_interval",
    "evaluate",
    "fpr95",
    "hatch",
    "nll",
    "rejection_curve",
    "trim",
    "widen",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "calibration.conformal": "Conformal",
        "calibration.scaling": "Calibration calibrate",
        "evaluation.comparison": "Comparison Difference compare",
        "evaluation.equivalent": "Equivalent deep_ensemble_equivalent",
        "evaluation.protocol": "evaluate",
        "evaluation.report": "Report",
        "evaluation.shift": "Shift",
        "evaluation.trimming": "Trimmed trim",
        "hatch_ensemble": "HatchEnsemble",
        "hatching.construction": "hatch",
        "hatching.event": "Hatch",
        "metrics.calibration_errors": "classwise_ece ece ece_debiased ece_debiased_interval",
        "metrics.detection": "auroc fpr95",
        "metrics.likelihood": "brier nll",
        "metrics.rejection": "RejectionCurve aurc e_aurc rejection_curve",
        "prediction.class_prediction": "ClassPrediction",
        "prediction.value_prediction": "ValuePrediction",
        "training.choice": "Choice",
        "training.fitting": "MembersFit",
        "widening.construction": "widen",
        "widening.report": "WidenedClass Widening",
    },
)
