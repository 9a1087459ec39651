"""What a scale leaves out of the whole study, in words."""

from __future__ import annotations

from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.plan import STARTS

_SHOTS, _SEEDS = (1, 2, 4, 8), 5  # of the whole study, which the gpu scale runs
_START_NAMES = {
    "best": "the best other group",
    "mixture": "a mixture of all others",
    "default": "the shipped detector",
    "scratch": "random weights",
}


def left_out(found: Findings) -> str:
    """Sentences, from the description that lies beside the records."""
    settings, told = found.study.settings, []
    shots = [str(k) for k in _SHOTS if k not in settings["shots"]]
    if shots:
        told.append(f"training on k = {' and '.join(shots)} images of the target")
    told += [f"starting from {_START_NAMES[start]}" for start in STARTS if start not in settings["starts"]]
    unseen = [group for group in found.groups if group not in found.study.targets]
    if unseen:
        told.append(f"few images of {', '.join(unseen)}")
        if "weighted" in settings["mixtures"]:
            told.append("mixtures weighted for the same groups")
    rehearsed = [str(k) for k in settings["shots"] if k not in settings["rehearsal"]]
    if rehearsed:
        told.append(f"rehearsal of the source for k = {' and '.join(rehearsed)}")
    if settings["seeds"] < _SEEDS:
        told.append(f"{_SEEDS - settings['seeds']} of {_SEEDS} seeds")
    limits = [
        f"{settings[key]} {words}"
        for key, words in (
            ("train_images", "to train on"),
            ("validation_images", "to validate"),
            ("test_images", "to test"),
        )
        if settings[key]
    ]
    sentences = [f"Left out at this scale: {'; '.join(told)}."] if told else []
    if limits:
        sentences.append(f"Of each group at most so many images are taken: {', '.join(limits)}.")
    sentences.append(f"A training takes {settings['steps']} steps, one on few images {settings['shot_steps']}.")
    return " ".join(sentences)
