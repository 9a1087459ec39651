"""Sure: calibrated uncertainty from an ensemble, and how good it is."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.ensemble.evaluation.calibration_errors import classwise_ece, ece, ece_debiased, ece_debiased_interval
    from linnet.ensemble.evaluation.detection import auroc, fpr95
    from linnet.ensemble.evaluation.likelihood import brier, nll
    from linnet.ensemble.evaluation.rejection import RejectionCurve, aurc, e_aurc, rejection_curve
    from linnet.ensemble.prediction.class_prediction import ClassPrediction
    from linnet.ensemble.prediction.value_prediction import ValuePrediction

__all__ = [
    "ClassPrediction",
    "RejectionCurve",
    "ValuePrediction",
    "aurc",
    "auroc",
    "brier",
    "classwise_ece",
    "e_aurc",
    "ece",
    "ece_debiased",
    "ece_debiased_interval",
    "fpr95",
    "nll",
    "rejection_curve",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "evaluation.calibration_errors": "classwise_ece ece ece_debiased ece_debiased_interval",
        "evaluation.detection": "auroc fpr95",
        "evaluation.likelihood": "brier nll",
        "evaluation.rejection": "RejectionCurve aurc e_aurc rejection_curve",
        "prediction.class_prediction": "ClassPrediction",
        "prediction.value_prediction": "ValuePrediction",
    },
)
