"""Nuclei in microscopy: find them, count them, train and score detectors."""

from linnet.nuclei.detect import Detector, Thresholds
from linnet.nuclei.detections import Count, Detections
from linnet.nuclei.detector_file import load
from linnet.nuclei.evaluate import Evaluation, evaluate
from linnet.nuclei.match import Matching, match
from linnet.nuclei.train import train

__all__ = [
    "Count",
    "Detections",
    "Detector",
    "Evaluation",
    "Matching",
    "Thresholds",
    "evaluate",
    "load",
    "match",
    "train",
]
