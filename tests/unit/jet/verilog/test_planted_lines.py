"""Slips planted into lines of the Verilog: Icarus catches each, or yosys proves it harmless, or it is named here."""

import re

import pytest

from linnet.jet import BinaryConv2d, JetConv2d
from tests.unit.jet.verilog.needs_simulator import needs_icarus, needs_simulator
from tests.unit.jet.verilog.planted_lines import Bench, module_of, mutants, network, proven_equal

KINDS = [(JetConv2d, 1), (BinaryConv2d, 0)]

# What yosys can't prove by induction, since it starts from states that the design never reaches: why nothing changes.
HARMLESS: dict[str, str] = {}


def harmless(line):
    return any(re.search(pattern, line) for pattern in HARMLESS)


@needs_icarus
@needs_simulator
def test_a_few_slips_are_caught_and_the_design_itself_is_not():
    bench = Bench(network(JetConv2d, pad=1))
    assert not bench.catches(bench.made.text)
    planted = mutants(bench.made.text, 10, 3)
    survived = [(line, changed) for _, line, changed, text in planted if not harmless(line) and not bench.catches(text)]
    assert len(planted) == 10
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
        elif proven_equal(text, mutant, module_of(text, number)):
            proved("slips in lines of the Verilog proven by yosys to change nothing")
        elif harmless(line):
            proved("slips in lines of the Verilog that change only states which never come")
        else:
            unexplained.append(f"{number}: {line.strip()}\n      {changed.strip()}")
    assert not unexplained, "\n".join(unexplained)
