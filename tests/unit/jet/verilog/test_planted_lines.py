"""Slips planted into lines of the Verilog: Icarus catches each, or yosys proves it harmless, or it is named here."""

import re

import pytest

from linnet.jet import BinaryConv2d, JetConv2d
from tests.unit.jet.verilog.needs_simulator import needs_icarus, needs_simulator
from tests.unit.jet.verilog.planted_lines import Bench, module_of, mutants, network, proven_equal

KINDS = [(JetConv2d, 1), (BinaryConv2d, 0)]

# What yosys can't prove by induction, since it starts from states that the design never reaches, with the reason why
# nothing changes: (module, line).
HARMLESS = {
    r"_rows: *move <= !rst && move0": "a shift during the reset moves columns from before the first pixel, which the "
    "first window of a row replaces or hides",
    r"net_8: *v\d+ <= !rst && (v\d+|live|first0);": "what comes after the reset goes into totals that the first place "
    "renews, or is read beside a valid bit alone, which is reset",
    r"net_[34]_rows: *(first|beyond) <= ": "these layers have no border, so nothing reads it",
    r"net_3_rows: *x <= row_ends": "windows of 1 x 2 need the parity of the place alone, and counting down keeps it",
    r"net_3_rows: *if \(row_ends\) y <= ": "windows of 1 x 2 take every row, so that the row's number is never missed",
}


def harmless(module, line):
    return any(re.search(pattern, f"{module}: {line.strip()}") for pattern in HARMLESS)


@needs_icarus
@needs_simulator
@pytest.mark.slow
def test_a_few_slips_are_caught_and_the_design_itself_is_not():
    bench = Bench(network(JetConv2d, pad=1))
    assert not bench.catches(bench.made.text)
    planted = mutants(bench.made.text, 8, 3)
    survived = []
    for number, line, changed, text in planted:
        module = module_of(bench.made.text, number)
        if not (bench.catches(text) or harmless(module, line) or proven_equal(bench.made.text, text, module)):
            survived.append((line, changed))
    assert len(planted) == 8
    assert not survived


@needs_simulator
def test_yosys_tells_a_change_from_none():
    text = "module two(input clk, input a, input b, output reg q);\n    always @(posedge clk) q <= a & b;\nendmodule\n"
    assert proven_equal(text, text.replace("a & b", "!(!a || !b)"), "two")
    assert not proven_equal(text, text.replace("a & b", "a | b"), "two")


@needs_icarus
@needs_simulator
@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "pad"), KINDS)
def test_of_260_slips_none_survives_unexplained(kind, pad, proved):
    bench = Bench(network(kind, pad=pad))
    text = bench.made.text
    planted = mutants(text, 130, 7)
    assert len(planted) == 130
    unexplained = []
    for number, line, changed, mutant in planted:
        if bench.catches(mutant):
            proved("slips in lines of the Verilog caught by Icarus")
        elif proven_equal(text, mutant, module := module_of(text, number)):
            proved("slips in lines of the Verilog proven by yosys to change nothing")
        elif bench.catches(mutant, more=True):
            proved("slips in lines of the Verilog caught by Icarus")
        elif harmless(module, line):
            proved("slips in lines of the Verilog that change only states which never come")
        else:
            unexplained.append(f"{number}: {line.strip()}\n      {changed.strip()}")
    assert not unexplained, "\n".join(unexplained)
