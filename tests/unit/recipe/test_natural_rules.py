"""Every constraint between the keys of natural gradient is found when the recipe is read, with its line."""

from pathlib import Path

import pytest

from linnet.errors import RecipeError
from linnet.recipe.parsing import parse

BASE = """task = "classify"
[data]
name = "digits"
[model]
{model}
[optimizer]
name = "natural"
lr = 0.3
{optimizer}
[train]
epochs = 1
{train}
"""


def recipe(folder: Path, *, optimizer="", model='name = "tiny"', train=""):
    path = folder / "recipe.toml"
    path.write_text(BASE.format(optimizer=optimizer, model=model, train=train))
    return path


MLP = 'name = "mlp"'
REFUSED = {
    "kfac without damping": ({"optimizer": 'approx = "kfac"\ndamping = 0.0'}, r"line 10: .*`damping`"),
    "exact with clipping": (
        {"model": MLP, "optimizer": 'approx = "exact"\ndamping = 0.1', "train": "grad_clip = 1.0"},
        r"line 9: .*`grad_clip`",
    ),
    "exact in float16": (
        {"model": MLP, "optimizer": 'approx = "exact"\ndamping = 0.1', "train": 'precision = "float16"'},
        r"line 9: .*float16",
    ),
    "momentum with sampled": (
        {"model": MLP, "optimizer": 'approx = "exact"\nfisher = "sampled"\ndamping = 0.1\nmomentum = 0.9'},
        r"line 12: .*`momentum`",
    ),
    "adapt_damping": ({"optimizer": 'approx = "kfac"\nadapt_damping = true'}, r"line 10: .*`adapt_damping`"),
    "BatchNorm with exact": ({"optimizer": 'approx = "exact"\ndamping = 0.1'}, r"line 9: .*BatchNorm2d"),
    "BatchNorm with unit": ({"optimizer": 'approx = "unit"\ndamping = 0.1'}, r"line 9: .*BatchNorm2d"),
    "five layers tridiagonal": (
        {"model": 'name = "mlp"\nhidden = [9, 9, 9, 9]', "optimizer": 'approx = "tridiagonal"'},
        r"line 10: .*5 weight layers",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_found_when_the_recipe_is_read(tmp_path, case):
    given, words = REFUSED[case]
    with pytest.raises(RecipeError, match=words):
        parse(recipe(tmp_path, **given))


@pytest.mark.parametrize(
    "given",
    [
        {"optimizer": 'approx = "kfac"'},
        {"optimizer": 'approx = "kfac"', "train": 'grad_clip = 1.0\nprecision = "float16"'},
        {"model": MLP, "optimizer": 'approx = "exact"\ndamping = 0.1\nmomentum = 0.9'},
        {"model": MLP, "optimizer": 'approx = "unit"\ndamping = 0.1'},
        {"model": 'name = "mlp"\nhidden = [9, 9, 9, 9]', "optimizer": 'approx = "tridiagonal"\ndamping = 0.1'},
    ],
)
def test_what_works_is_read(tmp_path, given):
    assert parse(recipe(tmp_path, **given)).sections["optimizer"].name == "natural"
