"""Nuclei in microscopy: find them, count them, train and score detectors."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.nuclei.batch.batch import BatchResult, detect
    from linnet.nuclei.detector.detector import Detector, Thresholds
    from linnet.nuclei.detector.files import load
    from linnet.nuclei.points.columns import Count
    from linnet.nuclei.points.detections import Detections
    from linnet.nuclei.points.readers import read_points
    from linnet.nuclei.scoring.matching import Matching, match
    from linnet.nuclei.scoring.scores import Evaluation, evaluate
    from linnet.nuclei.training.trainer import train

# The functions `detect`, `evaluate`, `match` and `train` take the places of the files that they stand in.
__all__ = [
    "BatchResult",
    "Count",
    "Detections",
    "Detector",
    "Evaluation",
    "Matching",
    "Thresholds",
    "detect",
    "evaluate",
    "load",
    "match",
    "read_points",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "batch.batch": "BatchResult detect",
        "detector.detector": "Detector Thresholds",
        "points.columns": "Count",
        "points.detections": "Detections",
        "detector.files": "load",
        "scoring.scores": "Evaluation evaluate",
        "scoring.matching": "Matching match",
        "points.readers": "read_points",
        "training.trainer": "train",
    },
)
