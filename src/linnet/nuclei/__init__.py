"""Nuclei in microscopy: find them, count them, train and score detectors."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.nuclei.batch.batch import BatchResult as BatchResult, detect as detect
    from linnet.nuclei.detector.detector import Detector as Detector, Thresholds as Thresholds
    from linnet.nuclei.detector.files import load as load
    from linnet.nuclei.points.columns import Count as Count
    from linnet.nuclei.points.detections import Detections as Detections
    from linnet.nuclei.points.readers import read_points as read_points
    from linnet.nuclei.scoring.matching import Matching as Matching, match as match
    from linnet.nuclei.scoring.scores import Evaluation as Evaluation, evaluate as evaluate
    from linnet.nuclei.training.trainer import train as train
    from linnet.nuclei.transfer.running import study as study

# The functions `detect`, `evaluate`, `match`, `study` and `train` take the places of the files that they stand in.

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
