from typing import Literal

import pytest

from linnet.recipe.setting import Setting, accept, needed, shown

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
    ("value", "annotation", "known", "complaint"),
    [
        (3.0, int, PLAIN, "3.0 (a number) was given; a whole number is needed"),
        (True, int, PLAIN, "true was given; a whole number is needed"),
        (1, bool, PLAIN, "1 (a whole number) was given; true or false is needed"),
        ("3", float, PLAIN, '"3" (a text) was given; a number is needed'),
        (0, int, Setting("", at_least=1), "0 was given; a whole number of at least 1 is needed"),
        (1.0, float, Setting("", above=0, below=1), "1.0 was given; a number above 0 and below 1 is needed"),
        (9, int, Setting("", at_least=1, at_most=8), "9 was given; a whole number from 1 to 8 is needed"),
        (float("inf"), float, PLAIN, "inf was given; a finite number is needed"),
        (float("nan"), float, Setting("", above=0), "nan was given; a finite number is needed"),
        ("c", Literal["a", "b"], PLAIN, '"c" was given; one of "a", "b" is needed'),
        ("cosin", Literal["cosine", "x"], PLAIN, '"cosin" was given; one of "cosine", "x" is needed, perhaps "cosine"'),
        ([1], tuple[int, int], PLAIN, "[1] was given; a list of 2 whole numbers is needed"),
        (1, tuple[int, ...], PLAIN, "1 was given; a list of whole numbers is needed"),
        ([1, "x"], tuple[int, ...], PLAIN, 'the list has "x"; a list of whole numbers is needed'),
        ([0, 1], tuple[int, ...], EACH, "the list has 0; a list of whole numbers, each of at least 1, is needed"),
        ({"a": 1}, str, PLAIN, "{a = 1} was given; a text is needed"),
        (2**63, int, PLAIN, "a whole number beyond 64 bits was given; a whole number is needed"),
    ],
)
def test_refuses_in_words(value, annotation, known, complaint):
    assert accept(value, annotation, known) == (None, complaint)


def test_a_number_too_long_to_write_out_is_refused():
    assert accept(16**5000, float, PLAIN)[1] == "a whole number beyond 64 bits was given; a number is needed"


def test_needed_names_the_choices_of_a_type():
    assert needed(Literal["a", "b"] | None, PLAIN) == 'one of "a", "b"'


def test_long_values_are_cut():
    assert shown("x" * 100) == '"' + "x" * 36 + "..."
    assert shown([True, 1.5, "a"]) == '[true, 1.5, "a"]'
