import re
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from linnet.report import Section, badge, code, note, page, steps, tiles

HOSTILE = '<script>alert("x")</script>&\'"'


class Outline(HTMLParser):
    """Tags, attributes and ids of a page; unclosed tags show as a non-empty stack."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_self_contained(html: str) -> None:
    """Nothing in the page loads from outside, no script runs, every id is unique and every tag is closed."""
    outline = Outline(html)
    assert outline.open == []
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in outline.tags:
        assert tag not in ("script", "iframe", "object", "embed")
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href"):
            value = attrs.get(name)
            assert (
                value is None or value.startswith(("data:", "#")) or not re.match(r"(?i)(//|[a-z][a-z0-9+.-]*:)", value)
            )
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


@pytest.mark.parametrize(
    "fault",
    [
        "<script>1</script>",
        '<img src="http://example.org/a.png">',
        '<img src="//example.org/a.png">',
        "<p>",
        '<p id="content"></p>',
        '<p onclick="x()"></p>',
        "<style>a{background:url(x.png)}</style>",
    ],
)
def test_the_check_of_a_page_finds_a_planted_fault(fault):
    html = page("t", [Section("s", [Markup(fault)])])
    with pytest.raises(AssertionError):
        assert_self_contained(html)


def test_plain_text_is_escaped_everywhere():
    html = page(
        HOSTILE,
        [
            Section(
                HOSTILE, [HOSTILE, note(HOSTILE), code(HOSTILE), steps([HOSTILE]), tiles([(HOSTILE, HOSTILE)])], HOSTILE
            )
        ],
        lead=HOSTILE,
        facts=[(HOSTILE, HOSTILE)],
        date=HOSTILE,
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 10
    assert_self_contained(html)


def test_anchors_are_readable_and_unique():
    html = page("t", [Section("Failed files", []), Section("Failed files", []), Section("!!", [])])
    assert re.findall(r'<section id="([^"]+)"', html) == ["failed-files", "failed-files-2", "section"]
    assert re.findall(r'<li><a href="#([^"]+)"', html) == ["failed-files", "failed-files-2", "section"]


def test_a_page_without_date_is_the_same_every_time():
    sections = [Section("a", ["b"])]
    assert page("t", sections) == page("t", sections)
    assert "<time" not in page("t", sections)
    assert '<time datetime="2026-01-02">2026-01-02</time>' in page("t", sections, date="2026-01-02")


def test_both_themes_and_print_are_styled():
    html = page("t", [])
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert ":focus-visible" in html
    assert '<html lang="en">' in html


def test_badge_carries_its_kind():
    assert badge("look <", "warn") == '<span class="badge warn">look &lt;</span>'


def test_steps_are_numbered_unless_told_otherwise():
    assert steps(["a"]) == '<ol class="steps"><li>a</li></ol>'
    assert steps(["a"], ordered=False) == '<ul class="steps"><li>a</li></ul>'
