"""An ensemble as sections of a page: six pictures of how sure it is and whether that is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from linnet.report.figures import drawing, figure
from linnet.report.html_page import Section
from linnet.results import share_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ("#1f9e89", "#d5803b", "#6a51a3", "#808080")


def uncertainty_sections(facts: Mapping[str, Any]) -> list[Section]:
    """The sections of an ensemble's report.

    Args:
        facts: Of `uncertainty.json` in a run folder.
    """
    with drawing():
        shown = [
            ("Reliability", _reliability(facts["reliability"]), "Share of right answers against confidence, with 95 % "
             "intervals; below, how many answers each bin has."),
            ("Budget", _budget(facts), "Negative log-likelihood against all multiply-accumulates spent on training: "
             "the seed's on validation images after each epoch, and what came of it on test images."),
            ("Rejection", _rejection(facts["rejection"]), "Error among the answers that are kept when the least sure "
             "are rejected."),
            ("Entropy", _entropies(facts["entropies"]), "Entropy of test images and of images that belong to no "
             "class, as shares."),
            ("Most uncertain", _unsure(facts["unsure"]), "Test images of the largest entropy: aleatoric (the members "
             "agree that it is unclear) and epistemic (they disagree) uncertainty, in nats."),
        ]  # fmt: skip
        if facts["grid"]["names"]:
            shown.append(("Corruptions", _grid(facts["grid"]), "Expected calibration error (before calibration) on "
                          "test images of the generated suite, by corruption and severity."))  # fmt: skip
        return [Section(title, [figure(drawn, alt=caption, caption=caption)]) for title, drawn, caption in shown]


def _figure(width: float = 6.4, height: float = 3.6) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _reliability(facts: Mapping[str, Any]) -> Figure:
    made = _figure(6.4, 4.6)
    upper, lower = made.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot((0, 1), (0, 1), color=_COLORS[3], linewidth=0.8, linestyle="--")
    for (name, bins), color in zip(facts.items(), _COLORS, strict=False):
        confidence = np.array([one[0] for one in bins])
        share = np.array([one[1] / one[2] for one in bins])
        low, high = np.array([share_interval(int(one[1]), int(one[2])) for one in bins]).T
        errors = np.array([share - low, high - share]).clip(min=0)
        upper.errorbar(confidence, share, errors, fmt="o-", markersize=3, linewidth=1, color=color, label=name)
        lower.plot(confidence, [one[2] for one in bins], "o-", markersize=3, linewidth=1, color=color)
    upper.set_ylabel("share of right answers")
    lower.set_xlabel("confidence")
    lower.set_ylabel("answers")
    lower.set_ylim(bottom=0)
    upper.legend()
    return made


def _budget(facts: Mapping[str, Any]) -> Figure:
    made = _figure()
    axes = made.subplots()
    seed, total = facts["costs"]["seed"], facts["costs"]["total"]
    if seed:
        axes.plot([one[0] for one in seed], [one[1] for one in seed], color=_COLORS[1], label="seed, validation")
    for (name, nll), color in zip(facts["nll"].items(), (_COLORS[1], _COLORS[0]), strict=False):
        spent = seed[-1][0] if name == "seed" and seed else total
        axes.plot([spent], [nll], "o", color=color, label=f"{name}, test")
    axes.set_xlabel("MACs of training")
    axes.set_ylabel("negative log-likelihood (nat)")
    axes.set_ylim(bottom=0, top=_top(seed, facts["nll"]))
    axes.legend()
    return made


def _top(seed: Any, nll: Mapping[str, float]) -> float:
    """Above the last losses, so that the first epochs don't press the rest flat."""
    last = [one[1] for one in seed[len(seed) // 5 :]]
    return 1.15 * max([*last, *nll.values()])


def _rejection(facts: Mapping[str, Any]) -> Figure:
    made = _figure()
    axes = made.subplots()
    for (name, curve), color in zip(facts.items(), (_COLORS[1], _COLORS[0]), strict=False):
        axes.plot(curve["kept"], curve["error"], color=color, label=name)
    axes.set_xlabel("share of answers kept")
    axes.set_ylabel("error among them")
    axes.set_ylim(bottom=0)
    axes.legend()
    return made


def _entropies(facts: Mapping[str, Any]) -> Figure:
    made = _figure()
    axes = made.subplots()
    edges = np.array(facts["edges"])
    for (name, label), color in zip((("inside", "test images"), ("outside", "from outside")), _COLORS, strict=False):
        counts = np.array(facts[name], dtype=float)
        axes.stairs(counts / max(counts.sum(), 1.0), edges, fill=True, alpha=0.5, color=color, label=label)
    axes.set_xlabel("entropy (nat)")
    axes.set_ylabel("share of images")
    axes.legend()
    return made


def _unsure(images: Any) -> Figure:
    made = _figure(7.2, 4.2)
    for axes, one in zip(made.subplots(2, 4).flat, images, strict=False):
        pixels = np.array(one["pixels"], dtype=np.uint8)
        axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
        axes.set_title(
            f"{one['true']}, said {one['said']}\naleatoric {one['aleatoric']:.2f}, epistemic {one['epistemic']:.2f}",
            fontsize=7,
        )
        axes.axis("off")
    return made


def _grid(facts: Mapping[str, Any]) -> Figure:
    methods = list(facts["ece"])
    made = _figure(3.4 * len(methods) + 1.2, 0.26 * len(facts["names"]) + 1.2)
    all_axes = np.atleast_1d(made.subplots(1, len(methods), sharey=True))
    top = max(float(np.max(values)) for values in facts["ece"].values())
    for axes, method in zip(all_axes, methods, strict=True):
        values = np.array(facts["ece"][method])
        axes.imshow(values, aspect="auto", cmap="viridis", vmin=0, vmax=top)
        axes.set_xticks(range(len(facts["severities"])), [str(severity) for severity in facts["severities"]])
        axes.set_yticks(range(len(facts["names"])), facts["names"])
        axes.set_title(method)
        axes.set_xlabel("severity")
        for (row, column), value in np.ndenumerate(values):
            color = "white" if value < 0.6 * top else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=color)
    made.colorbar(all_axes[0].images[0], ax=list(all_axes), label="ECE")
    return made
