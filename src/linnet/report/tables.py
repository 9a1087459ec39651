"""Tables of facts, and how a number is written in them."""

import math
import re
from collections.abc import Sequence
from numbers import Integral, Real

from markupsafe import Markup

Cell = Markup | str | float | int | None
"""None and NaN show as a dash; numbers are aligned on the right."""


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str) -> Markup:
    """A table whose first column names the rows; it scrolls sideways by itself when it is wide.

    Args:
        columns: Headings.
        rows: Cells, as many per row as there are columns.
        caption: What the table shows; screen readers read it first.

    Returns:
        HTML; all plain text is escaped.

    Raises:
        ValueError: a row has another length than `columns`.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"`rows` must have one cell for each of the {len(columns)} columns (got {list(row)!r}).")
    numeric = [_is_numeric([row[i] for row in rows], names=i == 0) for i in range(len(columns))]
    head = Markup("").join(_cell("th", name, numeric=numeric[i], scope="col") for i, name in enumerate(columns))
    body = Markup("\n").join(_row(row, numeric) for row in rows)
    return Markup(
        '<div class="scroll" role="region" tabindex="0" aria-label="{}"><table>\n<caption>{}</caption>\n'
        "<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody></table></div>"
    ).format(caption, caption, head, body)


def number(value: float | None, digits: int = 4) -> str:
    """A number as a person writes it: '-' when there is none, thousands grouped, `digits` significant places.

    Example:
        >>> number(0.912345), number(1234567), number(None), number(3.2e-07)
        ('0.9123', '1,234,567', '-', '3.2e-07')
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if isinstance(value, Integral) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if not 1e-4 <= abs(value) < 10**9:
        return _scientific(value, digits)
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def measured(value: float | None, interval: tuple[float, float] | None = None, unit: str = "") -> Markup:
    """A number with its interval and unit, the latter two quieter than the number."""
    shown = Markup('<span class="value">{}</span>').format(number(value))
    if unit:
        shown += Markup('<span class="unit">{}</span>').format(unit)
    if interval is not None:
        low, high = interval
        shown += Markup('<span class="interval">[{}, {}]</span>').format(number(low, 3), number(high, 3))
    return shown


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def _row(row: Sequence[Cell], numeric: Sequence[bool]) -> Markup:
    cells = (
        _cell("td" if i else "th", cell, numeric=numeric[i], scope="" if i else "row") for i, cell in enumerate(row)
    )
    return Markup("<tr>{}</tr>").format(Markup("").join(cells))


def _cell(tag: str, cell: Cell, *, numeric: bool, scope: str) -> Markup:
    text = number(float(cell) if not isinstance(cell, Integral) else int(cell)) if isinstance(cell, Real) else cell
    return Markup("<{}{}{}>{}</{}>").format(
        Markup(tag),
        Markup(' scope="{}"').format(scope) if scope else "",
        Markup(' class="number"') if numeric else "",
        "-" if text is None else text,
        Markup(tag),
    )


def _is_numeric(cells: Sequence[Cell], *, names: bool) -> bool:
    """A column of numbers, written ones among them unless they name the rows; "-" beside a number counts as one."""
    known = [cell for cell in cells if cell not in (None, "-")]
    if names and any(isinstance(cell, str) and not isinstance(cell, Markup) for cell in known):
        return False
    return bool(known) and all(map(_reads_as_number, known))


def _reads_as_number(cell: Cell) -> bool:
    if isinstance(cell, Markup):
        return 'class="value"' in cell
    return isinstance(cell, Real) or re.fullmatch(r"[-+]?[\d.,]*\d(e[-+]?\d+)?\s?%?", str(cell)) is not None
