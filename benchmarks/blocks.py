"""Parts of a page that are written from records: what stands between two comments with a name."""

from __future__ import annotations

from linnet.errors import InputError


def markers(name: str) -> tuple[str, str]:
    """The comments before and behind a block."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def filled(text: str, name: str, content: str) -> str:
    """The page with the content of one block replaced.

    Args:
        text: The page.
        name: Of the block.
        content: Markdown, without the comments.

    Raises:
        InputError: the page has no such block.
    """
    begin, end = markers(name)
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise InputError(f"The page has no part between `{begin}` and `{end}`. Put both lines where the table belongs.")
    return f"{head}{begin}\n{content}\n{end}{tail}"
