from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from linnet.errors import RecipeError
from linnet.recipe.classify import TASK


@pytest.fixture
def task_named():
    """Finds the one task without asking what is installed."""

    def named(name):
        if name != "classify":
            raise RecipeError(f"{name} is no task")
        return TASK

    return named


@pytest.fixture
def recipe(tmp_path) -> Path:
    """A recipe beside a folder of 2 x 30 noisy pictures, dark ones and bright ones."""
    generator = np.random.default_rng(0)
    for name, level in (("bright", 150), ("dark", 100)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(30):
            pixels = np.clip(generator.normal(level, 40, (6, 5)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number:02}.png")
    path = tmp_path / "small.toml"
    path.write_text(
        """\
task = "classify"
[data]
name = "image_folder"
path = "pictures"
validation_fraction = 0.2
test_fraction = 0.3
brightness = 0.1
[model]
name = "tiny"
width = 4
[optimizer]
name = "adam"
lr = 0.02
[train]
epochs = 4
batch_size = 8
checkpoint_every = 1
device = "cpu"
"""
    )
    return path
