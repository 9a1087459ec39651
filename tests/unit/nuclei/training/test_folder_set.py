"""A recipe reads a folder of images and one of points."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from linnet.data import fluorescence_field
from linnet.errors import LinnetError
from linnet.nuclei import load
from linnet.nuclei.training.folder_set import read_folder_set
from linnet.recipe import run

RECIPE = """task = "nuclei"
[data]
images = "images"
points = "points"
batches = 1
side = 64
[optimizer]
name = "adamw"
lr = 1e-3
[train]
epochs = 1
batch_size = 2
"""


@pytest.fixture
def folders(tmp_path):
    for name in ("images", "points"):
        (tmp_path / name).mkdir()
    for k in range(6):
        field, truth = fluorescence_field((64, 80), n=6, rng_seed=k)
        if k:
            Image.fromarray((field // 256).astype(np.uint8)).save(tmp_path / "images" / f"i{k}.png")
        else:
            tifffile.imwrite(tmp_path / "images" / "i0.tif", field)
        np.savetxt(tmp_path / "points" / f"i{k}.csv", truth, delimiter=",", header="y,x", comments="")
    return tmp_path


def test_each_image_is_a_picture_and_some_are_held_out(folders):
    images = read_folder_set(folders / "images", folders / "points")
    assert [i.split for i in images] == ["train", "train", "train", "test", "val", "train"]
    assert [i.mosaic_id for i in images] == [f"i{k}" for k in range(6)]
    assert images[0].pixels().dtype == np.uint16
    assert images[1].pixels().shape == (64, 80)
    assert all(len(i.points) for i in images)


def test_few_images_are_refused(folders):
    for k in (4, 5):
        (folders / "points" / f"i{k}.csv").unlink()
    with pytest.raises(LinnetError, match=r"at least 5 images.*linnet nuclei train"):
        read_folder_set(folders / "images", folders / "points")


def test_a_recipe_trains_on_a_folder(folders):
    (folders / "r.toml").write_text(RECIPE)
    run(folders / "r.toml", out=folders / "out")
    assert load(folders / "out" / "weights.safetensors").card["training_images"] == 4
    (folders / "r.toml").write_text(RECIPE.replace('points = "points"\n', ""))
    with pytest.raises(LinnetError, match=r"data\.points"):
        run(folders / "r.toml", out=folders / "two")
