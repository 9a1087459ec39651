"""One self-contained HTML page: no network, no script, light and dark, printable."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

Content = Markup | str
"""What a page is made of: `Markup` goes in as it is, a plain `str` is escaped and becomes a paragraph."""


@dataclass(frozen=True)
class Section:
    """A titled part of a page.

    Args:
        title: Heading; also gives the anchor.
        body: Pieces in order, see `Content`.
        lead: One sentence under the heading.
    """

    title: str
    body: Sequence[Content]
    lead: Content = ""


def page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: Content = "",
    facts: Sequence[tuple[str, Content]] = (),
    date: str = "",
) -> str:
    """An HTML document that needs nothing but itself.

    A content policy inside the page forbids scripts and every load from outside, so that a mistake shows up as an error
    in the browser's console instead of as a request.

    Args:
        title: Title of the page, plain text.
        sections: Parts in order; with more than two a table of contents is shown.
        lead: A sentence under the title.
        facts: (name, value) pairs for the footer: command, versions, weights.
        date: Date for the footer, ISO 8601; left out when empty, and then the same input gives the same bytes.

    Returns:
        The whole document. Every plain string in it was escaped.

    Example:
        >>> html = page("Two < three", [Section("Result", ["all is well"])])
        >>> "Two &lt; three" in html and "<p>all is well</p>" in html
        True
    """
    shown = [
        {"title": s.title, "lead": s.lead, "anchor": anchor, "body": [_block(piece) for piece in s.body]}
        for s, anchor in zip(sections, _anchors([s.title for s in sections]), strict=True)
    ]
    template, css = _template()
    return template.render(title=title, lead=lead, sections=shown, facts=facts, date=date, css=css) + "\n"


def note(*pieces: Content, kind: str = "") -> Markup:
    """A boxed remark.

    Args:
        *pieces: Contents of the box.
        kind: "" (calm), "warn" or "bad".
    """
    return Markup('<div class="note {}">{}</div>').format(kind, Markup("").join(_block(piece) for piece in pieces))


def badge(text: str, kind: str = "") -> Markup:
    """A short label in a pill; `kind` as in `note`."""
    return Markup('<span class="badge {}">{}</span>').format(kind, text)


def code(text: str) -> Markup:
    """A block of code or of commands, shown as it is."""
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(text)


def steps(items: Sequence[Content], *, ordered: bool = True) -> Markup:
    """A list of sentences; numbered unless `ordered` is False."""
    tag = Markup("ol" if ordered else "ul")
    rows = Markup("").join(Markup("<li>{}</li>").format(item) for item in items)
    return Markup('<{} class="steps">{}</{}>').format(tag, rows, tag)


def tiles(facts: Sequence[tuple[str, Content]]) -> Markup:
    """A row of large numbers, each with its (name, value)."""
    cells = (Markup('<div class="tile"><dt>{}</dt><dd>{}</dd></div>').format(name, value) for name, value in facts)
    return Markup('<dl class="tiles">{}</dl>').format(Markup("").join(cells))


def beside(picture: Content, text: Content) -> Markup:
    """A picture with its table: side by side where the page is wide enough, else one under the other."""
    return Markup('<div class="beside">{}{}</div>').format(_block(picture), _block(text))


def prose(text: str) -> Markup:
    """Text in which what stands between backticks is code.

    Example:
        >>> prose("`a<b` is frozen")
        Markup('<code>a&lt;b</code> is frozen')
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    pieces = (Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts))
    return Markup("").join(pieces)


def _block(piece: Content) -> Markup:
    return piece if isinstance(piece, Markup) else Markup("<p>{}</p>").format(escape(piece))


def _anchors(titles: Sequence[str]) -> list[str]:
    """Unique, readable ids: 'Failed files' -> 'failed-files', a second one 'failed-files-2'."""
    anchors: list[str] = []
    for title in titles:
        stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        anchor, number = stem, 2
        while anchor in anchors:
            anchor, number = f"{stem}-{number}", number + 1
        anchors.append(anchor)
    return anchors


@cache
def _template() -> tuple[Template, Markup]:
    loader = PackageLoader("linnet.report", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=False)
    css, _, _ = loader.get_source(environment, "page.css")
    return environment.get_template("page.html.j2"), Markup(css.strip())
