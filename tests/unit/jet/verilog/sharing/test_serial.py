"""Scores bit by bit, against the products themselves."""

import numpy as np
import pytest

from linnet.jet.integer.nodes import Scores
from linnet.jet.verilog.module import Module
from linnet.jet.verilog.sharing.serial import fits, in_series
from linnet.jet.verilog.streams import numbers


def stream(frame_clocks):
    from linnet.jet.verilog.module import Signal

    held = [Signal("a", -9, 9), Signal("b", 0, 20)]
    return numbers(held, np.array([2, -1]), np.array([-9, 0]), 1, 1).paced(frame_clocks)


SCORES = Scores(np.array([5, -300]), np.array([7, -100_000]), 4, 0.0)


def test_they_need_a_clock_for_each_bit_of_each_class():
    # 300 has nine bits, and a tenth step adds the offset: two classes take 20 clocks, and three more begin and end
    assert fits(SCORES, stream(24))
    assert not fits(SCORES, stream(23))
    module = Module("scores", "")
    in_series(module, SCORES, stream(40))
    assert module.latency == 23


def test_the_ranges_are_those_of_the_products():
    module = Module("scores", "")
    made = in_series(module, SCORES, stream(40))
    # 5 (2 a - 9) + 7 of a in -9..9, and -300 (-b) - 100,000 of b in 0..20
    assert made.low.tolist() == [5 * -27 + 7, -100_000]
    assert made.high.tolist() == [5 * 9 + 7, 300 * 20 - 100_000]
    assert made.is_plain
    assert made.frame_clocks == 40


@pytest.mark.parametrize("word", ["*", "/", "initial"])
def test_there_is_no_multiplier(word):
    module = Module("scores", "")
    in_series(module, SCORES, stream(40))
    code = "\n".join(line.split("//")[0] for line in module.text().splitlines())
    assert word not in code
