"""Taking turns: a layer whose positions come seldom spends several clocks on each, so that outputs share their adders.

A position of a stream comes at least `stream.row_clocks` after the one above it. A queue in front of a shared layer
evens out the bursts within a row: it hands over at most one position in each turn, and a turn has as many clocks as
outputs share adders. All that moves the layer's window is enabled in the last clock of a turn alone (`slot`), so that
the window stands still while `phase` counts the outputs through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linnet.jet.verilog.adders import Term, tree, triples
from linnet.jet.verilog.module import Module, Signal
from linnet.jet.verilog.streams import Stream

MOST = 16  # outputs that share adders; beyond that the choices cost as much as they save


def turn_of(source: Stream, outputs: int, share: str | int) -> int:
    """Clocks that a layer may spend on a position: 1 where it must take one at every clock.

    Args:
        source: What it reads.
        outputs: Of the layer.
        share: "auto", or 1 for a pipeline without turns.
    """
    return 1 if share == 1 else max(1, min(source.row_clocks // source.width, outputs, MOST))


def depth_of(source: Stream, turn: int) -> int:
    """Positions that wait at most: a row comes in bursts of one position each `clocks`, and goes one a turn."""
    return source.width - (source.width - 1) * min(source.clocks, turn) // turn + 2


@dataclass(frozen=True)
class Turns:
    """How the outputs of a layer take turns.

    Attributes:
        count: Clocks of a turn.
        phase: Name of the line that counts them.
        bits: Of that line.
    """

    count: int
    phase: str
    bits: int

    def groups(self, outputs: int) -> list[list[int]]:
        """Outputs that share one tree, by phase."""
        return [list(range(first, min(first + self.count, outputs))) for first in range(0, outputs, self.count)]

    def later(self, module: Module, clocks: int) -> Turns:
        """The same some clocks later."""
        name = self.phase
        for _ in range(clocks):
            following = f"{name}d"
            module.line(f"reg [{self.bits - 1}:0] {following};")
            module.clocked(f"{following} <= {name};")
            name = following
        return Turns(self.count, name, self.bits)

    def is_at(self, phase: int) -> str:
        """The condition that a phase is on."""
        return f"{self.phase} == {self.bits}'d{phase}"


def queued(module: Module, source: Stream, turn: int) -> tuple[Turns, str]:
    """Gives a module its input through a queue: the lines `slot`, `due` and the bus `next`.

    Args:
        module: Empty.
        source: What it reads.
        turn: Clocks a position.

    Returns:
        Its turns, and the text of the queue's module.
    """
    source.enter(module)
    bits, name = (turn - 1).bit_length(), f"{module.name}_queue"
    module.line(
        "// One position a turn; what is enabled by `slot` moves once a turn.",
        "wire slot, due;",
        f"wire [{bits - 1}:0] phase;",
        f"wire [{source.bus - 1}:0] next;",
        f"{name} queue(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .slot(slot), .phase(phase),",
        "    .due(due), .next(next));",
    )
    return Turns(turn, "phase", bits), _queue(name, module.name, source.bus, turn, depth_of(source, turn))


def _queue(name: str, owner: str, bus: int, turn: int, depth: int) -> str:
    pb, ab, cb = (turn - 1).bit_length(), max(1, (depth - 1).bit_length()), depth.bit_length()
    return f"""// Queue of {owner}: at most {depth} positions wait, and one goes in each turn of {turn} clocks.
module {name} (
    input clk, input rst, input in_valid,
    input [{bus - 1}:0] in_data,
    output slot, output reg [{pb - 1}:0] phase, output reg due,
    output reg [{bus - 1}:0] next
);
    (* no_rw_check *) reg [{bus - 1}:0] waiting [0:{depth - 1}];
    reg [{ab - 1}:0] head, tail;
    reg [{cb - 1}:0] count;
    wire taken = slot && due;
    assign slot = phase == {pb}'d{turn - 1};
    always @(posedge clk) begin
        next <= waiting[head];
        if (in_valid) waiting[tail] <= in_data;
        if (rst) begin
            phase <= 0;
            head <= 0;
            tail <= 0;
            count <= 0;
            due <= 0;
        end else begin
            phase <= slot ? {pb}'d0 : phase + {pb}'d1;
            if (in_valid) tail <= tail == {ab}'d{depth - 1} ? {ab}'d0 : tail + {ab}'d1;
            if (taken) head <= head == {ab}'d{depth - 1} ? {ab}'d0 : head + {ab}'d1;
            count <= count + (in_valid ? {cb}'d1 : {cb}'d0) - (taken ? {cb}'d1 : {cb}'d0);
            due <= count != 0 && !taken;
        end
    end
endmodule
"""


def shared_sums(
    module: Module, turns: Turns, sums: Sequence[Sequence[Term]], *, bits: bool
) -> tuple[list[Term], list[int], int]:
    """Sums of as many terms each, those of a group in one tree, one after another.

    A term that is taken away is inverted, -v = ~v + 1 (a bit: 1 - b - 1), and the ones are counted beside the sum.

    Args:
        module: Takes choices, adders and registers.
        turns: At the clock of the terms.
        sums: For each output its terms.
        bits: Whether all terms are bits, which go through full adders.

    Returns:
        For each group a signal; for each output the constant to add; and the clocks after the terms.
    """
    constants = [0] * len(sums)
    rows: list[list[Term]] = []
    for group in turns.groups(len(sums)):
        row = []
        for terms in zip(*(sums[o] for o in group), strict=True):
            row.append((_bit(module, turns, terms) if bits else _number(module, turns, terms), 1))
        for o in group:
            negative = sum(sign < 0 for _, sign in sums[o])
            constants[o] = -negative if bits else negative
        rows.append(row)
    if bits:
        rows, _ = triples(module, rows)
    roots, stages = tree(module, rows)
    return roots, constants, stages


def _bit(module: Module, turns: Turns, terms: Sequence[Term]) -> Signal:
    """One bit, the same for all outputs, inverted in some phases."""
    assert len({signal.name for signal, _ in terms}) == 1
    name, inverted = terms[0][0].name, [sign < 0 for _, sign in terms]
    if all(inverted) or not any(inverted):
        return module.wire(f"{{1'b0, {'~' if inverted[0] else ''}{name}[0]}}", 0, 1)
    return module.wire(f"{{1'b0, {name}[0] ^ {_pattern(module, turns, inverted)}}}", 0, 1)


def _number(module: Module, turns: Turns, terms: Sequence[Term]) -> Signal:
    """The number whose turn it is."""
    chosen = []
    for signal, sign in terms:
        inverted = module.wire(f"~{signal.name}", -signal.high - 1, -signal.low - 1) if sign < 0 else signal
        chosen.append(inverted)
    low, high = min(s.low for s in chosen), max(s.high for s in chosen)
    phases: dict[str, list[int]] = {}
    for phase, signal in enumerate(chosen):
        phases.setdefault(signal.name, []).append(phase)
    *others, last = phases
    text = last
    for name in reversed(others):
        text = f"{_pattern(module, turns, [k in phases[name] for k in range(len(chosen))])} ? {name} : {text}"
    return module.wire(text, low, high, "m")


def _pattern(module: Module, turns: Turns, on: Sequence[bool]) -> str:
    """A line that is high in some phases."""
    word = "".join("1" if k < len(on) and on[k] else "0" for k in reversed(range(turns.count)))
    name = f"{turns.phase}_{word}"
    return module.once(name, f"localparam [{turns.count - 1}:0] P{name} = {turns.count}'b{word};",
                       f"wire {name} = P{name}[{turns.phase}];")  # fmt: skip


def collected(
    module: Module, turns: Turns, roots: Sequence[Term], outputs: int, complete: str
) -> tuple[list[Signal], str]:
    """Keeps each output in its phase; the signals, and the line that is high when the last one is there.

    Args:
        module: Takes registers.
        turns: At the clock of the sums.
        roots: A sum of each group.
        outputs: Of the layer.
        complete: High in every clock of a turn whose sums count, at the clock of the sums.
    """
    kept = []
    for (root, sign), group in zip(roots, turns.groups(outputs), strict=True):
        assert sign > 0
        for phase, o in enumerate(group):
            signal = Signal(f"sum{o}", root.low, root.high)
            module.line(f"reg signed [{signal.width - 1}:0] {signal.name};")
            module.clocked(f"if ({complete} && {turns.is_at(phase)}) {signal.name} <= {root.name};")
            kept.append(signal)
    module.line("reg ready;")
    module.clocked(f"ready <= !rst && {complete} && {turns.is_at(turns.count - 1)};")
    return kept, "ready"
