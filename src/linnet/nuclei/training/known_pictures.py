"""The domain of a trained detector: the pictures that it learned from, as it sees them."""

import dataclasses
from collections.abc import Hashable, Iterable
from typing import Any

from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.trust.domain import LEAST, Domain, fit_domain


def knowing(detector: Detector, images: Iterable[tuple[Any, Hashable]]) -> Detector:
    """The detector with the domain by which it flags other pictures; without one when it knows fewer than 20.

    Args:
        detector: The trained detector.
        images: (pixels, picture) of each image that it learned from: crops of one picture share its name.
    """
    seen = [(detector.features(pixels), picture) for pixels, picture in images]
    known = [(features, picture) for features, picture in seen if features is not None]
    domain: Domain | None = None
    if len({picture for _, picture in known}) >= LEAST:
        domain = fit_domain([features for features, _ in known], [picture for _, picture in known])
    return dataclasses.replace(detector, domain=domain)
