import inspect

import pytest

from linnet.cli.words import cli_words, in_cli_words
from linnet.errors import InputError


@in_cli_words
def verb(image: str, *, diameter: float = 1.0, batch_size: int = 2) -> int:
    """A verb."""
    if diameter <= 0:
        raise InputError(f"`diameter_px` must be positive (got {diameter}); `batch_size` and `image` are fine.")
    return batch_size


def test_an_error_names_the_options_of_the_verb():
    with pytest.raises(InputError) as caught:
        verb("a", diameter=-1.0)
    assert str(caught.value) == "`--diameter` must be positive (got -1.0); `--batch-size` and `image` are fine."
    assert verb("a") == 2
    assert list(inspect.signature(verb).parameters) == ["image", "diameter", "batch_size"]


def test_a_remedy_in_python_becomes_the_verbs_own():
    said = "`model` must be a perceptron. Give the numbers yourself: theory(depth, activation, weight_variance, "
    said += "bias_variance, width, ...)."
    assert cli_words(said, {"compare_theory": "--compare-theory"}).endswith("perceptron. Leave out --compare-theory.")
    assert cli_words(said, {}) == said


def test_what_is_no_option_stays():
    assert cli_words("`a.csv` has `formats` and `radius_px`", {"format": "--format"}) == (
        "`a.csv` has `--format` and `radius_px`"
    )
