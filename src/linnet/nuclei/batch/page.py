"""The page of a batch: pictures with their nuclei, the worst first, counts, failures, and what it all means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from linnet.nuclei.batch.thumbnail import shown
from linnet.nuclei.points.columns import measured_columns
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.points.write import density_per_mm2
from linnet.nuclei.read.find import Failure
from linnet.report import (
    Content,
    Section,
    badge,
    data_uri,
    note,
    page,
    prose,
    score_legend,
    steps,
    svg_dots,
    table,
    tiles,
)
from linnet.report.histogram import distribution
from linnet.report.zoom import TILE, zoomable

MOST_PICTURES = 384
"""A plate; with more images the page keeps the `KEPT` worst."""
KEPT = 100
MOST_CHANNELS = 6
"""Channels whose intensities are shown."""

_PAGE_BYTES = 22 * 2**20  # for all pictures; the rest of the 25 MB is text
_SPREAD_FROM = 5  # images from which their counts are worth a histogram
_ZOOMED = 8  # images up to which large ones are shown at full size too
_ZOOM_BYTES = 18 * 2**20
_ZOOM_FROM = 1024  # pixels of the longest side at the first size
_ZOOM_DOTS = 30_000
_BYTES_PER_PIXEL = 0.15  # of a tile as JPEG in base64
_FLAGS = {"out_of_domain": 0, "look": 1, "ok": 2}
_FLAG_SHOWN = {"ok": ("ok", ""), "look": ("look at it", "warn"), "out_of_domain": ("unlike the training images", "bad")}


@dataclass(frozen=True)
class Card:
    """One image on the page.

    Attributes:
        name: The image.
        stem: Name of its results.
        detections: What was found.
        picture: Its thumbnail with dots.
        zoom: The picture at its own size in tiles, where it is much larger than the thumbnail; else empty.
        files: Endings of the files that were written for it.
    """

    name: str
    stem: str
    detections: Detections
    picture: Markup
    files: tuple[str, ...] = ()
    zoom: Content = ""


def card(
    name: str, stem: str, pixels: Any, detections: Detections, *, of: int, key: int, files: Sequence[str] = ()
) -> Card:
    """Makes an image's card; the picture's size follows from the number of images, so that the page stays light.

    Args:
        name: Name of the image.
        stem: Name of its results.
        pixels: (h, w) or (h, w, 3), or anything with shape, dtype and slicing.
        detections: Found in it.
        of: Number of images of the batch.
        key: A number that no other card of the page has.
        files: Endings of the files that were written for it, to link to.
    """
    pictures = of if of <= MOST_PICTURES else KEPT
    budget = _PAGE_BYTES // pictures
    thumbnail, zoom = shown(pixels, max_side=512 if pictures <= 100 else 320)
    h, w = thumbnail.shape[:2]
    values = detections.score if detections.confidence is None else detections.confidence
    n = len(detections)
    picture = svg_dots(
        detections.points,
        values,
        shape=(h / zoom, w / zoom),
        picture_uri=data_uri(thumbnail, max_bytes=min(120_000, budget // 2)),
        picture_shape=(h, w),
        key=f"p{key}",
        alt=f"{name} with {n:,} {'nucleus' if n == 1 else 'nuclei'} marked",
        max_dots=int(np.clip(budget // 40, 200, 8_000)),
    )
    zoom = zoom_of(pixels, detections, values, name=name, key=key, most_bytes=_ZOOM_BYTES // of if of <= _ZOOMED else 0)
    return Card(name, stem, detections, picture, tuple(files), zoom)


def zoom_of(pixels: Any, detections: Detections, values: np.ndarray, *, name: str, key: int, most_bytes: int) -> Markup:
    """A large picture in tiles of up to four sizes, as large as the page can bear; "" for a picture that isn't large.

    Args:
        pixels: (h, w) or (h, w, 3), or anything with shape, dtype and slicing.
        detections: Found in it.
        values: (n,) score or confidence, 0..1.
        name: Name of the image.
        key: A number that no other card of the page has.
        most_bytes: Most that it may weigh.
    """
    longest = max(pixels.shape[:2])
    if longest < 2 * _ZOOM_FROM or not most_bytes:
        return Markup("")
    share = float(np.sqrt(most_bytes / (_BYTES_PER_PIXEL * 1.4) / (pixels.shape[0] * pixels.shape[1])))
    largest = int(min(longest, longest * share))
    sides = [side for side in (_ZOOM_FROM, 2 * _ZOOM_FROM, 4 * _ZOOM_FROM) if side < 0.8 * largest]
    levels = [shown(pixels, max_side=side)[0] for side in (*sides, largest)]
    kept = np.sort(np.argsort(-values, kind="stable")[:_ZOOM_DOTS])
    return zoomable(
        levels,
        detections.points[kept],
        values[kept],
        shape=detections.shape,
        key=f"{key}",
        alt=f"{name} at {len(levels)} sizes, with {detections.count.n:,} nuclei marked",
        caption=f"{name}: choose a size and scroll.",
        tile_bytes=int(TILE * TILE * _BYTES_PER_PIXEL),
    )


def worst_first(cards: Sequence[Card]) -> list[Card]:
    """By flag, then by the relative width of the count's interval, then by mean score."""
    return sorted(cards, key=_badness)


def batch_page(
    cards: Sequence[Card],
    failures: Sequence[Failure],
    *,
    remarks: Sequence[str] = (),
    skipped: Sequence[Failure] = (),
    facts: Sequence[tuple[str, Content]] = (),
    date: str = "",
    title: str = "Nuclei found",
) -> str:
    """The page, as one self-contained HTML document.

    Args:
        cards: One per image that was done.
        failures: Images that gave no result.
        remarks: What is odd about the batch as a whole.
        skipped: What lay in the folders and wasn't searched.
        facts: (name, value) pairs for the footer.
        date: Date for the footer; left out when empty.
        title: Heading.
    """
    ordered = worst_first(cards)
    kept = ordered if len(ordered) <= MOST_PICTURES else ordered[:KEPT]
    sections = [Section("In short", [*_summary(cards, failures), *_remarked(remarks)])]
    flagged = [one for one in ordered if one.detections.flag != "ok"]
    if flagged:
        sections.append(Section("Look at these", [_flagged(flagged)], "A count is only as good as its picture."))
    if kept:
        sections.append(Section("Pictures", _pictures(kept, len(ordered)), _pictures_lead(kept)))
        large = [one.zoom for one in kept if one.zoom]
        if large:
            sections.append(Section("Large pictures", large))
        sections.append(Section("Counts", [_spreads(cards), _counts(kept, len(ordered))]))
    if failures:
        sections.append(Section("Failed images", [_failed(failures)], "These gave no result; the others were done."))
    if skipped:
        sections.append(Section("Left out", [_skipped(skipped)], "These lay in the folders and were not searched."))
    sections.append(Section("What the score is", _meaning(cards)))
    sections.append(Section("What to do next", [_next(cards)]))
    return page(title, sections, lead=_lead(cards), facts=facts, date=date)


def _badness(one: Card) -> tuple[float, ...]:
    d = one.detections
    width = 0.0 if d.count.lo is None or d.count.hi is None else (d.count.hi - d.count.lo) / max(1, d.count.n)
    mean = float(np.mean(d.score)) if len(d) else 0.0
    return (_FLAGS.get(d.flag, 1), -width, mean)


def _lead(cards: Sequence[Card]) -> str:
    total = sum(c.detections.count.n for c in cards)
    images = f"{len(cards):,} image{'' if len(cards) == 1 else 's'}"
    return f"{total:,} {'nucleus' if total == 1 else 'nuclei'} in {images}."


def _summary(cards: Sequence[Card], failures: Sequence[Failure]) -> list[Content]:
    look = sum(c.detections.flag != "ok" for c in cards)
    counts = [c.detections.count.n for c in cards]
    facts: list[tuple[str, Content]] = [
        ("images done", f"{len(cards):,}"),
        ("nuclei", f"{sum(counts):,}"),
        ("nuclei per image, median", f"{np.median(counts):,.0f}" if counts else "-"),
        ("images to look at", f"{look:,}"),
        ("images failed", f"{len(failures):,}"),
    ]
    body: list[Content] = [tiles(facts)]
    if look:
        words = "One image needs" if look == 1 else f"{look:,} images need"
        body.append(note(f"{words} a person's eye; the reason stands under the picture.", kind="warn"))
    if failures:
        words = "One image" if len(failures) == 1 else f"{len(failures):,} images"
        body.append(note(f"{words} could not be used; see below, and failed.csv.", kind="bad"))
    return body


def _remarked(remarks: Sequence[str]) -> list[Content]:
    """Notes, with the options of the command line where the library's arguments are named."""
    options = (("`same_scale`", "--same-scale"), ("`recursive`", "--recursive"))
    notes = []
    for text in remarks:
        for argument, option in options:
            text = text.replace(argument, f"`{option}`")
        notes.append(note(prose(f"{text[:1].upper()}{text[1:]}.")))
    return notes


def _pictures_lead(kept: Sequence[Card]) -> str:
    if len(kept) == 1:
        return ""
    return "Those to look at first; then from the lowest mean score to the highest."


def _pictures(kept: Sequence[Card], total: int) -> list[Content]:
    uncalibrated = kept[0].detections.confidence is None
    body: list[Content] = [
        Markup('<label class="toggle"><input type="checkbox" id="show-dots" checked> Show the dots</label>'),
        score_legend("score of a nucleus" if uncalibrated else "confidence of a nucleus"),
    ]
    if len(kept) < total:
        body.append(
            note(
                Markup(
                    "<p>The {} worst of {} pictures are shown, to keep this page light; "
                    '<a href="counts.csv">counts.csv</a> has them all.</p>'
                ).format(len(kept), f"{total:,}")
            )
        )
    figures = Markup("\n").join(_figure(one) for one in kept)
    body.append(Markup('<div class="gallery">\n{}\n</div>').format(figures))
    return body


def _figure(one: Card) -> Markup:
    d = one.detections
    count = f"{d.count.n:,} {'nucleus' if d.count.n == 1 else 'nuclei'}"
    if d.count.lo is not None and d.count.hi is not None:
        count += f" ({d.count.lo:,} to {d.count.hi:,})"
    density = density_per_mm2(d)
    size = f"{d.shape[1]:,} x {d.shape[0]:,} px" + ("" if density is None else f", {density:,.0f} per mm²")
    size += "" if d.diameter_px is None else f", searched for nuclei of {d.diameter_px:.0f} px"
    text, kind = _FLAG_SHOWN.get(d.flag, (d.flag, "warn"))
    mark = Markup(" {}").format(badge(text, kind)) if d.flag != "ok" else ""
    reasons = Markup("<br>{}").format("; ".join(d.flag_reasons)) if d.flag_reasons else ""
    links = Markup(" · ").join(
        Markup('<a href="{}">{}</a>').format(quote(f"{one.stem}.{ending}"), ending) for ending in one.files
    )
    return Markup(
        '<figure>{}<figcaption><span class="name">{}</span>{}<br>{}<br>'
        '<span class="quiet">{}{}</span>{}</figcaption></figure>'
    ).format(one.picture, one.name, mark, count, size, reasons, Markup("<br>{}").format(links) if links else "")


def _flagged(flagged: Sequence[Card]) -> Markup:
    rows = [
        [
            one.name,
            badge(*_FLAG_SHOWN.get(one.detections.flag, (one.detections.flag, "warn"))),
            "; ".join(one.detections.flag_reasons),
        ]
        for one in flagged[:KEPT]
    ]
    some = f", the first {KEPT} of {len(flagged):,}" if len(flagged) > KEPT else ""
    return table(["image", "state", "why"], rows, caption=f"Images that a person should look at{some}")


def _spreads(cards: Sequence[Card]) -> Markup:
    """Histograms: nuclei in an image, diameters, scores."""
    found = [one.detections for one in cards]
    scores = np.concatenate([d.score for d in found]) if found else np.zeros(0)
    figures = [distribution(scores.tolist(), title="Score of the nuclei", limits=(0.0, 1.0))]
    sizes = [d.diameters_px for d in found if d.diameters_px is not None]
    if sizes:
        figures.append(distribution(np.concatenate(sizes).tolist(), title="Diameter of the nuclei", unit="px"))
        figures += _measured(found)
    if len(found) >= _SPREAD_FROM:
        figures.insert(0, distribution([d.count.n for d in found], title="Nuclei in an image"))
        diameters = [d.diameter_px for d in found if d.diameter_px is not None]
        figures.append(distribution(diameters, title="Diameter that the search went by, by image", unit="px"))
    return Markup('<div class="spreads">{}</div>').format(Markup("").join(figures))


def _measured(found: Sequence[Detections]) -> list[Markup]:
    """Histograms of areas and of mean intensities by channel, over all nuclei; areas in um2 where all are known so."""
    columns = [measured_columns(d) for d in found]
    unit = "µm²" if all("area_um2" in c for c in columns) else "px²"
    area = "area_um2" if unit == "µm²" else "area_px"
    areas = np.concatenate([c[area] for c in columns if area in c])
    figures = [distribution(areas.tolist(), title="Area of the nuclei", unit=unit)]
    names = list(dict.fromkeys(name for d in found for name in d.intensities))
    for name in names[:MOST_CHANNELS]:
        means = np.concatenate([d.intensities[name] for d in found if name in d.intensities])
        title = "Mean intensity of the nuclei" + ("" if name == "intensity" else f", {name}")
        figures.append(distribution(means.tolist(), title=title))
    return figures


def _counts(kept: Sequence[Card], total: int) -> Markup:
    intervals = any(c.detections.count.lo is not None for c in kept)
    densities = any(c.detections.pixel_size_um is not None for c in kept)
    columns = ["image", "nuclei", *(["from", "to"] if intervals else []), *(["per mm²"] if densities else [])]
    rows = []
    for one in kept:
        d = one.detections
        density = density_per_mm2(d)
        rows.append(
            [
                one.name,
                d.count.n,
                *([d.count.lo, d.count.hi] if intervals else []),
                *([None if density is None else round(density)] if densities else []),
                round(float(np.median(d.score)), 2) if len(d) else None,
                badge(*_FLAG_SHOWN.get(d.flag, (d.flag, "warn"))),
            ]
        )
    some = f", the {len(kept)} worst of {total:,}" if len(kept) < total else ""
    return table([*columns, "median score", "state"], rows, caption=f"Nuclei per image{some}; all are in counts.csv")


def _failed(failures: Sequence[Failure]) -> Markup:
    return table(["image", "what is wrong"], [[f.image, f.error] for f in failures], caption="Images without a result")


def _skipped(skipped: Sequence[Failure]) -> Markup:
    some = f", the first {KEPT} of {len(skipped):,}; all are in run.json" if len(skipped) > KEPT else ""
    rows = [[one.image, prose(one.error.replace("`recursive`", "`--recursive`"))] for one in skipped[:KEPT]]
    return table(["file or folder", "why"], rows, caption=f"What was not searched{some}")


def _meaning(cards: Sequence[Card]) -> list[Content]:
    body: list[Content] = [
        "The network draws a map that is high at the centre of a nucleus and falls to 0 around it. A nucleus is "
        "reported "
        "where the map has a peak; its score, from 0 to 1, is the height of that peak."
    ]
    if any(c.detections.confidence is not None for c in cards):
        body.append("The confidence is the calibrated probability that a reported point is a nucleus.")
    else:
        body.append(
            "The score ranks the nuclei of an image: those with a low score are wrong more often. It is no "
            "probability, and "
            "these weights carry no calibration data, so counts come without an interval."
        )
    body.append("Dark violet is a low score and yellow a high one; the colours are the same in all pictures.")
    return body


def _next(cards: Sequence[Card]) -> Markup:
    endings = {ending for c in cards for ending in c.files}
    items: list[Content] = [
        "Look at the first pictures above: are there nuclei without a dot, or dots without a nucleus?",
        Markup(
            "Is the diameter under a picture far from that of its nuclei? Say theirs with <code>--diameter</code> and "
            "run it again; for images of one acquisition <code>--same-scale</code> takes one for all."
        ),
        Markup("Too many or too few dots: move <code>--threshold</code>; the scores above show where to."),
    ]
    if "geojson" in endings:
        items.append(Markup("In QuPath: drag a <code>.geojson</code> file onto its open image."))
    if "csv" in endings:
        items.append(
            Markup(
                "In a spreadsheet: <code>counts.csv</code> has a line per image, the other CSV files one per nucleus."
            )
        )
    items.append(
        Markup(
            "Still wrong on your images: mark the nuclei of a few of them and run <code>linnet nuclei train</code>; "
            "check the "
            "result with <code>linnet nuclei evaluate</code>."
        )
    )
    return steps(items)
