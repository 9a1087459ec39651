"""One scale for the images of a batch, and a word where they disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from linnet.errors import InputError, LinnetError
from linnet.nuclei.batch.jobs import Job
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.detector.scale import agreed_scale
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.read.images import Picture

_FEW = 5  # nuclei below which an image's own diameter isn't compared
_APART = 2.0  # diameters of one acquisition differ by less than this factor


def agreed_diameter(detector: object, jobs: Iterable[Job], read: Callable[[Job], Picture]) -> float:
    """The diameter in pixels that most of the images agree on, by vote; images that can't be read don't vote.

    Args:
        detector: Finds the scale of each image.
        jobs: Pictures of one acquisition.
        read: Opens one of them.

    Raises:
        InputError: the detector isn't one of linnet's, so it has no scale.
    """
    if not isinstance(detector, Detector):
        raise InputError(f"`same_scale` needs a detector of linnet (got {type(detector).__name__}). Leave it out.")
    choices = []
    for job in jobs:
        try:
            choices.append(detector.find_scale(read(job).pixels))
        except (LinnetError, MemoryError):  # the batch reads it again and lists the reason
            continue
    return detector.reference_diameter_px / agreed_scale(choices)


def disagreement(found: Sequence[tuple[str, Detections]]) -> str:
    """A sentence where the diameters that were chosen for the images differ widely; empty where they don't."""
    known = [(d.diameter_px, name) for name, d in found if d.diameter_px is not None and len(d) >= _FEW]
    if len(known) < 2:
        return ""
    (small, a), (large, b) = min(known), max(known)
    if large <= _APART * small:
        return ""
    return (
        f"the chosen diameters of the nuclei run from {small:.0f} px ({a}) to {large:.0f} px ({b}); where the images "
        "come from one acquisition, one scale for all is safer (`same_scale`)"
    )
