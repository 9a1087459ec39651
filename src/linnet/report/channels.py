"""A channel graph as one page: a bar for each class, and the memory of activations over the operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from linnet.core.program.peak_memory import Profile, activation_profile
from linnet.report.figures import drawing, figure
from linnet.report.html_page import Section, note, page, tiles
from linnet.report.tables import table

if TYPE_CHECKING:
    from linnet.core import ChannelGraph
    from linnet.core.channels.classes import ChannelClass

# Told apart by everyone, on light and dark ground: blue, orange, gray.
COLORS = {"free": "#2f7ed8", "uniform": "#d9822b", "frozen": "#8a8f98"}
_BAR, _ROW, _LABEL = 420, 20, 230


def channels_page(graph: ChannelGraph, name: str) -> str:
    """One self-contained page about a channel graph.

    Args:
        graph: Any channel graph.
        name: What the network is called.

    Returns:
        HTML: a bar for each class (its length the channels, its strong part the share of MACs; the reason of a frozen
        class shows on hover), and bytes of activations over the operators with the peak named.
    """
    cost = graph.cost()
    profile = activation_profile(graph.program)
    free = sum(known.frozen is None for known in graph.classes.values())
    facts = [
        ("classes", f"{len(graph.classes)}, {free} free"),
        ("parameters", f"{cost.params:,}"),
        ("MACs of one sample", f"{cost.macs:,}"),
        ("bytes of weights", f"{cost.bytes:,}"),
        ("activations at the peak", f"{cost.peak_activation_bytes:,} bytes"),
    ]
    bars = [_legend(), _bars(graph), _reasons(graph)]
    memory = [_profile(profile), note(_peak(cost.peak_at))]
    sections = [
        Section("Channel classes", bars, "Channels of a class live and die together; the order is that of execution."),
        Section("Activation memory", memory, "Bytes alive while each operator runs, for one sample."),
    ]
    return page(f"Channels of {name}", sections, lead=tiles(facts))


def state_of(known: ChannelClass) -> str:
    """ "free", "uniform" or "frozen"."""
    if known.frozen is not None:
        return "frozen"
    return "free" if known.uniform is None else "uniform"


def _legend() -> Markup:
    words = {
        "free": "free",
        "uniform": "one equal multiplicity for all channels",
        "frozen": "frozen (the reason shows on hover and in the table)",
    }
    parts = [
        Markup('<span style="color:{}">&#9632;</span> {}').format(color, words[state])
        for state, color in COLORS.items()
    ]
    return Markup("<p>{}. The strong part of a bar is the class's share of the MACs.</p>").format(
        Markup(" &nbsp; ").join(parts)
    )


def _bars(graph: ChannelGraph) -> Markup:
    """The bars as inline SVG, in the page's text colour."""
    largest = max(known.size for known in graph.classes.values())
    shares, total = graph.cost().by_class, max(graph.cost().macs, 1)
    rows = []
    for number, known in enumerate(graph.classes.values()):
        share, y, color = shares[known.name].macs / total, number * _ROW, COLORS[state_of(known)]
        width = max(2.0, _BAR * known.size / largest)
        why = known.frozen or known.uniform or "free"
        rows.append(
            Markup(
                '<g><title>{}: {} channels, {:.1%} of the MACs; {}</title><text x="{}" y="{}" text-anchor="end" '
                'fill="currentColor">{}</text><rect x="{}" y="{}" width="{:.1f}" height="{}" fill="{}" opacity="0.35"/>'
                '<rect x="{}" y="{}" width="{:.1f}" height="{}" fill="{}"/>'
                '<text x="{:.1f}" y="{}" fill="currentColor">{}</text></g>'
            ).format(
                known.name, known.size, share, why, _LABEL - 8, y + 14, _short(known.name),
                _LABEL, y + 3, width, _ROW - 6, color, _LABEL, y + 3, width * min(share, 1.0), _ROW - 6, color,
                _LABEL + width + 6, y + 14, known.size,
            )
        )  # fmt: skip
    size = (_LABEL + _BAR + 60, _ROW * len(rows) + 4)
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="Channels of each class" font-size="11">').format(
        *size
    )
    return Markup("<figure>{}{}</svg></figure>").format(head, Markup("").join(rows))


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"...{name[-31:]}"


def _reasons(graph: ChannelGraph) -> Markup:
    total = max(graph.cost().macs, 1)
    shares = graph.cost().by_class
    rows = [
        [known.name, known.size, f"{shares[known.name].macs / total:.1%}", state_of(known), _why(known)]
        for known in graph.classes.values()
    ]
    return table(
        ["class", "channels", "share of MACs", "state", "because"], rows, caption="Every class, in order of execution"
    )


def _why(known: ChannelClass) -> Markup:
    """The reason; a line of code in it may be broken anywhere."""
    return Markup('<span style="overflow-wrap:anywhere">{}</span>').format(known.frozen or known.uniform or "")


def _peak(place: str) -> Markup:
    """Where the peak is; what stands between backticks becomes code."""
    parts = place.split("`", maxsplit=2)
    if len(parts) != 3:
        return Markup("<p>The peak is at {}.</p>").format(place)
    return Markup("<p>The peak is at {}<code>{}</code>{}.</p>").format(*parts)


def _profile(profile: Profile) -> Markup:
    from matplotlib.figure import Figure

    with drawing():
        fig = Figure(figsize=(7.2, 2.6), layout="constrained")
        axes = fig.subplots()
        steps = range(len(profile.alive))
        axes.fill_between(
            steps, [alive / 2**20 for alive in profile.alive], step="mid", color=COLORS["free"], alpha=0.5
        )
        if profile.node >= 0:
            axes.axvline(profile.node, color=COLORS["uniform"], linewidth=1.2)
        axes.set_xlabel("operator, in order of execution")
        axes.set_ylabel("activations, MiB")
        axes.set_ylim(bottom=0)
        return figure(fig, alt="Bytes of activations alive during each operator; a line marks the peak")
