"""Nuclei in microscopy: find them, count them, train and score detectors."""

from linnet.nuclei.batch import BatchResult, detect
from linnet.nuclei.detect import Detector, Thresholds
from linnet.nuclei.detections import Count, Detections
from linnet.nuclei.detector_file import load
from linnet.nuclei.evaluate import Evaluation, evaluate
from linnet.nuclei.images import Picture, open_picture, read_image
from linnet.nuclei.match import Matching, match
from linnet.nuclei.points import read_points
from linnet.nuclei.train import train

__all__ = [
    "BatchResult",
    "Count",
    "Detections",
    "Detector",
    "Evaluation",
    "Matching",
    "Picture",
    "Thresholds",
    "detect",
    "evaluate",
    "load",
    "match",
    "open_picture",
    "read_image",
    "read_points",
    "train",
]
