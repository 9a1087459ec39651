"""Nuclei in microscopy: find them, count them, train and score detectors."""

from linnet.nuclei.batch import BatchResult, detect
from linnet.nuclei.detect import Detector, Thresholds
from linnet.nuclei.detections import Count, Detections
from linnet.nuclei.detector_file import load
from linnet.nuclei.evaluate import Evaluation, evaluate
from linnet.nuclei.match import Matching, match
from linnet.nuclei.points import read_points
from linnet.nuclei.train import train

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
