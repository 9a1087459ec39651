"""Line buffers: the column of rows that a window needs, one position a clock, with a border that costs no clock.

A window of size kh x kw with padding p on every side has its newest row q = kh - 1 - p rows below the output's, and
p <= q. Output (y, x) is complete when pixel (y + q, x + q) arrives. Where x + q lies beyond the row, that is a pixel of
the next row (the window's newest columns are then taken as border); where y + q lies below the map, a pixel of the next
frame, or, if none comes, a clock without one. So a frame ends with D steps (p rows and p positions) that are pushed by
the next frame's pixels or take idle clocks: the `drain`. It may run ahead of the next frame; pixels that come later
than their step only enter the memory, and the drain is never behind them.

The memory holds for each position of a row the kh - 1 pixels above; it is read when a pixel comes and written one clock
later. A drain step is never taken in the clock after a pixel, so that no read meets a write.
"""

from __future__ import annotations

from dataclasses import dataclass

from linnet.errors import FreezeError
from linnet.jet.verilog.streams import Stream


@dataclass(frozen=True)
class Window:
    """A window that slides over a map.

    Attributes:
        rows: Its height kh.
        columns: Its width kw; the same as `rows` where there is padding.
        stride: Down and across.
        padding: On every side.
    """

    rows: int
    columns: int
    stride: tuple[int, int] = (1, 1)
    padding: int = 0

    def counts(self, height: int, width: int) -> tuple[int, int]:
        """Output rows and positions a row."""
        return (
            (height + 2 * self.padding - self.rows) // self.stride[0] + 1,
            (width + 2 * self.padding - self.columns) // self.stride[1] + 1,
        )

    def drain(self, height: int, width: int) -> int:
        """Steps after the last pixel until the last output."""
        below, right = self.rows - 1 - self.padding, self.columns - 1 - self.padding
        count = self.counts(height, width)
        last = ((count[0] - 1) * self.stride[0] + below) * width + (count[1] - 1) * self.stride[1] + right
        return max(0, last - height * width + 1)


def require_streamable(name: str, window: Window, height: int, width: int) -> None:
    """Refuses a window that no stream of one pixel a clock can hold.

    Raises:
        FreezeError: more padding than half the kernel, or a map smaller than its border.
    """
    p = window.padding
    if 2 * p > window.rows - 1:
        raise FreezeError(
            f"`{name}` has padding {p} with a kernel of {window.rows} x {window.rows}, so its output is larger than "
            "its input, and a stream of one pixel a clock can't hold it. Use padding up to "
            f"{(window.rows - 1) // 2}; Python and C take any."
        )
    if p and (width <= p or window.drain(height, width) > height * width):
        raise FreezeError(
            f"`{name}` reads a map of {height} x {width} with padding {p}, mostly border, and the Verilog has no "
            "room for two borders at once. Give larger frames, or leave the padding out."
        )


def rows_module(name: str, comment: str, source: Stream, window: Window, border: int, *, turns: bool = False) -> str:
    """The module that holds the rows of one layer.

    Its outputs, one clock after the pixel: `move` (take `column` into the window), `emit` (it is complete then),
    `first` (the columns older than this one and the p before it are border), `beyond` (for each of the p newest columns
    whether it lies beyond the row), `column` (kh pixels, the newest first, border already put in).

    Args:
        name: Of the module.
        comment: Above it.
        source: What comes in.
        window: Of the layer.
        border: The bus value of a pixel outside the map.
        turns: Whether all of it moves once a turn, when `slot` is high, and not at every clock.
    """
    k, p, d = window.rows, window.padding, source.bus
    text = [*_head(name, comment, source, window), *_position(source)]
    drain = window.drain(source.height, source.width)
    text += _drain(source, window, drain) if drain else ["    wire move0 = in_valid;"]
    text += _emission(source, window, drained=drain > 0)
    text += _memory(source, k, drained=drain > 0, shifts=p if drain else 1)
    text += _column(d, k, p, source, border, drained=drain > 0)
    whole = "\n".join([*text, "endmodule", ""])
    if turns:
        whole = whole.replace("input rst, in", "input rst, input slot, in", 1)
        whole = whole.replace("always @(posedge clk)", "always @(posedge clk) if (rst || slot)")
    return whole


def _head(name: str, comment: str, source: Stream, window: Window) -> list[str]:
    p = max(window.padding, 1)
    return [
        f"// {comment}",
        f"module {name} (",
        "    input clk, input rst, input in_valid,",
        f"    input [{source.bus - 1}:0] in_data,",
        "    output reg move, output reg emit, output reg first,",
        f"    output reg [{p - 1}:0] beyond,",
        f"    output [{window.rows * source.bus - 1}:0] column",
        ");",
    ]


def _bits(largest: int) -> int:
    return max(1, largest.bit_length())


def _position(source: Stream) -> list[str]:
    h, w = source.height, source.width
    xb, yb = _bits(w - 1), _bits(h - 1)
    return [
        "    // Place of the next pixel.",
        f"    reg [{xb - 1}:0] x;",
        f"    reg [{yb - 1}:0] y;",
        f"    wire row_ends = x == {xb}'d{w - 1};",
        f"    wire frame_ends = row_ends && y == {yb}'d{h - 1};",
        "    always @(posedge clk)",
        "        if (rst) begin",
        "            x <= 0;",
        "            y <= 0;",
        "        end else if (in_valid) begin",
        f"            x <= row_ends ? {xb}'d0 : x + {xb}'d1;",
        f"            if (row_ends) y <= frame_ends ? {yb}'d0 : y + {yb}'d1;",
        "        end",
    ]


def _drain(source: Stream, window: Window, steps: int) -> list[str]:
    w, p = source.width, window.padding
    xb, db = _bits(w - 1), _bits(p)
    last_y, last_x = divmod(steps - 1, w)
    count = window.counts(source.height, w)
    tail_row = (count[0] - 1) * window.stride[0] + window.rows - source.height - p
    return [
        "    // The steps after the last pixel: row dy below the map, position dx.",
        "    reg draining, previous;",
        f"    reg [{xb - 1}:0] dx;",
        f"    reg [{db - 1}:0] dy;",
        f"    wire tail = dy == {db}'d{tail_row};  // only the last outputs of the last row are missing",
        "    wire met = dx == x && dy == y;",
        *_idle(source, window),
        "    wire advance = draining && (idle || (in_valid && (met || tail)));",
        "    wire move0 = in_valid ? !draining || met || tail : idle;",
        "    always @(posedge clk)",
        "        if (rst) begin",
        "            draining <= 0;",
        "            previous <= 0;",
        "            dx <= 0;",
        "            dy <= 0;",
        "        end else begin",
        "            previous <= in_valid;",
        "            if (advance) begin",
        f"                dx <= dx == {xb}'d{w - 1} ? {xb}'d0 : dx + {xb}'d1;",
        f"                if (dx == {xb}'d{w - 1}) dy <= dy + {db}'d1;",
        f"                if (dx == {xb}'d{last_x} && dy == {db}'d{last_y}) draining <= 0;",
        "            end",
        "            if (in_valid && frame_ends) begin",
        "                draining <= 1;",
        "                dx <= 0;",
        "                dy <= 0;",
        "            end",
        "        end",
    ]


def _idle(source: Stream, window: Window) -> list[str]:
    """A drain step without a pixel; never between the next frame's columns, once its first window has begun to fill."""
    p, yb = window.padding, _bits(source.height - 1)
    if p < 2 or 2 * p != window.rows - 1 or source.height <= p:
        return ["    wire idle = draining && !in_valid && !previous;"]
    return [
        f"    wire begun = tail && y == {yb}'d{p} && x != 0;  // the next frame's first window fills already",
        "    wire idle = draining && !in_valid && !previous && !begun;",
    ]


def _mask(flags: list[bool]) -> str:
    return f"{len(flags)}'b{''.join('1' if f else '0' for f in reversed(flags))}"


def _emission(source: Stream, window: Window, *, drained: bool) -> list[str]:
    """Which positions complete a window: in their own row, or (the first p of a row) in the row before."""
    h, w, p = source.height, source.width, window.padding
    down, across = window.stride
    count = window.counts(h, w)
    below, right = window.rows - 1 - p, window.columns - 1 - p
    rows = {n * down + below for n in range(count[0])}
    positions = {n * across + right for n in range(count[1])}
    places = h + p + 1
    vb, xb = _bits(places - 1), _bits(w - 1)
    own_rows = [r in rows for r in range(places)]
    own = [x in positions for x in range(w)]
    wrapped = [x + w in positions for x in range(w)]
    text = ["    // Where this step completes a window."]
    if drained:
        text += [
            f"    wire [{vb - 1}:0] row = advance ? {vb}'d{h} + dy : y;",
            f"    wire [{xb - 1}:0] place = advance ? dx : x;",
        ]
    else:
        text += [f"    wire [{vb - 1}:0] row = y;", f"    wire [{xb - 1}:0] place = x;"]
    text += [
        f"    localparam [{places - 1}:0] ROWS = {_mask(own_rows)};",
        f"    localparam [{w - 1}:0] PLACES = {_mask(own)};",
    ]
    if any(wrapped):
        text += [
            f"    localparam [{places - 1}:0] ROWS_BEFORE = {_mask([False, *own_rows[:-1]])};",
            f"    localparam [{w - 1}:0] PLACES_BEFORE = {_mask(wrapped)};",
            "    wire before = ROWS_BEFORE[row] && PLACES_BEFORE[place];",
        ]
    else:
        text += ["    wire before = 0;"]
    step = "(advance || (in_valid && !draining))" if drained else "in_valid"
    text += ["    always @(posedge clk) begin", "        move <= !rst && move0;"]
    text += [f"        emit <= !rst && {step} && (before || (ROWS[row] && PLACES[place]));"]
    text += [f"        first <= place == {xb}'d{p};" if p else "        first <= 0;"]
    beyond = ", ".join(f"before && place >= {xb}'d{a}" for a in reversed(range(p))) if p else "1'b0"
    return [*text, f"        beyond <= {{{beyond}}};", "    end"]


def _memory(source: Stream, rows: int, *, drained: bool, shifts: int) -> list[str]:
    d, w = source.bus, source.width
    xb, wide = _bits(w - 1), (rows - 1) * source.bus
    text = ["    reg pixel1;", f"    reg [{d - 1}:0] data1;", "    always @(posedge clk) begin"]
    text += ["        pixel1 <= !rst && in_valid;", "        data1 <= in_data;", "    end"]
    if rows == 1:
        return text
    kept = f"{{above[{wide - d - 1}:0], data1}}" if rows > 2 else "data1"
    text.append("    // The rows above, the nearest in the lowest bits.")
    if w == 1:
        return [*text, f"    reg [{wide - 1}:0] above;", f"    always @(posedge clk) if (pixel1) above <= {kept};"]
    address = "in_valid ? x : dx" if drained else "x"
    text += [
        f"    (* no_rw_check *) reg [{wide - 1}:0] memory [0:{w - 1}];",
        f"    reg [{wide - 1}:0] above;",
        f"    reg [{xb - 1}:0] x1;",
        f"    wire [{xb - 1}:0] address = {address};",
        "    always @(posedge clk) begin",
        "        x1 <= x;",
        "        above <= memory[address];",
        f"        if (pixel1) memory[x1] <= {kept};",
        "    end",
    ]
    if shifts > 1:
        text += _shift(source, shifts)
    return text


def _shift(source: Stream, padding: int) -> list[str]:
    """How many rows of the next frame the memory lacks at a drain step that runs ahead of it."""
    yb, sb = _bits(source.height - 1), _bits(padding)
    return [
        "    // Rows by which the drain is ahead of the next frame at this position.",
        f"    reg [{sb - 1}:0] ahead;",
        f"    wire [{yb}:0] written = {{1'b0, y}} + (dx < x);",
        f"    always @(posedge clk) ahead <= idle ? dy - written[{min(sb, yb + 1) - 1}:0] : {sb}'d0;",
    ]


def _column(d: int, k: int, p: int, source: Stream, border: int, *, drained: bool) -> list[str]:
    """`column`, newest pixel first: pixels of other frames and rows outside the map become border."""
    text = ["    // The column with its border."]
    ages = ["data1"]
    for age in range(1, k):
        part = f"above[{d * (age - 1)} +: {d}]"
        for s in range(1, p if drained else 1):
            if age - s >= 1:
                part = f"ahead == {_bits(p)}'d{s} ? above[{d * (age - s - 1)} +: {d}] : {part}"
        ages.append(part)
    if not p:
        return [*text, *(f"    assign column[{d * a} +: {d}] = {part};" for a, part in enumerate(ages))]
    vb = _bits(source.height + p)
    rows = f"advance && !tail ? {vb}'d{source.height} + dy : y" if drained else "y"
    text += [
        f"    wire [{vb - 1}:0] newest = {rows};",
        f"    reg [{k - 1}:0] outside;",
        "    always @(posedge clk) begin",
    ]
    for age in range(k):
        sides = [f"newest < {vb}'d{age}"] if age > k - 1 - p else []
        sides += [f"newest >= {vb}'d{source.height + age}"] if drained and age < p else []
        text.append(f"        outside[{age}] <= {' || '.join(sides) or '0'};")
    text.append("    end")
    for age, part in enumerate(ages):
        value = f"outside[{age}] ? {d}'d{border} : ({part})" if age < p or age > k - 1 - p else part
        text.append(f"    assign column[{d * age} +: {d}] = {value};")
    return text
