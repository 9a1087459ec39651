from typing import Literal

import pytest

from linnet.recipe.toml.setting import Setting, accept, needed, shown

PLAIN = Setting("what it is for")
EACH = Setting("", at_least=1)


@pytest.mark.parametrize(
    ("value", "annotation", "known", "accepted"),
    [
        (3, int, PLAIN, 3),
        (3, float, PLAIN, 3.0),
        (True, bool, PLAIN, True),
        ("a", str | None, PLAIN, "a"),
        ("b", Literal["a", "b"], PLAIN, "b"),
        ([1, 2.5], tuple[float, float], PLAIN, (1.0, 2.5)),
        ([], tuple[int, ...] | None, PLAIN, ()),
        (1, int, Setting("", at_least=1, at_most=1), 1),
        (1e-9, float, Setting("", above=0, below=1), 1e-9),
        ("x", str, Setting("", choices=("x", "y")), "x"),
    ],
)
def test_accepts(value, annotation, known, accepted):
    got, complaint = accept(value, annotation, known)
    assert (got, type(got), complaint) == (accepted, type(accepted), "")


@pytest.mark.parametrize(
    ("value", "annotation", "known", "words"),
    [
        (3.0, int, PLAIN, ("3.0", "whole number")),
        (True, int, PLAIN, ("true", "whole number")),
        (1, bool, PLAIN, ("1", "true", "false")),
        ("3", float, PLAIN, ('"3"', "number")),
        (0, int, Setting("", at_least=1), ("0", "whole number", "1")),
        (1.0, float, Setting("", above=0, below=1), ("1.0", "number", "0", "1")),
        (9, int, Setting("", at_least=1, at_most=8), ("9", "whole number", "8")),
        (float("inf"), float, PLAIN, ("inf", "finite")),
        (float("nan"), float, Setting("", above=0), ("nan", "finite")),
        ("c", Literal["a", "b"], PLAIN, ('"c"', '"a", "b"')),
        ("cosin", Literal["cosine", "x"], PLAIN, ('"cosin"', '"cosine", "x"')),
        ([1], tuple[int, int], PLAIN, ("[1]", "2", "whole numbers")),
        (1, tuple[int, ...], PLAIN, ("1", "whole numbers")),
        ([1, "x"], tuple[int, ...], PLAIN, ('"x"', "whole numbers")),
        ([0, 1], tuple[int, ...], EACH, ("0", "whole numbers", "1")),
        ({"a": 1}, str, PLAIN, ("{a = 1}", "text")),
        (2**63, int, PLAIN, ("64 bits", "whole number")),
    ],
)
def test_refuses_in_words(value, annotation, known, words):
    got, complaint = accept(value, annotation, known)
    assert got is None
    assert all(word in complaint for word in words), (complaint, words)


def test_a_number_too_long_to_write_out_is_refused():
    assert "64 bits" in accept(16**5000, float, PLAIN)[1]


def test_needed_names_the_choices_of_a_type():
    assert '"a", "b"' in needed(Literal["a", "b"] | None, PLAIN)


def test_long_values_are_cut():
    assert shown("x" * 100) == '"' + "x" * 36 + "..."
    assert shown([True, 1.5, "a"]) == '[true, 1.5, "a"]'
