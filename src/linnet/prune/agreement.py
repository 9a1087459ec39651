"""Agreement: the processes of a distributed run must prune alike, or none goes on."""

from __future__ import annotations

import hashlib

import torch

from linnet.core.processes import gathered
from linnet.errors import TrainingError


def require_agreement(what: str, words: str, remedy: str) -> None:
    """Compares what every process of the run holds; called by all of them at the same point.

    Args:
        what: What is compared, for the message.
        words: This process's value, exact as text.
        remedy: What to do when they differ.

    Raises:
        TrainingError: on every process, with the ranks that differ from rank 0.
    """
    digest = torch.frombuffer(bytearray(hashlib.sha256(words.encode()).digest()), dtype=torch.uint8)
    first, *others = gathered(digest)
    apart = [rank for rank, other in enumerate(others, start=1) if not torch.equal(first, other)]
    if apart:
        ranks = ", ".join(str(rank) for rank in apart)
        raise TrainingError(
            f"{what} of {'rank' if len(apart) == 1 else 'ranks'} {ranks} differ from rank 0's (here: {words[:200]}); "
            f"all processes must prune alike. {remedy}"
        )
