"""Sure: one trained network becomes an ensemble with calibrated uncertainty, and how good that is is measured.

`hatch` makes the members from a trained network, and `HatchEnsemble` trains and pools them; any networks with equal
outputs are an ensemble too. `widen` makes one network wider and proves that it computes the same.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.ensemble.evaluation.calibration_errors import classwise_ece, ece, ece_debiased, ece_debiased_interval
    from linnet.ensemble.evaluation.detection import auroc, fpr95
    from linnet.ensemble.evaluation.likelihood import brier, nll
    from linnet.ensemble.evaluation.rejection import RejectionCurve, aurc, e_aurc, rejection_curve
    from linnet.ensemble.hatch_ensemble import HatchEnsemble
    from linnet.ensemble.hatching.construction import hatch
    from linnet.ensemble.hatching.event import Hatch
    from linnet.ensemble.prediction.class_prediction import ClassPrediction
    from linnet.ensemble.prediction.value_prediction import ValuePrediction
    from linnet.ensemble.training.choice import Choice
    from linnet.ensemble.training.fitting import MembersFit
    from linnet.ensemble.widening.construction import widen
    from linnet.ensemble.widening.report import WidenedClass, Widening

__all__ = [
    "Choice",
    "ClassPrediction",
    "Hatch",
    "HatchEnsemble",
    "MembersFit",
    "RejectionCurve",
    "ValuePrediction",
    "WidenedClass",
    "Widening",
    "aurc",
    "auroc",
    "brier",
    "classwise_ece",
    "e_aurc",
    "ece",
    "ece_debiased",
    "ece_debiased_interval",
    "fpr95",
    "hatch",
    "nll",
    "rejection_curve",
    "widen",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "evaluation.calibration_errors": "classwise_ece ece ece_debiased ece_debiased_interval",
        "evaluation.detection": "auroc fpr95",
        "evaluation.likelihood": "brier nll",
        "evaluation.rejection": "RejectionCurve aurc e_aurc rejection_curve",
        "hatch_ensemble": "HatchEnsemble",
        "hatching.construction": "hatch",
        "hatching.event": "Hatch",
        "prediction.class_prediction": "ClassPrediction",
        "prediction.value_prediction": "ValuePrediction",
        "training.choice": "Choice",
        "training.fitting": "MembersFit",
        "widening.construction": "widen",
        "widening.report": "WidenedClass Widening",
    },
)
