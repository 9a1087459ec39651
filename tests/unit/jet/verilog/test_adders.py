"""Trees of adders, checked by working their lines out in Python."""

import itertools
import re

import numpy as np
import pytest

from linnet.jet.verilog.adders import tree, weighted
from linnet.jet.verilog.module import Module, Signal, literal, signed_width


def values_of(module: Module, inputs: dict[str, int]) -> dict[str, int]:
    """Every wire and register of sums and differences, registers taken as wires."""
    known = dict(inputs)
    text = module.text()
    stored = dict(re.findall(r"(\w+) <= (\w+);", text))
    for width, name, expression in re.findall(r"(?:wire|reg) signed \[(\d+):0\] (\w+)(?: = (.*))?;", text):
        shift = re.fullmatch(r"\$signed\(\{(\w+)\[\d+:0\], (\d+)'b0+\}\)", expression)
        if shift:
            known[name] = known[shift[1]] << int(shift[2])
        else:
            known[name] = eval(expression or stored[name], {}, known)  # noqa: S307
        assert -(1 << int(width)) <= known[name] < 1 << int(width)
    return known


@pytest.mark.parametrize(
    ("low", "high", "width"), [(0, 0, 1), (0, 1, 2), (-1, 0, 1), (-4, 3, 3), (-5, 3, 4), (0, 8, 5)]
)
def test_widths_hold_their_range(low, high, width):
    assert signed_width(low, high) == width


def test_literals_hold_their_negation_too():
    assert literal(-8) == "-5'sd8"
    assert literal(3) == "3'sd3"


def test_random_sums_are_exact_and_share_what_they_have_in_common():
    rng = np.random.default_rng(0)
    module = Module("sums", "")
    terms = [Signal(f"x{k}", -4, 5) for k in range(20)]
    signs = rng.choice([-1, 1], (12, 20))
    roots, _ = tree(module, [[(t, int(s)) for t, s in zip(terms, row, strict=True)] for row in signs])
    for _ in range(20):
        given = {t.name: int(rng.integers(-4, 6)) for t in terms}
        known = values_of(module, given)
        found = [sign * known[signal.name] for signal, sign in roots]
        assert found == (signs @ np.array(list(given.values()))).tolist()
    adders = len(re.findall(r" = \w+ [-+] \w+;", module.text()))
    assert adders < 0.75 * 12 * 19  # without sharing 12 sums of 20 terms take 228


@pytest.mark.parametrize("row", [[1, 2, 1], [1, 0, -1], [1, -2, 1], [1, 3, 3, 1], [1, -1, -1, 1], [1, 4, 6, 4, 1],
                                 [1, -2, 0, 2, -1], [1, -4, 6, -4, 1], [1, 1], [1, -1], [1]])  # fmt: skip
def test_rows_of_jets_are_exact_at_their_extremes(row):
    module = Module("row", "")
    signals = [Signal(f"x{k}", 0, 3) for k in range(len(row))]
    total = weighted(module, signals, row)
    found = []
    for given in itertools.product([0, 3], repeat=len(row)):
        known = values_of(module, dict(zip((s.name for s in signals), given, strict=True)))
        known |= dict(zip((s.name for s in signals), given, strict=True))
        assert known[total.name] == np.dot(row, given)
        found.append(known[total.name])
    assert (total.low, total.high) == (min(found), max(found))
